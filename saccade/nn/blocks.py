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
from saccade.ops.padding import Pair, both, clear, through
from saccade.ops.pooling import max_pool

Norm = Literal["batch", "group", "none"]
ShortcutKind = Literal["projection", "zero_pad", "none"]
Valid = tuple[Tensor, Tensor | None]


def make_norm(kind: Norm, channels: int, eps: float = 1e-5) -> nn.Module:
    """Batch normalisation, group normalisation with 8 channels a group (1 group below 8), or the identity."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps)
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


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """channels x width, at least one, rounded to a multiple.

    >>> scaled(64, 1.0), scaled(64, 0.3), scaled(3, 0.1)
    (64, 19, 1)
    """
    return max(multiple, round(channels * width / multiple) * multiple)


class Flow(nn.Sequential):
    """Parts one after another, the extent handed on with the map."""

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:  # type: ignore[override]
        for part in self:
            x, extent = part(x, extent)
        return x, extent


class ConvNorm(nn.Module):
    """Convolution, normalisation, activation. Padding keeps the size at stride 1 unless given; a bias only without norm unless asked for.

    eps: of a batch normalisation. kernel and padding may be (h, w).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: Pair = 3,
        stride: int = 1,
        padding: Pair | None = None,
        groups: int = 1,
        bias: bool | None = None,
        norm: Norm = "batch",
        eps: float = 1e-5,
        activation: bool | nn.Module = True,
    ) -> None:
        super().__init__()
        if padding is None:
            padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=norm == "none" if bias is None else bias)
        self.norm = make_norm(norm, outputs, eps)
        self.activation = activation if isinstance(activation, nn.Module) else nn.ReLU(inplace=True) if activation else nn.Identity()
        self.geometry: tuple[Pair, int, Pair] = (kernel, stride, padding)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        x, extent = self.conv(x), through(extent, *self.geometry)
        return clear(self.activation(normalise(self.norm, x, extent)), extent), extent

    def atrous(self, rate: int, keep: bool) -> int:
        """See `atrous`."""
        (kh, kw), (ph, pw), stride = both(self.conv.kernel_size), both(self.conv.padding), self.conv.stride[0]  # type: ignore[arg-type]
        self.conv.dilation, self.conv.padding = (rate, rate), (rate * ph, rate * pw)
        if not keep:
            self.conv.stride = (1, 1)
        self.geometry = ((rate * (kh - 1) + 1, rate * (kw - 1) + 1), stride if keep else 1, (rate * ph, rate * pw))
        return rate if keep else rate * stride


class MaxPool(nn.Module):
    """Max pooling over valid cells. ceil: a window that the border cuts counts too."""

    def __init__(self, kernel: int, *, stride: int, padding: int = 0, ceil: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.ceil, self.rate = kernel, stride, padding, ceil, 1

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return max_pool(x, self.kernel, stride=self.stride, padding=self.padding, extent=extent, ceil=self.ceil, dilation=self.rate)

    def atrous(self, rate: int, keep: bool) -> int:
        """See `atrous`. Raises ValueError for a window that the border may cut, where no dilation gives the same cells."""
        if self.ceil and not keep:
            raise ValueError("a pooling that counts windows cut by the border has no dilated form")
        self.rate, self.padding = rate, rate * self.padding
        rate = rate if keep else rate * self.stride
        self.stride = self.stride if keep else 1
        return rate


class AveragePool(nn.Module):
    """The mean of each window; what lies outside of the map or beyond its extent counts as zero (that of the published Inception nets)."""

    def __init__(self, kernel: int, *, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.rate = kernel, stride, padding, 1

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        after = through(extent, self.rate * (self.kernel - 1) + 1, self.stride, self.padding)
        if self.rate == 1:
            return clear(F.avg_pool2d(x, self.kernel, self.stride, self.padding), after), after
        window = x.new_full((x.shape[1], 1, self.kernel, self.kernel), 1 / self.kernel**2)
        return clear(F.conv2d(x, window, None, self.stride, self.padding, self.rate, x.shape[1]), after), after

    def atrous(self, rate: int, keep: bool) -> int:
        """See `atrous`."""
        self.rate, self.padding = rate, rate * self.padding
        rate = rate if keep else rate * self.stride
        self.stride = self.stride if keep else 1
        return rate


class NormReLU(nn.Module):
    """Normalisation and ReLU before a convolution (He et al. 2016b; DenseNet)."""

    def __init__(self, channels: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.norm = make_norm(norm, channels)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return clear(F.relu(normalise(self.norm, x, extent)), extent), extent


class Branches(nn.Module):
    """Several ways from the same map to maps of the same size, side by side along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        done = [branch(x, extent) for branch in self.branches]
        return torch.cat([y for y, _ in done], 1), done[0][1]


def atrous(module: nn.Module, rate: int, keep: bool) -> int:
    """Dilates a part of a network by `rate`, in place, and returns the rate for what follows.

    keep: strides stay; else every stride s becomes 1 and the rate s times as large, so that each s-th cell of the new map is a
    cell of the old one, with the same weights (Holschneider et al. 1989; Chen et al. 2015, "DeepLab", section 3.1).
    """
    own = getattr(module, "atrous", None)
    if own is not None:
        after: int = own(rate, keep)
        return after
    rates = {atrous(part, rate, keep) for part in module.branches} if isinstance(module, Branches) else set()
    if isinstance(module, ResidualBlock):
        ways = [module.residual] + ([module.shortcut] if module.shortcut is not None else [])
        rates = {atrous(way, rate, keep) for way in ways}
    if rates:
        if len(rates) > 1:
            raise ValueError(f"the branches of a block stride differently: {sorted(rates)}")
        return rates.pop()
    for part in module.children():
        rate = atrous(part, rate, keep)
    return rate


class ZeroPadShortcut(nn.Module):
    """Option A of He et al. 2016: every stride-th cell, and zeros for the channels that the input does not have."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = outputs - inputs, stride

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra)), through(extent, 1, self.stride, 0)

    def atrous(self, rate: int, keep: bool) -> int:
        """See `atrous`."""
        rate = rate if keep else rate * self.stride
        self.stride = self.stride if keep else 1
        return rate


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
    set of weights of the field's libraries is of this form ("ResNet v1.5"). groups of the 3x3 and inner, a factor of its
    channels, make ResNeXt (Xie et al. 2017) and wide nets (Zagoruyko and Komodakis 2016).
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        *,
        stride: int = 1,
        norm: Norm = "batch",
        shortcut: ShortcutKind = "projection",
        groups: int = 1,
        inner: float = 1.0,
    ) -> None:
        outputs, middle = width * self.expansion, scaled(width, inner, groups)
        residual = Flow(
            ConvNorm(inputs, middle, kernel=1, norm=norm),
            ConvNorm(middle, middle, stride=stride, groups=groups, norm=norm),
            ConvNorm(middle, outputs, kernel=1, norm=norm, activation=False),
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
