"""The shapes of a CVAT file as boxes, outlines, run lengths and points: XML elements in, plain values out."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

import numpy as np

from saccade.data.formats.drawn import circle
from saccade.errors import DataError
from saccade.ops.masks import Polygons, Runs, runs_from_mask

OUTLINES = frozenset({"polygon", "ellipse", "mask"})
OBJECTS = OUTLINES | {"box"}
LARGEST_MASK = 1 << 28
"""Pixels of one mask."""


def number(shape: Element, name: str, where: str) -> float:
    """An attribute as a finite number. Raises DataError ANN-FIELD when it is missing, ANN-NUMBER."""
    text = shape.get(name)
    if text is None:
        raise DataError("ANN-FIELD", f"{shape.tag} without {name}", where=where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError("ANN-NUMBER", f"{name} is {text[:40]}", where=where)
    return value


def points_of(shape: Element, where: str) -> np.ndarray:
    """`x,y;x,y` as (n, 2). Raises DataError ANN-FIELD, ANN-NUMBER."""
    text = shape.get("points")
    if text is None:
        raise DataError("ANN-FIELD", f"{shape.tag} without points", where=where)
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in text.split(";") if pair.strip()]
    except ValueError as error:
        raise DataError("ANN-NUMBER", text[:60], where=where) from error
    if not all(len(pair) == 2 and all(map(math.isfinite, pair)) for pair in pairs):
        raise DataError("ANN-NUMBER", text[:60], where=where)
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def box_of(shape: Element, where: str) -> tuple[tuple[float, ...], np.ndarray | None]:
    """x1 y1 x2 y2 of a `box`, and its corners (4, 2) when it is turned (the box is then around them)."""
    x1, y1, x2, y2 = (number(shape, name, where) for name in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(number(shape, "rotation", where)) if shape.get("rotation") else 0.0
    if angle == 0:
        return (x1, y1, x2, y2), None
    centre, half = np.array([(x1 + x2) / 2, (y1 + y2) / 2]), np.array([(x2 - x1) / 2, (y2 - y1) / 2])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # clockwise as seen
    ring = corners @ turn + centre
    return (*ring.min(0).tolist(), *ring.max(0).tolist()), ring


def outline_of(shape: Element, size: tuple[int, int] | None, where: str) -> Runs | Polygons:
    """The mask of a polygon, an ellipse or a brush mask. Raises DataError ANN-POLYGON, ANN-MASK, ANN-FIELD, ANN-NUMBER."""
    if shape.tag == "mask":
        return _brush(shape, size, where)
    if shape.tag == "ellipse":
        angle = number(shape, "rotation", where) if shape.get("rotation") else 0.0
        x, y, rx, ry = (number(shape, name, where) for name in ("cx", "cy", "rx", "ry"))
        ring = circle(x, y, rx, ry, angle)
    else:
        ring = points_of(shape, where)
    if len(ring) < 3:
        raise DataError("ANN-POLYGON", f"{len(ring)} points", where=where)
    return Polygons(size or (0, 0), (ring,))


def _brush(shape: Element, size: tuple[int, int] | None, where: str) -> Runs:
    """Run lengths row by row inside of the mask's own box, the first of unset pixels -> run lengths of the whole image."""
    left, top, width, height = (number(shape, name, where) for name in ("left", "top", "width", "height"))
    if size is None:
        raise DataError("ANN-MASK", "the size of the image is not known", where=where)
    if not all(v.is_integer() and v >= 0 for v in (left, top, width, height)) or left + width > size[1] or top + height > size[0]:
        raise DataError("ANN-MASK", f"left top width height = {left:g} {top:g} {width:g} {height:g}, image {size[1]} x {size[0]}", where=where)
    if size[0] * size[1] > LARGEST_MASK:
        raise DataError("ANN-MASK", f"an image of {size[1]} x {size[0]} pixels", where=where)
    cells = (shape.get("rle") or "").replace(",", " ").split()
    counts = np.array([int(cell) if cell.isdecimal() and len(cell) < 12 else -1 for cell in cells], dtype=np.int64)
    if counts.min(initial=0) < 0 or counts.sum() != width * height:
        raise DataError("ANN-MASK", f"run lengths of {int(counts.sum())} pixels, expected {width * height:.0f}", where=where)
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    plane = np.zeros(size, bool)
    plane[int(top) : int(top + height), int(left) : int(left + width)] = values.reshape(int(height), int(width))
    return runs_from_mask(plane)


def brush_text(mask: np.ndarray) -> str:
    """(h, w) bool -> run lengths row by row, the first of unset pixels.

    >>> brush_text(np.array([[True, False], [True, True]]))
    '0, 1, 1, 2'
    """
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return ", ".join(map(str, np.diff(np.concatenate([[0], edges]))))
