"""The expanding path of U-Net over any backbone: Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, figure 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.core import Features, Level, Neck
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.ops.padding import cells, clear, valid_extent
from saccade.ops.upsampling import sub_pixel, sub_pixel_kernel, upsample

Up = Literal["bilinear", "nearest", "transposed", "sub_pixel"]


class Enlarge(nn.Module):
    """(N, C_in, h, w) -> (N, C_out, H, W) of a stride `factor` times as fine, by a way of upsampling. Interpolations keep the channels.

    transposed: kernel and stride are the factor, as in the paper (2x2), so that no output is reached twice. sub_pixel: a 1x1 convolution to f^2
    times the channels, which starts as nearest-neighbour interpolation of its answer.
    """

    def __init__(self, inputs: int, outputs: int, factor: int, kind: Up) -> None:
        super().__init__()
        if kind not in ("bilinear", "nearest", "transposed", "sub_pixel"):
            raise ValueError(f"upsampling must be bilinear, nearest, transposed or sub_pixel, got {kind!r}")
        self.factor, self.kind = factor, kind
        self.outputs = inputs if kind in ("bilinear", "nearest") else outputs
        self.layer: nn.Module = nn.Identity()
        if kind == "transposed":
            self.layer = nn.ConvTranspose2d(inputs, outputs, factor, factor)
        elif kind == "sub_pixel":
            self.layer = nn.Conv2d(inputs, outputs * factor**2, 1)
            with torch.no_grad():
                self.layer.weight.copy_(sub_pixel_kernel(self.layer.weight[:: factor**2], factor))

    def forward(self, x: Tensor, size: Sequence[int], extent: Tensor | None, after: Tensor | None) -> Tensor:
        """size (H, W) of the answer; extent of x, after: of the answer."""
        if self.kind in ("bilinear", "nearest"):
            return clear(upsample(x, self.factor, self.kind, size=size, extent=extent), after)  # type: ignore[arg-type]
        missing = [max(0, -(-whole // self.factor) - side) for whole, side in zip(size, x.shape[2:], strict=True)]
        x = nn.functional.pad(x, (0, missing[1], 0, missing[0])) if any(missing) else x
        x = self.layer(x) if self.kind == "transposed" else sub_pixel(self.layer(x), self.factor)
        return clear(x[..., : size[0], : size[1]], after)


class UNetDecoder(Neck):
    """From the coarsest map up: enlarge, put the finer map beside it, two 3x3 convolutions. Gives a map at every stride, fine to coarse.

    levels: the backbone's; of maps of the same stride the last one is used. reach: 1, or what the backbone's last map has, its stride (see
    `ops.padding.cells`). widths: channels of the answers, fine to coarse; without, those of the backbone's own maps. full: where the finest
    map is coarser than the input, one more step with the input itself. finest: stride at which the path ends. Deviations: see `nn.backbones.unet`.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        reach: int = 1,
        widths: Sequence[int] | None = None,
        norm: Norm = "batch",
        upsampling: Up = "bilinear",
        full: bool = False,
        finest: int = 1,
    ) -> None:
        super().__init__()
        places = {level.stride: place for place, level in enumerate(levels) if place}
        if full and 1 not in places:
            places[1] = 0
        strides = sorted(stride for stride in places if stride >= finest)
        if any(b % a for a, b in pairwise(strides)) or len(strides) < 2:
            raise ValueError(f"a U-Net needs maps of two strides at least, each a multiple of the one before, got {strides}")
        self.reach = checked_reach(reach, levels)
        self.places, self.strides = tuple(places[s] for s in strides), tuple(strides)
        wide = [levels[place].channels for place in self.places[:-1]] if widths is None else list(widths)
        if len(wide) != len(strides) - 1:
            raise ValueError(f"widths must be one for each of the strides {strides[:-1]}, got {len(wide)}")
        ups, blocks, before = [], [], levels[self.places[-1]].channels
        for place in reversed(range(len(wide))):
            up = Enlarge(before, wide[place], strides[place + 1] // strides[place], upsampling)
            joined = up.outputs + levels[self.places[place]].channels
            ups.append(up)
            blocks.append(Flow(ConvNorm(joined, wide[place], norm=norm), ConvNorm(wide[place], wide[place], norm=norm)))
            before = wide[place]
        self.ups, self.blocks = nn.ModuleList(ups), nn.ModuleList(blocks)
        last = levels[self.places[-1]]
        self.levels = (levels[0], *(Level(w, s) for w, s in zip(wide, strides, strict=False)), Level(last.channels, last.stride))
        kaiming(self.blocks)

    def forward(self, features: Features) -> Features:
        whole = valid_extent(features.maps[0], features.sizes)
        extents = [extent_at(whole, stride, self.reach) for stride in self.strides]
        found = [features.maps[self.places[-1]]]
        for step, (up, block) in enumerate(zip(self.ups, self.blocks, strict=True)):
            place = len(self.strides) - 2 - step
            skip = features.maps[self.places[place]]
            if self.places[place] == 0:
                skip = clear(skip, whole)
            x = up(found[0], skip.shape[2:], extents[place + 1], extents[place])
            x, _ = block(torch.cat([x, skip.to(x.dtype)], 1), extents[place])
            found.insert(0, x)
        return Features([features.maps[0], *found], features.sizes)


def checked_reach(reach: int, levels: Sequence[Level]) -> int:
    """Raises ValueError unless the reach is 1 or the stride of the last map: those of the maps between are known then."""
    if reach not in (1, levels[-1].stride):
        raise ValueError(f"a backbone whose layers shrink their maps (reach {reach}) has no map that fits to the pixels")
    return reach


def extent_at(whole: Tensor | None, stride: int, reach: int) -> Tensor | None:
    """The extent of the map of a stride: every stride rounds up where the reach is 1, else down."""
    return None if whole is None else cells(whole, stride, 1 if reach == 1 else stride)
