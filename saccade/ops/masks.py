"""Masks as run lengths, as polygons and as pixels, and the ways between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from saccade.ops.outlines import rings_of
from saccade.ops.rings import LARGEST_PLANE as LARGEST_PLANE
from saccade.ops.rings import Spans, check_size, spans

_SHORT = 100  # pixels of a run, from which on a loop over the runs is the faster way to paint them
_DIGITS = 7  # characters of five bits that a number may have: more than any count of a plane needs


@dataclass(frozen=True)
class Runs:
    """A mask as run lengths, column by column (COCO): `counts` alternate between unset and set pixels, beginning with unset.

    size: (h, w). counts: int64, none below 0, adding up to h * w.
    """

    size: tuple[int, int]
    counts: np.ndarray


@dataclass(frozen=True)
class Polygons:
    """A mask as outlines: the union of its rings. size: (h, w) of the image. rings: (m, 2) float64 points (x, y) each, m >= 3, not closed."""

    size: tuple[int, int]
    rings: tuple[np.ndarray, ...]


# run lengths -----------------------------------------------------------------------------------------------------


def runs_from_mask(mask: np.ndarray) -> Runs:
    """(h, w) bool, or anything that is 0 where unset -> Runs. Raises ValueError for an array that is not flat.

    >>> runs_from_mask(np.array([[0, 1], [0, 1]])).counts.tolist(), runs_from_mask(np.ones((2, 1))).counts.tolist()
    ([2, 2], [0, 2])
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask of shape {mask.shape}, expected (h, w)")
    columns = (mask != 0).ravel(order="F")
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    begun = [0, 0] if len(columns) and columns[0] else [0]
    bounds = np.concatenate([np.array(begun, np.int64), changes, np.array([len(columns)], np.int64)])
    return Runs((mask.shape[0], mask.shape[1]), np.diff(bounds))


def mask_from_runs(runs: Runs) -> np.ndarray:
    """Runs -> (h, w) bool. Raises ValueError, before anything is made, for counts that are no whole numbers, are negative or do not fill the plane,
    and for a plane of more than LARGEST_PLANE pixels.

    >>> mask_from_runs(Runs((2, 2), np.array([1, 2, 1]))).tolist()
    [[False, True], [True, False]]
    """
    counts = checked_counts(runs)
    values = np.zeros(len(counts), bool)
    values[1::2] = True
    return upright(np.repeat(values, counts), runs.size)


