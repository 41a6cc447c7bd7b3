"""Boxes as numbers that a network can give: offsets from reference boxes, or distances of the four sides from a point; values with `encode` and `decode`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)
"""The largest logarithm of a factor of a side: what an untrained network gives must not overflow (as the published detectors have it)."""


class DeltaCoder(NamedTuple):
    """(dx, dy, dw, dh): the middle's way in sides of the reference box, and the logarithms of the factors of its sides, times weights.

    Girshick et al., "Rich feature hierarchies", 2014, appendix C, eq. 1 to 10. weights: (1, 1, 1, 1) in an RPN, (10, 10, 5, 5) in a second
    stage and in SSD (there said as variances 0.1 and 0.2).
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def encode(self, references: Tensor, boxes: Tensor) -> Tensor:
        """(..., 4) reference boxes and (..., 4) boxes -> (..., 4) deltas. Sides count at least a millionth of a pixel, so that every delta is finite."""
        middle, sides = _middles(references)
        other, others = _middles(boxes)
        deltas = torch.cat([(other - middle) / sides, torch.log(others / sides)], -1)
        return deltas * deltas.new_tensor(self.weights)

    def decode(self, references: Tensor, deltas: Tensor) -> Tensor:
        """(..., 4) reference boxes and (..., 4) deltas -> (..., 4) boxes, not clipped; no side grows by a factor above 62.5."""
        middle, sides = _middles(references)
        scaled = deltas / deltas.new_tensor(self.weights)
        other, half = middle + scaled[..., :2] * sides, torch.exp(scaled[..., 2:].clamp_max(LARGEST)) * sides / 2
        return torch.cat([other - half, other + half], -1)


class SideCoder(NamedTuple):
    """(left, top, right, bottom): how far each side is from a point, in units of `stride` pixels; negative where the point is beyond that side.

    Tian et al., "FCOS", ICCV 2019, eq. 1.
    """

    stride: float = 1.0

    def encode(self, points: Tensor, boxes: Tensor) -> Tensor:
        """(..., 2) points x, y and (..., 4) boxes -> (..., 4) distances."""
        return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1) / self.stride

    def decode(self, points: Tensor, distances: Tensor) -> Tensor:
        """(..., 2) points x, y and (..., 4) distances -> (..., 4) boxes."""
        away = distances * self.stride
        return torch.cat([points - away[..., :2], points + away[..., 2:]], -1)


def _middles(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Middles (..., 2) and sides (..., 2), these at least a millionth of a pixel."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sides / 2, sides.clamp_min(1e-6)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """(..., 4) boxes within planes of sizes (..., 2) h, w, the leading axes broadcast; one outside becomes empty."""
    limit = sizes.flip(-1).repeat_interleave(2, -1).to(boxes.dtype)[..., [0, 2, 1, 3]]
    return torch.minimum(boxes.clamp_min(0), limit)
