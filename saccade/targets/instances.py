"""Objects with their masks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.ops.masks import Polygons, Runs
from saccade.targets.boxes import Boxes


@dataclass(frozen=True)
class Instances:
    """n objects of one image, each with a box and a mask; the masks are shapes as read (they may overlap), or one id map.

    boxes: the n boxes, their classes, scores and flags. size: (h, w) of the plane the masks lie in.
    shapes: a mask each, run lengths or polygons, None when `ids` is given. ids: (h, w) int32, 0 for none, i + 1 where row i of
    the boxes is seen; None when `shapes` is given. Warping makes an id map: a later row covers an earlier one.
    """

    boxes: Boxes
    size: tuple[int, int]
    shapes: tuple[Runs | Polygons, ...] | None = None
    ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)
