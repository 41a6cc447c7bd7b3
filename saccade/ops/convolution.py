"""Convolution in one, two or three dimensions, said three ways: by its definition, as im2col with a matrix product, and as a sparse matrix.

What the field calls convolution is z_i = sum_j w_j x_{i+j}; with `flipped=True` it is the mathematicians' z_i = sum_j w_j x_{i-j}
(over the same window, so that only the kernel is turned). Layouts are torch's: x (N, C, *S), kernel (C_out, C / groups, *K), and a
number for stride, padding or dilation stands for every axis. All functions can be differentiated but for the matrix's places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

Axes = int | Sequence[int]


class Window(NamedTuple):
    """Stride, padding and dilation along each axis."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


def window(dimensions: int, *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1) -> Window:
    """The three settings by axis. Raises ValueError for a wrong number of them, a stride or dilation below 1, a padding below 0."""
    found = Window(_axes(stride, dimensions, "stride"), _axes(padding, dimensions, "padding"), _axes(dilation, dimensions, "dilation"))
    if min(found.stride) < 1 or min(found.dilation) < 1 or min(found.padding) < 0:
        raise ValueError(f"stride and dilation must be at least 1 and padding at least 0, got {found}")
    return found


def _axes(value: Axes, dimensions: int, name: str) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) != dimensions:
        raise ValueError(f"{name} must be one number or {dimensions}, got {tuple(value)}")
    return tuple(value)


