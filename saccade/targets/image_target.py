"""A picture as the answer: colour for grey, sharp for blurred, clean for noisy, stained for unstained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.rows import known_mean, planes, some


@dataclass(frozen=True)
class ImageTarget:
    """pixels: (C, h, w) float32 in [0, 1]; nan where nothing is known (outside of the picture after a warp)."""

    pixels: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the picture."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @staticmethod
    def empty(size: tuple[int, int], channels: int = 3) -> ImageTarget:
        """A picture (h, w) of which nothing is known."""
        return ImageTarget(torch.full((channels, *size), torch.nan))

    def warp(self, g: Geometry) -> ImageTarget:
        """The picture resampled like an input: area average where it shrinks, bilinear where it grows or turns; nan outside."""
        return ImageTarget(torch.from_numpy(planes(self.pixels, g, np.nan)).to(self.pixels.device))

    def to(self, device: torch.device | str) -> ImageTarget:
        return ImageTarget(self.pixels.to(device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the picture below it, scaled to its width; what is not known is grey."""
        canvas = paint.Canvas(image)
        canvas.picture(self.shown())
        return canvas.finish()

    def shown(self) -> np.ndarray:
        """(h, w, 3) uint8: three channels as colours, any other number by the first as grey; what is not known is mid-grey."""
        pixels = self.pixels if self.pixels.shape[0] == 3 else self.pixels[:1].expand(3, -1, -1)
        levels = torch.nan_to_num(pixels.detach().float().cpu(), nan=0.5).clamp(0, 1)
        shown: np.ndarray = (levels * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return shown

    @classmethod
    def merge(cls, parts: Sequence[ImageTarget], placements: Sequence[Geometry]) -> ImageTarget:
        """One picture of the whole: the mean of the parts that know a pixel, nan where none does. Raises ValueError without parts."""
        return cls(known_mean([part.warp(g).pixels for part, g in zip(some(parts), placements, strict=True)]))
