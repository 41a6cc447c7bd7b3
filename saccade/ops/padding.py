"""Valid extents: which cells of a padded map are data, followed exactly through strides.

A batch of images of several sizes is padded to the largest. The rule that makes padding change nothing: *every map is
zero beyond its extent*, as it would be beyond its border if the sample were alone. `extent` is (N, D) integers, the
valid (h, w) of each sample's map (or its length, or (d, h, w)), or None when no sample is padded, and then nothing here costs anything.
"""

from __future__ import annotations

import torch
from torch import Tensor


def valid_extent(inputs: Tensor, sizes: Tensor) -> Tensor | None:
    """The extent of a batch of inputs (N, C, *S) from its sizes (N, D), those of its last D axes: None when no sample is padded.

    This is the one place that looks at the values. While a graph is exported they are not known, so the graph masks.

    >>> valid_extent(torch.zeros(1, 3, 4, 6), torch.tensor([[4, 6]])) is None
    True
    """
    exporting = torch.compiler.is_exporting()
    if not exporting and bool((sizes == sizes.new_tensor(inputs.shape[-sizes.shape[1] :])).all()):
        return None
    return sizes


Pair = int | tuple[int, int]


def through(extent: Tensor | None, kernel: Pair, stride: int, padding: Pair) -> Tensor | None:
    """The extent after a convolution or pooling: (v + 2p - k) // s + 1, nought where the kernel does not fit; k and p perhaps by axis (h, w).

    >>> through(torch.tensor([[32, 7]]), kernel=3, stride=2, padding=1).tolist()
    [[16, 4]]
    """
    if extent is None or kernel == 1 == stride:
        return extent
    less = kernel - 2 * padding if isinstance(kernel, int) and isinstance(padding, int) else extent.new_tensor(differences(kernel, padding))
    return (torch.div(extent - less, stride, rounding_mode="floor") + 1).clamp_min(0)


def differences(kernel: Pair, padding: Pair) -> tuple[int, int]:
    """k - 2p by axis: by how much a layer of stride 1 shrinks a map, plus one."""
    (kh, kw), (ph, pw) = both(kernel), both(padding)
    return kh - 2 * ph, kw - 2 * pw


def both(value: Pair) -> tuple[int, int]:
    """(h, w) of a number that may stand for both."""
    return (value, value) if isinstance(value, int) else value


def cells(sizes: Tensor, stride: int, reach: int = 1) -> Tensor:
    """The extent of a whole chain's map from the input's sizes: (v - reach) // stride + 1.

    reach: input cells that the first cell of the map looks at, less all padding. Chains compose: (s1, a1) then (s2, a2)
    is (s1 s2, a1 + s1 (a2 - 1)) with a = k - 2p, so layers that keep their size (a = 1) leave it at 1.

    >>> cells(torch.tensor([[224, 33]]), stride=32).tolist()
    [[7, 2]]
    """
    return (torch.div(sizes - reach, stride, rounding_mode="floor") + 1).clamp_min(0)


def inside(extent: Tensor, *lengths: int) -> Tensor:
    """(N, D) -> (N, 1, *lengths) bool: True where a cell is data; D = 1 for sequences, 2 for images, 3 for volumes."""
    shape = [-1] + [1] * (len(lengths) + 1)
    data = torch.ones(shape[1:], dtype=torch.bool, device=extent.device)[None]
    for axis, length in enumerate(lengths):
        along = torch.arange(length, device=extent.device) < extent[:, axis : axis + 1]  # (N, length)
        data = data & along.view([*shape[: axis + 2], length, *shape[axis + 3 :]])
    return data


def clear(x: Tensor, extent: Tensor | None, fill: float = 0.0) -> Tensor:
    """(N, C, *S) with every cell beyond the extent (N, D) set to `fill`; x itself when nothing is padded."""
    # torch.where and not masked_fill, which would turn channels_last into contiguous
    return x if extent is None else torch.where(inside(extent, *x.shape[-extent.shape[1] :]), x, fill)
