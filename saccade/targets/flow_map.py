"""Where every pixel goes in the next picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FlowMap:
    """vectors: (2, h, w) float32 steps (x, y) in pixels from this picture to the next, nan where they are not known."""

    vectors: Tensor
