"""Full resolution throughout, with growing context: dilated convolutions, or one network over several scales of the image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.ops.padding import clear, through, valid_extent
from saccade.ops.upsampling import upsample


class FullResolution(Backbone):
    """3x3 convolutions of stride 1, one for each dilation, and no pooling: one map of the input's size. Yu and Koltun 2016, table 1 (basic).

    A pixel's answer depends on `context` x `context` pixels around it: 1 + 2 times the sum of the dilations. The same network with dilations of
    1 alone is what a sliding window computes for one pixel after another.
    Initialisation: He et al. 2015 (fan out), where the paper starts from the identity.
    """

    def __init__(self, inputs: Inputs, *, width: int = 32, dilations: Sequence[int] = (1, 1, 2, 4, 8, 16, 1), norm: Norm = "batch") -> None:
        super().__init__(inputs)
        if not dilations or min(dilations) < 1:
            raise ValueError(f"dilations must be at least one number of 1 or more, got {tuple(dilations)}")
        layers = [ConvNorm(inputs.channels if i == 0 else width, width, norm=norm) for i in range(len(dilations))]
        for layer, dilation in zip(layers, dilations, strict=True):
            layer.atrous(dilation, keep=True)
        self.layers, self.context = Flow(*layers), 1 + 2 * sum(dilations)
        self.levels = (Level(inputs.channels, 1), Level(width, 1))
        kaiming(self)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x, _ = self.layers(clear(self.normalise(inputs), extent), extent)
        return Features([inputs, x], sizes)


class MultiScale(Backbone):
    """One network with shared weights over the image at several scales, its maps enlarged and put side by side.

    Farabet, Couprie, Najman, LeCun, "Learning hierarchical features for scene labeling", PAMI 2013, section 3.1. scales: whole factors by which the
    image is averaged, 1 first. Context grows with the largest. Deviations: the average of blocks instead of a Laplacian pyramid, and layers of
    full resolution at each scale.
    """

    def __init__(self, inputs: Inputs, *, width: int = 32, depth: int = 4, scales: Sequence[int] = (1, 2, 4), norm: Norm = "batch") -> None:
        super().__init__(inputs)
        if not scales or min(scales) < 1 or depth < 1:
            raise ValueError(f"scales and depth must be at least 1, got {tuple(scales)} and {depth}")
        self.layers = Flow(*(ConvNorm(inputs.channels if i == 0 else width, width, norm=norm) for i in range(depth)))
        self.scales, self.context = tuple(scales), (1 + 2 * depth) * max(scales)
        self.levels = (Level(inputs.channels, 1), Level(width * len(scales), 1))
        kaiming(self)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x, found = clear(self.normalise(inputs), extent), []
        for scale in self.scales:
            inner = through(extent, scale, scale, 0)
            small = clear(F.avg_pool2d(x, scale), inner) if scale > 1 else x
            y, _ = self.layers(small, inner)
            found.append(clear(upsample(y, scale, size=x.shape[2:], extent=inner), extent))
        return Features([inputs, torch.cat(found, 1)], sizes)
