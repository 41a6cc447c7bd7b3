"""Key points of one object as numbers: the coordinates of each, straight from a dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Level, Meta
from saccade.nn.heads.classify import full, last_extent
from saccade.nn.heads.localize import kaiming_dense
from saccade.nn.heads.pose import PoseHead
from saccade.ops.pooling import grid_average
from saccade.targets import Keypoints

NEAR = 0.05  # of the input's longer side: an answer so far off is as good as exp(-1)
WEIGHT, SMOOTH = 20.0, 0.02  # of the places; shares of the input below which the loss is a square


class CoordinatesOut(NamedTuple):
    """places: (N, K, 2) x, y as shares of the input; flags: (N, K, 2) logits of a point being there, and visible; quality: (N, K) logits of the answer being
    near; classes: (N, C) or (N, 0); sizes: (N, 2) (h, w) of the inputs."""

    places: Tensor
    flags: Tensor
    quality: Tensor
    classes: Tensor
    sizes: Tensor


class Coordinates(PoseHead[CoordinatesOut]):
    """Means of the last map in a grid, a dense layer, and 2 K numbers: Toshev and Szegedy, "DeepPose", CVPR 2014, its first stage.

    The smooth L1 of the coordinates as shares of the input (the paper has the square). A score is learnt besides, which the paper has none of: binary cross
    entropy against exp(-d / 0.05), d the distance of the answer from the truth as a share of the input's longer side.
    grid, units: of the means and of the dense layer. reach: of the last map (`ops.padding.cells`).
    """

    def __init__(
        self, level: Level, points: int, classes: int, *, grid: int = 4, units: int = 256, dropout: float = 0.0, reach: int = 1, **options: object
    ) -> None:
        super().__init__(level, points, classes, **options)  # type: ignore[arg-type]
        if min(grid, units) < 1:
            raise ValueError(f"grid and units must be at least 1, got {grid} and {units}")
        self.level, self.grid, self.reach = level, grid, reach
        narrow = max(16, min(64, level.channels // 2))
        self.narrow = nn.Conv2d(level.channels, narrow, 1)
        self.hidden = nn.Sequential(nn.Linear(narrow * grid * grid, units), nn.ReLU(), nn.Dropout(dropout))
        self.output = nn.Linear(units, 5 * points)
        kaiming_dense(self.hidden)
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Features) -> CoordinatesOut:
        means = grid_average(self.narrow(features.maps[-1]), self.grid, last_extent(features, self.level.stride, self.reach))
        numbers = full(self.output(self.hidden(means.flatten(1)))).view(-1, self.points, 5)
        return CoordinatesOut(0.5 + numbers[..., :2], numbers[..., 2:4], numbers[..., 4], self.class_logits(features), features.sizes)

    def loss(self, out: CoordinatesOut, targets: Sequence[Keypoints]) -> dict[str, Tensor]:
        """{"place_loss", "quality_loss": means over the labelled points, "flag_loss", and "class_loss" where there are several}."""
        truth = self.truths(targets, out.places.device)
        sides = out.sizes.flip(1)[:, None].to(out.places)
        labelled = truth.visible > 0
        count = labelled.sum().clamp_min(1)
        apart = F.smooth_l1_loss(out.places, truth.xy / sides, reduction="none", beta=SMOOTH).sum(2)
        far = ((out.places.detach() * sides - truth.xy) / sides.amax(2, keepdim=True)).norm(dim=2)
        near = F.binary_cross_entropy_with_logits(out.quality, torch.exp(-far / NEAR), reduction="none")
        losses = {"place_loss": WEIGHT * torch.where(labelled, apart, 0.0).sum() / count, "quality_loss": 0.1 * torch.where(labelled, near, 0.0).sum() / count}
        return losses | self.flag_losses(out.flags, out.classes, truth)

    def decode(self, out: CoordinatesOut, meta: Sequence[Meta]) -> list[Keypoints]:
        """One object for each input, all of its points in the pixels of the source."""
        places = full(out.places.detach()) * out.sizes.flip(1)[:, None].to(out.places)
        return self.answers(places, torch.sigmoid(full(out.quality)), full(out.flags), full(out.classes), meta)
