"""The networks of He et al. 2016, section 4.2, for 32x32 images: residual, or plain for comparison."""

from __future__ import annotations

from typing import Literal

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import BasicBlock, ConvNorm, Flow, kaiming, make_stage

WIDTHS = (16, 32, 64)


class CifarResNet(Staged):
    """A 3x3 convolution, then 2n layers each at 16, 32 and 64 channels, halving the map twice: depth 6n + 2.

    shortcut: "zero_pad" (option A, the paper's, without parameters) or "projection" (option B).
    plain: no shortcuts at all: the same layers, to show what a shortcut is for.
    Initialisation: kernels by He et al. 2015 (fan out), normalisation as the identity.
    """

    def __init__(self, inputs: Inputs, *, depth: int, shortcut: Literal["zero_pad", "projection"] = "zero_pad", plain: bool = False) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), got {depth}")
        stages, levels, before = [Flow(ConvNorm(inputs.channels, 16))], [Level(16, 1)], 16
        for place, width in enumerate(WIDTHS):
            parts = make_stage(BasicBlock, before, width, (depth - 2) // 6, stride=1 if place == 0 else 2, shortcut="none" if plain else shortcut)
            stages.append(Flow(*parts))
            levels.append(Level(width, 2**place))
            before = width
        super().__init__(inputs, stages, levels)
        kaiming(self)
