"""Annotations that are all alike but for their numbers, read as columns without an object each: most files of boxes are so.

Only what is found to be exactly so is read this way, number by number at its place; anything else is left to the parser of JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from pydantic_core import from_json

from saccade.data.formats.strict_json import parse
from saccade.errors import DataError

SMALLEST = 1 << 16
"""Bytes of a file from which on this is worth its while."""
MOST = float(1 << 53)
"""The largest number that a float64 holds with all whole ones below it."""

_NUMBER = b"0123456789+-."
_RUN = re.compile(rb"[0-9+\-.]+")
_FLAGS = bytes(c in _NUMBER for c in range(256))
_NOT_LISTED = bytes(c for c in range(256) if c not in _NUMBER + b",")
_KEY = b'"annotations"'
_BLOCK = 1 << 20


class PlainRows(Sequence[dict[str, Any]]):
    """n annotations with the same keys in the same order, as one table of numbers.

    sample: the first of them. numbers: (n, width) float64, the numbers of a row in the order of the text. whole: for each column
    whether all of it is whole numbers. None is beyond 2^53.
    """

    def __init__(self, sample: Mapping[str, Any], numbers: np.ndarray, whole: Sequence[bool]) -> None:
        self.sample, self.numbers, self.whole = sample, numbers, whole
        widths = np.cumsum([0, *map(_count, sample.values())]).tolist()
        self.places = {key: range(a, b) for key, a, b in zip(sample, widths[:-1], widths[1:], strict=True) if b > a}

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, row: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, row: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, row: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        own = {key: [self._values(place, slice(row, row + 1))[0] for place in places] for key, places in self.places.items()}
        return {key: (own[key] if isinstance(value, list) else own[key][0]) if key in own else value for key, value in self.sample.items()}

    def _values(self, place: int, rows: slice) -> list[Any]:
        held = self.numbers[rows, place]
        values: list[Any] = (held.astype(np.int64) if self.whole[place] else held).tolist()
        return values

    def column(self, key: str, default: Any) -> list[Any]:
        """One field of every row."""
        if key not in self.places:
            return [self.sample.get(key, default)] * len(self)
        held = [self._values(place, slice(None)) for place in self.places[key]]
        return [list(values) for values in zip(*held, strict=True)] if isinstance(self.sample[key], list) else held[0]

    def array(self, key: str) -> np.ndarray | None:
        """(n,) int64, or float64 where not all are whole, of a field that is a number, None when it is not."""
        if key not in self.places or isinstance(self.sample[key], list):
            return None
        place = self.places[key].start
        return self.numbers[:, place].astype(np.int64 if self.whole[place] else np.float64)

    def table(self, key: str, width: int) -> np.ndarray | None:
        """(n, width) float64 of a field that is a list of so many numbers, None when it is not."""
        places = self.places.get(key, range(0))
        return self.numbers[:, places.start : places.stop].copy() if len(places) == width and isinstance(self.sample[key], list) else None


class _Pattern(NamedTuple):
    """The first annotation: its parsed form, the texts before, between and behind its numbers, and the text that leads to the next one."""

    sample: dict[str, Any]
    pieces: list[bytes]
    gap: bytes

    skeleton: bytes  # the pieces together
    slots: np.ndarray  # (width,) where the numbers stand in it
    commas: tuple[int, ...]  # how many lie between two numbers where it is more than one, the most first

    @property
    def width(self) -> int:
        return len(self.pieces) - 1


def split_annotations(data: bytes, where: str) -> tuple[Any, PlainRows] | None:
    """(the parsed file without its annotations, they), None when they are not all alike, few, or anything at all is unusual."""
    start = data.find(b"[", data.find(_KEY)) if len(data) >= SMALLEST and data.count(_KEY) == 1 else -1
    if start < 0 or data[data.find(_KEY) + len(_KEY) : start].strip() != b":":
        return None
    first = data.find(b"{", start)
    if first < 0 or data[start + 1 : first].strip():
        return None
    pattern = _pattern(data, first, where)
    found = _numbers(data, first, pattern) if pattern is not None else None
    if pattern is None or found is None:
        return None
    rows, end = found
    try:
        root = parse(data[: start + 1] + data[end:].lstrip(), where)
    except DataError:
        return None  # told with the right line by who reads the whole file
    return (root, rows) if isinstance(root, dict) and root.get("annotations") == [] else None


def _pattern(data: bytes, first: int, where: str) -> _Pattern | None:
    """The pattern of the object that begins at `first`, None when it has other things than numbers that may change."""
    close = data.find(b"}", first) + 1
    follows = data.find(b"{", close)
    text, gap = data[first:close], data[close:follows]
    if close <= 0 or follows < 0 or gap.strip() != b"," or len(gap) > 100 or len(text) > 10_000:
        return None
    try:
        sample = parse(text, where)
    except DataError:
        return None
    strings = [*sample, *(value for value in sample.values() if isinstance(value, str))]
    if any(set(string.encode()) & set(_NUMBER) for string in strings) or b"\\" in text or any(c in string for c in "{}[]" for string in strings):
        return None
    pieces = _RUN.split(text)
    if sum(map(_count, sample.values())) != len(pieces) - 1 or len(pieces) < 2:
        return None
    slots = np.cumsum([len(piece) for piece in pieces[:-1]])
    commas = {piece.count(b",") for piece in [*pieces[1:-1], pieces[-1] + gap + pieces[0]]}
    return _Pattern(sample, pieces, gap, b"".join(pieces), slots, tuple(sorted(commas - {0, 1}, reverse=True)))


def _count(value: Any) -> int:
    """How many numbers a value holds, many too many when it is neither a number nor a list of them nor without any."""
    if isinstance(value, list):
        return len(value) if {type(v) for v in value} <= {int, float} else 1 << 30
    return int(type(value) in (int, float)) if not isinstance(value, dict) else 1 << 30


def _numbers(data: bytes, first: int, pattern: _Pattern) -> tuple[PlainRows, int] | None:
    """The rows and the end of the last one, when every text between two numbers is the pattern's and every number where it should be.

    Gone through in blocks of whole rows, which stay in the cache.
    """
    period = pattern.skeleton + pattern.gap
    repeated = period * (_BLOCK // len(period) + 2)
    blocks, wholes, at = [], np.ones(pattern.width, bool), first
    while True:
        cut = data.rfind(b"}", at, at + _BLOCK) + 1
        block = data[at:cut]
        text = block.translate(None, _NUMBER)
        last = not text or not repeated.startswith(text) or (len(text) + len(pattern.gap)) % len(period) > 0
        if last:
            rows, length = _ending(data[at : at + _BLOCK], pattern)
            block = block[:length]
        else:
            rows = (len(text) + len(pattern.gap)) // len(period)
        values = _values(block, rows, pattern) if rows else None
        if values is None:
            return None
        blocks.append(values[0])
        wholes &= values[1]
        at += len(block)
        if last or data[at : at + 1000].lstrip().startswith(b"]"):
            return PlainRows(pattern.sample, np.concatenate(blocks), wholes.tolist()), at
        if not data.startswith(pattern.gap, at):
            return None
        at += len(pattern.gap)


def _ending(block: bytes, pattern: _Pattern) -> tuple[int, int]:
    """(rows, bytes) that a block begins with before the closing bracket, (0, 0) when it is not found behind a row of the pattern."""
    text, period = block.translate(None, _NUMBER), pattern.skeleton + pattern.gap
    rows = next((n for n in range(len(text) // len(period) + 2) if not text.startswith(period, n * len(period))), 0) + 1
    length = (rows - 1) * len(period) + len(pattern.skeleton)
    if not text.startswith(pattern.skeleton, length - len(pattern.skeleton)) or not text[length:].lstrip().startswith(b"]"):
        return 0, 0
    outside = np.flatnonzero(np.frombuffer(block.translate(_FLAGS), np.uint8) == 0)
    return rows, int(outside[length - 1]) + 1


def _values(block: bytes, rows: int, pattern: _Pattern) -> tuple[np.ndarray, np.ndarray] | None:
    """(rows, width) numbers, and for each column whether all are whole; None when one is not where it should be, or is none in JSON."""
    flags = np.frombuffer(block.translate(_FLAGS), np.uint8)
    changes = np.flatnonzero(flags[1:] != flags[:-1]) + 1  # a number begins, ends, begins: a block begins and ends with a brace
    if len(changes) != 2 * rows * pattern.width:
        return None
    begins, lengths = changes[::2], changes[1::2] - changes[::2]
    places = (begins - np.cumsum(lengths) + lengths).reshape(rows, pattern.width)
    if (places != np.arange(rows)[:, None] * (len(pattern.skeleton) + len(pattern.gap)) + pattern.slots).any():
        return None
    text = block.translate(None, _NOT_LISTED)
    for commas in pattern.commas:
        text = text.replace(b"," * commas, b",")
    try:
        values: list[Any] = from_json(b"[" + text.strip(b",") + b"]", allow_inf_nan=False)
        found = np.array(values, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    if len(values) != rows * pattern.width or np.abs(found).max() > MOST:
        return None
    found = found.reshape(rows, pattern.width)
    return found, (found == np.rint(found)).all(0)
