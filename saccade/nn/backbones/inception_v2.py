"""Inception-v2: Ioffe and Szegedy, "Batch normalization: accelerating deep network training", ICML 2015, the table of figure 5."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import AveragePool, Branches, ConvNorm, Flow, MaxPool, kaiming, scaled


class Row(NamedTuple):
    """Channels of a block: 1x1; 3x3 reduced, 3x3; double 3x3 reduced, double 3x3; behind the pooling. 0: the branch is not there, or passes through."""

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pooled: int


ROWS = {
    "3a": Row(64, (64, 64), (64, 96), 32), "3b": Row(64, (64, 96), (64, 96), 64), "3c": Row(0, (128, 160), (64, 96), 0),
    "4a": Row(224, (64, 96), (96, 128), 128), "4b": Row(192, (96, 128), (96, 128), 128), "4c": Row(160, (128, 160), (128, 160), 128),
    "4d": Row(96, (128, 192), (160, 192), 128), "4e": Row(0, (128, 192), (192, 256), 0),
    "5a": Row(352, (192, 320), (160, 224), 128), "5b": Row(352, (192, 320), (192, 224), 128),
}  # fmt: skip
LAST = "5b"  # its pooling is the maximum, all others' the average


class InceptionV2(Staged):
    """GoogLeNet with batch normalisation, its 5x5 as two 3x3, and two blocks (3c, 4e) that halve the map without a convolution before.

    The maps are those of the stem (strides 2 and 4), of 3a and 3b, of 3c to 4d, and of 4e to 5b.
    Deviations, those of the published weights: the first convolution is a plain 7x7 where the paper has a separable one; the figure
    gives 4c and 4d as 576 channels, which their branches (160 + 160 + 160 + 128 and 96 + 192 + 192 + 128) do not add up to, and 608 here.
    Poolings of stride 2 are padded by one, so that every layer keeps its size but for strides.
    """

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        stem, second = scaled(64, width), scaled(192, width)
        stages = [
            Flow(ConvNorm(inputs.channels, stem, kernel=7, stride=2)),
            Flow(MaxPool(3, stride=2, padding=1), ConvNorm(stem, stem, kernel=1), ConvNorm(stem, second)),
        ]
        levels, before = [Level(stem, 2), Level(second, 4)], second
        for names, stride in (("3a 3b", 8), ("3c 4a 4b 4c 4d", 16), ("4e 5a 5b", 32)):
            parts: list[nn.Module] = [MaxPool(3, stride=2, padding=1)] if stride == 8 else []
            for name in names.split():
                block, before = block_of(before, name, width)
                parts.append(block)
            stages.append(Flow(*parts))
            levels.append(Level(before, stride))
        super().__init__(inputs, stages, levels)
        kaiming(self)


def block_of(inputs: int, name: str, width: float) -> tuple[Branches, int]:
    """A block of the table by its name, and its channels."""
    row, stride = ROWS[name], 1 if ROWS[name].one else 2
    wide = [scaled(c, width) for c in (row.one, *row.three, *row.double, row.pooled)]
    one, three_reduced, three, double_reduced, double, pooled = wide
    branches: list[nn.Module] = [ConvNorm(inputs, one, kernel=1)] if row.one else []
    branches.append(Flow(ConvNorm(inputs, three_reduced, kernel=1), ConvNorm(three_reduced, three, stride=stride)))
    branches.append(Flow(ConvNorm(inputs, double_reduced, kernel=1), ConvNorm(double_reduced, double), ConvNorm(double, double, stride=stride)))
    if not row.one:
        return Branches(*branches, MaxPool(3, stride=2, padding=1)), three + double + inputs
    pool = MaxPool(3, stride=1, padding=1) if name == LAST else AveragePool(3, stride=1, padding=1)
    return Branches(*branches, Flow(pool, ConvNorm(inputs, pooled, kernel=1))), one + three + double + pooled
