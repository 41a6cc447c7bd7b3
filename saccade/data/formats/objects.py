"""The objects that label files list, column by column: checked once for all formats, then given to their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs
from saccade.targets import Boxes, Instances, Keypoints

Shape = Runs | Polygons
CLIPPED = 0.01  # pixels that a box may stand over without a word: writers round
SMALLEST = 1.0  # pixels of a side


@dataclass
class Objects:
    """Columns, one entry an object. A format appends to them (`add`) or sets them whole.

    image: the number of its image, 0-based. label: class id. xyxy: continuous pixels as the file says, not yet checked.
    where: "cells.json:annotations[17]", or a function of the row that makes it. The columns that follow are empty when no object
    has such a thing: crowd, difficult, area (nan = not given), id, attributes, shape, points ((K, 3) x, y, visible; None = none).
    """

    image: list[int] | np.ndarray = field(default_factory=list)
    label: list[int] | np.ndarray = field(default_factory=list)
    xyxy: list[Sequence[float]] | np.ndarray = field(default_factory=list)
    where: list[str] | Callable[[int], str] = field(default_factory=list)
    crowd: list[bool] | np.ndarray = field(default_factory=list)
    difficult: list[bool] | np.ndarray = field(default_factory=list)
    area: list[float] | np.ndarray = field(default_factory=list)
    id: list[int] | np.ndarray = field(default_factory=list)
    attributes: list[Mapping[str, Any]] = field(default_factory=list)
    shape: list[Shape | None] = field(default_factory=list)
    points: list[np.ndarray | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.image)

    def add(self, image: int, label: int, xyxy: Sequence[float], where: str, **more: Any) -> None:
        """One object; `more` are entries of the other columns. Raises ValueError for a column that does not exist."""
        assert isinstance(self.image, list) and isinstance(self.label, list) and isinstance(self.xyxy, list) and isinstance(self.where, list)
        for name, value in more.items():
            if name not in _OPTIONAL:
                raise ValueError(f"{name} is no column, expected one of {', '.join(_OPTIONAL)}")
            column = getattr(self, name)
            column.extend([_OPTIONAL[name]] * (len(self.image) - len(column)))
            column.append(value)
        self.image.append(image)
        self.label.append(label)
        self.xyxy.append(xyxy)
        self.where.append(where)

    def finish(self, images: Sequence[str], sizes: Sequence[tuple[int, int] | None], problems: list[Problem]) -> list[Share | None]:
        """The objects of each image, checked; None for an image with an object that cannot be understood (it is named in `problems`).

        images: names for the problems. sizes: (h, w) of each, None when nobody knows (nothing is clipped then). After this every box
        is finite, inside, and at least one pixel wide and high. Codes: ANN-NUMBER, ANN-BOX-NEGATIVE, ANN-BOX-OUT (error, the image is
        left out), ANN-BOX-SMALL and ANN-BOX-DUP (warn, the object is left out), ANN-BOX-CLIP (fixed). A crowd is never left out.
        """
        n = len(self.image)
        image = np.asarray(self.image, dtype=np.int64).reshape(n)
        label = np.asarray(self.label, dtype=np.int64).reshape(n)
        boxes = np.asarray(self.xyxy, dtype=np.float64).reshape(n, 4)
        limits = np.array([size if size is not None else (np.inf, np.inf) for size in sizes], dtype=np.float64).reshape(-1, 2)
        bad, left = np.zeros(len(images), bool), np.ones(n, bool)

        def tell(code: str, rows: np.ndarray, text: Callable[[int], str], *, image_lost: bool = False, lost: bool = False) -> None:
            for row in np.flatnonzero(rows):
                at = self.where(int(row)) if callable(self.where) else self.where[row]
                problems.append(Problem(code, at, text(int(row)), image=images[image[row]]))
            if image_lost:
                bad[image[rows]] = True
            if image_lost or lost:
                left[rows] = False

        finite = np.isfinite(boxes).min(axis=1, initial=True)
        tell("ANN-NUMBER", ~finite, lambda row: _shown(boxes[row]), image_lost=True)
        with np.errstate(invalid="ignore"):
            negative = finite & ((boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1]))
            tell("ANN-BOX-NEGATIVE", negative, lambda row: _shown(boxes[row]), image_lost=True)
            height, width = limits[image].T if n else np.zeros((2, 0))
            sound = finite & ~negative
            outside = sound & ((boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0))
            empty = sound & ((boxes[:, 2] == boxes[:, 0]) | (boxes[:, 3] == boxes[:, 1]))
            outside &= ~empty
            tell("ANN-BOX-OUT", outside, lambda row: f"{_shown(boxes[row])}, image {width[row]:g} x {height[row]:g}", image_lost=True)
            clipped = np.clip(boxes, 0, np.stack([width, height, width, height], 1))
            moved = sound & ~outside & (np.abs(clipped - boxes).max(1, initial=0) > CLIPPED)
            tell("ANN-BOX-CLIP", moved, lambda row: f"{_shown(boxes[row])}, image {width[row]:g} x {height[row]:g}")
            small = sound & ~outside & (np.minimum(clipped[:, 2] - clipped[:, 0], clipped[:, 3] - clipped[:, 1]) < SMALLEST - 1e-6)
        crowd = self._column("crowd", n, bool)
        small &= ~crowd
        tell("ANN-BOX-SMALL", small, lambda row: _shown(boxes[row]), lost=True)
        boxes = np.where(left[:, None], clipped, 0.0)
        tell("ANN-BOX-DUP", self._copies(image, label, boxes, left & ~crowd), lambda row: _shown(boxes[row]), lost=True)
        return self._shares(image, label, boxes, left, bad)

    def _column(self, name: str, n: int, kind: type) -> np.ndarray:
        """An optional column at full length."""
        column = getattr(self, name)
        full: np.ndarray = np.full(n, _OPTIONAL[name], dtype=kind)
        full[: len(column)] = column
        return full

    def _copies(self, image: np.ndarray, label: np.ndarray, boxes: np.ndarray, left: np.ndarray) -> np.ndarray:
        """(n,) True where an earlier object of the image has the same class, box, mask and points."""
        found, rows = np.zeros(len(image), bool), np.flatnonzero(left)
        if len(rows) < 2:
            return found
        rows = rows[_met_again(image[rows], label[rows], boxes[rows])]
        if len(rows) < 2:
            return found
        keys = np.column_stack([image[rows], label[rows], boxes[rows]])
        order = np.lexsort(keys.T[::-1])
        same = (keys[order][1:] == keys[order][:-1]).all(1)
        for at in np.flatnonzero(same):  # lexsort is stable: of two equal ones the earlier row comes first
            before, row = rows[order[at]], rows[order[at + 1]]
            if _alike(self.shape, before, row) and _alike(self.points, before, row):
                found[row] = True
        return found

    def _shares(self, image: np.ndarray, label: np.ndarray, boxes: np.ndarray, left: np.ndarray, bad: np.ndarray) -> list[Share | None]:
        n, rows = len(image), np.flatnonzero(left & ~bad[image] if len(image) else left)
        rows = rows[np.argsort(image[rows], kind="stable")]
        counts = np.bincount(image[rows], minlength=len(bad)).tolist()

        def parts(column: np.ndarray) -> Sequence[torch.Tensor]:
            return torch.split(torch.from_numpy(column[rows]), counts)

        nothing = [None] * len(bad)
        optional = [
            parts(self._column(name, n, kind)) if len(getattr(self, name)) else nothing
            for name, kind in (("crowd", bool), ("difficult", bool), ("area", np.float64), ("id", np.int64))
        ]
        held = list(map(Boxes, parts(boxes), parts(label), nothing, *optional))
        if not (self.attributes or self.shape or self.points):
            none: list[Any] = []
            return [None if lost else Share(own, none, none) for own, lost in zip(held, bad.tolist(), strict=True)]
        shares: list[Share | None] = []
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(int).tolist()
        for number, lost in enumerate(bad.tolist()):
            own = rows[bounds[number] : bounds[number + 1]].tolist()
            attributes = tuple(self.attributes[row] if row < len(self.attributes) else {} for row in own) if self.attributes else None
            shapes = [self.shape[row] if row < len(self.shape) else None for row in own] if self.shape else []
            points = [self.points[row] if row < len(self.points) else None for row in own] if self.points else []
            shares.append(None if lost else Share(replace(held[number], attributes=attributes), shapes, points))
        return shares


def _met_again(image: np.ndarray, label: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The places (m,) of rows of which there are several by a hash of 64 bits: all that are equal, and hardly any other."""
    code = image.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + label.astype(np.uint64)
    for column in np.ascontiguousarray(boxes + 0.0).view(np.uint64).reshape(-1, 4).T:  # + 0.0: -0 is 0
        code = (code ^ column) * np.uint64(0xD6E8FEB86659FD93)
        code ^= code >> np.uint64(32)
    order = np.argsort(code, kind="stable")
    same, again = code[order][1:] == code[order][:-1], np.zeros(len(order), bool)
    again[:-1] |= same
    again[1:] |= same
    places: np.ndarray = np.sort(order[again])
    return places


