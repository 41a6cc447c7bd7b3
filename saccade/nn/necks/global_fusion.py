"""What a whole picture is about, told to every place of its coarsest map: Iizuka, Simo-Serra, Ishikawa, "Let there be color!", SIGGRAPH 2016."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from saccade.core import Features, Level, Neck
from saccade.nn.blocks import ConvNorm, Norm, kaiming
from saccade.ops.padding import cells, valid_extent
from saccade.ops.pooling import global_average


class GlobalFusion(Neck):
    """The last map's mean through two layers, beside each of its cells, and a 1x1 convolution of both back to the map's channels (eq. 1 there).

    levels: the pyramid's, whose other maps pass unchanged. width: of the global features. Deviation: the global branch is the mean of the last map and
    two dense layers, not four more strided convolutions and a fixed input size, so that pictures of any size have one.
    """

    def __init__(self, levels: Sequence[Level], *, width: int = 128, norm: Norm = "batch") -> None:
        super().__init__()
        last = levels[-1]
        self.levels, self.stride = tuple(levels), last.stride
        self.dense = nn.Sequential(nn.Linear(last.channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.fusion = ConvNorm(last.channels + width, last.channels, kernel=1, norm=norm)
        kaiming(self.fusion)

    def forward(self, features: Features) -> Features:
        last = features.maps[-1]
        whole = valid_extent(features.maps[0], features.sizes)
        extent = None if whole is None else cells(whole, self.stride)
        about: Tensor = self.dense(global_average(last, extent))
        joined = torch.cat([last, about[:, :, None, None].expand(-1, -1, *last.shape[2:])], 1)
        fused, _ = self.fusion(joined, extent)
        return Features([*features.maps[:-1], fused], features.sizes)
