"""The backbone of SSD300: Liu et al., "SSD: single shot multibox detector", ECCV 2016, figure 2 and section 3, over VGG-16."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Inputs, Level, Neck
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.vgg import DEPTHS, WIDTHS
from saccade.nn.blocks import ConvNorm, Flow, MaxPool, kaiming, scaled


class SSDVGG(Staged):
    """VGG-16 to conv5_3 with a pooling of stride 1 behind it, fc6 and fc7 as convolutions (3x3 dilated by 6, and 1x1), then four more steps: maps of
    38, 19, 10, 5, 3 and 1 cells a side of 300 pixels, behind those of the first three groups.

    norm: none in the paper. Takes inputs of one size only, because the last two convolutions do not pad.
    """

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        w, counts = [scaled(channels, width) for channels in WIDTHS], DEPTHS[16]
        conv = _plain
        groups = [[conv(inputs.channels if (g, i) == (0, 0) else w[g] if i else w[g - 1], w[g]) for i in range(counts[g])] for g in range(5)]
        stages = [Flow(*groups[0])]
        stages += [Flow(MaxPool(2, stride=2, ceil=g == 3), *groups[g]) for g in (1, 2, 3)]
        dense = scaled(1024, width)
        fc6 = conv(w[4], dense, padding=6)
        fc6.conv.dilation, fc6.geometry = (6, 6), (13, 1, 6)
        stages.append(Flow(MaxPool(2, stride=2, ceil=False), *groups[4], MaxPool(3, stride=1, padding=1), fc6, conv(dense, dense, kernel=1)))
        levels = [Level(w[0], 1), Level(w[1], 2), Level(w[2], 4), Level(w[3], 8), Level(dense, 16)]
        before = dense
        for narrow, wide, stride, padding in ((256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 1, 0), (128, 256, 1, 0)):
            a, b = scaled(narrow, width), scaled(wide, width)
            stages.append(Flow(conv(before, a, kernel=1), conv(a, b, stride=stride, padding=padding)))
            levels.append(Level(b, levels[-1].stride * stride))
            before = b
        super().__init__(inputs, stages, levels)
        kaiming(self)


def _plain(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, padding: int | None = None) -> ConvNorm:
    return ConvNorm(inputs, outputs, kernel=kernel, stride=stride, padding=padding, norm="none")


class UnitLength(Neck):
    """One map's cells as unit vectors times a learnt factor for each channel, 20 at the start (Liu, Rabinovich, Berg, "ParseNet", 2015, section 3.3).

    place: of that map; those before it but the input are left out.
    """

    def __init__(self, levels: tuple[Level, ...], place: int) -> None:
        super().__init__()
        self.place, self.levels = place, (levels[0], *levels[place:])
        self.scale = nn.Parameter(torch.full((levels[place].channels,), 20.0))

    def forward(self, features: Features) -> Features:
        first: Tensor = self.scale.view(-1, 1, 1) * F.normalize(features.maps[self.place].float())
        return Features([features.maps[0], first, *features.maps[self.place + 1 :]], features.sizes)
