"""The parts of convolutional networks. Every one maps (x, extent) to (x, extent) and keeps maps zero beyond their extent.

extent: the valid (h, w) of each sample's map, (N, 2), or None when nothing is padded; see `saccade.ops.padding`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.ops.norms import normalise
from saccade.ops.padding import clear, through
from saccade.ops.pooling import max_pool

Norm = Literal["batch", "group", "none"]
ShortcutKind = Literal["projection", "zero_pad", "none"]
Valid = tuple[Tensor, Tensor | None]


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """Batch normalisation, group normalisation with 8 channels a group (1 group below 8), or the identity."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)
    return nn.Identity()


def kaiming(module: nn.Module) -> None:
    """Kernels normal with variance 2 / fan_out (He et al. 2015, eq. 14), biases 0; normalisation starts as the identity."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class Flow(nn.Sequential):
    """Parts one after another, the extent handed on with the map."""

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:  # type: ignore[override]
        for part in self:
            x, extent = part(x, extent)
        return x, extent


class ConvNorm(nn.Module):
    """Convolution, normalisation, activation. Padding keeps the size at stride 1 unless given; a bias only without norm."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        padding: int | None = None,
        norm: Norm = "batch",
        activation: bool | nn.Module = True,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=norm == "none")
        self.norm = make_norm(norm, outputs)
        self.activation = activation if isinstance(activation, nn.Module) else nn.ReLU(inplace=True) if activation else nn.Identity()
        self.geometry = (kernel, stride, padding)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        x, extent = self.conv(x), through(extent, *self.geometry)
        return clear(self.activation(normalise(self.norm, x, extent)), extent), extent


class MaxPool(nn.Module):
    """Max pooling over valid cells."""

    def __init__(self, kernel: int, *, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return max_pool(x, self.kernel, stride=self.stride, padding=self.padding, extent=extent)


class ZeroPadShortcut(nn.Module):
    """Option A of He et al. 2016: every stride-th cell, and zeros for the channels that the input does not have."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra)), through(extent, 1, self.stride, 0)


def make_shortcut(kind: ShortcutKind, inputs: int, outputs: int, *, stride: int, norm: Norm) -> nn.Module | None:
    """What is added to a block's output: its input (an empty Flow), made to fit where the shape changes; None in a plain net."""
    if kind == "none":
        return None
    if stride == 1 and inputs == outputs:
        return Flow()
    if kind == "zero_pad":
        return ZeroPadShortcut(inputs, outputs, stride)
    return ConvNorm(inputs, outputs, kernel=1, stride=stride, norm=norm, activation=False)


class ResidualBlock(nn.Module):
    """relu(residual(x) + shortcut(x)); without a shortcut, relu(residual(x)): a block of a plain net."""

    expansion = 1

    def __init__(self, residual: Flow, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        y, after = self.residual(x, extent)
        return F.relu(y if self.shortcut is None else y + self.shortcut(x, extent)[0], inplace=True), after

    def zero_last(self) -> None:
        """Starts the residual at nought, so that the block begins as its shortcut: the scale of the last norm, or the last kernel."""
        last = self.residual[-1]
        assert isinstance(last, ConvNorm)
        for start in last.conv.parameters() if isinstance(last.norm, nn.Identity) else [last.norm.weight]:
            assert isinstance(start, Tensor)
            nn.init.zeros_(start)


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut. He et al. 2016, figure 5 left; the first one strides."""

    def __init__(self, inputs: int, width: int, *, stride: int = 1, norm: Norm = "batch", shortcut: ShortcutKind = "projection") -> None:
        residual = Flow(ConvNorm(inputs, width, stride=stride, norm=norm), ConvNorm(width, width, norm=norm, activation=False))
        super().__init__(residual, make_shortcut(shortcut, inputs, width, stride=stride, norm=norm))


class Bottleneck(ResidualBlock):
    """1x1 down, 3x3, 1x1 up to four times the width, and a shortcut. He et al. 2016, figure 5 right.

    Deviation: the 3x3 strides, not the first 1x1, which would throw three quarters of its input away; every published
    set of weights of the field's libraries is of this form ("ResNet v1.5").
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int = 1, norm: Norm = "batch", shortcut: ShortcutKind = "projection") -> None:
        outputs = width * self.expansion
        residual = Flow(
            ConvNorm(inputs, width, kernel=1, norm=norm),
            ConvNorm(width, width, stride=stride, norm=norm),
            ConvNorm(width, outputs, kernel=1, norm=norm, activation=False),
        )
        super().__init__(residual, make_shortcut(shortcut, inputs, outputs, stride=stride, norm=norm))


def make_stage(block: Callable[..., ResidualBlock], inputs: int, width: int, count: int, *, stride: int, **options: Any) -> list[nn.Module]:
    """`count` blocks of one width, the first of which strides. options: norm and shortcut of the block."""
    expansion: int = getattr(block, "expansion", 1)
    return [block(inputs if i == 0 else width * expansion, width, stride=stride if i == 0 else 1, **options) for i in range(count)]


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3): f(1) = 1, f(-1) = -1, where its second derivative is largest. LeCun et al. 1998, eq. 6 and appendix A.

    >>> round(float(ScaledTanh()(torch.tensor(1.0))), 4)
    1.0
    """

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))
