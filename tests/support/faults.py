"""Faults to plant into small data sets of every task: what is broken, by which code, how severe, and where it must be named."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from tests.support.made_data import pictures

SIZE = (48, 64)  # (h, w)
IMAGES, TRAINED = 72, 52  # images of a set; the first are of train, the others of test


@dataclass
class Bench:
    """A set that faults are planted into; truths, splits, groups and stated sizes by image."""

    root: Path
    truths: list[dict[str, Any]]
    spaces: dict[str, LabelSpace]
    other: Callable[[Any], Any] | None = None  # a truth that contradicts the given one; None where none does
    head: str = ""
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    groups: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        pictures(self.root, IMAGES, SIZE)
        self.sizes, self.groups = [None] * IMAGES, [None] * IMAGES

    def path(self, i: int) -> Path:
        return self.root / f"{i}.png"

    def truth(self, i: int) -> Any:
        return self.truths[i][self.head]

    def put(self, i: int, truth: Any) -> None:
        self.truths[i] = {**self.truths[i], self.head: truth}

    def change(self, i: int, **fields: Any) -> None:
        self.put(i, replace(self.truth(i), **fields))

    def copy(self, i: int, j: int) -> None:
        """Picture and truth of i at j."""
        self.path(j).write_bytes(self.path(i).read_bytes())
        self.truths[j] = dict(self.truths[i])

    def dataset(self) -> ImageDataset:
        parts = ["train"] * TRAINED + ["test"] * (IMAGES - TRAINED)
        records = tuple(Record(f"{i}.png", self.path(i), None, self.truths[i], parts[i], self.groups[i], size=self.sizes[i]) for i in range(IMAGES))
        return ImageDataset("made", self.root, "made", "made for a test", records, dict(self.spaces))


class Fault(NamedTuple):
    """`plant` breaks image i of train, or with `pair` i and j of test. where: what must be named, {i}, {j}, {root} and {following} filled in.

    alone: the fault of a whole set, not planted beside others. says: words that the problem must hold.
    """

    name: str
    code: str
    severity: str
    plant: Callable[..., Any]
    where: str = "{i}.png"
    pair: bool = False
    alone: bool = False
    says: str = ""


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-900])


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(path: Path) -> None:
    """A PNG that declares 60,000 x 60,000 pixels and has none."""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b"")
    )


def _jpeg(path: Path, source: Path | None = None, **options: Any) -> None:
    image = Image.open(source or path).convert("RGB")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=97, subsampling=0, **options)
    path.write_bytes(out.getvalue())


def _turned(bench: Bench, i: int) -> None:
    """Stored on its side with EXIF orientation 6; the labels give the size that is stored."""
    exif = Image.Exif()
    exif[274] = 6
    path = bench.path(i)
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".tmp"), "PNG")
    _jpeg(path, path.with_suffix(".tmp"), exif=exif)
    path.with_suffix(".tmp").unlink()
    bench.sizes[i] = SIZE[::-1]


def _same_group(bench: Bench, i: int, j: int) -> None:
    bench.groups[i] = bench.groups[j] = "patient 7"


def _near(bench: Bench, i: int, j: int) -> None:
    _jpeg(bench.path(j), bench.path(i))


def _doubt(bench: Bench, i: int, j: int) -> None:
    bench.copy(i, j)
    bench.put(j, bench.other(bench.truth(i)))


def _grey(bench: Bench, i: int) -> None:
    Image.open(bench.path(i)).convert("L").save(bench.path(i))


COMMON = (
    Fault("no bytes", "IMG-EMPTY", "error", lambda b, i: b.path(i).write_bytes(b"")),
    Fault("a page of HTML", "IMG-UNREADABLE", "error", lambda b, i: b.path(i).write_bytes(b"<html>404</html>")),
    Fault("half a file", "IMG-TRUNC", "error", lambda b, i: _cut(b.path(i))),
    Fault("a flipped byte", "IMG-CORRUPT", "error", lambda b, i: _damage(b.path(i))),
    Fault("a JPEG named .png", "IMG-EXT", "note", lambda b, i: _jpeg(b.path(i))),
    Fault("two pixels high", "IMG-SIZE", "error", lambda b, i: Image.new("RGB", (30, 2)).save(b.path(i))),
    Fault("an AVIF", "IMG-FORMAT", "error", lambda b, i: b.path(i).write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))),
    Fault("no file", "IMG-MISSING", "error", lambda b, i: b.path(i).unlink()),
    Fault("a pipe", "IMG-SPECIAL", "error", lambda b, i: _pipe(b.path(i))),
    Fault("3.6 thousand million pixels", "IMG-BOMB", "error", lambda b, i: _bomb(b.path(i))),
    Fault("grey among colours", "IMG-DIFFER", "warn", _grey),
    Fault("the same picture twice", "DUP-EXACT", "warn", lambda b, i: b.copy(i, i + 1), "{following}.png"),
    Fault("nearly the same picture in train and test", "LEAK-NEAR", "warn", _near, "{j}.png", pair=True),
    Fault("the same picture in train and test", "LEAK-EXACT", "fatal", lambda b, i, j: b.copy(i, j), "{j}.png", pair=True),
    Fault("one patient in train and test", "LEAK-GROUP", "fatal", _same_group, "{j}.png", pair=True),
    Fault("a size of other images", "ANN-SIZE", "error", lambda b, i: b.sizes.__setitem__(i, (100, 90)), says="the labels say 90 x 100, the image is 64 x 48"),
    Fault("labels of twice the size", "ANN-SIZE", "error", lambda b, i: b.sizes.__setitem__(i, (96, 128)), says="resized by 0.5"),
    Fault("height and width exchanged", "ANN-SIZE", "error", lambda b, i: b.sizes.__setitem__(i, SIZE[::-1]), says="exchanged"),
    Fault("labels of a picture before EXIF turned it", "ANN-SIZE", "error", _turned, says="EXIF orientation 6"),
)
"""Faults of the pictures and of the set, which every task meets."""

DOUBT = Fault("the same picture with two truths", "DUP-LABEL", "error", _doubt, "{j}.png", pair=True)
