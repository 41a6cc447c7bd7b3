"""How far every pixel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.ops.resample import nearest
from saccade.targets import paint
from saccade.targets.rows import known_mean, some


@dataclass(frozen=True)
class DepthMap:
    """metres: (h, w) float32 along the optical axis, nan where it is not known."""

    metres: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the plane."""
        return int(self.metres.shape[0]), int(self.metres.shape[1])

    @staticmethod
    def empty(size: tuple[int, int]) -> DepthMap:
        """A plane (h, w) of which nothing is known."""
        return DepthMap(torch.full(size, torch.nan))

    def warp(self, g: Geometry) -> DepthMap:
        """The metres of the nearest pixels, nan outside. They stay what they are even where the picture grows: nothing comes nearer by a crop."""
        metres = self.metres.detach().cpu().numpy().astype(np.float32, copy=False)
        return DepthMap(torch.from_numpy(nearest(metres, g, np.nan)).to(self.metres.device))

    def to(self, device: torch.device | str) -> DepthMap:
        return DepthMap(self.metres.to(device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 under a veil of colours, bright where near, clear where unknown, with the range in metres below it."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "a depth map")
        metres = self.metres.detach().cpu().numpy()
        colours, near, far = paint.depth_colours(metres)
        canvas.veil(colours, np.isfinite(metres) & (metres > 0), 0.8)
        canvas.below(f"{near:.3g} to {far:.3g} m" if far > 0 else "no depth is known")
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[DepthMap], placements: Sequence[Geometry]) -> DepthMap:
        """One map of the whole: the mean of the parts that know a pixel, nan where none does. Raises ValueError without parts."""
        return cls(known_mean([part.warp(g).metres for part, g in zip(some(parts), placements, strict=True)]))
