"""Convolutional networks along one axis (sequences: sound, text, skeletons) and three (volumes, clips): neighbourhood is all that a convolution needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import Norm, Valid
from saccade.ops.norms import normalise
from saccade.ops.padding import clear, through, valid_extent

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv3d]] = {1: nn.Conv1d, 3: nn.Conv3d}
NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm3d]] = {1: nn.BatchNorm1d, 3: nn.BatchNorm3d}


class AxesConv(nn.Module):
    """Convolution along 1 or 3 axes, normalisation, ReLU; padded so that stride 1 keeps the size, zeros beyond the extent kept zero."""

    def __init__(
        self, axes: int, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, norm: Norm = "batch", activation: bool = True
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = CONVOLUTIONS[axes](inputs, outputs, kernel, stride, padding, dilation, bias=norm == "none")
        groups = outputs // 8 if outputs % 8 == 0 else 1
        self.norm = NORMS[axes](outputs) if norm == "batch" else nn.GroupNorm(groups, outputs) if norm == "group" else nn.Identity()
        self.activation, self.geometry = activation, (dilation * (kernel - 1) + 1, stride, padding)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        x, extent = self.conv(x), through(extent, *self.geometry)
        x = normalise(self.norm, x, extent)
        return clear(F.relu(x) if self.activation else x, extent), extent


class AxesBlock(nn.Module):
    """relu(x + two convolutions of x), the first of which strides and dilates; a 1x1 on the way of x where the shape changes (He et al. 2016)."""

    def __init__(self, axes: int, inputs: int, outputs: int, *, kernel: int, stride: int, dilation: int, norm: Norm) -> None:
        super().__init__()
        self.first = AxesConv(axes, inputs, outputs, kernel=kernel, stride=stride, dilation=dilation, norm=norm)
        self.second = AxesConv(axes, outputs, outputs, kernel=kernel, dilation=dilation, norm=norm, activation=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else AxesConv(axes, inputs, outputs, kernel=1, stride=stride, norm=norm, activation=False)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        y, after = self.second(*self.first(x, extent))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x, extent)[0])), after


class AxesNet(Backbone):
    """One residual block for each width; each but the first halves every axis, or dilates twice as far instead where `dilated`.

    Maps: the input, then the output of each block. Padding changes nothing: what lies beyond a sample's size is neither seen nor normalised with.
    mean, std: one number a channel, of the data; zeros and ones unless given. kernel: odd, along every axis.
    """

    axes: int
    reach = 1

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int] = (32, 64, 128),
        kernel: int = 3,
        dilated: bool = False,
        norm: Norm = "batch",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__(Inputs(channels, (1, 1), tuple(mean or [0.0] * channels), tuple(std or [1.0] * channels)))
        if not widths or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"widths must name at least one block and kernel be odd, got {list(widths)} and {kernel}")
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(f"mean and std must have one number a channel ({channels}), got {len(self.mean)} and {len(self.std)}")
        blocks, levels, before = [], [Level(channels, 1)], channels
        for place, width in enumerate(widths):
            stride = 2 if place and not dilated else 1
            dilation = 2**place if dilated else 1
            blocks.append(AxesBlock(self.axes, before, width, kernel=kernel, stride=stride, dilation=dilation, norm=norm))
            levels.append(Level(width, levels[-1].stride * stride))
            before = width
        self.blocks, self.levels = nn.ModuleList(blocks), tuple(levels)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        if inputs.ndim != self.axes + 2 or sizes.shape != (len(inputs), self.axes):
            shape = "(N, C, T)" if self.axes == 1 else "(N, C, D, H, W)"
            raise ValueError(f"{type(self).__name__} takes {shape} and sizes (N, {self.axes}), got {tuple(inputs.shape)} and {tuple(sizes.shape)}")
        extent = valid_extent(inputs, sizes)
        x, maps = clear(self.normalise(inputs), extent), [inputs]
        for block in self.blocks:
            x, extent = block(x, extent)
            maps.append(x)
        return Features(maps, sizes)


class Conv1dNet(AxesNet):
    """(N, C, T) and sizes (N, 1): sequences. With `dilated` every map has a cell for each step, as taggers want, and a field that doubles from block to block.

    >>> import torch
    >>> Conv1dNet(4, widths=(8, 16))(torch.zeros(2, 4, 10), torch.tensor([[10], [7]])).maps[-1].shape
    torch.Size([2, 16, 5])
    """

    axes = 1


class Conv3dNet(AxesNet):
    """(N, C, D, H, W) and sizes (N, 3): volumes, and clips with time as the first axis."""

    axes = 3
