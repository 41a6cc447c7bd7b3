"""A backbone that is a chain of stages, each giving one map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import Flow, atrous
from saccade.ops.padding import clear, valid_extent


class Staged(Backbone):
    """Normalise, then one stage after another; maps[0] is the input, maps[i] the output of stage i.

    `reach` is that of the last map (see `ops.padding.cells`): 1 for all networks whose layers keep their size but for strides.
    """

    checkpointing: bool = False
    """Keep only the stages' outputs while training and compute the rest again for the gradient (Chen et al. 2016): memory for one more pass forward."""

    def __init__(self, inputs: Inputs, stages: Sequence[Flow], levels: Sequence[Level], *, reach: int = 1) -> None:
        super().__init__(inputs)
        if len(levels) != len(stages):
            raise ValueError(f"each stage declares its level, got {len(stages)} stages and {len(levels)} levels")
        if min(inputs.size) < reach:
            raise ValueError(f"{type(self).__name__} needs inputs of at least {reach}x{reach} px, got {inputs.size[0]}x{inputs.size[1]}")
        self.stages = nn.ModuleList(stages)
        self.levels, self.reach = (Level(inputs.channels, 1), *levels), reach

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x, maps = clear(self.normalise(inputs), extent), [inputs]
        for stage in self.stages:
            again = self.checkpointing and torch.is_grad_enabled()
            x, extent = checkpoint(stage, x, extent, use_reentrant=False) if again else stage(x, extent)
            maps.append(x)
        return Features(maps, sizes)

    def arranged(self, *, output_stride: int | None = None, checkpointing: bool = False) -> Self:
        """This backbone, changed in place: `dilated` where its last map strides further than `output_stride`, and `checkpointing` as said."""
        self.checkpointing = checkpointing
        return self if output_stride is None or output_stride >= self.levels[-1].stride else self.dilated(output_stride)

    def dilated(self, output_stride: int) -> Self:
        """This backbone, changed in place: no map has a larger stride, and what strided before is dilated instead, with the same weights.

        Each map is finer and holds the old one: its every s-th cell. Raises ValueError where that cannot be.
        """
        rate, levels = 1, [self.levels[0]]
        for stage, level in zip(self.stages, self.levels[1:], strict=True):
            keep = level.stride <= output_stride
            if rate > 1 or not keep:
                rate = atrous(stage, rate, keep)
            levels.append(Level(level.channels, level.stride if keep else output_stride))
        if levels[-1].stride * rate != self.levels[-1].stride:
            raise ValueError(f"the strides are {[level.stride for level in self.levels]}, which cannot stop at {output_stride}")
        self.levels = tuple(levels)
        return self
