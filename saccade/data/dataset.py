"""A data set of images: records, class names and the way to their pixels."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from saccade.core import IGNORE, LabelSpace, Record, Stored
from saccade.data.image import MAX_PIXELS, content_hash, header, read_image
from saccade.errors import DataError, Problem

Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


@dataclass(frozen=True)
class ImageDataset:
    """Images with their labels, as one of the formats found them. Reading is safe from several threads.

    reason: why this layout was chosen, in one line. channels: 1 or 3, what `read` gives. value_range: the raw values
    (black, white) of images of more than 8 bits. arrays: the pictures (n, h, w, c) of files of many, held once, or the sequences (T, D) of one.
    stamps: size and time of each file when it was checked; a file that has changed since is refused. contents: what was seen
    then in the truths that stay in files, in numbers (`data.contents`), by record id and head. names: what records are called by, by
    their ids, where a task learns without labels: maps are coloured by them, and nothing learns from them.
    """

    name: str
    root: Path
    format: str
    reason: str
    records: Sequence[Record]
    spaces: Mapping[str, LabelSpace]
    channels: int = 3
    value_range: tuple[float, float] | None = None
    max_pixels: int = MAX_PIXELS
    problems: tuple[Problem, ...] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    stamps: Mapping[str, Stamp] = field(default_factory=dict, repr=False, compare=False)
    contents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False, compare=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.records)

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Pixels (H, W, C) of record i, uint8, or float32 in [0, 1] of deeper images; with `size` (h, w) possibly reduced, never below it.

        Raises DataError IMG-CHANGED when the file is not the one that was checked, and whatever `read_image` raises.
        """
        record = self.records[i]
        if record.index is not None:
            return self.stored(record)
        expected = self.stamps.get(record.id)
        if expected and (met := stamp(record.path)) and met != expected:
            raise DataError("IMG-CHANGED", f"{met[0]} bytes now, {expected[0]} when it was checked", where=str(record.path))
        picture = read_image(record.path, channels=self.channels, at_least=size, max_pixels=self.max_pixels, value_range=self.value_range)
        return picture.pixels

    def size(self, i: int) -> tuple[int, int]:
        """(h, w) of the whole image of record i after EXIF: as checked, else from its header. Raises DataError when that cannot be read."""
        record = self.records[i]
        if record.index is not None:
            shape = self.arrays[record.path.name][record.index].shape
            h, w = shape[-3:-1] if len(shape) > 2 else shape  # (H, W, C), (T, H, W, C); of features (T, D)
            return int(h), int(w)
        return record.size if record.size is not None and record.id in self.stamps else header(record.path, max_pixels=self.max_pixels).size

    def truth(self, i: int) -> dict[str, Any]:
        """Head -> Target or None of record i; what is stored in files is read now. Raises DataError ANN-*, IMG-* when it cannot be."""
        return {head: target.load() if isinstance(target, Stored) else target for head, target in self.records[i].targets.items()}

    def stored(self, record: Record) -> np.ndarray:
        """The pixels (H, W, C) uint8 of one picture of many, in the data set's channels; not to be written to. Of a sequence its
        features (T, D) float32, or its frames (T, H, W, C)."""
        held = self.arrays[record.path.name][record.index]
        pixels: np.ndarray = held.load() if isinstance(held, Stored) else held
        if pixels.ndim != 3:
            return pixels
        if pixels.shape[2] == self.channels:
            return pixels
        if self.channels == 3:
            return np.repeat(pixels, 3, axis=2)
        from saccade.data.pixels import with_channels

        return with_channels(pixels, self.channels)

    def subset(self, indices: Sequence[int]) -> ImageDataset:
        """The records at these places, in this order; everything else stays, class names too."""
        return replace(self, records=tuple(self.records[i] for i in indices))

    def with_records(self, records: Sequence[Record], **changes: Any) -> ImageDataset:
        """The same data set with other records, and other fields by name."""
        return replace(self, records=tuple(records), **changes)

    def with_heads(self, heads: Collection[str]) -> Self:
        """The same images with the truths of these heads alone."""
        if set(heads) >= set(self.spaces) | {head for record in self.records for head in record.targets}:
            return self
        records = tuple(replace(r, targets={head: target for head, target in r.targets.items() if head in heads}) for r in self.records)
        return replace(self, records=records, spaces={head: space for head, space in self.spaces.items() if head in heads})

    def targets(self, head: str = "label") -> list[Any]:
        """The head's target of every record, None where it has none."""
        return [record.targets.get(head) for record in self.records]

    @cached_property
    def labels(self) -> np.ndarray:
        """Class ids (n,) int64 of the records, -1 where there is none."""
        return np.array([IGNORE if t is None else t.index for t in self.targets()], dtype=np.int64)

    def places(self, split: str | None) -> tuple[int, ...]:
        """The places of the records that the data puts into this split; None: into no split."""
        return tuple(i for i, record in enumerate(self.records) if record.split == split)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the data gives, in the order train, val, test."""
        present = {record.split for record in self.records}
        return tuple(name for name in ("train", "val", "test") if name in present)

    def class_counts(self, places: Sequence[int] | None = None, head: str = "label") -> dict[str, int]:
        """Images of each class, among these places or all; in the order of the classes, zero included."""
        chosen = self.records if places is None else [self.records[i] for i in places]
        counts = Counter(t.index for record in chosen if (t := record.targets.get(head)) is not None)
        return {name: counts.get(i, 0) for i, name in enumerate(self.spaces[head].names if head in self.spaces else ())}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of (id, content, labels, split) of the records, in order of the ids, and of the class names: 32 hexadecimal digits.

        Reads the files of the records that were not checked. Raises DataError when one cannot be read.
        """
        digest = hashlib.blake2b(digest_size=16)
        for head in sorted(self.spaces):
            digest.update(repr((head, self.spaces[head].to_dict())).encode("utf-8", "backslashreplace"))
        for record in sorted(self.records, key=lambda r: r.id):
            truth = [(head, target_hash(target)) for head, target in sorted(record.targets.items())]
            line = repr((record.id, record.bytes_hash or self.content(record), truth, record.split))
            digest.update(line.encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def content(self, record: Record) -> str:
        """The hash of a record's file, or of its pixels when the file holds many."""
        return content_hash(record.path if record.index is None else self.arrays[record.path.name][record.index].tobytes())


def target_hash(target: Any) -> str:
    """A hash of all that a truth says: its fields, its tensors' bytes, the contents of the files behind it; "" for None."""
    if target is None:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, target)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, Stored):
        digest.update(repr(type(value).__name__).encode())
        for path in value.paths:
            digest.update(content_hash(path).encode())
        value = {f.name: held for f in fields(value) if f.compare and not isinstance(held := getattr(value, f.name), Path)} if is_dataclass(value) else None
    if isinstance(value, np.ndarray):
        digest.update(repr((value.dtype.str, value.shape)).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        digest.update(type(value).__name__.encode())
        for f in fields(value):
            _feed(digest, getattr(value, f.name))
    elif isinstance(value, tuple | list):
        digest.update(f"({len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            digest.update(repr(key).encode())
            _feed(digest, value[key])
    elif not isinstance(value, Path):
        digest.update(repr(value).encode("utf-8", "backslashreplace"))


def stamp(path: Path) -> Stamp | None:
    """Size and time of the last change of a file; None when it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
