"""Feature pyramid network: Lin, Dollar, Girshick, He, Hariharan, Belongie, "Feature pyramid networks for object detection", CVPR 2017, figure 3."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Level, Neck
from saccade.nn.blocks import ConvNorm, Norm
from saccade.nn.necks.unet import checked_reach, extent_at
from saccade.ops.padding import clear, valid_extent

Extra = Literal["none", "pool", "convolutions"]


class FPN(Neck):
    """The maps of some strides made equally wide by 1x1 convolutions, each added to the one below it enlarged (nearest cell), and smoothed by a 3x3.

    strides: of the maps that are used, fine to coarse; of several maps with one stride the last. channels: of every answer.
    extra: coarser maps behind the last: "pool" takes every second cell once (Faster R-CNN), "convolutions" are two 3x3 of stride 2, the
    second behind a ReLU (RetinaNet, section 4), on the last answer. norm: none in the paper; training from scratch wants one.
    Raises ValueError where the backbone has no map of a stride, or strides that are no multiples of each other.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        strides: Sequence[int] = (4, 8, 16, 32),
        channels: int = 256,
        extra: Extra = "none",
        reach: int = 1,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        places = {level.stride: place for place, level in enumerate(levels) if place}
        if any(stride not in places for stride in strides) or any(b % a or b <= a for a, b in pairwise(strides)):
            raise ValueError(f"a pyramid of strides {tuple(strides)} needs maps of them, each a multiple of the one before; the backbone has {sorted(places)}")
        self.places, self.strides, self.reach, self.extra = [places[s] for s in strides], tuple(strides), checked_reach(reach, levels), extra
        self.inner = nn.ModuleList(ConvNorm(levels[p].channels, channels, kernel=1, norm=norm, activation=False) for p in self.places)
        self.outer = nn.ModuleList(ConvNorm(channels, channels, norm=norm, activation=False) for _ in self.places)
        count = {"none": 0, "pool": 0, "convolutions": 2}[extra]
        self.coarser = nn.ModuleList(ConvNorm(channels, channels, stride=2, norm=norm, activation=False) for _ in range(count))
        beyond = [strides[-1] * 2 ** (i + 1) for i in range(1 if extra == "pool" else count)]
        self.levels = (levels[0], *(Level(channels, stride) for stride in (*strides, *beyond)))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_uniform_(part.weight, a=1)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, features: Features) -> Features:
        whole = valid_extent(features.maps[0], features.sizes)
        extents = [extent_at(whole, stride, self.reach) for stride in self.strides]
        maps = [inner(features.maps[p], extent)[0] for inner, p, extent in zip(self.inner, self.places, extents, strict=True)]
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + clear(enlarged(maps[i + 1], self.strides[i + 1] // self.strides[i], maps[i].shape[-2:]), extents[i])
        found = [outer(x, extent)[0] for outer, x, extent in zip(self.outer, maps, extents, strict=True)]
        extent, last = extents[-1], found[-1]
        if self.extra == "pool":
            found.append(last[:, :, ::2, ::2])
        for place, step in enumerate(self.coarser):
            last, extent = step(F.relu(last) if place else last, extent)
            found.append(last)
        return Features([features.maps[0], *found], features.sizes)


def enlarged(x: Tensor, factor: int, size: Sequence[int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *size), cell i taken from cell i // factor; where the map ends too soon its last cell goes on."""
    y = F.interpolate(x, scale_factor=float(factor), mode="nearest")[..., : size[0], : size[1]]
    missing = (size[0] - y.shape[-2], size[1] - y.shape[-1])
    return F.pad(y, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else y


class Extend(Neck):
    """More maps behind the last: for each width a 1x1 convolution to half of it and a 3x3 of stride 2 (Liu et al., "SSD", ECCV 2016, figure 2)."""

    def __init__(self, levels: Sequence[Level], widths: Sequence[int], *, reach: int = 1, norm: Norm = "batch") -> None:
        super().__init__()
        self.reach, self.stride = checked_reach(reach, levels), levels[-1].stride
        before, own = levels[-1].channels, []
        steps: list[nn.Module] = []
        for i, width in enumerate(widths):
            steps.append(nn.ModuleList([ConvNorm(before, width // 2, kernel=1, norm=norm), ConvNorm(width // 2, width, stride=2, norm=norm)]))
            own.append(Level(width, self.stride * 2 ** (i + 1)))
            before = width
        self.steps, self.levels = nn.ModuleList(steps), (*levels, *own)

    def forward(self, features: Features) -> Features:
        extent = extent_at(valid_extent(features.maps[0], features.sizes), self.stride, self.reach)
        maps = list(features.maps)
        for step in self.steps:
            assert isinstance(step, nn.ModuleList)
            narrow, extent = step[0](maps[-1], extent)
            wide, extent = step[1](narrow, extent)
            maps.append(wide)
        return Features(maps, features.sizes)
