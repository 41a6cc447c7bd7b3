"""The ways back to a finer grid: nearest, bed of nails, max unpooling, bilinear, bicubic, transposed convolution, sub-pixel, and a measure of checkerboards.

Layouts are torch's, x (N, C, *S). `extent` (N, D) is the valid part of each map, or None (see `ops.padding`); with it no answer depends on what
stands beyond. Cell i of a map of stride s covers the fine cells s i to s i + s - 1, so that its centre is at s (i + 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.ops.convolution import Axes, convolution_matrix, output_shape
from saccade.ops.padding import clear

Upsampling = Literal["nearest", "bilinear"]
Kernel = Literal["nearest", "bilinear", "bicubic"]

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_REACH = {"bilinear": 1.0, "bicubic": 2.0}


def replicated(x: Tensor, extent: Tensor | None) -> Tensor:
    """(N, C, *S) whose cells beyond the extent repeat the last valid ones of their line; a sample without any stays as it is."""
    if extent is None:
        return x
    for axis in range(extent.shape[1]):
        length = x.shape[2 + axis]
        at = torch.minimum(torch.arange(length, device=x.device), (extent[:, axis : axis + 1] - 1).clamp_min(0))  # (N, length)
        shape = [len(x), 1, *(length if a == axis else 1 for a in range(x.ndim - 2))]
        x = x.gather(2 + axis, at.view(shape).expand_as(x))
    return x


def upsample(x: Tensor, factor: int, mode: Upsampling = "bilinear", *, size: Sequence[int] | None = None, extent: Tensor | None = None) -> Tensor:
    """(N, C, *S) -> (N, C, *size) by a whole factor: what a finer cell's centre sees in the coarse map, whose border is continued.

    size: of the answer, `factor` times S unless given, perhaps a little more or less where a stride rounded. Unlike a resize to `size` the factor
    is always the same, so that a sample gives what it gives alone whatever it is batched with. Raises ValueError for a factor below 1.

    >>> upsample(torch.tensor([[[0.0, 4.0]]]), 2).tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """
    if factor < 1:
        raise ValueError(f"the factor must be at least 1, got {factor}")
    whole = [factor * s for s in x.shape[2:]] if size is None else list(size)
    x = replicated(x, extent)
    missing = [max(0, math.ceil(w / factor) - s) for w, s in zip(whole, x.shape[2:], strict=True)]
    if any(missing):
        x = F.pad(x, [p for m in reversed(missing) for p in (0, m)], mode="replicate")
    if factor > 1:
        x = F.interpolate(x, scale_factor=float(factor), mode="nearest") if mode == "nearest" else _linear(x, factor)
    for axis, length in enumerate(whole):
        x = x.narrow(2 + axis, 0, length)
    return x


def _linear(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode=_LINEAR[x.ndim - 2], align_corners=False)


def bed_of_nails(x: Tensor, factor: int) -> Tensor:
    """(N, C, *S) -> (N, C, *factor S): each value at the first cell of its block, zeros elsewhere.

    >>> bed_of_nails(torch.tensor([[[1.0, 2.0]]]), 2).tolist()
    [[[1.0, 0.0, 2.0, 0.0]]]
    """
    out = x.new_zeros(*x.shape[:2], *(factor * s for s in x.shape[2:]))
    places: Any = (..., *(slice(None, None, factor),) * (x.ndim - 2))
    out[places] = x
    return out


def pool_with_switches(x: Tensor, kernel: int = 2, stride: int | None = None, *, extent: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) -> the largest of each window without padding, (N, C, h, w), and its switches: the flat place h W + w of each in the map, int64.

    Zeiler and Fergus 2014, section 2.1. Of equal values the first is taken. With an extent, windows that hold no valid cell give 0 and switch 0.
    """
    pooled, switches = F.max_pool2d(clear(x, extent, -float("inf")), kernel, stride or kernel, return_indices=True)
    empty = torch.isneginf(pooled)
    return torch.where(empty, 0.0, pooled), torch.where(empty, 0, switches)


