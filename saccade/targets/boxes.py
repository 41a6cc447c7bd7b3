"""Boxes around objects, with their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Boxes:
    """n boxes of one image.

    xyxy: (n, 4) x1 y1 x2 y2 in continuous pixels, 0 <= x1 < x2 <= W; float64 as read, float32 once warped.
    classes: (n,) int64, 0..K-1, foreground only. scores: (n,) float in [0, 1], None for a truth.
    crowd: (n,) bool, a region of many objects that is neither found nor missed (COCO iscrowd), None = none is.
    difficult: (n,) bool, not counted when missed (VOC), None = none is. areas: (n,) square pixels of the objects themselves where
    the data give them (COCO), None = the box's. ids: (n,) int64, annotation or track numbers, None = none.
    attributes: a mapping for each box of what else the label file says (truncated, occluded, pose), None = nothing.
    """

    xyxy: Tensor
    classes: Tensor
    scores: Tensor | None = None
    crowd: Tensor | None = None
    difficult: Tensor | None = None
    areas: Tensor | None = None
    ids: Tensor | None = None
    attributes: tuple[Mapping[str, Any], ...] | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @staticmethod
    def empty() -> Boxes:
        """An image without objects."""
        return Boxes(torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
