"""IDX, the format of the MNIST files: pictures and labels in two files, each an array behind a short header, perhaps gzip.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": two zero bytes, a type, the number of
dimensions, each dimension as a 32-bit number with the highest byte first, then the values row by row.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import stat
import zlib
from pathlib import Path

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.errors import DataError
from saccade.targets.label import Label

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LARGEST = 8 << 30
"""Bytes that one file may declare."""

_KIND = re.compile(r"(images?|labels?)", re.IGNORECASE)
_IDX = re.compile(r"(\.idx|[-._]idx\d[-._]ubyte|[-._]ubyte)(\.gz)?$", re.IGNORECASE)
Pairs = dict[str, dict[str, str]]  # part -> {"images": file, "labels": file}


def detect(source: Source) -> Pairs | None:
    """The pairs of files, by their names; an image file given alone finds its labels beside it."""
    names = source.names
    if source.only:
        if not _IDX.search(source.only):
            return None
        names = Source(source.root).names
    pairs: Pairs = {}
    for name in reversed(names):  # of a file and its gzip, the plain one
        kind = _KIND.findall(name)
        if _IDX.search(name) and kind:
            part = re.sub(r"[-._]+", "-", _KIND.sub("", _IDX.sub("", name))).strip("-").lower()
            pairs.setdefault(part, {})["images" if kind[-1].lower().startswith("image") else "labels"] = name
    if source.only:
        pairs = {part: files for part, files in pairs.items() if source.only in files.values()}
    pairs = {part: files for part, files in sorted(pairs.items(), key=lambda item: natural(item[0])) if source.only or "images" in files}
    return pairs or None


def load(source: Source, pairs: Pairs) -> Found:
    """A record for each picture; the arrays are read once and kept. Raises DataError ANN-IDX, ANN-UNREADABLE."""
    arrays: dict[str, np.ndarray] = {}
    truths: dict[str, np.ndarray] = {}
    for files in pairs.values():
        if missing := {"images", "labels"} - set(files):
            raise DataError("ANN-IDX", f"there is no file of {missing.pop()} beside it", where=str(source.root / next(iter(files.values()))))
        images = read_idx(source.root / files["images"])
        labels = read_idx(source.root / files["labels"])
        arrays[files["images"]], truths[files["images"]] = _paired(images, labels, str(source.root / files["labels"]))
    values = np.unique(np.concatenate(list(truths.values())))
    names = _names(source.root, values)
    chosen = names != _plain(values)  # classes.txt names the values, else each value present is a class
    by_value = {int(v): {"label": Label(int(v) if chosen else i)} for i, v in enumerate(values)}
    records = []
    for part, files in pairs.items():
        name, path = files["images"], source.root / files["images"]
        split = _split(part)
        records += [Record(f"{name}#{i}", path, i, by_value[v], split) for i, v in enumerate(truths[name].tolist())]
    described = ", ".join(f"{files['images']} ({len(arrays[files['images']]):,})" for files in pairs.values())
    return Found(records, {"label": LabelSpace(names)}, f"IDX files: {described}" + ("; names from classes.txt" if chosen else ""), (), arrays)


def _split(part: str) -> str | None:
    return next((SPLITS.get(word, "test") for word in part.split("-") if word in SPLITS or word == "t10k"), None)


def _plain(values: np.ndarray) -> tuple[str, ...]:
    return tuple(str(v) for v in values.tolist())


def _names(root: Path, values: np.ndarray) -> tuple[str, ...]:
    """The lines of classes.txt, else the values themselves. Raises DataError ANN-IDX when a label has no line."""
    path = root / "classes.txt"
    if not path.is_file():
        return _plain(values)
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("ANN-UNREADABLE", str(error), where=str(path)) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) != len(names):
        raise DataError("ANN-IDX", "a class name is there twice", where=str(path), fix="give every class a name of its own, one a line")
    if len(values) and (values.min() < 0 or values.max() >= len(names)):
        raise DataError("ANN-IDX", f"it names {len(names)} classes, but the labels run from {values.min()} to {values.max()}", where=str(path))
    return names


def _paired(images: np.ndarray, labels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, h, w, c) uint8 and labels (n,) of whole numbers. Raises DataError ANN-IDX when they do not fit together."""
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise DataError("ANN-IDX", f"the images are {images.shape} of {images.dtype}, expected (n, h, w) or (n, h, w, 3) of bytes", where=where)
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise DataError("ANN-IDX", f"the labels are {labels.shape} of {labels.dtype}, expected (n,) of whole numbers", where=where)
    if len(images) != len(labels):
        raise DataError("ANN-IDX", f"{len(images)} images and {len(labels)} labels", where=where)
    return images, labels.astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """The array of an IDX file, gzip or not; the size is checked before anything is allocated. Raises DataError ANN-IDX, ANN-UNREADABLE."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError("ANN-UNREADABLE", "not a regular file", where=str(path))
        with open(path, "rb") as stream:
            return parse_idx(stream, str(path))
    except OSError as error:
        raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=str(path)) from error


def parse_idx(stream: io.BufferedIOBase | io.BufferedReader, where: str) -> np.ndarray:
    """The array of an open IDX file.

    >>> parse_idx(io.BytesIO(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])), "labels").tolist()
    [7, 9]
    """
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    try:
        content = gzip.GzipFile(fileobj=stream) if packed else stream
        return _array(content, where)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError("ANN-IDX", f"the gzip data is damaged ({error})", where=where) from error


def _array(stream: io.BufferedIOBase | io.BufferedReader, where: str) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 4:
        raise DataError("ANN-IDX", f"it begins with {magic.hex(' ')}, expected 00 00, a type and 1 to 4 dimensions", where=where)
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError("ANN-IDX", "the header is cut short", where=where)
    dtype, shape = np.dtype(TYPES[magic[2]]), tuple(int(v) for v in np.frombuffer(header, ">u4"))
    expected = math.prod(shape) * dtype.itemsize
    if expected > LARGEST:
        raise DataError("ANN-IDX", f"it declares {expected:,} bytes, the limit is {LARGEST:,}", where=where)
    pieces = []  # piece by piece: what is declared may not be there
    left = expected + 1
    while left and (piece := stream.read(min(left, 1 << 24))):
        pieces.append(piece)
        left -= len(piece)
    data = b"".join(pieces)
    if len(data) != expected:
        more = "more" if len(data) > expected else f"{len(data):,}"
        raise DataError("ANN-IDX", f"the header {shape} wants {expected:,} bytes, there are {more}", where=where)
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
