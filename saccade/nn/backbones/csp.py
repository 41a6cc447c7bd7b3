"""A cross-stage partial network for detection: half of each stage's channels go through its blocks, the other half goes around them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, MaxPool, Norm, Valid, kaiming


def smooth(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, norm: Norm = "batch") -> ConvNorm:
    """Convolution, normalisation, and x sigmoid(x) (Elfwing et al. 2018, "SiLU")."""
    return ConvNorm(inputs, outputs, kernel=kernel, stride=stride, norm=norm, activation=nn.SiLU(inplace=True))


class Bypass(nn.Module):
    """Two 1x1 convolutions halve the channels, one half goes through `count` residual pairs of 3x3 convolutions, and a 1x1 joins them.

    Wang et al., "CSPNet", CVPR workshops 2020, figure 3 (b). The two halves are two convolutions and not one that is cut, because a cut along the
    channels is a copy in the memory order that processors are fastest in. residual: add a pair's input to its output.
    """

    def __init__(self, inputs: int, outputs: int, count: int, *, residual: bool = True, norm: Norm = "batch") -> None:
        super().__init__()
        half, self.residual = outputs // 2, residual
        self.through = smooth(inputs, half, kernel=1, norm=norm)
        self.around = smooth(inputs, outputs - half, kernel=1, norm=norm)
        self.pairs = nn.ModuleList(Flow(smooth(half, half, norm=norm), smooth(half, half, norm=norm)) for _ in range(count))
        self.join = smooth(outputs, outputs, kernel=1, norm=norm)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        y = self.through(x, extent)[0]
        for pair in self.pairs:
            z = pair(y, extent)[0]
            y = y + z if self.residual else z
        joined: Valid = self.join(torch.cat([y, self.around(x, extent)[0]], 1), extent)
        return joined


class PooledContext(nn.Module):
    """Maxima over growing windows side by side with the map itself, by one 5x5 window used three times (He et al. 2015, "SPP-net", without its grid)."""

    def __init__(self, channels: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.narrow = smooth(channels, channels // 2, kernel=1, norm=norm)
        self.pool = MaxPool(5, stride=1, padding=2)
        self.widen = smooth(4 * (channels // 2), channels, kernel=1, norm=norm)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        parts = [self.narrow(x, extent)[0]]
        for _ in range(3):
            parts.append(self.pool(parts[-1], extent)[0])
        widened: Valid = self.widen(torch.cat(parts, 1), extent)
        return widened


class CSP(Staged):
    """A stem of stride 2, then stages of stride 4, 8, 16 and 32: a 3x3 convolution that strides and a `Bypass`; pooled context behind the last one.

    widths: of the stem and of the four stages. blocks: pairs of 3x3 convolutions in each stage.

    >>> CSP(Inputs(3, (320, 320), (0.5,) * 3, (0.25,) * 3)).levels[-1]
    Level(channels=192, stride=32)
    """

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (16, 32, 64, 128, 192), blocks: Sequence[int] = (1, 1, 2, 1), norm: Norm = "batch") -> None:
        if len(widths) != len(blocks) + 1:
            raise ValueError(f"widths must be one more than blocks, for the stem, got {len(widths)} and {len(blocks)}")
        stages = [Flow(smooth(inputs.channels, widths[0], stride=2, norm=norm))]
        levels = [Level(widths[0], 2)]
        for before, width, count in zip(widths, widths[1:], blocks, strict=False):
            stages.append(Flow(smooth(before, width, stride=2, norm=norm), Bypass(width, width, count, norm=norm)))
            levels.append(Level(width, 2 * levels[-1].stride))
        stages[-1].append(PooledContext(widths[-1], norm))
        super().__init__(inputs, stages, levels)
        kaiming(self)
