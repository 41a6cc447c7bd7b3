"""Which way every surface faces."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class NormalMap:
    """vectors: (3, h, w) float32 unit vectors along x (right), y (down) and z (away from the viewer), nan where nothing is known; z < 0 is seen."""

    vectors: Tensor
