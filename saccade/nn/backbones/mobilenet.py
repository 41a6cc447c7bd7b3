"""MobileNet: Howard et al., arXiv:1704.04861, 2017 (v1); Sandler et al., CVPR 2018, table 2 (v2)."""

from __future__ import annotations

from torch import Tensor, nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, Valid, atrous, kaiming, scaled

V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))  # channels, stride
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))  # expansion, channels, count, stride
LAST = 1280


class Inverted(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1 without activation; the input is added where the shape stays (v2, section 3.3)."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        parts = [] if expansion == 1 else [ConvNorm(inputs, inner, kernel=1, activation=nn.ReLU6(inplace=True))]
        parts.append(ConvNorm(inner, inner, stride=stride, groups=inner, activation=nn.ReLU6(inplace=True)))
        self.residual = Flow(*parts, ConvNorm(inner, outputs, kernel=1, activation=False))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        y, after = self.residual(x, extent)
        return (x + y if self.skips else y), after

    def atrous(self, rate: int, keep: bool) -> int:
        """See `nn.blocks.atrous`."""
        return atrous(self.residual, rate, keep)


class MobileNetV1(Staged):
    """A 3x3 convolution and 13 pairs of a depthwise 3x3 and a pointwise 1x1 convolution, each with norm and ReLU (table 1)."""

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        before = rounded(32, width)
        groups: list[list[nn.Module]] = [[ConvNorm(inputs.channels, before, stride=2)]]
        levels = [Level(before, 2)]
        for channels, stride in V1:
            wide = rounded(channels, width)
            pair = Flow(ConvNorm(before, before, stride=stride, groups=before), ConvNorm(before, wide, kernel=1))
            if stride == 2:
                groups.append([])
                levels.append(Level(wide, 2 * levels[-1].stride))
            groups[-1].append(pair)
            levels[-1], before = Level(wide, levels[-1].stride), wide
        super().__init__(inputs, [Flow(*parts) for parts in groups], levels)
        kaiming(self)


class MobileNetV2(Staged):
    """A 3x3 convolution, 17 inverted residual blocks, and a 1x1 convolution to 1,280 channels, all with ReLU6."""

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        before = rounded(32, width)
        groups: list[list[nn.Module]] = [[ConvNorm(inputs.channels, before, stride=2, activation=nn.ReLU6(inplace=True))]]
        levels = [Level(before, 2)]
        for expansion, channels, count, stride in V2:
            wide = rounded(channels, width)
            if stride == 2:
                groups.append([])
                levels.append(Level(wide, 2 * levels[-1].stride))
            groups[-1] += [Inverted(before if i == 0 else wide, wide, expansion=expansion, stride=stride if i == 0 else 1) for i in range(count)]
            levels[-1], before = Level(wide, levels[-1].stride), wide
        last = rounded(LAST, max(1.0, width)) if width >= 1 else scaled(LAST, width, 8)
        groups[-1].append(ConvNorm(before, last, kernel=1, activation=nn.ReLU6(inplace=True)))
        levels[-1] = Level(last, levels[-1].stride)
        super().__init__(inputs, [Flow(*parts) for parts in groups], levels)
        kaiming(self)


def rounded(channels: int, width: float) -> int:
    """channels x width to the nearest multiple of 8 that is not more than a tenth below it (the authors' rule).

    >>> rounded(24, 0.5), rounded(32, 1.0)
    (16, 32)
    """
    wanted = channels * width
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near
