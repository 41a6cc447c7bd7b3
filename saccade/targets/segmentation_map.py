"""A class for every pixel."""

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
from saccade.targets.rows import moved, planes, some

IGNORED = 255


@dataclass(frozen=True)
class SegmentationMap:
    """ids: (h, w) uint8, 0..K-1 (a background is a class like others), 255 ignored. probabilities: (K, h, w) float, None for a truth."""

    ids: Tensor
    probabilities: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the plane."""
        return int(self.ids.shape[0]), int(self.ids.shape[1])

    @staticmethod
    def empty(size: tuple[int, int]) -> SegmentationMap:
        """A plane (h, w) of which nothing is known."""
        return SegmentationMap(torch.full(size, IGNORED, dtype=torch.uint8))

    def warp(self, g: Geometry) -> SegmentationMap:
        """The classes of the nearest pixels, 255 outside; probabilities are resampled like a picture, and are all 0 outside."""
        ids = torch.from_numpy(nearest(self.ids.cpu().numpy(), g, IGNORED)).to(self.ids.device)
        if self.probabilities is None:
            return SegmentationMap(ids)
        return SegmentationMap(ids, torch.from_numpy(planes(self.probabilities, g, 0.0)).to(self.probabilities.device))

    def to(self, device: torch.device | str) -> SegmentationMap:
        return SegmentationMap(self.ids.to(device), moved(self.probabilities, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 under a veil of the classes' colours, the background left clear and the ignored grey, with the names below it."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "a map")
        ids = self.ids.cpu().numpy()
        table = np.array([paint.colour_of(labels, k) for k in range(IGNORED)] + [paint.GREY], np.uint8)
        canvas.veil(table[ids], ids != labels.background if labels.background is not None else np.ones(ids.shape, bool))
        counts = np.bincount(ids.ravel(), minlength=256)
        present = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k] and k != labels.background]
        canvas.legend((paint.GREY, "ignored") if k == IGNORED else (paint.colour_of(labels, k), paint.name_of(labels, k)) for k in present)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[SegmentationMap], placements: Sequence[Geometry]) -> SegmentationMap:
        """One map of the whole. When all parts have probabilities: their mean over the parts that show a pixel, and the most probable class;
        else of the parts in order the first that knows a pixel. 255 where none does. Raises ValueError without parts."""
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        if any(part.probabilities is None for part in warped):
            ids = warped[0].ids.clone()
            for part in warped[1:]:
                ids = torch.where(ids == IGNORED, part.ids, ids)
            return cls(ids)
        total = torch.stack([part.probabilities for part in warped if part.probabilities is not None]).sum(0)
        mass = total.sum(0)
        probabilities = total / mass.clamp_min(1e-12)
        return cls(torch.where(mass > 0, probabilities.argmax(0), IGNORED).to(torch.uint8), probabilities)
