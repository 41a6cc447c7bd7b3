"""Normalisation whose statistics are taken over data only, never over padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.ops.padding import inside

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def batch_norm(norm: BatchNorm, x: Tensor, extent: Tensor | None) -> Tensor:
    """Batch normalisation (Ioffe and Szegedy 2015); while training, padded cells enter neither mean nor variance.

    x: (N, C, *S). Cells beyond the extent come out undefined, for the caller to clear.
    """
    if extent is None or not norm.training:
        return _applied(norm, x)
    data = inside(extent, *x.shape[2:])[:, 0]  # (N, *S)
    rows = x.movedim(1, -1)  # (N, *S, C)
    cells = rows[data]  # (cells, C)
    normed = _applied(norm, cells.view(*cells.shape, *[1] * (x.ndim - 2))).view(cells.shape)
    return torch.zeros_like(rows, dtype=normed.dtype).index_put((data,), normed).movedim(-1, 1)


def group_norm(norm: nn.GroupNorm, x: Tensor, extent: Tensor | None) -> Tensor:
    """Group normalisation (Wu and He 2018, eq. 1 and 2) over each sample's valid cells.

    x: (N, C, *S). Cells beyond the extent come out undefined, for the caller to clear.
    """
    if extent is None:
        return _applied(norm, x)
    n, c = x.shape[:2]
    data, over = inside(extent, *x.shape[2:])[:, :, None], tuple(range(2, x.ndim + 1))  # (N, 1, 1, *S)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # bfloat16 sums of squares are too coarse
    groups = wide.view(n, norm.num_groups, c // norm.num_groups, *x.shape[2:])
    count = (extent.prod(1) * (c // norm.num_groups)).clamp_min(1).view(n, *[1] * x.ndim)
    mean = (groups * data).sum(over, keepdim=True) / count
    variance = ((groups - mean).square() * data).sum(over, keepdim=True) / count
    normed = ((groups - mean) * torch.rsqrt(variance + norm.eps)).view(x.shape)
    ones = [1] * (x.ndim - 2)
    return normed * norm.weight.view(-1, *ones) + norm.bias.view(-1, *ones)


def normalise(norm: nn.Module, x: Tensor, extent: Tensor | None) -> Tensor:
    """The given normalisation of x over its valid cells; any other module is applied as it is."""
    if isinstance(norm, BatchNorm):
        return batch_norm(norm, x, extent)
    if isinstance(norm, nn.GroupNorm):
        return group_norm(norm, x, extent)
    return _applied(norm, x)


def _applied(module: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = module(x)
    return y