def max_unpool(x: Tensor, switches: Tensor, size: Sequence[int], *, extent: Tensor | None = None) -> Tensor:
    """(N, C, h, w) -> (N, C, *size): each value where its maximum was, zeros elsewhere. Zeiler and Fergus 2014; Badrinarayanan et al. 2017, section 3.

    switches: of `pool_with_switches` over a map of `size`; where windows overlap and share a maximum the values are added, which makes
    this the transpose of taking the maxima. extent: of x, beyond which nothing is placed.
    Raises ValueError where x and the switches differ in shape.
    """
    if x.shape != switches.shape:
        raise ValueError(f"x {tuple(x.shape)} and switches {tuple(switches.shape)} differ in shape")
    out = x.new_zeros(*x.shape[:2], math.prod(size))
    return out.scatter_add(2, switches.flatten(2), clear(x, extent).flatten(2)).view(*x.shape[:2], *size)


def bilinear_kernel(factor: int) -> Tensor:
    """(2f - f mod 2,) squared: the kernel whose transposed convolution with stride f is bilinear interpolation. Long et al. 2015, section 3.3.

    >>> bilinear_kernel(2)[0].tolist()
    [0.0625, 0.1875, 0.1875, 0.0625]
    """
    size = 2 * factor - factor % 2
    middle = (size - 1) / 2
    line = 1 - (torch.arange(size) - middle).abs() / factor
    return torch.outer(line, line)


def transposed_matrix(kernel: Tensor, shape: Sequence[int], *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1, groups: int = 1) -> Tensor:
    """The sparse matrix of a transposed convolution that answers with `shape`: the transpose of `convolution_matrix`, not its inverse.

    (C prod S, C_out prod O); kernel (C_out, C / groups, *K) as `convolve` has it.
    """
    output_shape(shape, kernel.shape[2:], stride=stride, padding=padding, dilation=dilation)
    return convolution_matrix(kernel, shape, stride=stride, padding=padding, dilation=dilation, groups=groups).t().coalesce()


def sub_pixel(x: Tensor, factor: int) -> Tensor:
    """(N, C f^D, *S) -> (N, C, *f S): channel c f^D + k of a cell becomes its k-th finer cell, row by row. Shi et al. 2016, eq. 4.

    Raises ValueError where the channels do not divide.

    >>> sub_pixel(torch.arange(4.0).view(1, 4, 1, 1), 2).tolist()
    [[[[0.0, 1.0], [2.0, 3.0]]]]
    """
    axes = x.ndim - 2
    if factor < 1 or x.shape[1] % factor**axes:
        raise ValueError(f"{x.shape[1]} channels cannot be shared among {factor}^{axes} finer cells")
    channels = x.shape[1] // factor**axes
    parts = x.reshape(len(x), channels, *(factor,) * axes, *x.shape[2:])
    order = [0, 1, *(place for axis in range(axes) for place in (2 + axes + axis, 2 + axis))]
    return parts.permute(order).reshape(len(x), channels, *(factor * s for s in x.shape[2:]))


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(N, C, *f S) -> (N, C f^D, *S): the inverse of `sub_pixel`. Raises ValueError where a side does not divide."""
    axes = x.ndim - 2
    if factor < 1 or any(s % factor for s in x.shape[2:]):
        raise ValueError(f"sides {tuple(x.shape[2:])} do not divide by {factor}")
    parts = x.reshape(*x.shape[:2], *(part for s in x.shape[2:] for part in (s // factor, factor)))
    order = [0, 1, *(3 + 2 * axis for axis in range(axes)), *(2 + 2 * axis for axis in range(axes))]
    return parts.permute(order).reshape(len(x), x.shape[1] * factor**axes, *(s // factor for s in x.shape[2:]))


def sub_pixel_kernel(kernel: Tensor, factor: int) -> Tensor:
    """(C, C_in, *K) -> (C f^D, C_in, *K): every kernel repeated for each of its finer cells, so that a fresh sub-pixel layer is a
    nearest-neighbour one and shows no checkerboard (Aitken et al. 2017, "ICNR")."""
    return kernel.repeat_interleave(factor ** (kernel.ndim - 2), 0)


def cubic(t: Tensor, a: float = -0.5) -> Tensor:
    """Keys's cubic convolution kernel (1981, eq. 15; a = -0.5 is of third order): 1 at 0, 0 at other whole numbers and from 2 on."""
    t = t.abs()
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))


