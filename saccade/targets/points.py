"""Dots on objects, with their classes: what is counted."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Points:
    """xy: (n, 2) continuous pixels, float64 as read. classes: (n,) int64, 0..K-1. scores: (n,) float, None for a truth."""

    xy: Tensor
    classes: Tensor
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.xy)
