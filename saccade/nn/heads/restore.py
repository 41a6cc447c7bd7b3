"""A picture as the answer, finer than the input or not: sub-pixel convolution over a picture enlarged by bicubic interpolation, SRCNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.backbones.restoration import GREY, Planes, bicubic, shifted
from saccade.nn.blocks import ConvNorm, Flow
from saccade.ops.colour import luma
from saccade.ops.padding import clear, valid_extent
from saccade.ops.upsampling import sub_pixel_kernel
from saccade.targets.image_target import ImageTarget

Criterion = Literal["l1", "l2"]
UNIT = 0.1
"""Of what is added to a picture, in shares of its range: details and noise are small, and an adaptive optimiser's first steps are as large as any."""


class ImageOut(NamedTuple):
    """image: (N, C, scale h, scale w), usually in [0, 1] but not cut."""

    image: Tensor


class ImageHead(Head[ImageOut, ImageTarget]):
    """What heads share whose answer is a picture: the loss over the pixels that are known, and the way back into the source.

    scale: pixels of the answer along a side for one of the input. planes: "luma" compares the Y' of both alone. criterion: the mean absolute (l1)
    or squared (l2) difference, over all known values of the batch.
    """

    def __init__(self, *, scale: int, planes: Planes, criterion: Criterion) -> None:
        super().__init__()
        self.scale, self.planes, self.criterion = scale, planes, criterion

    def loss(self, out: ImageOut, targets: Sequence[ImageTarget]) -> dict[str, Tensor]:
        """{"l1"} or {"l2"}: in float32 at least; a batch without a known value gives 0 with a gradient of 0. Raises ValueError for a truth of another scale."""
        if wrong := sorted({target.scale for target in targets} - {self.scale}):
            raise ValueError(f"the network enlarges by {self.scale}, and a truth is {wrong[0]} times as fine as its image")
        image = out.image.to(torch.promote_types(out.image.dtype, torch.float32))
        truth = stacked([target.pixels for target in targets], image)
        known = ~truth.isnan().any(1, keepdim=True)
        truth = torch.where(known, truth, 0.0)
        if self.planes == "luma":
            image, truth = luma(image), luma(truth)
        difference = torch.where(known, image - truth, 0.0)
        summed = difference.abs().sum() if self.criterion == "l1" else difference.square().sum()
        return {self.criterion: summed / (known.sum() * image.shape[1]).clamp_min(1)}

    def decode(self, out: ImageOut, meta: Sequence[Meta]) -> list[ImageTarget]:
        """The pictures in [0, 1], `scale` times as fine as their sources, on the CPU."""
        images = out.image.detach().float().clamp(0, 1).cpu()
        return [in_source(image, one, self.scale) for image, one in zip(images, meta, strict=True)]


def stacked(pictures: Sequence[Tensor], like: Tensor) -> Tensor:
    """(C, h, w) pictures of several sizes -> (N, C, H, W) of the shape, kind and device of `like`, nan where there is none.

    Raises ValueError for another number of channels, or a picture that is larger.
    """
    truth = torch.full_like(like, torch.nan)
    for row, picture in zip(truth, pictures, strict=True):
        channels, h, w = picture.shape
        if channels != row.shape[0] or h > row.shape[1] or w > row.shape[2]:
            raise ValueError(f"a truth of shape {tuple(picture.shape)} does not fit to an answer of {tuple(row.shape)}")
        row[:, :h, :w] = picture
    return truth


def in_source(image: Tensor, meta: Meta, scale: int) -> ImageTarget:
    """An answer (C, H, W) over the input's plane as the picture of its source: cut where nothing was scaled, else resampled."""
    h, w = meta.size
    plane = image.shape[1] // scale, image.shape[2] // scale
    if np.array_equal(meta.geometry.matrix, np.eye(2, 3)) and meta.geometry.bend is None and h <= plane[0] and w <= plane[1]:
        return ImageTarget(image[:, : h * scale, : w * scale].contiguous(), scale)
    return ImageTarget(image, scale).warp(meta.geometry.inverse(meta.size))


class SubPixel(ImageHead):
    """A convolution to (scale x stride)^2 values a cell of the last map, arranged as pixels (Shi et al. 2016, eq. 4), over the input enlarged.

    level: the last map's. channels: of the answer; the first so many channels of the input are what it is laid over. residual: the layers' values are
    added to the input enlarged by bicubic interpolation (itself at scale 1) and start at nought; without, they are the answer itself: all of its
    channels, or with planes "luma" its luma, the colours being those of the enlarged input.
    """

    def __init__(
        self,
        level: Level,
        channels: int,
        *,
        scale: int = 1,
        planes: Planes = "all",
        residual: bool = True,
        kernel: int = 3,
        criterion: Criterion = "l1",
    ) -> None:
        super().__init__(scale=scale, planes=planes, criterion=criterion)
        self.channels, self.residual, self.fold = channels, residual, level.stride
        self.finer = scale * level.stride
        self.output = nn.Conv2d(level.channels, (1 if planes == "luma" else channels) * self.finer**2, kernel, padding=kernel // 2)
        with torch.no_grad():
            if residual:
                nn.init.zeros_(self.output.weight)
            else:
                self.output.weight.copy_(sub_pixel_kernel(self.output.weight[:: self.finer**2], self.finer))
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> ImageOut:
        picture = features.maps[0][:, : self.channels]
        extent = valid_extent(features.maps[0], features.sizes)
        base = bicubic(picture, self.scale, extent)
        found = F.pixel_shuffle(self.output(features.maps[-1]), self.finer)[..., : base.shape[2], : base.shape[3]].to(base.dtype)
        if self.residual:
            image = base + UNIT * found
        else:
            image = shifted(base, found + GREY) if self.planes == "luma" else found + 0.5
        return ImageOut(clear(image, None if extent is None else extent * self.scale))


class Srcnn(ImageHead):
    """The input enlarged by bicubic interpolation, then three convolutions to the answer (Dong et al. 2016).

    channels: of the answer. widths, kernels: of the layers before the last, and of all three.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: int,
        widths: tuple[int, int] = (64, 32),
        kernels: tuple[int, int, int] = (9, 1, 5),
        planes: Planes = "luma",
        criterion: Criterion = "l2",
    ) -> None:
        super().__init__(scale=scale, planes=planes, criterion=criterion)
        self.channels, seen = channels, 1 if planes == "luma" else channels
        layers = (seen, *widths, seen)
        parts = [ConvNorm(layers[i], layers[i + 1], kernel=kernels[i], norm="none", activation=i < 2) for i in range(3)]
        self.layers = Flow(*parts)
        for part in parts:
            nn.init.kaiming_normal_(part.conv.weight, nonlinearity="relu")
            nn.init.zeros_(part.conv.bias)  # type: ignore[arg-type]
        nn.init.zeros_(parts[-1].conv.weight)

    def forward(self, features: Features) -> ImageOut:
        extent = valid_extent(features.maps[0], features.sizes)
        base = bicubic(features.maps[0][:, : self.channels], self.scale, extent)
        finer = None if extent is None else extent * self.scale
        middle = GREY if self.planes == "luma" else 0.5
        seen = luma(base) if self.planes == "luma" else base
        found = self.layers(clear(seen - middle, finer), finer)[0].to(base.dtype)
        image = shifted(base, seen + UNIT * found) if self.planes == "luma" else seen + UNIT * found
        return ImageOut(clear(image, finer))
