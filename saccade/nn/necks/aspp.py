"""Atrous spatial pyramid pooling: Chen, Papandreou, Schroff, Adam, "Rethinking atrous convolution", 2017 (DeepLabv3), section 3.3."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from saccade.core import Features, Level, Neck
from saccade.nn.blocks import ConvNorm, Norm, kaiming
from saccade.nn.necks.unet import checked_reach, extent_at
from saccade.ops.padding import clear, valid_extent
from saccade.ops.pooling import global_average


class ASPP(Neck):
    """The last map through a 1x1 convolution, 3x3 convolutions of several dilations, and its mean, side by side, joined by a 1x1 convolution.

    The other maps stay as they are. rates: in cells of the last map; (12, 24, 36) for stride 8, half of it for stride 16. channels: of every way
    and of the answer. image: whether the mean over the image is one of the ways. norm "group" suits batches of one, of whose mean
    batch normalisation has no variance.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        rates: Sequence[int] = (12, 24, 36),
        channels: int = 256,
        dropout: float = 0.5,
        image: bool = True,
        reach: int = 1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if any(rate < 1 for rate in rates):
            raise ValueError(f"rates must be at least 1, got {tuple(rates)}")
        self.reach, self.stride, width = checked_reach(reach, levels), levels[-1].stride, levels[-1].channels
        ways = [ConvNorm(width, channels, kernel=1, norm=norm), *(ConvNorm(width, channels, norm=norm) for _ in rates)]
        for way, rate in zip(ways[1:], rates, strict=True):
            way.atrous(rate, keep=True)
        self.ways = nn.ModuleList(ways)
        self.image = ConvNorm(width, channels, kernel=1, norm=norm) if image else None
        self.project = ConvNorm(channels * (len(ways) + image), channels, kernel=1, norm=norm)
        self.dropout = nn.Dropout(dropout)
        self.levels = (*levels[:-1], Level(channels, self.stride))
        kaiming(self)

    def forward(self, features: Features) -> Features:
        x, extent = features.maps[-1], extent_at(valid_extent(features.maps[0], features.sizes), self.stride, self.reach)
        found = [way(x, extent)[0] for way in self.ways]
        if self.image is not None:
            mean, _ = self.image(global_average(x, extent)[:, :, None, None], None)
            found.append(clear(mean.expand(-1, -1, *x.shape[2:]), extent))
        y, _ = self.project(torch.cat(found, 1), extent)
        return Features([*features.maps[:-1], self.dropout(y)], features.sizes)
