"""A backbone that is a chain of stages, each giving one map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import Flow
from saccade.ops.padding import clear, valid_extent


class Staged(Backbone):
    """Normalise, then one stage after another; maps[0] is the input, maps[i] the output of stage i.

    `reach` is that of the last map (see `ops.padding.cells`): 1 for all networks whose layers keep their size but for strides.
    """

    def __init__(self, inputs: Inputs, stages: Sequence[Flow], levels: Sequence[Level], *, reach: int = 1) -> None:
        super().__init__(inputs)
        if len(levels) != len(stages):
            raise ValueError(f"each stage declares its level, got {len(stages)} stages and {len(levels)} levels")
        self.stages = nn.ModuleList(stages)
        self.levels, self.reach = (Level(inputs.channels, 1), *levels), reach

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x, maps = clear(self.normalise(inputs), extent), [inputs]
        for stage in self.stages:
            x, extent = stage(x, extent)
            maps.append(x)
        return Features(maps, sizes)
