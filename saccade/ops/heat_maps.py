"""Points as heat maps and back: a Gaussian around each point, and where the top of a map is to a fraction of a cell.

A point at u cells (continuous; cell i covers [i, i + 1], its middle is i + 1/2) is encoded where it is and not at the nearest cell, and the
way back is by the Taylor expansion of the logarithm of the map around its largest cell: Zhang, Zhu, Dai, Ye, Zhu, "Distribution-aware
coordinate representation for human pose estimation", CVPR 2020 (DARK), section 3. The logarithm of a Gaussian is a parabola, so an ideal map
gives its point back exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.ops.padding import clear


def gaussians(cells: Tensor, sigma: float, size: tuple[int, int]) -> Tensor:
    """(..., 2) points x, y in cells -> (..., h, w) values exp(-d^2 / (2 sigma^2)) in (0, 1], d in cells from the middle of each cell."""
    h, w = size
    y, x = (torch.arange(side, dtype=cells.dtype, device=cells.device) + 0.5 for side in (h, w))
    across = (x - cells[..., :1]) ** 2
    down = (y - cells[..., 1:]) ** 2
    return torch.exp(-(down[..., :, None] + across[..., None, :]) / (2 * sigma**2))


def peaks(logs: Tensor, extent: Tensor | None = None) -> Tensor:
    """(N, K, h, w) logarithms of heat (up to a constant for each map) -> (N, K, 2) x, y in cells.

    extent: (N, 2) valid cells (h, w), everything when None. One step of Newton from the largest cell with the first and second differences of
    its 3 x 3 neighbours (eq. 6 to 8). Where that cell is at the border the differences are those around the cell beside it, which have the
    same parabola. A point stays in its largest cell; it is its middle where the map is no peak there, or has less than 3 cells a side.
    Deviation: the map is not smoothed first (eq. 9), because smoothing pulls points at the border inwards.
    """
    n, k, h, w = logs.shape
    best = logs.flatten(2).argmax(2)
    row, column = torch.div(best, w, rounding_mode="floor"), best % w
    if h < 3 or w < 3:
        return torch.stack([column, row], -1).to(logs.dtype) + 0.5
    sides = logs.new_tensor([h, w], dtype=torch.int64).expand(n, 2) if extent is None else extent.to(logs.device)
    last = (sides - 2).clamp_min(1)[:, None]
    r, c = torch.minimum(row.clamp_min(1), last[..., 0]), torch.minimum(column.clamp_min(1), last[..., 1])
    step = torch.arange(-1, 2, device=logs.device)
    places = (r[..., None, None] + step[:, None]) * w + c[..., None, None] + step
    a = logs.flatten(2).gather(2, places.flatten(2)).view(n, k, 3, 3)
    x1, y1 = (a[..., 1, 2] - a[..., 1, 0]) / 2, (a[..., 2, 1] - a[..., 0, 1]) / 2
    xx, yy = a[..., 1, 2] - 2 * a[..., 1, 1] + a[..., 1, 0], a[..., 2, 1] - 2 * a[..., 1, 1] + a[..., 0, 1]
    xy = (a[..., 2, 2] - a[..., 2, 0] - a[..., 0, 2] + a[..., 0, 0]) / 4
    whole = xx * yy - xy**2
    peaked = (xx < 0) & (yy < 0) & (whole > 1e-8) & (sides >= 3).all(1)[:, None]
    whole = torch.where(peaked, whole, 1.0)
    x = c + 0.5 - (yy * x1 - xy * y1) / whole
    y = r + 0.5 - (xx * y1 - xy * x1) / whole
    middle = torch.stack([column, row], -1).to(logs.dtype) + 0.5
    found = torch.where(peaked[..., None], torch.stack([x, y], -1), middle)
    return torch.minimum(torch.maximum(found, middle - 0.5), middle + 0.5)


def agreement(logs: Tensor, cells: Tensor, sigma: float, extent: Tensor | None = None) -> Tensor:
    """(N, K) in [0, 1]: how much the distributions (N, K, h, w), given by logarithms up to a constant, are like a Gaussian at the points (N, K, 2).

    The square of the sum of the roots of the products of both (Bhattacharyya 1943): 1 for the ideal map, small for one that is flat, near 0 for heat
    elsewhere. extent: (N, 2) valid cells (h, w), everything when None; beyond them there is no heat and no Gaussian.
    """
    p = torch.softmax(logs.flatten(2), 2)
    whole = gaussians(cells, sigma, (logs.shape[2], logs.shape[3]))
    g = clear(whole, extent).flatten(2)
    return (p * (g / g.sum(2, keepdim=True).clamp_min(1e-12))).sqrt().sum(2).square().clamp(0, 1)