def upright(columns: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A plane (h, w) read column by column, one byte or four a pixel, as rows."""
    plane = columns.reshape(size[1], size[0])
    if not plane.size:
        return plane.T.copy()
    turned: np.ndarray = cv2.transpose(plane.view(np.uint8) if plane.dtype == bool else plane)
    return turned.view(plane.dtype)


def checked_counts(runs: Runs) -> np.ndarray:
    """The counts as int64, or ValueError (see `mask_from_runs`)."""
    check_size(runs.size)
    counts = np.asarray(runs.counts)
    h, w = runs.size
    if counts.ndim != 1 or (counts.dtype.kind not in "iu" and len(counts)):
        raise ValueError(f"run lengths of type {counts.dtype} and shape {counts.shape}, expected a list of whole numbers")
    if len(counts) and (counts.min() < 0 or counts.max() > h * w):
        raise ValueError(f"run lengths from {counts.min()} to {counts.max()}, expected 0 to {h * w}")
    total = int(counts.sum(dtype=np.float64)) if len(counts) > h * w + 1 else int(counts.sum(dtype=np.int64))
    if total != h * w:
        raise ValueError(f"run lengths that add up to {total}, expected {h} x {w} = {h * w}")
    return counts.astype(np.int64, copy=False)


def runs_from_text(text: str | bytes, size: tuple[int, int]) -> Runs:
    """COCO's compressed string -> Runs: five bits a character from "0" on, the least first, a sixth bit when more follow; from the fourth
    number on the difference to the one two before. Raises ValueError when it is cut short, too long, holds other characters, or does not fill the plane.

    >>> runs_from_text("120O", (2, 2)).counts.tolist()
    [1, 2, 0, 1]
    """
    check_size(size)
    most = size[0] * size[1] + 2
    if len(text) > _DIGITS * most:
        raise ValueError(f"{len(text)} characters of run lengths, expected at most {_DIGITS * most} for {size[0]} x {size[1]} pixels")
    try:
        raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"the character {text[error.start]!r} in run lengths, expected those from '0' to 'o'") from None
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if len(codes) and not (0 <= codes.min() and codes.max() < 64):
        raise ValueError(f"the character {chr(raw[int(np.argmax((codes < 0) | (codes > 63)))])!r} in run lengths, expected those from '0' to 'o'")
    ends = np.flatnonzero(codes < 32)
    if len(codes) and (not len(ends) or ends[-1] != len(codes) - 1):
        raise ValueError("run lengths that are cut short: the last character says that more follow")
    digits = np.diff(ends, prepend=-1)
    if len(digits) and digits.max() > _DIGITS:
        raise ValueError(f"a run length of {digits.max()} characters, expected at most {_DIGITS}")
    place = np.arange(len(codes)) - np.repeat(ends + 1 - digits, digits)
    values = np.add.reduceat((codes & 31) << (5 * place), ends + 1 - digits) if len(codes) else codes
    values = np.where(codes[ends] & 16, values - (1 << (5 * digits)), values)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    runs = Runs(size, values)
    checked_counts(runs)
    return runs


def runs_to_text(runs: Runs) -> str:
    """Runs -> COCO's compressed string (see `runs_from_text`). Raises ValueError like `mask_from_runs`.

    >>> runs_to_text(Runs((2, 2), np.array([1, 2, 0, 1])))
    '120O'
    """
    values = checked_counts(runs).copy()
    values[3:] -= values[1:-2].copy()
    codes, more = np.zeros((len(values), _DIGITS), np.uint8), np.ones(len(values), bool)
    there = np.zeros(codes.shape, bool)
    for place in range(_DIGITS):
        there[:, place] = more
        low, values = values & 31, values >> 5
        more = more & np.where(low & 16, values != -1, values != 0)
        codes[:, place] = low + 32 * more + 48
    return codes[there].tobytes().decode("ascii")


# polygons --------------------------------------------------------------------------------------------------------


def runs_of(shape: Runs | Polygons) -> Runs:
    """A mask as run lengths, without making its pixels. Raises ValueError like `mask_from_runs` and `mask_from_polygons`."""
    if isinstance(shape, Runs):
        return Runs(shape.size, checked_counts(shape))
    first, last = _united(spans(shape.rings, shape.size))
    bounds = np.concatenate([[0], np.stack([first, last], 1).ravel(), [shape.size[0] * shape.size[1]]]).astype(np.int64)
    counts = np.diff(bounds)
    return Runs(shape.size, counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts)


def mask_from_polygons(polygons: Polygons) -> np.ndarray:
    """Polygons -> (h, w) bool, pixel for pixel as COCO: the union of the rings, each even-odd.

    Raises ValueError for rings of fewer than three points, coordinates that are not finite or beyond 1e8 pixels, outlines that cross
    the columns of pixels more than 2^23 times, and planes of more than LARGEST_PLANE pixels.

    >>> mask_from_polygons(Polygons((3, 3), (np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]]),))).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    return mask_from_runs(runs_of(polygons))


def mask_of(shape: Runs | Polygons) -> np.ndarray:
    """The pixels (h, w) bool of a mask however it is given. Raises ValueError like `mask_from_runs` and `mask_from_polygons`."""
    return mask_from_runs(shape) if isinstance(shape, Runs) else mask_from_polygons(shape)


def area(shape: Runs | Polygons) -> int:
    """The number of set pixels. Raises ValueError like `mask_of`."""
    return int(runs_of(shape).counts[1::2].sum())


def tight_box(shape: Runs | Polygons) -> tuple[int, int, int, int] | None:
    """x1 y1 x2 y2 around the set pixels, None when there are none. Raises ValueError like `mask_of`.

    >>> tight_box(Runs((2, 3), np.array([2, 1, 3])))
    (1, 0, 2, 1)
    """
    found = spans_of([shape], shape.size)
    if not len(found.ring):
        return None
    x1, y1, x2, y2 = tight_boxes(found, 1, shape.size[0])[0].tolist()
    return x1, y1, x2, y2


