"""ResNet: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1."""

from __future__ import annotations

from typing import Literal

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import BasicBlock, Bottleneck, ConvNorm, Flow, MaxPool, ResidualBlock, kaiming, make_stage, scaled

Stem = Literal["auto", "imagenet", "small"]
DEPTHS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
SMALL_PX = 64  # from this side on, a stem of stride 4 leaves a last map of at least 2x2


class ResNet(Staged):
    """Residual stages of 64, 128, 256 and 512 channels (times 4 with bottlenecks), shortcuts of option B.

    stem: "imagenet" is a 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2; "small" one 3x3 convolution,
    for images of 32 px or so; "auto" is "small" when the shorter side of the inputs is below 64 px.
    groups, width_per_group: ResNeXt's cardinality and width of the 3x3 of a bottleneck (Xie et al. 2017: 32 and 4), or a wide one (1 and 128,
    Zagoruyko and Komodakis 2016). width: a factor of all channels.
    zero_init_residual: each block starts as its shortcut (Goyal et al. 2017, section 5.1).
    Initialisation: kernels by He et al. 2015 (fan out), normalisation as the identity.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        depth: int,
        stem: Stem = "auto",
        groups: int = 1,
        width_per_group: int = 64,
        width: float = 1.0,
        zero_init_residual: bool = False,
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {sorted(DEPTHS)}, got {depth}")
        block, counts = DEPTHS[depth]
        if block is BasicBlock and (groups, width_per_group) != (1, 64):
            raise ValueError(f"groups and width_per_group are of the bottlenecks of depth 50 and more, got depth {depth}")
        inner: dict[str, float] = {} if block is BasicBlock else {"groups": groups, "inner": width_per_group * groups / 64}
        small = stem == "small" or (stem == "auto" and min(inputs.size) < SMALL_PX)
        base = scaled(64, width, groups)
        first = ConvNorm(inputs.channels, base) if small else ConvNorm(inputs.channels, base, kernel=7, stride=2)
        stages, levels, before = [Flow(first)], [Level(base, 1 if small else 2)], base
        for place, count in enumerate(counts):
            stride = 1 if place == 0 else 2
            parts: list[nn.Module] = make_stage(block, before, base * 2**place, count, stride=stride, **inner)
            before = base * 2**place * block.expansion
            pooled = place == 0 and not small
            stages.append(Flow(MaxPool(3, stride=2, padding=1), *parts) if pooled else Flow(*parts))
            levels.append(Level(before, levels[-1].stride * (2 if pooled else stride)))
        super().__init__(inputs, stages, levels)
        kaiming(self)
        if zero_init_residual:
            for part in self.modules():
                if isinstance(part, ResidualBlock):
                    part.zero_last()
