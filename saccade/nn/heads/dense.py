"""Classification as the nets of 2012 to 2016 ended: dense layers over a grid, or a 1x1 convolution averaged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from saccade.core import Features, Level
from saccade.nn.heads.classify import Classify, ClassifyOut, last_extent
from saccade.ops.padding import clear
from saccade.ops.pooling import global_average, grid_average


class DenseClassify(Classify):
    """The last map averaged to grid x grid cells, dense layers with ReLU and dropout behind each, and a linear layer to K logits.

    hidden: units of each dense layer, at least one; (4096, 4096) in AlexNet and VGG. grid: 6 in AlexNet, 7 in VGG. The average is
    the map itself at the size the net was made for; it lets other sizes in (as the published weights' own code does).
    """

    def __init__(self, level: Level, classes: int, *, grid: int, hidden: Sequence[int] = (4096, 4096), dropout: float = 0.5, **options: Any) -> None:
        super().__init__(Level(hidden[-1], level.stride), classes, dropout=dropout, **options)
        widths = [level.channels * grid * grid, *hidden]
        self.grid, self.stride = grid, level.stride
        parts: list[nn.Module] = []
        for place, (a, b) in enumerate(pairwise(widths)):
            parts += ([nn.Dropout(dropout)] if place else []) + [nn.Linear(a, b), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*parts)

    def pooled(self, features: Features) -> Tensor:
        """(N, hidden[-1])."""
        grid: Tensor = self.layers(torch.flatten(grid_average(features.maps[-1], self.grid, last_extent(features, self.stride, self.reach)), 1))
        return grid


class MapClassify(Classify):
    """A 1x1 convolution to a map of each class, ReLU, and the mean of it: no dense layer at all (Lin et al. 2014; SqueezeNet)."""

    def __init__(self, level: Level, classes: int, *, dropout: float = 0.5, **options: Any) -> None:
        super().__init__(level, classes, dropout=dropout, **options)
        self.output = nn.Conv2d(level.channels, classes, 1)  # type: ignore[assignment]
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> ClassifyOut:
        extent = last_extent(features, self.level.stride, self.reach)
        scores = torch.relu(self.output(self.dropout(features.maps[-1])))
        return ClassifyOut(global_average(clear(scores, extent), extent))
