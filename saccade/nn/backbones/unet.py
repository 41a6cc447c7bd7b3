"""The contracting path of U-Net: Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, figure 1."""

from __future__ import annotations

from collections.abc import Sequence

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, MaxPool, Norm, kaiming


class UNetEncoder(Staged):
    """Two 3x3 convolutions a level, 2x2 max pooling between the levels; widths: one a level, (64, 128, 256, 512, 1024) in the paper.

    stride: of the first level's first convolution; 1 in the paper, 2 for a quarter of the work.

    Deviations: convolutions keep the size (the paper's lose two pixels each, and its skips are cropped), they are normalised, and a side that
    does not halve is rounded up. dropout is left out. Initialisation: kernels by He et al. 2015 (fan out).
    """

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (64, 128, 256, 512, 1024), norm: Norm = "batch", stride: int = 1) -> None:
        stages, levels, before = [], [], inputs.channels
        for place, width in enumerate(widths):
            pool = [MaxPool(2, stride=2, ceil=True)] if place else []
            first = ConvNorm(before, width, norm=norm, stride=1 if place else stride)
            stages.append(Flow(*pool, first, ConvNorm(width, width, norm=norm)))
            levels.append(Level(width, stride * 2**place))
            before = width
        super().__init__(inputs, stages, levels)
        kaiming(self)
