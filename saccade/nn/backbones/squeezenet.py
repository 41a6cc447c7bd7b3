"""SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv:1602.07360, 2016."""

from __future__ import annotations

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import Branches, ConvNorm, Flow, MaxPool, kaiming, scaled

FIRES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))  # squeeze, expand of each group


def fire(inputs: int, squeeze: int, expand: int) -> Flow:
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions side by side (section 3.2)."""
    wide = Branches(ConvNorm(squeeze, expand, kernel=1, norm="none"), ConvNorm(squeeze, expand, norm="none"))
    return Flow(ConvNorm(inputs, squeeze, kernel=1, norm="none"), wide)


class SqueezeNet(Staged):
    """Version 1.1 of the authors' repository: 2.4 times less computation than the paper's 1.0 at the same accuracy.

    The last map has stride 16. Poolings count windows that the border cuts, as the published weights expect.
    """

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        before = scaled(64, width)
        stages, levels = [Flow(ConvNorm(inputs.channels, before, stride=2, padding=0, norm="none"))], [Level(before, 2)]
        for place, group in enumerate(FIRES):
            parts: list[nn.Module] = [MaxPool(3, stride=2, ceil=True)]
            for squeeze, expand in group:
                parts.append(fire(before, scaled(squeeze, width), scaled(expand, width)))
                before = 2 * scaled(expand, width)
            stages.append(Flow(*parts))
            levels.append(Level(before, 4 * 2**place))
        super().__init__(inputs, stages, levels, reach=3 + 2 + 4 + 8)  # 3 of the convolution, then a = 2 of each pooling
        kaiming(self)
