"""The permutohedral lattice: sums over all pairs of points, weighted by a Gaussian of their features, in time linear in the points.

out_i = sum_j exp(-|f_i - f_j|^2 / 2) x_j. Every point shares its values among the d + 1 corners of the lattice's simplex around it, the
corners exchange values along the d + 1 directions of the lattice, and every point reads from its corners again (Adams, Baek and Davis
2010). Corners are found by sorting integers that name them, not by a hash table, so that every step is a few large tensor operations.
The answer is exactly linear and its gradient the exact adjoint, but it approximates the sum: of 5-dimensional features of photographs,
averages (the sum over the sum of ones) are off by about 1 % in the root mean square, and by much more at points without any like them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

JUDGED = 48  # points whose sum is also found directly, for the scale


class Lattice(NamedTuple):
    """corners: (N, d + 1) int64 and shares: (N, d + 1), which lattice points each point uses and how much, the shares of a point summing to 1.

    points, weights, starts: the same entries in the order of the lattice points, M of which are in use. near: (d + 1, M, 3) int64, each lattice
    point with its two neighbours along a direction, M where there is none. scale: what the result is multiplied by, so that it is the sum above.
    """

    corners: Tensor
    shares: Tensor
    points: Tensor
    weights: Tensor
    starts: Tensor
    near: Tensor
    scale: float


def lattice(features: Tensor) -> Lattice:
    """From features (N, d), in units of the Gaussian's standard deviation. Raises ValueError where they are not finite or spread too wide to be numbered."""
    if features.ndim != 2 or not len(features) or not torch.isfinite(features).all():
        raise ValueError(f"features are (N, d) finite numbers of at least one point, got {tuple(features.shape)}")
    d = features.shape[1]
    base, rank, shares = _simplex(features.detach())
    remainders = torch.arange(d + 1, device=features.device)
    steps = torch.where(rank[:, None, :d] <= d - remainders[:, None], remainders[:, None], remainders[:, None] - (d + 1))
    keys = (base[:, None, :d] + steps).flatten(0, 1)  # (N (d + 1), d): the last coordinate follows, since all sum to 0
    low, radix = keys.amin(0) - (d + 1), (keys.amax(0) - keys.amin(0) + 2 * (d + 1) + 1).tolist()
    if math.prod(radix) >= 2**63:
        raise ValueError(f"features spread over {radix} cells, too many to number: use a wider Gaussian or fewer dimensions")
    strides = torch.tensor([math.prod(radix[i + 1 :]) for i in range(d)], device=keys.device)
    codes, corners = torch.unique(((keys - low) * strides).sum(1), return_inverse=True)
    order = torch.argsort(corners, stable=True)
    starts = torch.zeros(len(codes), dtype=torch.int64, device=keys.device)
    starts[1:] = torch.bincount(corners, minlength=len(codes)).cumsum(0)[:-1]
    near = _near(codes, strides, d)
    return _calibrated(Lattice(corners.view(-1, d + 1), shares, order // (d + 1), shares.flatten()[order], starts, near, 1.0), features)


def _simplex(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The lattice point of remainder 0 at each point's simplex (N, d + 1), the order of the offsets from it (N, d + 1), and the barycentric shares."""
    d = features.shape[1]
    axis = torch.arange(1, d + 1, dtype=torch.float64, device=features.device)
    scaled = features.to(torch.float64) * ((d + 1) * math.sqrt(2 / 3) / (axis * (axis + 1)).sqrt())
    above = scaled.flip(1).cumsum(1).flip(1)  # (N, d): the sum of this and all later coordinates
    lifted = torch.cat([above, torch.zeros_like(above[:, :1])], 1) - torch.cat([torch.zeros_like(above[:, :1]), scaled * axis], 1)
    base = (lifted / (d + 1)).round() * (d + 1)
    offset = lifted - base
    rank = torch.argsort(torch.argsort(offset, dim=1, descending=True, stable=True), dim=1)
    rank = rank + (base.sum(1, keepdim=True) / (d + 1)).round().long()
    turn = (rank < 0).long() - (rank > d).long()
    rank, base = rank + turn * (d + 1), base + turn * (d + 1)
    share = (lifted - base) / (d + 1)
    b = torch.zeros(len(features), d + 2, dtype=torch.float64, device=features.device)
    b = b.scatter_add(1, d - rank, share).scatter_add(1, d + 1 - rank, -share)
    b[:, 0] += 1 + b[:, d + 1]
    return base.long(), rank, b[:, : d + 1].to(features.dtype)


def _near(codes: Tensor, strides: Tensor, d: int) -> Tensor:
    """(d + 1, M, 3): itself and the neighbours in front and behind, found by their numbers."""
    m, found = len(codes), []
    for direction in range(d + 1):
        step = -strides.sum() + ((d + 1) * strides[direction] if direction < d else 0)
        rows = [torch.arange(m, device=codes.device)]
        for wanted in (codes + step, codes - step):
            place = torch.searchsorted(codes, wanted).clamp_max(m - 1)
            rows.append(torch.where(codes[place] == wanted, place, m))
        found.append(torch.stack(rows, 1))
    return torch.stack(found)


def _calibrated(found: Lattice, features: Tensor) -> Lattice:
    """With the scale by which the sums of ones agree with the true ones, in the median of some points: mass is lost where a point has no neighbours."""
    n = len(features)
    some = torch.arange(0, n, max(1, n // JUDGED), device=features.device)
    f = features.detach()
    true = torch.cat([torch.exp(-0.5 * torch.cdist(f[rows], f) ** 2).sum(1) for rows in some.split(8)])
    sums = _filtered(torch.ones(n, 1, dtype=f.dtype, device=f.device), found, False)[some, 0]
    return found._replace(scale=float((true / sums).median()))


def _bags(rows: Tensor, indices: Tensor, weights: Tensor, offsets: Tensor | None = None) -> Tensor:
    """Weighted sums of rows."""
    return F.embedding_bag(indices, rows, offsets, mode="sum", per_sample_weights=weights)


def _filtered(values: Tensor, lattice: Lattice, backwards: bool) -> Tensor:
    rows = _bags(values, lattice.points, lattice.weights.to(values.dtype), lattice.starts)
    taps = torch.tensor([1.0, 0.5, 0.5], dtype=values.dtype, device=values.device).expand(len(rows), 3).contiguous()
    for near in lattice.near.flip(0) if backwards else lattice.near:
        rows = _bags(torch.cat([rows, rows.new_zeros(1, rows.shape[1])]), near, taps)
    return _bags(rows, lattice.corners, lattice.shares.to(values.dtype)) * lattice.scale


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, lattice: Lattice) -> Tensor:
        context.lattice = lattice
        return _filtered(values, lattice, False)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return _filtered(slopes[0].contiguous(), context.lattice, True), None


def gaussian_sum(values: Tensor, lattice: Lattice) -> Tensor:
    """(N, C) -> (N, C): the weighted sum over all points, the own one included. Differentiable in the values, by the exact adjoint."""
    found: Tensor = _Filter.apply(values.contiguous(), lattice)
    return found
