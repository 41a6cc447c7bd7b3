"""GoogLeNet: Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import Branches, ConvNorm, Flow, MaxPool, Norm, kaiming, scaled

# channels of: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after the pooling
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
Fifth = Literal[3, 5]


class GoogLeNet(Staged):
    """Nine inception blocks; ten maps, so that the auxiliary classifiers and a pyramid find theirs: the stem's three, then groups 3, 4 and 5.

    norm: "batch" is that of the published weights (Ioffe and Szegedy 2015 added it), "none" the paper's. fifth: the kernel of the
    third branch, 5 in the paper and 3 in the published weights. The maps of stride 16 are given after 4a, 4d and 4e.
    Poolings count windows that the border cuts, as the published weights expect.
    """

    auxiliary = (4, 5)
    """The places of the maps after 4a and 4d, which the auxiliary classifiers look at."""

    def __init__(self, inputs: Inputs, *, norm: Norm = "batch", fifth: Fifth = 5, width: float = 1.0) -> None:
        convolution = partial(ConvNorm, norm=norm, eps=1e-3)
        stem, second = scaled(64, width), scaled(192, width)
        stages = [
            Flow(convolution(inputs.channels, stem, kernel=7, stride=2)),
            Flow(MaxPool(3, stride=2, ceil=True), convolution(stem, stem, kernel=1), convolution(stem, second)),
        ]
        levels, before = [Level(stem, 2), Level(second, 4)], second
        for names, stride, pool in (("3a 3b", 8, 3), ("4a", 16, 3), ("4b 4c 4d", 16, 0), ("4e", 16, 0), ("5a 5b", 32, 2)):
            parts: list[nn.Module] = [MaxPool(pool, stride=2, ceil=True)] if pool else []
            for name in names.split():
                channels = tuple(scaled(c, width) for c in INCEPTION[name])
                parts.append(inception(before, channels, convolution, fifth))
                before = channels[0] + channels[2] + channels[4] + channels[5]
            stages.append(Flow(*parts))
            levels.append(Level(before, stride))
        # a = k - 2p - (s - 1) of each layer: 7 - 6 = 1 of the stem, 3 - 1 = 2 of the poolings of 3, 2 - 1 = 1 of that of 2
        super().__init__(inputs, stages, levels, reach=1 + 2 + 4 + 8)
        kaiming(self)


def inception(inputs: int, channels: tuple[int, ...], convolution: partial[ConvNorm], fifth: Fifth) -> Branches:
    """1x1, 3x3, 5x5 and pooled, side by side, the larger ones after a 1x1 that reduces the channels (figure 2b)."""
    one, three_reduced, three, five_reduced, five, pooled = channels
    return Branches(
        convolution(inputs, one, kernel=1),
        Flow(convolution(inputs, three_reduced, kernel=1), convolution(three_reduced, three)),
        Flow(convolution(inputs, five_reduced, kernel=1), convolution(five_reduced, five, kernel=fifth)),
        Flow(MaxPool(3, stride=1, padding=1), convolution(inputs, pooled, kernel=1)),
    )