def resize_matrix(source: int, target: int, kernel: Kernel = "bicubic", *, antialias: bool = True, a: float = -0.5) -> Tensor:
    """(target, source) float64: the weights by which `target` cells are made from `source` ones; rows sum to one.

    antialias: where it shrinks, the kernel is as many times wider, so that it averages (Pillow, MATLAB). Beyond the border there is nothing: the
    weights inside are normalised. Raises ValueError for a length below 1.

    >>> resize_matrix(2, 4, "bilinear").tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    if source < 1 or target < 1:
        raise ValueError(f"lengths must be at least 1, got {source} to {target}")
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5
    cells = torch.arange(source, dtype=torch.float64)
    if kernel == "nearest":
        return F.one_hot((centres + 0.5).floor().long().clamp(0, source - 1), source).double()
    wide = max(1.0, source / target) if antialias else 1.0
    distance = (centres[:, None] - cells) / wide
    if not antialias:  # the border is continued: outer places count for the outermost cell
        return _continued(centres, source, kernel, a)
    weights = cubic(distance, a) if kernel == "bicubic" else (1 - distance.abs()).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def _continued(centres: Tensor, source: int, kernel: Kernel, a: float) -> Tensor:
    reach = int(_REACH[kernel])
    at = centres.floor().long()[:, None] + torch.arange(1 - reach, reach + 1)
    distance = centres[:, None] - at
    weights = cubic(distance, a) if kernel == "bicubic" else (1 - distance.abs()).clamp_min(0)
    return centres.new_zeros(len(centres), source).scatter_add(1, at.clamp(0, source - 1), weights)


def resize(x: Tensor, size: Sequence[int], kernel: Kernel = "bicubic", *, antialias: bool = True, a: float = -0.5) -> Tensor:
    """(N, C, *S) -> (N, C, *size), one axis after another by `resize_matrix`; values may leave the range of x by the overshoot of the cubic."""
    for axis, target in enumerate(size, 2):
        if x.shape[axis] != target:
            matrix = resize_matrix(x.shape[axis], target, kernel, antialias=antialias, a=a).to(x)
            x = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return x


def overlap(cells: int, kernel: int, stride: int) -> Tensor:
    """How many of `cells` inputs reach each output of a transposed convolution along one axis: (stride (cells - 1) + kernel,) whole numbers.

    Uneven where the stride does not divide the kernel, which is where checkerboards come from (Odena et al. 2016).

    >>> overlap(3, 3, 2).tolist(), overlap(3, 4, 2).tolist()
    ([1, 1, 2, 1, 2, 1, 1], [1, 1, 2, 2, 2, 2, 1, 1])
    """
    counts = torch.zeros(stride * (cells - 1) + kernel, dtype=torch.int64)
    for i in range(cells):
        counts[i * stride : i * stride + kernel] += 1
    return counts


def checkerboard(x: Tensor, period: int) -> Tensor:
    """(N, C, H, W) -> (N, C): the share of a map's mean square that repeats with the period of an upsampling's stride, between 0 and 1.

    The map is averaged over all cells of one phase (i mod period, j mod period); the measure is the variance of these means over the mean of
    x^2, 0 for a map of zeros. Sides are cut to whole periods. Raises ValueError for a map smaller than one period.
    """
    h, w = (side // period * period for side in x.shape[2:])
    if not h or not w:
        raise ValueError(f"a map of {tuple(x.shape[2:])} has no whole period of {period}")
    x = x[..., :h, :w]
    phases = x.reshape(*x.shape[:2], h // period, period, w // period, period).mean((2, 4)).flatten(2)  # (N, C, period^2)
    power = x.square().mean((2, 3))
    return torch.where(power > 0, phases.var(2, correction=0) / power, 0.0)
