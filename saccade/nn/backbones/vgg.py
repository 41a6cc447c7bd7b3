"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, table 1."""

from __future__ import annotations

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, MaxPool, Norm, kaiming, scaled

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # A, B, D, E
WIDTHS = (64, 128, 256, 512, 512)


class VGG(Staged):
    """Five groups of 3x3 convolutions, each followed by 2x2 max pooling; the last map is that of pool5, stride 32.

    norm: "none" is the paper's, "batch" that of the published vgg*_bn files (its convolutions keep their biases).
    Initialisation: kernels by He et al. 2015 (fan out); the paper started deep nets from shallow trained ones.
    """

    def __init__(self, inputs: Inputs, *, depth: int, norm: Norm = "none", width: float = 1.0) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        stages, levels, before = [], [], inputs.channels
        for place, (channels, count) in enumerate(zip(WIDTHS, DEPTHS[depth], strict=True)):
            wide = scaled(channels, width)
            pool: list[nn.Module] = [] if place == 0 else [MaxPool(2, stride=2)]
            stages.append(Flow(*pool, *(ConvNorm(before if i == 0 else wide, wide, norm=norm, bias=True) for i in range(count))))
            levels.append(Level(wide, 2**place))
            before = wide
        stages.append(Flow(MaxPool(2, stride=2)))
        levels.append(Level(before, 32))
        super().__init__(inputs, stages, levels, reach=32)
        kaiming(self)