_OPTIONAL: Mapping[str, Any] = {"crowd": False, "difficult": False, "area": np.nan, "id": -1, "attributes": {}, "shape": None, "points": None}


@dataclass(frozen=True)
class Share:
    """The objects of one image. shapes and points are empty when no object of the whole set has any; else one entry an object, None = none."""

    boxes: Boxes
    shapes: list[Shape | None]
    points: list[np.ndarray | None]

    def instances(self, size: tuple[int, int]) -> Instances:
        """All objects, those without a mask with their box as one."""
        x1, y1, x2, y2 = self.boxes.xyxy.unbind(1) if len(self.boxes) else (torch.zeros(0),) * 4
        corners = torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).reshape(-1, 4, 2).numpy()
        given = self.shapes or [None] * len(self.boxes)
        shapes = tuple(Polygons(size, (corners[i],)) if shape is None else shape for i, shape in enumerate(given))
        return Instances(self.boxes, size, shapes)

    def keypoints(self, space: LabelSpace) -> Keypoints:
        """The objects that have key points (crowds have none)."""
        rows = [i for i, points in enumerate(self.points) if points is not None]
        table = np.stack([points for points in self.points if points is not None]) if rows else np.zeros((0, len(space.keypoints), 3))
        xy, visible = torch.from_numpy(table[..., :2].astype(np.float64)), torch.from_numpy(table[..., 2].astype(np.uint8))
        return Keypoints(xy, visible, self.boxes.select(rows), pairs=space.pairs)


def _alike(column: Sequence[Any], a: int, b: int) -> bool:
    """Whether two entries of a column of shapes or points are equal."""
    first, second = (column[row] if row < len(column) else None for row in (a, b))
    if first is None or second is None or isinstance(first, np.ndarray):
        return first is second or (first is not None and second is not None and bool(np.array_equal(first, second)))
    if isinstance(first, Runs) or isinstance(second, Runs):
        return type(first) is type(second) and np.array_equal(first.counts, second.counts)
    return len(first.rings) == len(second.rings) and all(map(np.array_equal, first.rings, second.rings))


def _shown(box: np.ndarray) -> str:
    return "x1 y1 x2 y2 = " + " ".join(f"{v:.6g}" for v in box)
