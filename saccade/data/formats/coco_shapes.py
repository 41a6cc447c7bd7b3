"""The masks of COCO annotations, as they stand in the file: polygons, run lengths, compressed run lengths. Nothing is rasterised here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np

from saccade.data.formats.coco_file import Size, shown
from saccade.ops.masks import LARGEST_PLANE, Polygons, Runs, runs_from_text, tight_box

FARTHEST = 1e6
"""Pixels from the origin that a corner may lie."""

Tell = Callable[[int, str, str], None]  # row, code, text: the row cannot be used, nor its image when the code is an error
Shapes = list[Runs | Polygons | None]


def read_shapes(values: Sequence[Any], sizes: Sequence[Size | None], tell: Tell) -> Shapes:
    """A mask for each row, None where there is none or where `tell` was called: ANN-RLE, ANN-POLYGON, ANN-FIELD, MASK-EMPTY.

    sizes: (h, w) of each row's image. An empty list and null mean no mask. Outlines may cross themselves.
    """
    shapes: Shapes = [None] * len(values)
    outlined = [row for row, value in enumerate(values) if type(value) is list and value]
    for row, value in enumerate(values):
        if type(value) is dict:
            shapes[row] = _runs(value, sizes[row], row, tell)
        elif value is not None and type(value) is not list:
            tell(row, "ANN-FIELD", f"segmentation is {shown(value)}, expected polygons or run lengths")
    held = [values[row] for row in outlined]
    if (rings := _sound(held)) is None:
        sound = [_mended(values[row], row, tell) for row in outlined]
        outlined, held = [row for row, value in zip(outlined, sound, strict=True) if value], [value for value in sound if value]
        rings = _sound(held)
    assert rings is not None
    bounds = np.concatenate([[0], np.cumsum([len(value) for value in held])]).astype(int).tolist()
    areas = _areas(rings)
    for row, (first, last) in zip(outlined, pairwise(bounds), strict=True):
        size = sizes[row]
        if size is None:
            tell(row, "ANN-FIELD", "the size of its image is not known")
        elif not areas[first:last].any():
            tell(row, "MASK-EMPTY", "an outline that encloses nothing; the object is left out")
        else:
            shapes[row] = Polygons(size, tuple(rings[first:last]))
    return shapes


def _sound(values: list[Any]) -> list[np.ndarray] | None:
    """All rings of all rows as (m, 2) float64, or None when anything at all is wrong with one."""
    rings = list(chain.from_iterable(values))
    if not set(map(type, rings)) <= {list}:
        return None
    lengths = np.fromiter(map(len, rings), np.int64, len(rings))
    flat = list(chain.from_iterable(rings))
    if (lengths < 6).any() or (lengths % 2).any() or not set(map(type, flat)) <= {int, float}:
        return None
    numbers = np.array(flat, dtype=np.float64)
    if len(numbers) and not np.abs(numbers).max() <= FARTHEST:
        return None
    points, ends = numbers.reshape(-1, 2), np.cumsum(lengths // 2).tolist()
    return [points[a:b] for a, b in pairwise([0, *ends])]


def _areas(rings: list[np.ndarray]) -> np.ndarray:
    """The area that each ring encloses, counted with its sense of turning: only 0 matters here."""
    if not rings:
        return np.zeros(0)
    lengths = np.array([len(ring) for ring in rings])
    points = np.concatenate(rings)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    after = np.arange(1, len(points) + 1)
    after[first + lengths - 1] = first
    centred = points - np.repeat(points[first], lengths, axis=0)
    cross = centred[:, 0] * centred[after, 1] - centred[after, 0] * centred[:, 1]
    areas: np.ndarray = np.add.reduceat(np.abs(cross), first)  # a figure of eight adds up to nothing, but encloses something
    return areas


def _mended(value: list[Any], row: int, tell: Tell) -> list[list[Any]]:
    """The polygons of one row when they can be used, else an empty list and a word why. One flat list of numbers is one polygon."""
    rings = [value] if {type(v) for v in value} <= {int, float} else value
    for ring in rings:
        wrong = ""
        if type(ring) is not list:
            tell(row, "ANN-FIELD", f"segmentation holds {shown(ring)}, expected lists of numbers")
            return []
        odd = [v for v in ring if type(v) not in (int, float)]
        if odd:
            wrong = f"{shown(odd[0])} among the numbers"
        elif len(ring) % 2:
            wrong = f"an odd number of numbers, {len(ring)}"
        elif len(ring) < 6:
            wrong = f"{len(ring) // 2} corners"
        elif not max(map(abs, ring)) <= FARTHEST:
            wrong = f"a corner at {max(ring, key=abs):.6g}"
        if wrong:
            tell(row, "ANN-POLYGON", f"{wrong}, expected x and y of at least three corners within {FARTHEST:,.0f} pixels")
            return []
    return rings


def _runs(value: dict[str, Any], size: Size | None, row: int, tell: Tell) -> Runs | None:
    """Run lengths that fill the image, or None and a word why; nothing of the size that the file declares is allocated."""
    declared, counts = value.get("size"), value.get("counts")
    if not (isinstance(declared, list) and len(declared) == 2 and all(type(v) is int and v >= 1 for v in declared)):
        tell(row, "ANN-RLE", f"size is {str(declared)[:60]}, expected [height, width]")
    elif declared[0] * declared[1] > LARGEST_PLANE:
        tell(row, "ANN-RLE", f"{declared[0]} x {declared[1]} pixels, the limit is {LARGEST_PLANE:,}")
    elif size is not None and tuple(declared) != size:
        swapped = ", with the two sides exchanged" if tuple(declared) == size[::-1] else ""
        tell(row, "ANN-RLE", f"size {declared[0]} x {declared[1]}, the image has {size[0]} x {size[1]}{swapped}")
    elif isinstance(counts, str):
        try:
            return runs_from_text(counts, (declared[0], declared[1]))
        except ValueError as error:
            tell(row, "ANN-RLE", str(error))
    elif isinstance(counts, list) and set(map(type, counts)) <= {int}:
        return _plain_runs(counts, (declared[0], declared[1]), row, tell)
    else:
        tell(row, "ANN-RLE", f"counts are {shown(counts)}, expected a list of whole numbers or a string")
    return None


def _plain_runs(counts: list[int], size: Size, row: int, tell: Tell) -> Runs | None:
    pixels = size[0] * size[1]
    if counts and not (min(counts) >= 0 and max(counts) <= pixels):
        tell(row, "ANN-RLE", f"counts from {min(counts)} to {max(counts)}, expected 0 to {pixels}")
    elif sum(counts) != pixels:
        tell(row, "ANN-RLE", f"counts that add up to {sum(counts)}, expected {size[0]} x {size[1]} = {pixels}")
    else:
        return Runs(size, np.array(counts, dtype=np.int64))
    return None


def box_of(shape: Runs | Polygons) -> tuple[float, float, float, float] | None:
    """x1 y1 x2 y2 around a mask, None when it has no pixel."""
    if isinstance(shape, Runs):
        return tight_box(shape)
    points = np.concatenate(shape.rings)
    (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
    return x1, y1, x2, y2
