"""Reference boxes of detectors: anchors of a region proposal network, default boxes of SSD, middles of cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float], *, whole: bool = False) -> Tensor:
    """(ratios x sizes, 4) float32 boxes around (0, 0): areas size^2, ratio = height / width, all sizes of the first ratio first.

    Ren et al., "Faster R-CNN", 2015, section 3.1.1. whole: corners rounded to whole pixels, as published weights expect.

    >>> cell_anchors([8], [1, 4]).tolist()
    [[-4.0, -4.0, 4.0, 4.0], [-2.0, -8.0, 2.0, 8.0]]
    """
    high = torch.tensor(ratios, dtype=torch.float32).sqrt()
    side = torch.tensor(sizes, dtype=torch.float32)
    width, height = ((1 / high)[:, None] * side).flatten(), (high[:, None] * side).flatten()
    boxes = torch.stack([-width, -height, width, height], 1) / 2
    return boxes.round() if whole else boxes


def grid_anchors(cells: Tensor, size: Sequence[int], stride: tuple[float, float], *, offset: float = 0.5) -> Tensor:
    """(h w A, 4): the A boxes of `cells` (A, 4) around a point of each cell of a map of `size` (h, w), row by row, the boxes of one cell together.

    stride: (down, along) in input pixels a cell. offset: where in a cell the point is, in cells: 0.5 is its middle; published anchors are at 0.
    """
    points = grid_points(size, stride, offset=offset, device=cells.device)
    return (points.repeat(1, 2)[:, None] + cells).reshape(-1, 4)


def grid_points(size: Sequence[int], stride: tuple[float, float], *, offset: float = 0.5, device: torch.device | None = None) -> Tensor:
    """(h w, 2) float32: x, y in input pixels of a point of each cell of a map of `size` (h, w), row by row.

    >>> grid_points((1, 2), (8, 8)).tolist()
    [[4.0, 4.0], [12.0, 4.0]]
    """
    down = (torch.arange(size[0], dtype=torch.float32, device=device) + offset) * stride[0]
    along = (torch.arange(size[1], dtype=torch.float32, device=device) + offset) * stride[1]
    return torch.stack([along.expand(len(down), -1), down[:, None].expand(-1, len(along))], -1).reshape(-1, 2)


def default_cells(scale: float, following: float, ratios: Sequence[float], image: tuple[int, int]) -> Tensor:
    """(2 + 2 len(ratios), 4) float32 boxes around (0, 0) for one map of SSD: a square of `scale`, one of the geometric mean with the scale of the
    `following` map, then for each ratio a lying and a standing box; sides are shares of the image (h, w), at most 1.

    Liu et al., "SSD", ECCV 2016, section 2.2.

    >>> default_cells(0.5, 0.5, [], (8, 8)).tolist()
    [[-2.0, -2.0, 2.0, 2.0], [-2.0, -2.0, 2.0, 2.0]]
    """
    between = (scale * following) ** 0.5
    sides = [(scale, scale), (between, between)]
    for ratio in ratios:
        long, short = scale * ratio**0.5, scale / ratio**0.5
        sides += [(long, short), (short, long)]
    shares = torch.tensor(sides, dtype=torch.float64).clamp(0, 1)
    half = (shares * torch.tensor([image[1], image[0]], dtype=torch.float64) / 2).float()
    return torch.cat([-half, half], 1)


def default_scales(maps: int, *, smallest: float = 0.2, largest: float = 0.9, first: float | None = None) -> list[float]:
    """maps + 1 scales: evenly from `smallest` to `largest` (SSD, eq. 4), the last one step beyond; `first` replaces the first, as for small objects.

    >>> [round(s, 2) for s in default_scales(3, smallest=0.2, largest=0.8)]
    [0.2, 0.5, 0.8, 1.1]
    """
    step = (largest - smallest) / max(1, maps - 1)
    scales = [smallest + step * i for i in range(maps + 1)]
    return scales if first is None else [first, *scales[:maps]]


def around_data(anchors: Tensor, size: Tensor) -> Tensor:
    """(n, 4) and one image's valid size (2,) h, w -> (n,) bool: whose middle lies in the image, and not in what a batch is padded with."""
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    return ((middle >= 0) & (middle <= size.flip(0).to(middle.dtype))).all(1)