def tight_boxes(found: Spans, count: int, height: int) -> np.ndarray:
    """(count, 4) int64 x1 y1 x2 y2 around the set pixels of each of the masks whose runs are given, in their order; zeros for a mask without any."""
    boxes = np.zeros((count, 4), np.int64)
    there, at = np.unique(found.ring, return_index=True)
    if not len(there):
        return boxes
    first, last = found.first, found.last - 1
    column, over = first // height, first // height != last // height  # over a column's end: it touches the bottom and the top
    low, high = np.where(over, 0, first - column * height), np.where(over, height - 1, last - column * height)
    columns = [np.minimum.reduceat(column, at), np.minimum.reduceat(low, at), np.maximum.reduceat(last // height, at) + 1, np.maximum.reduceat(high, at) + 1]
    boxes[there] = np.stack(columns, 1)
    return boxes


def _united(found: Spans) -> tuple[np.ndarray, np.ndarray]:
    """First and last places of the union of all rings, apart from each other and in order."""
    order = np.argsort(found.first, kind="stable")
    first, reach = found.first[order], np.maximum.accumulate(found.last[order])
    new = np.flatnonzero(np.concatenate([[True], first[1:] > reach[:-1]])) if len(first) else order
    return first[new], np.append(reach[new[1:] - 1], reach[-1:])


def outlines(mask: np.ndarray) -> Polygons:
    """(h, w) bool -> Polygons along the edges between pixels, which `mask_from_polygons` turns into the same pixels, none lost.

    Each region of pixels that touch by their sides is one ring; its holes are joined to it by cuts of no width.
    Raises ValueError for an array that is not flat.

    >>> outlines(np.array([[0, 1], [0, 1]])).rings[0].tolist()
    [[1.0, 0.0], [2.0, 0.0], [2.0, 2.0], [1.0, 2.0]]
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask of shape {mask.shape}, expected (h, w)")
    return Polygons((mask.shape[0], mask.shape[1]), rings_of(mask != 0))


def id_map(shapes: Sequence[Runs | Polygons], size: tuple[int, int]) -> np.ndarray:
    """(h, w) int32: i + 1 where mask i is set, a later one over an earlier one, 0 where none is.

    Raises ValueError like `mask_of`, and for a mask of another size.
    """
    check_size(size)
    for shape in shapes:
        if tuple(shape.size) != tuple(size):
            raise ValueError(f"a mask of size {shape.size} in a plane of size {size}")
    return plane_of(spans_of(shapes, size), len(shapes), size).astype(np.int32, copy=False)


def plane_of(found: Spans, count: int, size: tuple[int, int]) -> np.ndarray:
    """(h, w), uint8 below 256 masks, else int32, from the runs of masks numbered from 0 to count - 1, in their order: see `id_map`."""
    columns = np.zeros(size[0] * size[1], np.uint8 if count < 256 else np.int32)
    lengths = found.last - found.first
    total = int(lengths.sum())
    if total < _SHORT * len(lengths):  # short runs: all at once; of several values for one pixel the last stays
        ends = np.cumsum(lengths)
        columns[np.arange(total) + np.repeat(found.first - ends + lengths, lengths)] = np.repeat((found.ring + 1).astype(columns.dtype), lengths)
    else:
        for number, first, last in zip(*(part.tolist() for part in found), strict=True):
            columns[first:last] = number + 1
    return upright(columns, size)


def spans_of(shapes: Sequence[Runs | Polygons], size: tuple[int, int]) -> Spans:
    """The runs of set pixels of all masks, mask by mask; `ring` is the number of the mask. Raises ValueError like `mask_of`."""
    rings = [ring for shape in shapes if isinstance(shape, Polygons) for ring in shape.rings]
    owner = np.array([i for i, shape in enumerate(shapes) if isinstance(shape, Polygons) for _ in shape.rings], np.int64)
    found = spans(rings, size)
    parts = [Spans(owner[found.ring], found.first, found.last)]
    for i, shape in enumerate(shapes):
        if isinstance(shape, Runs):
            ends = np.cumsum(checked_counts(shape))
            first, last = ends[: len(ends) // 2 * 2 : 2], ends[1::2]
            first, last = first[first < last], last[first < last]
            parts.append(Spans(np.full(len(first), i), first, last))
    whole = Spans(*map(np.concatenate, zip(*parts, strict=True)))
    return Spans(*(part[np.argsort(whole.ring, kind="stable")] for part in whole)) if len(parts) > 1 else whole
