"""Backbones that keep the resolution: what the networks of super-resolution and denoising do before their last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.blocks import ConvNorm, Flow, Norm, Valid, kaiming
from saccade.ops.colour import luma
from saccade.ops.padding import cells, clear, valid_extent
from saccade.ops.upsampling import replicated

Planes = Literal["luma", "all"]
GREY = 126 / 255  # the middle of the range of the luma


class PixelChain(Backbone):
    """The input, perhaps by its luma alone, through layers of one resolution. maps[0] is the input, maps[1] what the layers make of it.

    planes: "luma" looks at the Y' of `ops.colour` only, less its middle; "all" at every channel, normalised by the data's constants.
    fold: blocks of fold x fold pixels become channels first, so that the layers work on a map of that stride (Shi et al. 2016, section 3.2, the
    other way round; Zhang, Zuo, Zhang, "FFDNet", 2018, section III-A): a sides' worth of cost for a little detail.
    """

    def __init__(self, inputs: Inputs, layers: Flow, channels: int, *, planes: Planes = "all", fold: int = 1) -> None:
        super().__init__(inputs)
        self.planes, self.fold, self.layers = planes, fold, layers
        self.levels = (Level(inputs.channels, 1), Level(channels, fold))

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        extent = valid_extent(inputs, sizes)
        x = clear(luma(inputs) - GREY if self.planes == "luma" else self.normalise(inputs), extent)
        if self.fold > 1:
            x = folded(x, self.fold)
            extent = None if extent is None else cells(extent, self.fold)
        x, _ = self.layers(x, extent)
        return Features([inputs, x], sizes)


def folded(x: Tensor, factor: int) -> Tensor:
    """(N, C, h, w) -> (N, C f^2, ceil(h / f), ceil(w / f)); zeros where a block reaches beyond."""
    h, w = x.shape[2:]
    return F.pixel_unshuffle(F.pad(x, (0, -w % factor, 0, -h % factor)), factor)


def seen_channels(inputs: Inputs, planes: Planes, fold: int = 1) -> int:
    """Channels that the first layer sees."""
    return (1 if planes == "luma" else inputs.channels) * fold**2


def espcn(inputs: Inputs, *, widths: Sequence[int] = (64, 32), planes: Planes = "luma") -> PixelChain:
    """The layers of ESPCN before the sub-pixel one: 5x5 and 3x3 convolutions with tanh (Shi et al. 2016, section 3.1)."""
    parts, before = [], seen_channels(inputs, planes)
    for place, width in enumerate(widths):
        parts.append(ConvNorm(before, width, kernel=3 if place else 5, norm="none", activation=nn.Tanh()))
        before = width
    return PixelChain(inputs, Flow(*parts), before, planes=planes)


def dncnn(inputs: Inputs, *, depth: int = 17, width: int = 64, norm: Norm = "batch") -> PixelChain:
    """The layers of DnCNN before the last: one 3x3 convolution with ReLU, then depth - 2 with normalisation too (Zhang et al. 2017, figure 1)."""
    if depth < 2:
        raise ValueError(f"DnCNN has at least 2 layers, got a depth of {depth}")
    layers = Flow(
        ConvNorm(inputs.channels, width, norm="none"),
        *(ConvNorm(width, width, norm=norm) for _ in range(depth - 2)),
    )
    kaiming(layers)
    return PixelChain(inputs, layers, width)


class Refine(nn.Module):
    """x + conv(relu(conv(x))): a residual block without normalisation and without a ReLU behind the sum (Lim et al. 2017, "EDSR", figure 2c).

    The second convolution starts at nought, so that a fresh chain of any length is the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        last = ConvNorm(width, width, norm="none", activation=False)
        self.residual = Flow(ConvNorm(width, width, norm="none"), last)
        kaiming(self.residual)
        nn.init.zeros_(last.conv.weight)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return x + self.residual(x, extent)[0], extent


class LongSkip(nn.Module):
    """x + layers(x)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = Flow(*layers)

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return x + self.layers(x, extent)[0], extent


def refining(inputs: Inputs, *, width: int = 48, blocks: int = 6, fold: int = 1) -> PixelChain:
    """A 3x3 convolution, residual blocks under one long skip, all at one resolution: the trunk of EDSR (Lim et al. 2017), small."""
    first = ConvNorm(seen_channels(inputs, "all", fold), width, norm="none", activation=False)
    trunk = LongSkip(*(Refine(width) for _ in range(blocks)), ConvNorm(width, width, norm="none", activation=False))
    kaiming(first)
    return PixelChain(inputs, Flow(first, trunk), width, fold=fold)


class Pixels(Backbone):
    """The input alone, for heads that do everything themselves."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.levels = (Level(inputs.channels, 1),)

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        return Features([inputs], sizes)


def continued(x: Tensor, extent: Tensor | None, width: int) -> Tensor:
    """(N, C, h, w) with a border of `width` cells more on each side, which repeat the last valid ones."""
    return F.pad(replicated(x, extent), (width,) * 4, mode="replicate")


def bicubic(x: Tensor, factor: int, extent: Tensor | None = None) -> Tensor:
    """(N, C, h, w) -> (N, C, f h, f w) by Keys's kernel with a = -0.5, the border continued; a sample gives what it gives alone, zeros beyond it."""
    if factor == 1:
        return x
    h, w = x.shape[2:]
    wide = continued(x, extent, 3)
    large = F.interpolate(wide, size=((h + 6) * factor, (w + 6) * factor), mode="bicubic", antialias=True, align_corners=False)
    large = large[..., 3 * factor : (h + 3) * factor, 3 * factor : (w + 3) * factor]
    return clear(large, None if extent is None else extent * factor)


def shifted(picture: Tensor, wanted: Tensor) -> Tensor:
    """(N, C, h, w) with the luma (N, 1, h, w) wanted and the colour differences that it has: all channels move by the same amount."""
    return picture + (wanted - luma(picture)) * (255 / 219)
