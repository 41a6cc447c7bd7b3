"""Pooling that looks at data only: each function takes the valid extent (N, 2) of its map, or None (see `ops.padding`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.ops.padding import clear, through


def global_average(x: Tensor, extent: Tensor | None = None) -> Tensor:
    """(N, C, *S) -> (N, C): the mean over the valid cells; 0 for a sample that has none.

    >>> import torch
    >>> global_average(torch.tensor([[[[2.0, 4.0, 99.0]]]]), torch.tensor([[1, 2]])).item()
    3.0
    """
    if extent is None:
        return x.mean(tuple(range(2, x.ndim)))
    count = extent.prod(1, keepdim=True).clamp_min(1)
    return clear(x, extent).sum(tuple(range(2, x.ndim))) / count


def global_max(x: Tensor, extent: Tensor | None = None) -> Tensor:
    """(N, C, *S) -> (N, C): the largest of the valid cells; 0 for a sample that has none."""
    if extent is None:
        return x.amax(tuple(range(2, x.ndim)))
    largest = clear(x, extent, -float("inf")).amax(tuple(range(2, x.ndim)))
    return largest.masked_fill(extent.prod(1, keepdim=True) == 0, 0.0)


def grid_average(x: Tensor, grid: int, extent: Tensor | None = None) -> Tensor:
    """(N, C, H, W) -> (N, C, grid, grid): means of windows that divide each sample's valid cells evenly, overlapping by at most one."""
    if extent is None:
        return F.adaptive_avg_pool2d(x, grid)
    rows = [F.adaptive_avg_pool2d(sample[:, : max(1, h), : max(1, w)], grid) for sample, (h, w) in zip(x, extent.tolist(), strict=True)]
    return torch.stack(rows)


def grid_max(x: Tensor, grid: int, extent: Tensor | None = None) -> Tensor:
    """(N, C, H, W) -> (N, C, grid, grid): maxima of the same windows.

    >>> grid_max(torch.arange(6.0).view(1, 1, 2, 3), 1).item()
    5.0
    """
    if extent is None:
        return F.adaptive_max_pool2d(x, grid)
    rows = [F.adaptive_max_pool2d(sample[:, : max(1, h), : max(1, w)], grid) for sample, (h, w) in zip(x, extent.tolist(), strict=True)]
    return torch.stack(rows)


def max_pool(
    x: Tensor, kernel: int, *, stride: int, padding: int = 0, extent: Tensor | None = None, ceil: bool = False, dilation: int = 1
) -> tuple[Tensor, Tensor | None]:
    """The largest valid value under each window, and the new extent; cells beyond it are zero. ceil: windows cut by the border count."""
    masked, wide = clear(x, extent, -float("inf")), dilation * (kernel - 1) + 1
    if padding > kernel // 2:  # torch counts the kernel without its dilation
        pooled = F.max_pool2d(F.pad(masked, (padding,) * 4, value=-float("inf")), kernel, stride, 0, dilation, ceil)
    else:
        pooled = F.max_pool2d(masked, kernel, stride, padding, dilation, ceil)
    after = through(extent, wide - (stride - 1 if ceil else 0), stride, padding)
    return clear(pooled, after), after


def average_pool(x: Tensor, kernel: int, extent: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """The mean of each kernel x kernel tile, and the new extent; a tile cut by the border is left out."""
    after = through(extent, kernel, kernel, 0)
    return clear(F.avg_pool2d(x, kernel), after), after


def subsample(x: Tensor, coefficient: Tensor, bias: Tensor) -> Tensor:
    """Trainable subsampling: each channel's 2x2 sums, times its coefficient, plus its bias. LeCun et al. 1998, section II-B, layer S2.

    x: (N, C, H, W); coefficient, bias: (C,). Returns (N, C, H // 2, W // 2).
    """
    return F.avg_pool2d(x, 2) * (4 * coefficient).view(-1, 1, 1) + bias.view(-1, 1, 1)
