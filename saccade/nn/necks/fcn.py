"""The skips of fully convolutional networks: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015, figure 3."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Level, Neck
from saccade.nn.blocks import ConvNorm, Flow, Norm
from saccade.nn.necks.unet import checked_reach, extent_at
from saccade.ops.padding import clear, valid_extent
from saccade.ops.upsampling import bilinear_kernel


class FCNSkips(Neck):
    """Scores of the last map, enlarged twofold by a transposed convolution and added to those of the next finer map, until the wished stride.

    Gives (input, scores (N, K, h, w)). hidden, kernel: the convolutions fc6 (kernel x kernel) and fc7 (1x1) before the first scores, none where
    hidden is 0. The transposed convolutions start as bilinear interpolation and are learnt; the scores of the skips start at nought, so that
    each finer network begins as the coarser one (section 4.2 there).
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        *,
        stride: int,
        reach: int = 1,
        hidden: int = 4096,
        kernel: int = 7,
        dropout: float = 0.5,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        self.reach = checked_reach(reach, levels)
        places = {level.stride: place for place, level in enumerate(levels) if place}
        strides = sorted((s for s in places if s >= stride), reverse=True)
        if stride not in places or any(a != 2 * b for a, b in pairwise(strides)):
            raise ValueError(f"skips down to stride {stride} need maps of every power of two from there to the last, got {sorted(places)}")
        self.places, self.strides = tuple(places[s] for s in strides), tuple(strides)
        width = levels[self.places[0]].channels
        layers: list[nn.Module] = []
        if hidden:
            layers = [ConvNorm(width, hidden, kernel=kernel, norm=norm), ConvNorm(hidden, hidden, kernel=1, norm=norm)]
        self.dense, self.dropout = Flow(*layers), nn.Dropout2d(dropout)
        self.score = nn.Conv2d(hidden or width, classes, 1)
        self.skips = nn.ModuleList(nn.Conv2d(levels[place].channels, classes, 1) for place in self.places[1:])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(classes, classes, 4, 2, 1, bias=False) for _ in self.places[1:])
        self.levels = (levels[0], Level(classes, stride))
        self._initialise(classes)

    def _initialise(self, classes: int) -> None:
        for part in self.dense.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        for skip in self.skips:
            nn.init.zeros_(skip.weight)  # type: ignore[arg-type]
            nn.init.zeros_(skip.bias)  # type: ignore[arg-type]
        for up in self.ups:
            with torch.no_grad():
                up.weight.zero_()  # type: ignore[operator]
                up.weight[range(classes), range(classes)] = bilinear_kernel(2)  # type: ignore[operator, index]

    def forward(self, features: Features) -> Features:
        whole = valid_extent(features.maps[0], features.sizes)
        extents = [extent_at(whole, stride, self.reach) for stride in self.strides]
        x, _ = self.dense(features.maps[self.places[0]], extents[0])
        scores = clear(self.score(self.dropout(x)), extents[0])
        for place, extent, up, skip in zip(self.places[1:], extents[1:], self.ups, self.skips, strict=True):
            finer = features.maps[place]
            scores = clear(fitted(up, scores, finer.shape[2:]) + skip(finer), extent)
        return Features([features.maps[0], scores], features.sizes)

    def stage_parameters(self, stage: int) -> list[nn.Parameter]:
        """The parameters that a stage does not learn yet: those of the skips behind the first `stage`."""
        return [p for parts in (self.skips, self.ups) for part in list(parts)[stage:] for p in part.parameters()]


def fitted(up: nn.Module, x: Tensor, size: Sequence[int]) -> Tensor:
    """A transposed convolution of stride 2 with an answer of `size`: cut, or made from a map with zeros below and to the right."""
    missing = [max(0, -(-whole // 2) - side) for whole, side in zip(size, x.shape[2:], strict=True)]
    x = F.pad(x, (0, missing[1], 0, missing[0])) if any(missing) else x
    y: Tensor = up(x)
    return y[..., : size[0], : size[1]]
