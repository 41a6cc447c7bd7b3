"""Normalisation whose statistics are taken over data only, never over padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saccade.ops.padding import inside


def batch_norm(norm: nn.BatchNorm2d, x: Tensor, extent: Tensor | None) -> Tensor:
    """Batch normalisation (Ioffe and Szegedy 2015); while training, padded cells enter neither mean nor variance.

    x: (N, C, H, W). Cells beyond the extent come out undefined, for the caller to clear.
    """
    if extent is None or not norm.training:
        return _applied(norm, x)
    data = inside(extent, *x.shape[-2:])[:, 0]  # (N, H, W)
    rows = x.movedim(1, -1)  # (N, H, W, C)
    normed = _applied(norm, rows[data][..., None, None])[..., 0, 0]  # (cells, C)
    return torch.zeros_like(rows, dtype=normed.dtype).index_put((data,), normed).movedim(-1, 1)


def group_norm(norm: nn.GroupNorm, x: Tensor, extent: Tensor | None) -> Tensor:
    """Group normalisation (Wu and He 2018, eq. 1 and 2) over each sample's valid cells.

    x: (N, C, H, W). Cells beyond the extent come out undefined, for the caller to clear.
    """
    if extent is None:
        return _applied(norm, x)
    n, c, h, w = x.shape
    data = inside(extent, h, w)[:, :, None]  # (N, 1, 1, H, W)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # bfloat16 sums of squares are too coarse
    groups = wide.view(n, norm.num_groups, c // norm.num_groups, h, w)
    count = (extent.prod(1) * (c // norm.num_groups)).clamp_min(1).view(n, 1, 1, 1, 1)
    mean = (groups * data).sum((2, 3, 4), keepdim=True) / count
    variance = ((groups - mean).square() * data).sum((2, 3, 4), keepdim=True) / count
    normed = ((groups - mean) * torch.rsqrt(variance + norm.eps)).view(n, c, h, w)
    return normed * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)


def normalise(norm: nn.Module, x: Tensor, extent: Tensor | None) -> Tensor:
    """The given normalisation of x over its valid cells; any other module is applied as it is."""
    if isinstance(norm, nn.BatchNorm2d):
        return batch_norm(norm, x, extent)
    if isinstance(norm, nn.GroupNorm):
        return group_norm(norm, x, extent)
    return _applied(norm, x)


def _applied(module: nn.Module, x: Tensor) -> Tensor:
    y: Tensor = module(x)
    return y
