"""ResNet: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1."""

from __future__ import annotations

from typing import Literal

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import BasicBlock, Bottleneck, ConvNorm, Flow, MaxPool, ResidualBlock, kaiming, make_stage

Stem = Literal["auto", "imagenet", "small"]
DEPTHS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
}
SMALL_PX = 64  # from this side on, a stem of stride 4 leaves a last map of at least 2x2


class ResNet(Staged):
    """Residual stages of 64, 128, 256 and 512 channels (times 4 with bottlenecks), shortcuts of option B.

    stem: "imagenet" is a 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2; "small" one 3x3 convolution,
    for images of 32 px or so; "auto" is "small" when the shorter side of the inputs is below 64 px.
    zero_init_residual: each block starts as its shortcut (Goyal et al. 2017, section 5.1).
    Initialisation: kernels by He et al. 2015 (fan out), normalisation as the identity.
    """

    def __init__(self, inputs: Inputs, *, depth: int, stem: Stem = "auto", zero_init_residual: bool = False) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        block, counts = DEPTHS[depth]
        small = stem == "small" or (stem == "auto" and min(inputs.size) < SMALL_PX)
        first = ConvNorm(inputs.channels, 64) if small else ConvNorm(inputs.channels, 64, kernel=7, stride=2)
        stages, levels, width = [Flow(first)], [Level(64, 1 if small else 2)], 64
        for place, count in enumerate(counts):
            stride = 1 if place == 0 else 2
            parts: list[nn.Module] = make_stage(block, width, 64 * 2**place, count, stride=stride)
            width = 64 * 2**place * block.expansion
            pooled = place == 0 and not small
            stages.append(Flow(MaxPool(3, stride=2, padding=1), *parts) if pooled else Flow(*parts))
            levels.append(Level(width, levels[-1].stride * (2 if pooled else stride)))
        super().__init__(inputs, stages, levels)
        kaiming(self)
        if zero_init_residual:
            for part in self.modules():
                if isinstance(part, ResidualBlock):
                    part.zero_last()
