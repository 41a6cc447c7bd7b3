"""How far every pixel is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DepthMap:
    """metres: (h, w) float32 along the optical axis, nan where it is not known."""

    metres: Tensor
