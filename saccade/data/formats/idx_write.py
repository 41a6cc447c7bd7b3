"""IDX files written: pictures of one size in `train-images-idx3-ubyte.gz`, their classes in `train-labels-idx1-ubyte.gz`, the names in `classes.txt`."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem, UsageError

HOLDS = frozenset({"label"})
_BYTES, _INTEGERS = 0x08, 0x0C


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes a pair of files for each split. What it cannot hold: images without a class, file names, groups, more than 8 bits.

    Raises UsageError USE-VALUE for pictures of different sizes, and when they are to stay where they are.
    """
    if pictures.how != "copy":
        raise UsageError("USE-VALUE", f"images={pictures.how}: IDX files hold the pictures themselves", fix="use --images copy")
    losses, names = Losses(), dataset.spaces["label"].names
    known = [i for i in range(len(dataset)) if (truth := dataset.truth(i).get("label")) is not None and truth.known]
    losses.add("label", "images without a class", len(dataset) - len(known))
    sizes = {dataset.size(i) for i in known}
    if len(sizes) > 1:
        shown = ", ".join(f"{w} x {h}" for h, w in sorted(sizes)[:3])
        raise UsageError("USE-VALUE", f"to=idx: {len(sizes)} sizes ({shown}, ...), but IDX holds one", where="--to", fix="write a folder or a table")
    for split in dict.fromkeys(dataset.records[i].split for i in known):
        places = [i for i in known if dataset.records[i].split == split]
        images = np.stack([_bytes(dataset.read(i), losses) for i in places])
        labels = np.array([dataset.truth(i)["label"].index for i in places])
        part = f"{split}-" if split else ""
        plane = images[..., 0] if images.shape[3] == 1 else images
        write_idx(out / f"{part}images-idx{plane.ndim}-ubyte.gz", plane)
        write_idx(out / f"{part}labels-idx1-ubyte.gz", labels.astype(np.uint8 if len(names) <= 256 else np.int32))
    tidy = [" ".join(name.split()) for name in names]
    losses.add("label", "spaces in names of classes", sum(a != b for a, b in zip(names, tidy, strict=True)))
    losses.add("label", "groups", sum(record.group is not None for record in dataset.records))
    (out / "classes.txt").write_text("\n".join(tidy) + "\n", encoding="utf-8")
    return losses.problems()


def _bytes(pixels: np.ndarray, losses: Losses) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    losses.add("label", "pixels of more than 8 bits in images", 1)
    return np.round(pixels * 255).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array of bytes or of 32-bit numbers, gzip, the same bytes for the same array."""
    kind = _BYTES if array.dtype == np.uint8 else _INTEGERS
    header = struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    with open(path, "wb") as stream, gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
        packed.write(header + array.astype(array.dtype.newbyteorder(">")).tobytes())
