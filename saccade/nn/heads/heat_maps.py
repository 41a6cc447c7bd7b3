"""Key points of one object as heat maps: a distribution over the cells of a map for each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Level, Meta
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.nn.heads.classify import full
from saccade.nn.heads.density import extent_of, whole_extent
from saccade.nn.heads.pose import PoseHead
from saccade.ops import heat_maps
from saccade.ops.padding import inside
from saccade.targets import Keypoints

NOWHERE = -1e4  # the logit of a cell that lies in padding


class HeatMapsOut(NamedTuple):
    """maps: (N, K, h, w) logits over the cells; flags: (N, K, 2) logits of a point being there, and visible; classes: (N, C) or (N, 0); extent: (N, 2) valid
    cells (h, w)."""

    maps: Tensor
    flags: Tensor
    classes: Tensor
    extent: Tensor


class HeatMaps(PoseHead[HeatMapsOut]):
    """A 3x3 convolution of one map, and a 1x1 to a map of logits for each point, at its resolution.

    The softmax over a map's cells is the distribution of where its point is; it is learnt by the cross entropy against a Gaussian around the true point,
    less that of the Gaussian itself (so nought is the ideal). Tompson et al., "Joint training of a convolutional network and a graphical model for
    human pose estimation", NIPS 2014, had Gaussian heat maps and squared errors; the cross entropy over all cells is that of He et al., "Mask R-CNN",
    ICCV 2017, section 5, whose goal is a single cell. Decoding is that of `ops.heat_maps.peaks`; a point's score is `ops.heat_maps.agreement`.
    Whether a point is there and visible is told by the features where its map says it is.

    level: the map's; at: its place among the maps; last: the last map's level. sigma: deviation of the Gaussian in cells.
    """

    def __init__(
        self, level: Level, points: int, classes: int, *, at: int = 1, last: Level, sigma: float = 1.5, norm: Norm = "batch", **options: object
    ) -> None:
        super().__init__(last, points, classes, **options)  # type: ignore[arg-type]
        if not 0.3 <= sigma <= 100:
            raise ValueError(f"sigma must be 0.3 to 100 cells, got {sigma}")
        self.level, self.at, self.sigma = level, at, sigma
        self.hidden = Flow(ConvNorm(level.channels, level.channels, norm=norm))
        kaiming(self.hidden)
        self.output = nn.Conv2d(level.channels, points, 1)
        self.flags = nn.Conv1d(points * level.channels, 2 * points, 1, groups=points)
        for part in (self.output, self.flags):
            nn.init.normal_(part.weight, 0.0, 0.01)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> HeatMapsOut:
        extent = extent_of(features, self.level.stride)
        x, _ = self.hidden(features.maps[self.at], extent)
        maps = full(self.output(x))
        if extent is not None:
            maps = torch.where(inside(extent, *maps.shape[-2:]), maps, NOWHERE)
        where = torch.softmax(maps.detach().flatten(2), 2)
        told = torch.bmm(where.to(x.dtype), x.flatten(2).transpose(1, 2))  # (N, K, C): the features where each point is
        flags = full(self.flags(told.flatten(1)[..., None])).view(len(x), self.points, 2)
        return HeatMapsOut(maps, flags, self.class_logits(features), whole_extent(maps, extent))

    def loss(self, out: HeatMapsOut, targets: Sequence[Keypoints]) -> dict[str, Tensor]:
        """{"place_loss": mean over the labelled points, "flag_loss", and "class_loss" where there are several}."""
        truth = self.truths(targets, out.maps.device)
        h, w = out.maps.shape[2:]
        goal = heat_maps.gaussians(truth.xy / self.level.stride, self.sigma, (h, w))
        goal = torch.where(inside(out.extent, h, w), goal, 0.0).flatten(2)
        goal = goal / goal.sum(2, keepdim=True).clamp_min(1e-30)
        apart = (torch.xlogy(goal, goal) - goal * torch.log_softmax(out.maps.flatten(2), 2)).sum(2)
        labelled = truth.visible > 0
        place = torch.where(labelled, apart, 0.0).sum() / labelled.sum().clamp_min(1)
        return {"place_loss": place, **self.flag_losses(out.flags, out.classes, truth)}

    def decode(self, out: HeatMapsOut, meta: Sequence[Meta]) -> list[Keypoints]:
        """One object for each input, all of its points in the pixels of the source."""
        maps = full(out.maps.detach())
        found = heat_maps.peaks(maps, out.extent)
        scores = heat_maps.agreement(maps, found, self.sigma, out.extent.to(maps.device))
        return self.answers(found * self.level.stride, scores, full(out.flags), full(out.classes), meta)
