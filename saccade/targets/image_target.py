"""A picture as the answer: colour for grey, sharp for blurred, clean for noisy, stained for unstained."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageTarget:
    """pixels: (C, h, w) float32 in [0, 1]; nan where nothing is known (outside of the picture after a warp)."""

    pixels: Tensor
