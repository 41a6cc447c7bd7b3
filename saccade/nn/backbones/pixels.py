"""No network at all: the pixels themselves as one vector, as they are or black and white, at their own size or averaged over a grid."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from saccade.core import Backbone, Features, Inputs, Level
from saccade.ops.padding import clear, valid_extent


class Pixels(Backbone):
    """(N, C, h, w) -> one map (N, C h w, 1, 1) or, of a grid, (N, grid^2, 1, 1) of the channels' means; its stride is the whole input.

    threshold: 1 where a value in [0, 1] is above it, else 0; None: the normalised values. grid: means of grid x grid windows, 0 for the pixels.
    Padding is 0. Raises ValueError in `forward` for inputs of another size.
    """

    def __init__(self, inputs: Inputs, *, threshold: float | None = None, grid: int = 0) -> None:
        super().__init__(inputs)
        self.size, self.threshold, self.grid = inputs.size, threshold, grid
        cells = grid * grid if grid else math.prod(inputs.size)
        self.levels = (Level(inputs.channels, 1), Level(cells if grid else inputs.channels * cells, max(inputs.size)))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        if tuple(inputs.shape[-2:]) != tuple(self.size):
            raise ValueError(f"made for inputs of {self.size[0]}x{self.size[1]} px, got {inputs.shape[-2]}x{inputs.shape[-1]}")
        values = inputs if self.threshold is not None else clear(self.normalise(inputs), valid_extent(inputs, sizes))
        if self.grid:
            values = F.adaptive_avg_pool2d(values.mean(1, keepdim=True), self.grid)
        if self.threshold is not None:
            values = (values > self.threshold).to(inputs.dtype)
        return Features([inputs, values.flatten(1)[:, :, None, None]], sizes)
