"""Sequences as pictures: a column of square frames below one another, so that whatever reads, batches and predicts pictures takes them.

Frames of numbers are one pixel wide and high, their numbers being its channels: (T, D) becomes (T, 1, D). Frames that are pictures, (T, H, W, C),
become squares of one side, (T S, S, C).
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from saccade.core import Stored
from saccade.data.dataset import ImageDataset
from saccade.errors import DataError

SIDE = 64  # pixels, at most, of a frame
USUAL, SHORT = 4096, 1024  # pixels of the longest column that is taken where columns are typically no longer than that
LONGEST = 65_536  # pixels of the longest column otherwise


@dataclass(frozen=True)
class Column:
    """A clip as a column; stands where the array of a picture does. `load` gives (T S, S, C)."""

    clip: Any
    side: int

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.clip.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        shape = self.clip.shape
        return shape[0] * self.side, self.side, shape[3]

    def load(self) -> np.ndarray:
        """Raises DataError as the clip does."""
        frames = self.clip.load()
        if frames.shape[1:3] == (self.side, self.side):
            return frames.reshape(self.shape)
        resized = [cv2.resize(frame, (self.side, self.side), interpolation=cv2.INTER_AREA) for frame in frames]
        return np.concatenate([frame.reshape(self.side, self.side, -1) for frame in resized])

    def tobytes(self) -> bytes:
        """What the content is known by."""
        return bytes(self.clip.tobytes())


@dataclass(frozen=True)
class NumberColumn:
    """Frames of numbers that stay in a file as a column; stands where the array of a picture does. `load` gives (T, 1, D)."""

    frames: Any

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.frames.paths)

    @property
    def shape(self) -> tuple[int, int, int]:
        steps, width = self.frames.shape
        return steps, 1, width

    def load(self) -> np.ndarray:
        """Raises DataError as the frames do."""
        return np.asarray(self.frames.load()[:, None])

    def tobytes(self) -> bytes:
        """What the content is known by."""
        return bytes(self.frames.tobytes())


def has_sequences(dataset: ImageDataset) -> bool:
    """Whether the records are sequences."""
    held = list(dataset.arrays.values())
    return bool(held) and all(isinstance(each, list) and all(len(one.shape) in (2, 4) for one in each[:1]) for each in held)


def longest(typical: int) -> int:
    """Pixels of the longest column that is taken, for data whose columns are typically so long: batches are only as long as their longest."""
    return USUAL if typical <= SHORT else LONGEST


def columns(dataset: ImageDataset, limit: int | None = None) -> ImageDataset:
    """The data set with every sequence as a column; any other as it is.

    limit: pixels of the longest, that of the model where there is one. Raises DataError ANN-SEQ for a longer one.
    """
    if not has_sequences(dataset):
        return dataset
    first = next(each[0] for each in dataset.arrays.values() if len(each))
    side = 1 if len(first.shape) == 2 else min(SIDE, max(first.shape[1:3]))
    arrays = {name: [_column(sequence, side) for sequence in each] for name, each in dataset.arrays.items()}
    records = tuple(replace(record, size=None) for record in dataset.records)
    rows = [arrays[record.path.name][record.index or 0].shape[0] for record in records]
    most = limit or longest(int(statistics.median(rows or [0])))
    for record, own in zip(records, rows, strict=True):
        if own > most:
            got = f"{own // side:,} frames, at most {most // side:,} are taken"
            raise DataError("ANN-SEQ", got, where=record.id, fix="cut the sequence into shorter ones")
    return replace(dataset, arrays=arrays, records=records)


def _column(sequence: Any, side: int) -> Any:
    if len(sequence.shape) == 2:
        return NumberColumn(sequence) if isinstance(sequence, Stored) else sequence[:, None]
    if isinstance(sequence, Stored):
        return Column(sequence, side)
    return sequence
