"""A class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

IGNORED = 255


@dataclass(frozen=True)
class SegmentationMap:
    """ids: (h, w) uint8, 0..K-1 (a background is a class like others), 255 ignored. probabilities: (K, h, w) float, None for a truth."""

    ids: Tensor
    probabilities: Tensor | None = None