def output_shape(shape: Sequence[int], kernel: Sequence[int], *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1) -> tuple[int, ...]:
    """The cells along each axis: (s + 2p - d (k - 1) - 1) // stride + 1. Raises ValueError where the kernel does not fit.

    >>> output_shape((5, 6), (3, 3))
    (3, 4)
    """
    w = window(len(shape), stride=stride, padding=padding, dilation=dilation)
    found = tuple((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, k, t, p, d in zip(shape, kernel, *w, strict=True))
    if min(found) < 1:
        raise ValueError(f"a kernel of {tuple(kernel)} does not fit into {tuple(shape)} with {w}")
    return found


def convolution_parameters(inputs: int, outputs: int, kernel: Sequence[int], *, groups: int = 1, bias: bool = True) -> int:
    """Trainable numbers of a convolution between so many channels: one kernel for each pair within a group, and a bias for each output.

    >>> convolution_parameters(1, 1, (3, 3))
    10
    """
    _check_groups(inputs, outputs, groups)
    return outputs * (inputs // groups) * math.prod(kernel) + (outputs if bias else 0)


def dense_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Trainable numbers of a layer in which everything is connected.

    >>> dense_parameters(5 * 6, 3 * 4)
    372
    """
    return outputs * inputs + (outputs if bias else 0)


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Axes = 1,
    padding: Axes = 0,
    dilation: Axes = 1,
    groups: int = 1,
    flipped: bool = False,
) -> Tensor:
    """The definition: for every place j of the kernel, the input shifted by j, times w_j, added up.

    x (N, C, *S), kernel (C_out, C / groups, *K), bias (C_out,) -> (N, C_out, *O). Beyond the border the input is 0.
    Raises ValueError where the shapes do not go together.

    >>> convolve(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, -1.0]]])).tolist()
    [[[-1.0, -1.0]]]
    >>> convolve(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, -1.0]]]), flipped=True).tolist()
    [[[1.0, 1.0]]]
    """
    w = _check(x, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    kernel = kernel.flip(*range(2, kernel.ndim)) if flipped else kernel
    cells = output_shape(x.shape[2:], kernel.shape[2:], stride=w.stride, padding=w.padding, dilation=w.dilation)
    padded = _split(_pad(x, w.padding), 1, groups)  # (N, G, C/G, *S)
    weights = _split(kernel, 0, groups)  # (G, C_out/G, C/G, *K)
    z = x.new_zeros(len(x), groups, len(kernel) // groups, *cells)
    for j in product(*map(range, kernel.shape[2:])):
        shifted = _at(padded, _places(j, cells, w))  # (N, G, C/G, *O)
        z = z + torch.einsum("goc,ngc...->ngo...", _at(weights, j), shifted)
    return _add_bias(z.flatten(1, 2), bias)


def patches(x: Tensor, kernel: Sequence[int], *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1) -> Tensor:
    """im2col: (N, C, *S) -> (N, C, prod K, prod O), each column the pixels that one output cell looks at.

    >>> patches(torch.arange(4.0).view(1, 1, 4), (2,)).squeeze().tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    """
    w = window(x.ndim - 2, stride=stride, padding=padding, dilation=dilation)
    output_shape(x.shape[2:], kernel, stride=w.stride, padding=w.padding, dilation=w.dilation)
    found = _pad(x, w.padding)
    for axis, (k, t, d) in enumerate(zip(kernel, w.stride, w.dilation, strict=True), 2):
        found = found.unfold(axis, d * (k - 1) + 1, t)[..., ::d]  # (N, C, *O, *K) as the axes go by
    places = len(kernel)
    return found.flatten(2 + places).flatten(2, 1 + places).transpose(2, 3)


def convolve_by_patches(
    x: Tensor, kernel: Tensor, bias: Tensor | None = None, *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1, groups: int = 1
) -> Tensor:
    """The same as `convolve` by im2col and one matrix product a group; arguments and errors as there."""
    w = _check(x, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    cells = output_shape(x.shape[2:], kernel.shape[2:], stride=w.stride, padding=w.padding, dilation=w.dilation)
    columns = patches(x, kernel.shape[2:], stride=w.stride, padding=w.padding, dilation=w.dilation)
    columns = _split(columns, 1, groups).flatten(2, 3)  # (N, G, C/G prod K, prod O)
    rows = _split(kernel.flatten(1), 0, groups)  # (G, C_out/G, C/G prod K)
    return _add_bias((rows @ columns).reshape(len(x), len(kernel), *cells), bias)


def convolution_matrix(
    kernel: Tensor, shape: Sequence[int], *, stride: Axes = 1, padding: Axes = 0, dilation: Axes = 1, groups: int = 1, flipped: bool = False
) -> Tensor:
    """The sparse matrix (C_out prod O, C prod S) whose product with the pixels of one sample is the convolution.

    For one channel in two dimensions it is doubly block Toeplitz: equal blocks along the diagonals, each with equal numbers along its
    own. `shape` is (*S). A row has as many entries as the window has pixels inside the border, an entry for a weight of 0 too.

    >>> convolution_matrix(torch.tensor([[[1.0, 2.0]]]), (3,)).to_dense().tolist()
    [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]
    """
    w = window(len(shape), stride=stride, padding=padding, dilation=dilation)
    kernel = kernel.flip(*range(2, kernel.ndim)) if flipped else kernel
    _check_groups(kernel.shape[1] * groups, len(kernel), groups)
    cells = output_shape(shape, kernel.shape[2:], stride=w.stride, padding=w.padding, dilation=w.dilation)
    inputs, outputs, pixels, answers = kernel.shape[1] * groups, len(kernel), math.prod(shape), math.prod(cells)
    out, source = torch.meshgrid(torch.arange(outputs), torch.arange(kernel.shape[1]), indexing="ij")
    channel = source + out // (outputs // groups) * kernel.shape[1]  # the channel that each kernel looks at
    rows, columns, values = [], [], []
    for j in product(*map(range, kernel.shape[2:])):
        cell, pixel = _pairs(j, cells, shape, w)
        rows.append((out[..., None] * answers + cell).flatten())
        columns.append((channel[..., None] * pixels + pixel).flatten())
        values.append(_at(kernel, j)[..., None].expand(-1, -1, len(cell)).flatten())
    places = torch.stack([torch.cat(rows), torch.cat(columns)]).to(kernel.device)
    return torch.sparse_coo_tensor(places, torch.cat(values), (outputs * answers, inputs * pixels), check_invariants=True).coalesce()


def convolve_transposed(
    z: Tensor, kernel: Tensor, *, stride: Axes = 1, padding: Axes = 0, output_padding: Axes = 0, dilation: Axes = 1, groups: int = 1
) -> Tensor:
    """Transposed convolution: the product with the transposed matrix of `convolve`, every answer spread by the kernel it was made with.

    z (N, C_out, *O), kernel (C_out, C / groups, *K), as `convolve` has them -> (N, C, *S) with S = (O - 1) stride - 2 padding +
    dilation (K - 1) + 1 + output_padding, the last of which chooses among the sizes that a stride maps to the same O.
    Raises ValueError unless output_padding is below the stride and the answer has a cell.
    """
    spare = _axes(output_padding, z.ndim - 2, "output_padding")
    w = window(z.ndim - 2, stride=stride, padding=padding, dilation=dilation)
    _check_groups(kernel.shape[1] * groups, len(kernel), groups)
    if z.shape[1] != len(kernel) or kernel.ndim != z.ndim:
        raise ValueError(f"z {tuple(z.shape)} must have the {len(kernel)} channels and the axes of the kernel {tuple(kernel.shape)}")
    full = [(o - 1) * t + d * (k - 1) + 1 + e for o, k, e, t, d in zip(z.shape[2:], kernel.shape[2:], spare, w.stride, w.dilation, strict=True)]
    if any(not 0 <= e < t for e, t in zip(spare, w.stride, strict=True)) or any(f <= 2 * p for f, p in zip(full, w.padding, strict=True)):
        raise ValueError(f"output_padding {spare} must be below the stride {w.stride}, and padding {w.padding} leave a cell of {tuple(full)}")
    parts = _split(z, 1, groups)  # (N, G, C_out/G, *O)
    weights = _split(kernel, 0, groups)  # (G, C_out/G, C/G, *K)
    x = z.new_zeros(len(z), groups, kernel.shape[1], *full)
    for j in product(*map(range, kernel.shape[2:])):
        _at(x, _places(j, z.shape[2:], w)).add_(torch.einsum("goc,ngo...->ngc...", _at(weights, j), parts))
    inside = tuple(slice(p, f - p) for f, p in zip(full, w.padding, strict=True))
    return _at(x.flatten(1, 2), inside)


def _check(x: Tensor, kernel: Tensor, *, stride: Axes, padding: Axes, dilation: Axes, groups: int) -> Window:
    if x.ndim != kernel.ndim or x.ndim < 3:
        raise ValueError(f"x must be (N, C, *S) and kernel (C_out, C / groups, *K) of as many axes, got {tuple(x.shape)} and {tuple(kernel.shape)}")
    _check_groups(x.shape[1], len(kernel), groups)
    if kernel.shape[1] * groups != x.shape[1]:
        raise ValueError(f"{groups} groups of kernels over {kernel.shape[1]} channels need {kernel.shape[1] * groups} channels, got {x.shape[1]}")
    return window(x.ndim - 2, stride=stride, padding=padding, dilation=dilation)


def _check_groups(inputs: int, outputs: int, groups: int) -> None:
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(f"groups must divide the {inputs} channels in and the {outputs} out, got {groups}")


def _at(x: Tensor, places: Sequence[int | slice]) -> Tensor:
    """A view of the last axes: x[..., *places]."""
    index: Any = (..., *places)
    return x[index]


def _split(x: Tensor, axis: int, groups: int) -> Tensor:
    """An axis as two: groups, and what each of them has."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _pad(x: Tensor, padding: Sequence[int]) -> Tensor:
    return torch.nn.functional.pad(x, [p for own in reversed(padding) for p in (own, own)])


def _places(j: Sequence[int], cells: Sequence[int], w: Window) -> tuple[slice, ...]:
    """Where the padded input lies under place j of the kernel, for all cells."""
    return tuple(slice(i * d, i * d + (o - 1) * t + 1, t) for i, o, t, d in zip(j, cells, w.stride, w.dilation, strict=True))


def _pairs(j: Sequence[int], cells: Sequence[int], shape: Sequence[int], w: Window) -> tuple[Tensor, Tensor]:
    """The flat numbers of the cells, and of the pixels under place j of the kernel, for those whose pixel lies inside."""
    cell, pixel = torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)
    for i, o, s, t, p, d in zip(j, cells, shape, *w, strict=True):
        own = torch.arange(o)
        at = own * t - p + i * d
        inside = (at >= 0) & (at < s)
        cell = (cell[:, None] * o + own[inside]).flatten()
        pixel = (pixel[:, None] * s + at[inside]).flatten()
    return cell, pixel


def _add_bias(z: Tensor, bias: Tensor | None) -> Tensor:
    return z if bias is None else z + bias.view(-1, *(1,) * (z.ndim - 2))
