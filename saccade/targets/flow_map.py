"""Where every pixel goes in the next picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.ops.resample import nearest, sources
from saccade.targets import paint
from saccade.targets.rows import known_mean, some


@dataclass(frozen=True)
class FlowMap:
    """vectors: (2, h, w) float32 steps (x, y) in pixels from this picture to the next, nan where they are not known."""

    vectors: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the plane."""
        return int(self.vectors.shape[1]), int(self.vectors.shape[2])

    @staticmethod
    def empty(size: tuple[int, int]) -> FlowMap:
        """A plane (h, w) of which nothing is known."""
        return FlowMap(torch.full((2, *size), torch.nan))

    def warp(self, g: Geometry) -> FlowMap:
        """The steps of the nearest pixels when both pictures are warped: from where a point lands to where its end lands; nan outside."""
        plane = self.vectors.detach().cpu().numpy().astype(np.float32, copy=False)
        steps = np.stack([nearest(np.ascontiguousarray(part), g, np.nan) for part in plane])
        if g.affine:
            turned = np.einsum("ij,jhw->ihw", g.matrix[:, :2], steps)
        else:
            begin = np.stack(sources(g))
            ends = g.points((begin + steps).reshape(2, -1).T) - g.points(begin.reshape(2, -1).T)
            turned = np.where(np.isnan(steps), np.nan, ends.T.reshape(steps.shape))
        return FlowMap(torch.from_numpy(turned.astype(np.float32)).to(self.vectors.device))

    def to(self, device: torch.device | str) -> FlowMap:
        return FlowMap(self.vectors.to(device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 under a veil whose hue is the direction and whose strength is the length of the steps, the longest below it."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "a flow map")
        x, y = self.vectors.detach().cpu().numpy().astype(np.float64)
        known, length = np.isfinite(x + y), np.hypot(np.nan_to_num(x), np.nan_to_num(y))
        longest = float(np.percentile(length[known], 99)) if known.any() else 0.0
        hue = np.degrees(np.arctan2(np.nan_to_num(y), np.nan_to_num(x))) % 360 / 2
        strength = 255 * np.clip(length / max(longest, 1e-9), 0, 1)
        shown = np.stack([hue, strength, np.full_like(hue, 255)], -1).astype(np.uint8)
        canvas.veil(cv2.cvtColor(shown, cv2.COLOR_HSV2RGB), known, 0.8)
        canvas.below(f"up to {longest:.3g} pixels" if known.any() else "no flow is known")
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[FlowMap], placements: Sequence[Geometry]) -> FlowMap:
        """One map of the whole: the mean of the parts that know a pixel, nan where none does. Raises ValueError without parts."""
        return cls(known_mean([part.warp(g).vectors for part, g in zip(some(parts), placements, strict=True)]))
