"""Dots on objects, with their classes: what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.boxes import first_copies
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.rows import Rows, array, chosen, column, moved, places, some, tensor

RADIUS = 4.0
"""Pixels of the whole within which the worse of two answers of one class is dropped when views are merged."""


@dataclass(frozen=True)
class Points:
    """xy: (n, 2) continuous pixels, float64 as read. classes: (n,) int64, 0..K-1. scores: (n,) float, None for a truth. size: (h, w) of the image,
    None where it is not known."""

    xy: Tensor
    classes: Tensor
    scores: Tensor | None = None
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    @staticmethod
    def empty() -> Points:
        """An image with nothing to count."""
        return Points(torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))

    def select(self, rows: Rows) -> Points:
        """The dots at these row numbers, in this order, or where n yes-or-no values are set. Raises IndexError, ValueError."""
        at = places(rows, len(self))
        here = at.to(self.xy.device)
        return Points(self.xy[here], self.classes[here], chosen(self.scores, at), self.size)

    def warp(self, g: Geometry) -> Points:
        """The dots moved (float32); those that land outside of the target go."""
        xy = g.points(array(self.xy))
        with np.errstate(invalid="ignore"):
            inside = torch.from_numpy(((xy >= 0) & (xy <= np.array([g.size[1], g.size[0]]))).all(1))
        found = replace(self, xy=tensor(xy).to(self.xy.device), size=None if self.size is None else g.size)
        return found if bool(inside.all()) else found.select(inside)

    def to(self, device: torch.device | str) -> Points:
        return Points(self.xy.to(device), self.classes.to(device), moved(self.scores, device), self.size)

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with a disc on every dot, and how many there are of each class below it."""
        canvas = paint.Canvas(image)
        classes = self.classes.tolist()
        for point, index in zip(array(self.xy), classes, strict=True):
            canvas.dot(point, paint.colour_of(labels, index))
        counts = [(paint.colour_of(labels, k), f"{paint.name_of(labels, k)} {classes.count(k)}") for k in sorted(set(classes))]
        canvas.legend(counts or [(paint.WHITE, "0")])
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Points], placements: Sequence[Geometry]) -> Points:
        """The dots of all parts in the whole: answers without those within RADIUS of a better one of their class in another part, best first (dots of
        one part were told apart there); truths without exact copies (to a hundredth of a pixel). Raises ValueError without parts."""
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        xy, classes = column([(len(p), p.xy) for p in warped], 0.0), column([(len(p), p.classes) for p in warped], 0)
        assert xy is not None and classes is not None
        whole = cls(xy, classes, column([(len(p), p.scores) for p in warped], 1.0), warped[0].size)
        if whole.scores is None:
            return whole.select(first_copies(array(xy), classes.cpu().numpy()))
        of = np.repeat(np.arange(len(warped)), [len(part) for part in warped])
        return whole.select(apart(array(xy), array(whole.scores), classes.cpu().numpy(), RADIUS, of))


def apart(xy: np.ndarray, scores: np.ndarray, classes: np.ndarray, radius: float, parts: np.ndarray | None = None) -> np.ndarray:
    """Rows (k,) int64, best first, without those (n, d) nearer than `radius` to a better one of their class; equal scores keep their order.

    parts: (n,) whose rows they are; those of one part do not displace each other. None: all do.
    """
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        kin = np.zeros(len(left), dtype=bool) if parts is None else parts[left] == parts[best]
        left = left[kin | (classes[left] != classes[best]) | (np.linalg.norm(xy[left] - xy[best], axis=1) > radius)]
    return np.array(kept, np.int64)
