"""Regions of feature maps as small grids: RoI align, RoI pooling and its position-sensitive form, over one map or a pyramid, with gradients, on any device.

Regions are (k, 5): row of the batch, then x1 y1 x2 y2 in input pixels; a map's `scale` is 1 / its stride. k may be 0.

Each bin of an output is a weighted sum (or maximum) of cells, so all of them together are one bag-of-rows look-up over the cells of all
maps as rows of C numbers: no loop over regions, and the gradient is that of the look-up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
SAMPLES = 1 << 22
"""Cells that are looked up at once: a region of a whole map beside small ones must not take the memory of as many whole maps."""


def roi_align(features: Tensor, regions: Tensor, output: Size, *, scale: float = 1.0, sampling: int = 0, aligned: bool = True) -> Tensor:
    """(N, C, H, W) and (k, 5) -> (k, C, *output): the mean of bilinear samples in each bin.

    He et al., "Mask R-CNN", ICCV 2017, section 3. sampling: points a bin along each axis; 0 takes as many as a bin has cells, rounded up.
    aligned: cells' middles are at halves, as everywhere in this package; False is the first published code, half a cell off and with
    regions of at least one cell, which published weights were trained with. What lies more than a cell outside counts as 0.
    """
    return pyramid_align([features], regions, output, scales=[scale], sampling=sampling, aligned=aligned)


def pyramid_align(
    maps: Sequence[Tensor],
    regions: Tensor,
    output: Size,
    *,
    scales: Sequence[float],
    levels: Tensor | None = None,
    extents: Tensor | None = None,
    sampling: int = 0,
    aligned: bool = True,
) -> Tensor:
    """`roi_align` from several maps (N, C, H_i, W_i), each region from the one that `levels` (k,) int64 says: the first when None.

    extents: (maps, N, 2) valid h, w of each image's maps, where a map ends for its regions; None: where it is stored to.
    """
    device = maps[0].device
    table, first, sizes = _cells(maps)
    level = torch.zeros(len(regions), dtype=torch.int64, device=device) if levels is None else levels
    size = sizes[level]
    ends = size if extents is None else extents[level, regions[:, 0].long()].clamp_min(1)
    scaled = regions[:, 1:].to(table.dtype) * torch.tensor(scales, dtype=table.dtype, device=device)[level][:, None] - 0.5 * aligned
    sides = scaled[:, 2:] - scaled[:, :2]
    if not aligned:
        sides = sides.clamp_min(1.0)
    base = first[level] + regions[:, 0].long() * size.prod(1)
    if sampling:
        counts = torch.full((len(regions), 2), sampling, device=device)
    else:
        counts = torch.ceil(sides.detach().flip(1) / sides.new_tensor(output)).clamp_min(1).long()
    found = []
    parts = _parts(counts, output)
    for rows in parts:
        down = _samples(scaled[rows, 1], sides[rows, 1], output[0], ends[rows, 0], counts[rows, 0])
        along = _samples(scaled[rows, 0], sides[rows, 0], output[1], ends[rows, 1], counts[rows, 1])
        found.append(_summed(table, base[rows], size[rows, 1], down, along, output))
    if not parts:
        return table.new_zeros(0, table.shape[1], *output)
    return found[0] if len(parts) == 1 else torch.cat(found)[torch.argsort(torch.cat(parts))]


def _parts(counts: Tensor, output: Size) -> list[Tensor]:
    """The regions in parts of similar numbers of samples (k, 2): each needs at most SAMPLES when all take the most of its. In order when it is one."""
    parts: list[Tensor] = []
    left = [torch.arange(len(counts), device=counts.device)] if len(counts) else []
    while left:
        part = left.pop()
        if len(part) > 1 and 4 * len(part) * int(counts[part].amax(0).prod()) * output[0] * output[1] > SAMPLES:
            part = part[torch.argsort(counts[part].prod(1), stable=True)]
            left += [part[len(part) // 2 :], part[: len(part) // 2]]
        else:
            parts.append(part)
    return parts


def _cells(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """All cells as rows (cells, C), the first row of each map, and the sizes (maps, 2) of the maps."""
    wide = [m if m.dtype in (torch.float32, torch.float64) else m.float() for m in maps]
    rows = [m.permute(0, 2, 3, 1).reshape(-1, m.shape[1]) for m in wide]
    counts = [0, *(len(r) for r in rows[:-1])]
    device = maps[0].device
    first, sizes = torch.tensor(counts, device=device).cumsum(0), torch.tensor([m.shape[2:] for m in maps], device=device)
    return torch.cat(rows) if len(rows) > 1 else rows[0], first, sizes


Samples = tuple[Tensor, Tensor, Tensor]


def _samples(start: Tensor, side: Tensor, bins: int, length: Tensor, per_bin: Tensor) -> Samples:
    """Where along one axis each bin looks: places (k, bins, 2 s) int64, their weights, and how many of the 2 s count (k,).

    A sample at t is (1 - f) cell floor(t) + f cell floor(t) + 1; regions of fewer samples than s have weights 0 at the end.
    """
    step = torch.arange(int(per_bin.max()), dtype=start.dtype, device=start.device)
    place = torch.arange(bins, dtype=start.dtype, device=start.device)[:, None] + (step + 0.5) / per_bin[:, None, None]  # (k, bins, s) in bins
    at = start[:, None, None] + place * (side / bins)[:, None, None]
    last = length[:, None, None]
    seen = (at >= -1) & (at <= last) & (step < per_bin[:, None, None])
    at = torch.minimum(at.clamp_min(0), (last - 1).to(at.dtype))
    low = at.detach().floor()
    beyond = at - low
    weight = torch.where(seen, 1 / per_bin[:, None, None], 0.0).to(at.dtype)
    places = torch.stack([low.long(), torch.minimum(low.long() + 1, last - 1)], -1).flatten(2)
    return places, torch.stack([weight * (1 - beyond), weight * beyond], -1).flatten(2), 2 * per_bin


def _summed(table: Tensor, base: Tensor, width: Tensor, down: Samples, along: Samples, output: Size) -> Tensor:
    """(k, C, *output): for each bin the sum over the product of its samples down and along."""
    (rows, row_weights, row_counts), (columns, column_weights, column_counts) = down, along
    k, channels = len(base), table.shape[1]
    index = base[:, None, None] + rows.flatten(1)[:, :, None] * width[:, None, None] + columns.flatten(1)[:, None, :]
    weight = row_weights.flatten(1)[:, :, None] * column_weights.flatten(1)[:, None, :]
    shape = (k, output[0], rows.shape[2], output[1], columns.shape[2])
    index, weight = index.view(shape).transpose(2, 3), weight.view(shape).transpose(2, 3)  # (k, h, w, 2 s, 2 s)
    bags = k * output[0] * output[1]
    if bool((row_counts == row_counts[0]).all()) and bool((column_counts == column_counts[0]).all()):
        found = F.embedding_bag(index.reshape(bags, -1), table, mode="sum", per_sample_weights=weight.reshape(bags, -1))
    else:
        used = torch.arange(rows.shape[2], device=table.device)[:, None] < row_counts[:, None, None]
        used = used & (torch.arange(columns.shape[2], device=table.device) < column_counts[:, None, None])  # (k, 2 s, 2 s)
        used = used[:, None, None].expand(index.shape)
        sizes = (row_counts * column_counts).repeat_interleave(output[0] * output[1])
        offsets = sizes.cumsum(0) - sizes
        found = F.embedding_bag(index[used], table, offsets, mode="sum", per_sample_weights=weight[used])
    return found.view(k, *output, channels).permute(0, 3, 1, 2)


def roi_pool(features: Tensor, regions: Tensor, output: Size, *, scale: float = 1.0) -> Tensor:
    """(N, C, H, W) and (k, 5) -> (k, C, *output): the largest value in each bin of whole cells; 0 in a bin outside of the map.

    Girshick, "Fast R-CNN", ICCV 2015, section 2.1; corners rounded to cells, halves away from 0, the last one counted in.
    """
    table, _, _ = _cells([features])
    (_, _, height, width), k = features.shape, len(regions)
    if not k:
        return table.new_zeros(0, features.shape[1], *output)
    corners = regions[:, 1:].to(table.dtype) * scale
    corners = torch.where(corners < 0, (corners - 0.5).ceil(), (corners + 0.5).floor())
    down = _bins(corners[:, 1], (corners[:, 3] - corners[:, 1] + 1).clamp_min(1), output[0], height)
    along = _bins(corners[:, 0], (corners[:, 2] - corners[:, 0] + 1).clamp_min(1), output[1], width)
    index, offsets = _rectangles(regions[:, 0].long() * (height * width), width, down, along)
    found = F.embedding_bag(index, table, offsets, mode="max")
    return found.view(k, *output, -1).permute(0, 3, 1, 2)


def position_sensitive_pool(features: Tensor, regions: Tensor, output: Size, *, scale: float = 1.0) -> Tensor:
    """(N, C h w, H, W) and (k, 5) -> (k, C, h, w), output = (h, w): the mean in each bin of whole cells, of that bin's own maps (c, i, j at (c h + i) w + j).

    Dai et al., "R-FCN", NIPS 2016, eq. 1. Corners are rounded to cells, a region has at least one; 0 in a bin outside of the map.
    Raises ValueError where the channels are no multiple of h w.
    """
    n, channels, height, width = features.shape
    bins, k = output[0] * output[1], len(regions)
    if channels % bins:
        raise ValueError(f"{channels} channels for {output[0]}x{output[1]} bins, expected a multiple of {bins}")
    groups = features if features.dtype in (torch.float32, torch.float64) else features.float()
    table = groups.view(n, channels // bins, bins, height, width).permute(0, 3, 4, 2, 1).reshape(-1, channels // bins)
    if not k:
        return table.new_zeros(0, channels // bins, *output)
    corners = regions[:, 1:].to(table.dtype) * scale
    corners = torch.where(corners < 0, (corners - 0.5).ceil(), (corners + 0.5).floor())
    down = _bins(corners[:, 1], (corners[:, 3] - corners[:, 1]).clamp_min(1), output[0], height)
    along = _bins(corners[:, 0], (corners[:, 2] - corners[:, 0]).clamp_min(1), output[1], width)
    index, offsets = _rectangles(regions[:, 0].long() * (height * width), width, down, along)
    ends = torch.cat([offsets[1:], offsets.new_tensor([len(index)])])
    own = torch.arange(bins, device=features.device).repeat(k).repeat_interleave(ends - offsets)
    return F.embedding_bag(index * bins + own, table, offsets, mode="mean").view(k, *output, -1).permute(0, 3, 1, 2)


def _bins(start: Tensor, side: Tensor, bins: int, length: int) -> tuple[Tensor, Tensor]:
    """First cells and ends (k, bins) int64 of the bins along one axis, within the map."""
    edge = torch.arange(bins + 1, dtype=start.dtype, device=start.device) * (side / bins)[:, None]
    first, end = (edge[:, :-1] + 1e-5).floor() + start[:, None], (edge[:, 1:] - 1e-5).ceil() + start[:, None]
    return first.clamp(0, length).long(), end.clamp(0, length).long()


def _rectangles(base: Tensor, width: int, down: tuple[Tensor, Tensor], along: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The cells of every bin (k, h, w), one bin after another, and where each begins: (cells,), (k h w,) int64."""
    high, wide = (down[1] - down[0]).clamp_min(0), (along[1] - along[0]).clamp_min(0)
    counts = (high[:, :, None] * wide[:, None]).flatten()
    offsets = counts.cumsum(0) - counts
    total = int(counts.sum())
    bag = torch.repeat_interleave(torch.arange(len(counts), device=base.device), counts, output_size=total)
    within = torch.arange(total, device=base.device) - offsets[bag]
    corner = (base[:, None, None] + down[0][:, :, None] * width + along[0][:, None]).flatten()
    side = wide[:, None].expand(-1, high.shape[1], -1).flatten()[bag]
    return corner[bag] + torch.div(within, side, rounding_mode="floor") * width + within % side, offsets


def level_of(boxes: Tensor, *, lowest: int, highest: int, canonical: float = 224.0, level: int = 4) -> Tensor:
    """(k, 4) boxes -> (k,) int64 from 0: which map of a pyramid a region is taken from, 0 being that of stride 2^lowest.

    Lin et al., "Feature pyramid networks", CVPR 2017, eq. 1: a region of `canonical` pixels a side from that of stride 2^level.

    >>> level_of(torch.tensor([[0.0, 0, 224, 224], [0, 0, 112, 112], [0, 0, 5, 5]]), lowest=2, highest=5).tolist()
    [2, 1, 0]
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0).prod(1).sqrt()
    wanted = torch.floor(level + torch.log2(sides / canonical) + 1e-6)
    return wanted.clamp(lowest, highest).long() - lowest


def numbered(boxes: Sequence[Tensor]) -> Tensor:
    """Boxes (k_i, 4) of each image of a batch -> regions (sum k_i, 5)."""
    rows = [torch.cat([torch.full_like(own[:, :1], i), own], 1) for i, own in enumerate(boxes)]
    return torch.cat(rows) if rows else torch.zeros(0, 5)
