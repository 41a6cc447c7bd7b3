"""What detectors with reference boxes share: the grid of anchors over a pyramid, truths as tensors, answers in the pixels of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade.core import Level, Meta
from saccade.ops.anchors import around_data, cell_anchors, grid_anchors
from saccade.ops.matching import Matcher, Matching
from saccade.ops.proposals import Chosen
from saccade.targets import Boxes


@dataclass(frozen=True)
class AnchorGrid:
    """The anchors of every map: `sizes` (pixels) x `ratios` (height / width) in each cell; the same ratios on all maps.

    published: corners in whole pixels around the corner of a cell, cells as wide as the whole (padded) input divided by the map, rounded
    down, as the published weights were trained with; else exact, around a cell's middle.
    """

    strides: tuple[int, ...]
    sizes: tuple[tuple[float, ...], ...]
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    published: bool = False

    @classmethod
    def of(cls, levels: Sequence[Level], scale: float, *, octaves: int = 1, ratios: Sequence[float] = (0.5, 1.0, 2.0), published: bool = False) -> AnchorGrid:
        """Of each map `octaves` sizes, beginning with `scale` strides and growing to just below twice that."""
        strides = tuple(level.stride for level in levels)
        sizes = tuple(tuple(scale * stride * 2 ** (i / octaves) for i in range(octaves)) for stride in strides)
        if published:
            sizes = tuple(tuple(float(int(size)) for size in own) for own in sizes)
        return cls(strides, sizes, tuple(ratios), published)

    @property
    def count(self) -> int:
        """Anchors of a cell."""
        return len(self.sizes[0]) * len(self.ratios)

    def __call__(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (N, C, h, w) -> the anchors (h w A, 4) of each, in input pixels."""
        found = []
        for x, stride, sizes in zip(maps, self.strides, self.sizes, strict=True):
            cells = cell_anchors(sizes, self.ratios, whole=self.published).to(x.device)
            step = (float(stride), float(stride))
            if self.published:
                whole = [side * self.strides[0] for side in maps[0].shape[-2:]]
                step = (float(whole[0] // x.shape[-2]), float(whole[1] // x.shape[-1]))
            found.append(grid_anchors(cells, x.shape[-2:], step, offset=0.0 if self.published else 0.5))
        return found


def by_cell(x: Tensor, anchors: int) -> Tensor:
    """(N, A V, h, w) -> (N, h w A, V): the values of each anchor, cell by cell; V = 1 stays an axis."""
    n, _, h, w = x.shape
    return x.view(n, anchors, -1, h, w).permute(0, 3, 4, 1, 2).reshape(n, h * w * anchors, -1)


class Truth(NamedTuple):
    """boxes: (g, 4) float32; classes: (g,) int64, 0 where `loose`; loose: (g,) bool, regions that are neither found nor missed: crowds, ignored classes."""

    boxes: Tensor
    classes: Tensor
    loose: Tensor


def truth_of(target: Boxes, classes: int, device: torch.device) -> Truth:
    """Raises ValueError for an id outside -1..K-1."""
    ids = target.classes.to(device)
    if len(ids) and not -1 <= int(ids.min()) <= int(ids.max()) < classes:
        raise ValueError(f"class ids must be 0..{classes - 1}, or -1 for ignored, got {int(ids.min())}..{int(ids.max())}")
    loose = ids < 0 if target.crowd is None else (ids < 0) | target.crowd.to(device)
    return Truth(target.xyxy.to(device, torch.float32), ids.clamp_min(0), loose)


def matched(matcher: Matcher, anchors: Tensor, truth: Truth, size: Tensor) -> Matching:
    """Anchors whose middle lies in padding are ignored."""
    found = matcher(anchors, truth.boxes, truth.loose)
    return found._replace(truth=torch.where(around_data(anchors, size), found.truth, -2))


def in_source(chosen: Chosen, meta: Meta) -> Boxes:
    """Answers in input pixels -> in those of the whole source, on the CPU; what lies outside is left out."""
    return Boxes(chosen.boxes.cpu(), chosen.classes.cpu(), chosen.scores.cpu()).warp(meta.geometry.inverse(meta.size))


def boxes_of(target: Any) -> Boxes:
    """The boxes of any target that has them."""
    boxes: Boxes = target if isinstance(target, Boxes) else target.boxes
    return boxes
