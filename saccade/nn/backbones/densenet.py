"""DenseNet: Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017, table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import AveragePool, ConvNorm, Flow, MaxPool, NormReLU, Valid, atrous, kaiming, scaled

DEPTHS: dict[int, tuple[int, int, tuple[int, int, int, int]]] = {  # growth, stem, layers of each block
    121: (32, 64, (6, 12, 24, 16)),
    161: (48, 96, (6, 12, 36, 24)),
    169: (32, 64, (6, 12, 32, 32)),
    201: (32, 64, (6, 12, 48, 32)),
}
BOTTLENECK = 4  # a 1x1 convolution makes so many times the growth


class DenseLayer(nn.Module):
    """norm, ReLU, 1x1; norm, ReLU, 3x3; and what came in beside it (equation 2, DenseNet-B)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        between = BOTTLENECK * growth
        self.first = Flow(NormReLU(inputs), _plain(inputs, between, 1))
        self.second = Flow(NormReLU(between), _plain(between, growth, 3))

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return torch.cat([x, self.second(*self.first(x, extent))[0]], 1), extent

    def atrous(self, rate: int, keep: bool) -> int:
        """See `nn.blocks.atrous`; nothing strides here."""
        return atrous(self.second, rate, keep)


class DenseNet(Staged):
    """Four dense blocks; between them a 1x1 convolution that halves the channels (C = 0.5) and a 2x2 average pooling.

    The maps are those of the stem and of the blocks; the last one has been normalised and rectified.
    Initialisation: kernels by He et al. 2015 (fan out), as for our other networks.
    """

    def __init__(self, inputs: Inputs, *, depth: int, width: float = 1.0) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        growth, stem, counts = DEPTHS[depth]
        growth, before = scaled(growth, width), scaled(stem, width)
        stages, levels = [Flow(ConvNorm(inputs.channels, before, kernel=7, stride=2))], [Level(before, 2)]
        for place, count in enumerate(counts):
            parts: list[nn.Module] = [MaxPool(3, stride=2, padding=1)]
            if place:
                parts = [NormReLU(before), _plain(before, before // 2, 1), AveragePool(2, stride=2)]
                before //= 2
            parts += [DenseLayer(before + i * growth, growth) for i in range(count)]
            before += count * growth
            stages.append(Flow(*parts, *([NormReLU(before)] if place == len(counts) - 1 else [])))
            levels.append(Level(before, 4 * 2**place))
        super().__init__(inputs, stages, levels, reach=1 + 4 + 8 + 16)  # the three 2x2 averages drop what they do not fill
        kaiming(self)


def _plain(inputs: int, outputs: int, kernel: int) -> ConvNorm:
    return ConvNorm(inputs, outputs, kernel=kernel, norm="none", bias=False, activation=False)
