"""The default network: residual, compact, trained from scratch on two processor cores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import BasicBlock, ConvNorm, Flow, Norm, kaiming, make_stage

LAST_CELLS = 4  # the shorter side of the last map is at least this, and below twice this


class Small(Staged):
    """A stem of 3x3 convolutions and one stage of basic blocks for each width, the strides following from the input's size.

    The shorter side is halved until the last map has 4 to 7 cells: first between the stages, from fine to coarse; what
    is left over becomes strided convolutions in the stem, where a large image is cheap to shrink.
    Initialisation: kernels by He et al. 2015 (fan out), normalisation as the identity; residuals start at nought.

    >>> Small(Inputs(1, (128, 128), (0.5,), (0.25,))).levels[-1]
    Level(channels=256, stride=32)
    """

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (32, 64, 128, 256), blocks: Sequence[int] = (1, 1, 1, 1), norm: Norm = "batch") -> None:
        if not widths or len(widths) != len(blocks):
            raise ValueError(f"widths and blocks must be of one length, at least 1, got {len(widths)} and {len(blocks)}")
        halvings = max(0, math.floor(math.log2(min(inputs.size) / LAST_CELLS)))
        in_stem = max(0, halvings - (len(widths) - 1))
        stem = [ConvNorm(inputs.channels if i == 0 else widths[0], widths[0], stride=2 if in_stem else 1, norm=norm) for i in range(max(1, in_stem))]
        stages, levels, before = [Flow(*stem)], [Level(widths[0], 2**in_stem)], widths[0]
        for place, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stride = 2 if 1 <= place <= halvings else 1
            stages.append(Flow(*make_stage(BasicBlock, before, width, count, stride=stride, norm=norm)))
            levels.append(Level(width, levels[-1].stride * stride))
            before = width
        super().__init__(inputs, stages, levels)
        kaiming(self)
        for part in self.modules():
            if isinstance(part, BasicBlock):
                part.zero_last()
