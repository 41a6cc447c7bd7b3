"""Which way every surface faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.ops.resample import jacobian, nearest
from saccade.targets import paint
from saccade.targets.rows import known_mean, some


@dataclass(frozen=True)
class NormalMap:
    """vectors: (3, h, w) float32 unit vectors along x (right), y (down) and z (away from the viewer), nan where nothing is known; z < 0 is seen."""

    vectors: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the plane."""
        return int(self.vectors.shape[1]), int(self.vectors.shape[2])

    @staticmethod
    def empty(size: tuple[int, int]) -> NormalMap:
        """A plane (h, w) of which nothing is known."""
        return NormalMap(torch.full((3, *size), torch.nan))

    def warp(self, g: Geometry) -> NormalMap:
        """The vectors of the nearest pixels, turned and mirrored with the picture as for a camera that rolls; its scale, shear and perspective do
        not change them. The turn is the orthogonal factor of the matrix (of its derivative at the middle where it has a perspective); nan outside."""
        left, _, right = np.linalg.svd(jacobian(g))
        plane = self.vectors.detach().cpu().numpy().astype(np.float32, copy=False)
        moved = np.stack([nearest(np.ascontiguousarray(part), g, np.nan) for part in plane])
        turned = np.concatenate([np.einsum("ij,jhw->ihw", left @ right, moved[:2]), moved[2:]])
        return NormalMap(torch.from_numpy(turned.astype(np.float32)).to(self.vectors.device))

    def to(self, device: torch.device | str) -> NormalMap:
        return NormalMap(self.vectors.to(device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 under a veil: red to the right, green upwards, blue towards the viewer; clear where nothing is known."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "a normal map")
        x, y, z = self.vectors.detach().cpu().numpy()
        known = np.isfinite(x + y + z)
        shown = np.nan_to_num(np.stack([x, -y, -z], -1)) * 127.5 + 127.5
        canvas.veil(np.clip(np.round(shown), 0, 255).astype(np.uint8), known, 0.8)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[NormalMap], placements: Sequence[Geometry]) -> NormalMap:
        """One map of the whole: the mean direction of the parts that know a pixel, of length 1; nan where none does. Raises ValueError without parts."""
        mean = known_mean([part.warp(g).vectors for part, g in zip(some(parts), placements, strict=True)])
        return cls(mean / mean.norm(dim=0, keepdim=True).clamp_min(1e-12))
