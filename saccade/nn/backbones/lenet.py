"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (11), 1998."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import AveragePool, ConvNorm, Flow, MaxPool, ScaledTanh, Valid
from saccade.ops.padding import clear, through
from saccade.ops.pooling import subsample

Subsampling = Literal["average", "trainable", "max"]
Connections = Literal["full", "table"]
FIELD = 32  # input pixels behind one cell of C5

# Table I: the maps of S2 that each map of C3 looks at
TABLE = (
    *[tuple(sorted((i + j) % 6 for j in range(3))) for i in range(6)],  # three in a row
    *[tuple(sorted((i + j) % 6 for j in range(4))) for i in range(6)],  # four in a row
    *[tuple(sorted((i + j) % 6 for j in (0, 1, 3, 4))) for i in range(3)],  # four, with gaps
    tuple(range(6)),
)


class TableConvolution(nn.Module):
    """C3: a 5x5 convolution from 6 maps to 16 in which only the pairs of Table I are connected: 60 kernels, 1,516 parameters."""

    def __init__(self) -> None:
        super().__init__()
        pairs = torch.tensor([(output, source) for output, sources in enumerate(TABLE) for source in sources])
        self.pairs: Tensor
        self.register_buffer("pairs", pairs, persistent=False)
        self.weight, self.bias = nn.Parameter(torch.empty(len(pairs), 5, 5)), nn.Parameter(torch.empty(len(TABLE)))

    def dense(self) -> Tensor:
        """(16, 6, 5, 5): the kernels in their places, zeros elsewhere."""
        return self.weight.new_zeros(len(TABLE), 6, 5, 5).index_put((self.pairs[:, 0], self.pairs[:, 1]), self.weight)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        extent = through(extent, 5, 1, 0)
        return clear(1.7159 * torch.tanh(F.conv2d(x, self.dense(), self.bias) * (2 / 3)), extent), extent


class Subsampling2(nn.Module):
    """S2 and S4 of the paper: 2x2 sums times a trainable coefficient plus a trainable bias, squashed; two parameters a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient, self.bias = nn.Parameter(torch.full((channels,), 0.25)), nn.Parameter(torch.zeros(channels))
        self.squash = ScaledTanh()

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        extent = through(extent, 2, 2, 0)
        return clear(self.squash(subsample(x, self.coefficient, self.bias)), extent), extent


def make_subsampling(kind: Subsampling, channels: int) -> nn.Module:
    """S2 or S4: the paper's "trainable", or a plain "average" or "max" of the (already squashed) 2x2 tile."""
    return Subsampling2(channels) if kind == "trainable" else AveragePool(2, stride=2) if kind == "average" else MaxPool(2, stride=2)


def fan_in_uniform(module: nn.Module) -> None:
    """Kernels uniform in +-2.4 / fan-in, as in the paper (appendix A), and biases 0; a Table I map's fan-in is that of its own connections."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            bound = 2.4 / part.weight[0].numel()
            nn.init.uniform_(part.weight, -bound, bound)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, TableConvolution):
            with torch.no_grad():
                fan_in = torch.tensor([25 * len(sources) for sources in TABLE for _ in sources])
                part.weight.uniform_(-2.4, 2.4).div_(fan_in[:, None, None])
            nn.init.zeros_(part.bias)


class LeNet5(Staged):
    """C1, S2, C3, S4, C5 and F6, all squashed by 1.7159 tanh(2x/3); F6 is the last map, a 1x1 convolution.

    The paper's input is 32x32, a digit of at most 20x20 in the middle of 28x28. Inputs of 28 to 31 px are padded by 2 in C1,
    which is the same field; larger inputs give a map of several cells, as the paper's own space-displacement network.
    Raises ValueError for inputs below 28 px.
    """

    def __init__(self, inputs: Inputs, *, subsampling: Subsampling = "average", connections: Connections = "full") -> None:
        if min(inputs.size) < FIELD - 4:
            raise ValueError(f"LeNet-5 needs inputs of at least 28x28 px, got {inputs.size[0]}x{inputs.size[1]}")
        padding = 2 if min(inputs.size) < FIELD else 0
        stages = [
            Flow(_squashed(inputs.channels, 6, 5, padding)),  # C1
            Flow(make_subsampling(subsampling, 6)),  # S2
            Flow(TableConvolution() if connections == "table" else _squashed(6, 16, 5)),  # C3
            Flow(make_subsampling(subsampling, 16)),  # S4
            Flow(_squashed(16, 120, 5), _squashed(120, 84, 1)),  # C5, F6
        ]
        levels = [Level(6, 1), Level(6, 2), Level(16, 2), Level(16, 4), Level(84, 4)]
        super().__init__(inputs, stages, levels, reach=FIELD - 2 * padding)
        fan_in_uniform(self)


def _squashed(inputs: int, outputs: int, kernel: int, padding: int = 0) -> ConvNorm:
    return ConvNorm(inputs, outputs, kernel=kernel, padding=padding, norm="none", activation=ScaledTanh())
