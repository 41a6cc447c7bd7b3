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
from saccade.targets.rows import planes, some


@dataclass(frozen=True)
class ImageTarget:
    """pixels: (C, h, w) float32 in [0, 1]; nan where nothing is known (outside of the picture after a warp).

    scale: pixels along a side for one of the image that it belongs to, above 1 where the answer is finer than the image. Geometries are about
    the image's pixels, and the picture keeps its scale under them.
    """

    pixels: Tensor
    scale: int = 1

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
        own = g if self.scale == 1 else finer(g, self.scale)
        return ImageTarget(torch.from_numpy(planes(self.pixels, own, np.nan)).to(self.pixels.device), self.scale)

    def within(self, x0: float, y0: float, x1: float, y1: float) -> ImageTarget:
        """The picture with nan where a pixel's centre is not in [x0, x1) x [y0, y1), in pixels of the image that it belongs to."""
        y, x = ((torch.arange(side, device=self.pixels.device) + 0.5) / self.scale for side in self.size)
        here = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
        return ImageTarget(torch.where(here, self.pixels, torch.nan), self.scale)

    def to(self, device: torch.device | str) -> ImageTarget:
        return ImageTarget(self.pixels.to(device), self.scale)

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
        """One picture of the whole: the mean of the parts that know a pixel, nan where none does. Raises ValueError without parts, and for parts
        of several scales. A part that is only moved by whole pixels is copied, and then no more than the whole is held."""
        scale = some(parts)[0].scale
        if any(part.scale != scale for part in parts):
            raise ValueError(f"parts of one scale are merged, got {sorted({part.scale for part in parts})}")
        size = placements[0].size[0] * scale, placements[0].size[1] * scale
        total, count = torch.zeros(parts[0].pixels.shape[0], *size), torch.zeros(size, dtype=torch.int16)
        for part, g in zip(parts, placements, strict=True):
            corner = _corner(part, g)
            if corner is None:
                part, corner = part.warp(g), (0, 0)
            (y, x), (h, w) = corner, part.size
            pixels = part.pixels.float().cpu()
            known = ~pixels.isnan().any(0)
            total[:, y : y + h, x : x + w] += torch.where(known, pixels, 0.0)
            count[y : y + h, x : x + w] += known.short()
        return cls(torch.where(count > 0, total / count.clamp_min(1), torch.nan), scale)


def finer(g: Geometry, scale: int) -> Geometry:
    """What a geometry of an image's pixels is for a picture of so many times more pixels a side."""
    there, back = (np.diag([factor, factor, 1.0]) for factor in (float(scale), 1.0 / scale))
    matrix = there @ g.square @ back
    return Geometry(matrix[: len(g.matrix)], (g.size[0] * scale, g.size[1] * scale), None if g.bend is None else g.bend * scale)


def _corner(part: ImageTarget, g: Geometry) -> tuple[int, int] | None:
    """Where (row, column) the upper left pixel of a part goes, when it is only moved by whole pixels and stays inside; else None."""
    moved = np.round(g.square[:2, 2] * part.scale)
    if not g.affine or not np.array_equal(g.matrix[:, :2], np.eye(2)) or np.abs(g.matrix[:, 2] * part.scale - moved).max() > 1e-6:
        return None
    x, y = int(moved[0]), int(moved[1])
    (h, w), (high, wide) = part.size, (g.size[0] * part.scale, g.size[1] * part.scale)
    return (y, x) if 0 <= y <= high - h and 0 <= x <= wide - w else None
