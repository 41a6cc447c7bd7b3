"""Region-based fully convolutional detection: Dai, Li, He, Sun, "R-FCN: object detection via region-based fully convolutional networks", NIPS 2016."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.core import Features, Level
from saccade.nn.heads.classify import full
from saccade.nn.heads.two_stage import TwoStageBoxes, TwoStageOut
from saccade.ops.roi import numbered, position_sensitive_pool


class RFCN(TwoStageBoxes):
    """Nothing is computed region by region: convolutions give bins^2 (K + 1) maps, one of each class for each place within an object, and a region's score
    is the mean of what it finds of each bin in that bin's own maps (eq. 1); four more maps a bin move the box, whatever the class.

    levels: of the map that the proposal network sees and of the last one, both of the same stride. width: of the 1x1 convolution behind the last map
    (1,024 in the paper). Everything else is as in `TwoStage`. Deviations: samples by chance, not the hardest (section 2.4).
    Raises ValueError unless there are two maps of one stride.
    """

    def __init__(self, levels: Sequence[Level], classes: int, *, bins: int = 7, width: int = 256, **options: Any) -> None:
        if len(levels) != 2 or levels[0].stride != levels[1].stride or bins < 1:
            raise ValueError(f"two maps of one stride and at least one bin, got {[level.stride for level in levels]} and {bins}")
        super().__init__(levels, classes, trunk=None, grid=(bins, bins), **options)
        self.scale = 1 / levels[0].stride
        self.narrow = nn.Conv2d(levels[1].channels, width, 1)
        self.score_maps, self.box_maps = nn.Conv2d(width, bins * bins * (classes + 1), 1), nn.Conv2d(width, bins * bins * 4, 1)
        for part, deviation in ((self.score_maps, 0.01), (self.box_maps, 0.001)):
            nn.init.normal_(part.weight, std=deviation)
            assert part.bias is not None
            nn.init.zeros_(part.bias)

    def forward(self, features: Features) -> TwoStageOut:
        """maps: what the proposal network sees, the score maps, the box maps."""
        out = super().forward(features)
        hidden = torch.relu(self.narrow(out.maps[1]))
        return out._replace(maps=[out.maps[0], self.score_maps(hidden), self.box_maps(hidden)])

    def region_maps(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [maps[0]]

    def answers(self, out: TwoStageOut, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (k, K + 1) and deltas (k, K + 1, 4), those of a region the same for all classes: the means of all bins, their votes."""
        regions = numbered(boxes).to(out.maps[0].device)
        votes, moves = (position_sensitive_pool(full(maps), regions, self.grid, scale=self.scale).mean((2, 3)) for maps in out.maps[1:3])
        return votes, moves[:, None].expand(-1, self.classes + 1, -1)
