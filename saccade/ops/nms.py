"""Suppression of boxes that overlap better ones: greedy (per class or over all), and soft. On any device."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.ops.iou import area, pairwise

BLOCK = 128
"""Boxes that are decided together."""
TOGETHER = 1 << 21
"""Pairs of boxes, classes filled up to the largest, up to which all classes are decided at once."""


def nms(boxes: Tensor, scores: Tensor, threshold: float, classes: Tensor | None = None, *, limit: int | None = None) -> Tensor:
    """Rows (k,) int64 that stay, best first: each suppresses those after it that overlap it by more than `threshold` (IoU).

    boxes: (n, 4) x1 y1 x2 y2; scores: (n,); classes: (n,) or None: only boxes of one class suppress each other. limit: the first so many
    that stay, with less work than all. Equal scores keep their order. n may be 0. Boxes without an area suppress nothing.
    """
    rows = torch.argsort(scores.detach(), descending=True, stable=True)
    wide = boxes.detach() if boxes.dtype in (torch.float32, torch.float64) else boxes.detach().float()
    if classes is None or len(rows) < 2:
        return _best_first(wide, rows, threshold, limit)
    by_class = rows[torch.argsort(classes[rows], stable=True)]
    counts = torch.unique_consecutive(classes[by_class], return_counts=True)[1]
    if len(counts) * int(counts.max()) ** 2 <= TOGETHER:
        kept = by_class[_side_by_side(wide[by_class], counts, threshold)]
    else:
        kept = torch.cat([_best_first(wide, own, threshold, limit) for own in torch.split(by_class, counts.tolist())])
    stays = torch.zeros(len(rows), dtype=torch.bool, device=rows.device).index_fill_(0, kept, True)
    return rows[stays[rows]][:limit]


def _side_by_side(boxes: Tensor, counts: Tensor, threshold: float) -> Tensor:
    """(n,) bool: which boxes stay, given class after class, each best first; all classes at once, filled up with boxes that meet nothing."""
    most, device = int(counts.max()), boxes.device
    group = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
    place = torch.arange(len(boxes), device=device) - (counts.cumsum(0) - counts)[group]
    table = boxes.new_zeros(4, len(counts), most)
    table[:, group, place] = boxes.T
    areas = area(table.movedim(0, -1))
    return _greedy(_suppresses(table, areas, table, areas, threshold))[group, place]


def _best_first(boxes: Tensor, rows: Tensor, threshold: float, limit: int | None) -> Tensor:
    """`nms` of the boxes at these rows, best first already: a block is decided, then what those of it that stay leave of all the others."""
    if len(rows) < 2 or limit == 0:
        return rows[:limit]
    chosen = boxes[rows]
    columns, areas = chosen.T.contiguous(), area(chosen)
    kept: list[Tensor] = []
    count, block = 0, BLOCK if boxes.device.type == "cpu" else 16 * BLOCK
    while True:
        stays = _greedy(_suppresses(columns[:, :block], areas[:block], columns[:, :block], areas[:block], threshold))
        kept.append(rows[:block][stays])
        count += len(kept[-1])
        if len(rows) <= block or (limit is not None and count >= limit):
            return torch.cat(kept)[:limit]
        best = columns[:, :block][:, stays]
        gone = _suppresses(best, areas[:block][stays], columns[:, block:], areas[block:], threshold).any(0)
        left = torch.where(~gone)[0]
        rows, columns, areas = rows[block:][left], columns[:, block:][:, left], areas[block:][left]
        if not len(rows):
            return torch.cat(kept)[:limit]


def _suppresses(a: Tensor, areas: Tensor, b: Tensor, others: Tensor, threshold: float) -> Tensor:
    """(4, ..., n), (..., n), (4, ..., m), (..., m) -> (..., n, m) bool: which of a overlap which of b by more than the threshold."""
    width = torch.minimum(a[2, ..., None], b[2, ..., None, :])
    width -= torch.maximum(a[0, ..., None], b[0, ..., None, :])
    height = torch.minimum(a[3, ..., None], b[3, ..., None, :])
    height -= torch.maximum(a[1, ..., None], b[1, ..., None, :])
    shared = width.clamp_min_(0).mul_(height.clamp_min_(0))
    return shared > (areas[..., None] + others[..., None, :] - shared).mul_(threshold)


def _greedy(suppresses: Tensor) -> Tensor:
    """(..., n) bool: who stays, of n boxes in order, where (..., n, n) says who would suppress whom.

    All who are not suppressed by one that stays, found by repetition: after r rounds the first r links of every chain are decided.
    """
    above = suppresses.triu(1).float()
    stays = above.new_ones(above.shape[:-1])
    while True:
        again = ((stays[..., None, :] @ above)[..., 0, :] == 0).to(above.dtype)
        if torch.equal(again, stays):
            return stays > 0
        stays = again


class Softened(NamedTuple):
    """rows: (k,) int64, best first by their new scores; scores: (k,) those scores."""

    rows: Tensor
    scores: Tensor


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor | None = None,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    threshold: float = 0.3,
    sigma: float = 0.5,
    least: float = 0.001,
    limit: int | None = None,
) -> Softened:
    """Scores lowered by overlap instead of boxes thrown away: Bodla et al., "Soft-NMS", ICCV 2017, eq. 2 (linear, above `threshold`) and eq. 3 (gaussian).

    As `nms` otherwise. What falls below `least` goes. Scores must not be negative. Raises ValueError for another method.
    """
    if method not in ("linear", "gaussian"):
        raise ValueError(f"method must be linear or gaussian, got {method!r}")
    left, now = torch.arange(len(boxes), device=boxes.device), scores.detach().clone()
    rows: list[Tensor] = []
    kept: list[Tensor] = []
    while len(left) and (limit is None or len(rows) < limit):
        place = torch.argmax(now)
        if now[place] < least:
            break
        best = left[place]
        rows.append(best)
        kept.append(now[place])
        shared = pairwise(boxes[best][None].detach(), boxes[left].detach())[0]
        factor = torch.where(shared > threshold, 1 - shared, 1.0) if method == "linear" else torch.exp(-shared.square() / sigma)
        if classes is not None:
            factor = torch.where(classes[left] == classes[best], factor, 1.0)
        now = now * factor
        stays = now >= least
        stays[place] = False
        left, now = left[stays], now[stays]
    if not rows:
        return Softened(left[:0], now[:0])
    return Softened(torch.stack(rows), torch.stack(kept))
