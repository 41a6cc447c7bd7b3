"""The lines of a YOLO label file: a class, and a box, an outline, or a box with key points, in shares of the image's width and height."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from saccade.data.formats.objects import Objects
from saccade.errors import Problem
from saccade.ops.masks import Polygons

OVER = 0.01  # of the width or height that a coordinate may stand over: writers round


class Target(NamedTuple):
    """Where the lines of one file go: the number of the image, its record's id and its size (h, w)."""

    image: int
    id: str
    size: tuple[int, int]


class Layout(NamedTuple):
    """classes: how many there are, None when the data do not say. points: key points an object has, `dims` numbers each; 0 = boxes and outlines."""

    classes: int | None
    points: int = 0
    dims: int = 3


def read_lines(text: str, where: str, target: Target, layout: Layout, objects: Objects) -> list[Problem]:
    """Adds the objects of one file to the columns, and returns what is wrong: errors where the image's labels cannot be trusted, and warnings.

    Codes: KEY-VISIBLE (a warning), ANN-ROW (number of columns, words, decimal commas), ANN-CLASS (a class that is not there), ANN-SHARE
    (not from 0 to 1), ANN-NUMBER.
    """
    problems = []
    for line, row in enumerate(text.split("\n"), 1):
        cells = row.split()
        if not cells:
            continue
        at = f"{where}:{line}"
        found = _add(cells, at, target, layout, objects)
        if found is not None:
            problems.append(Problem(found[0], at, found[1], image=target.id))
    return problems


def _add(cells: list[str], at: str, target: Target, layout: Layout, objects: Objects) -> tuple[str, str] | None:
    """One object; the code and what is wrong, where something is."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        comma = any("," in cell for cell in cells)
        return "ANN-ROW", f"{' '.join(cells)[:80]}{' has commas, expected decimal points and spaces' if comma else ' is not all numbers'}"
    label, values = numbers[0], numbers[1:]
    n, expected = len(numbers), 5 + layout.points * layout.dims
    if layout.points and n != expected:
        return "ANN-ROW", f"{n} columns, expected {expected}: class, box and {layout.points} key points of {layout.dims} numbers"
    if not layout.points and n != 5 and (n < 7 or n % 2 == 0):
        return "ANN-ROW", f"{n} columns, expected 5 for a box, or an odd number from 7 for an outline"
    if label != label or not label.is_integer() or label < 0 or (label >= layout.classes if layout.classes is not None else label >= 1e5):
        return "ANN-CLASS", f"class {cells[0][:20]}, expected 0 to {layout.classes - 1 if layout.classes is not None else 99_999}"
    if not all(map(math.isfinite, values)):
        return "ANN-NUMBER", " ".join(cells)[:80]
    if layout.points:
        return _with_points(int(label), values, at, target, layout, objects)
    if max(values) > 1 + OVER or min(values) < -OVER:
        if n != 5 or min(values[2:]) >= 0:  # a negative width is told as such
            return "ANN-SHARE", " ".join(cells)[:80]
    height, width = target.size
    if n == 5:
        objects.add(target.image, int(label), box(values, target.size), at)
    else:
        ring = np.clip(np.array(values).reshape(-1, 2), 0, 1) * (width, height)
        objects.add(target.image, int(label), (*ring.min(0).tolist(), *ring.max(0).tolist()), at, shape=Polygons(target.size, (ring,)))
    return None


def box(values: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """cx cy w h in shares of (h, w) -> x1 y1 x2 y2 in pixels."""
    height, width = size
    cx, cy, w, h = values[:4]
    return (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height


def _with_points(label: int, values: list[float], at: str, target: Target, layout: Layout, objects: Objects) -> tuple[str, str] | None:
    height, width = target.size
    table = np.zeros((layout.points, 3))
    given = np.array(values[4:]).reshape(-1, layout.dims)
    table[:, :2] = given[:, :2]
    table[:, 2] = given[:, 2] if layout.dims == 3 else np.where((given == 0).all(1), 0, 2)
    if not np.isin(table[:, 2], (0, 1, 2)).all():
        return "ANN-FIELD", "a key point's visibility is not 0, 1 or 2"
    unseen = int(((table[:, 2] == 0) & table[:, :2].any(1)).sum())
    table[table[:, 2] == 0] = 0
    shares = np.concatenate([np.array(values[:4]), table[:, :2].ravel()])
    if shares.max() > 1 + OVER or (shares.min() < -OVER and min(values[2:4]) >= 0):
        return "ANN-SHARE", " ".join(f"{v:g}" for v in values)[:80]
    table[:, :2] = np.clip(table[:, :2], 0, 1) * (width, height)
    objects.add(target.image, label, box(values, target.size), at, points=table)
    return ("KEY-VISIBLE", f"{unseen} key points have a place but visibility 0; they count as not labelled") if unseen else None
