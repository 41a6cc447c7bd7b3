"""Encoders whose decoders know where the maxima were: SegNet (Badrinarayanan et al., PAMI 2017) and DeconvNet (Noh et al., ICCV 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.ops.padding import clear, through, valid_extent
from saccade.ops.upsampling import bed_of_nails, max_unpool, pool_with_switches, upsample

Unpooling = Literal["switches", "nearest", "bed_of_nails"]


class UnpoolingNet(Backbone):
    """Groups of 3x3 convolutions with 2x2 max pooling between them, and the same groups mirrored with unpooling between them. One map, of stride 1.

    widths, counts: channels and convolutions of each group; VGG-16's in both papers. unpooling: "switches" puts every value where its
    maximum was; the others are there to be compared with it. hidden: channels of fc6 and fc7 in the middle (4096 in DeconvNet, none in SegNet),
    the first of which is hidden_kernel wide. Deviations: fc6 keeps the map's size, so that images of all sizes go through; DeconvNet's layers of
    3x3 "deconvolution" with stride 1 are convolutions, which they equal with their kernels turned. Initialisation: He et al. 2015 (fan out).
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        counts: Sequence[int] = (2, 2, 3, 3, 3),
        unpooling: Unpooling = "switches",
        hidden: int = 0,
        hidden_kernel: int = 7,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(inputs)
        if len(widths) != len(counts) or not widths:
            raise ValueError(f"widths and counts must be of one length, at least 1, got {len(widths)} and {len(counts)}")
        if unpooling not in ("switches", "nearest", "bed_of_nails"):
            raise ValueError(f"unpooling must be switches, nearest or bed_of_nails, got {unpooling!r}")
        self.unpooling = unpooling
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        before = inputs.channels
        for width, count in zip(widths, counts, strict=True):
            down.append(Flow(*(ConvNorm(before if i == 0 else width, width, norm=norm) for i in range(count))))
            after = width if len(up) == 0 else widths[len(up) - 1]
            up.append(Flow(*(ConvNorm(width, after if i == count - 1 else width, norm=norm) for i in range(count))))
            before = width
        middle: list[nn.Module] = []
        if hidden:
            middle = [ConvNorm(before, hidden, kernel=hidden_kernel, norm=norm), ConvNorm(hidden, hidden, kernel=1, norm=norm)]
            middle.append(ConvNorm(hidden, before, kernel=hidden_kernel, norm=norm))
        self.down, self.middle, self.up = nn.ModuleList(down), Flow(*middle), nn.ModuleList(up)
        self.levels = (Level(inputs.channels, 1), Level(widths[0], 1))
        kaiming(self)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x, held = clear(self.normalise(inputs), extent), []
        for group in self.down:
            x, extent = group(x, extent)
            held.append((tuple(x.shape[2:]), extent))
            x, switches = pool_with_switches(x, extent=extent)
            extent = through(extent, 2, 2, 0)
            held[-1] = (*held[-1], switches)  # type: ignore[assignment]
            x = clear(x, extent)
        x, extent = self.middle(x, extent)
        for group, (size, finer, switches) in zip(reversed(self.up), reversed(held), strict=True):  # type: ignore[misc]
            x, extent = self._unpooled(x, switches, size, extent, finer), finer
            x, extent = group(x, extent)
        return Features([inputs, x], sizes)

    def _unpooled(self, x: Tensor, switches: Tensor, size: tuple[int, ...], extent: Tensor | None, finer: Tensor | None) -> Tensor:
        if self.unpooling == "switches":
            return max_unpool(x, switches, size, extent=extent)
        if self.unpooling == "nearest":
            return clear(upsample(x, 2, "nearest", size=size, extent=extent), finer)
        enlarged = bed_of_nails(x, 2)
        missing = [whole - side for whole, side in zip(size, enlarged.shape[2:], strict=True)]
        return clear(nn.functional.pad(enlarged, (0, missing[1], 0, missing[0])), finer)
