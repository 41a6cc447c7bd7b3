"""Maps of several strides mixed top-down and then bottom-up, so that each knows of the whole image and of its details."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from saccade.core import Features, Level, Neck
from saccade.nn.backbones.csp import Bypass, smooth
from saccade.nn.blocks import Norm, kaiming
from saccade.ops.padding import cells, clear, valid_extent


class PathAggregation(Neck):
    """Liu et al., "Path aggregation network for instance segmentation", CVPR 2018, section 3.1, with concatenation instead of sums.

    levels: those of the backbone; of the maps of these `strides`, each twice the one before, the last of each is mixed and comes out `widths` wide; the
    input stays in front. Top-down, a map is doubled (nearest cell) and joined with the finer one by a `Bypass`; bottom-up, a strided 3x3
    convolution goes back. Raises ValueError for other strides, or where the backbone has no map of one.
    """

    def __init__(
        self, levels: Sequence[Level], *, strides: Sequence[int] = (8, 16, 32), widths: Sequence[int] = (64, 96, 128), blocks: int = 1, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        places = {level.stride: place for place, level in enumerate(levels) if place}
        if len(widths) != len(strides) or any(b != 2 * a for a, b in pairwise(strides)) or any(stride not in places for stride in strides):
            raise ValueError(
                f"{len(widths)} maps, each of twice the stride of the one before, are wanted of {tuple(strides)}; the backbone has {sorted(places)}"
            )
        self.places = [places[stride] for stride in strides]
        used = [levels[place] for place in self.places]
        self.levels = (levels[0], *(Level(width, level.stride) for width, level in zip(widths, used, strict=True)))
        count = len(widths)
        self.lateral = smooth(used[-1].channels, widths[-1], kernel=1, norm=norm)
        down = range(count - 2, -1, -1)
        self.narrow = nn.ModuleList(smooth(widths[i + 1], widths[i], kernel=1, norm=norm) for i in down)
        self.top_down = nn.ModuleList(Bypass(used[i].channels + widths[i], widths[i], blocks, residual=False, norm=norm) for i in down)
        self.stride = nn.ModuleList(smooth(width, width, stride=2, norm=norm) for width in widths[:-1])
        self.bottom_up = nn.ModuleList(Bypass(widths[i - 1] + widths[i], widths[i], blocks, residual=False, norm=norm) for i in range(1, count))
        kaiming(self)

    def forward(self, features: Features) -> Features:
        count = len(self.levels) - 1
        valid = valid_extent(features.maps[0], features.sizes)
        extents = [None if valid is None else cells(valid, level.stride) for level in self.levels[1:]]
        maps = [features.maps[place] for place in self.places]
        back = [self.lateral(maps[-1], extents[-1])[0]]  # coarse to fine: each is joined again on the way back
        for step, i in enumerate(range(count - 2, -1, -1)):
            doubled = F.interpolate(self.narrow[step](back[-1], extents[i + 1])[0], scale_factor=2, mode="nearest")
            h, w = maps[i].shape[-2:]
            back.append(self.top_down[step](torch.cat([clear(doubled[:, :, :h, :w], extents[i]), maps[i]], 1), extents[i])[0])
        found = [back.pop()]
        for i in range(1, count):
            down = self.stride[i - 1](found[-1], extents[i - 1])[0]
            found.append(self.bottom_up[i - 1](torch.cat([down, back.pop()], 1), extents[i])[0])
        return Features([features.maps[0], *found], features.sizes)
