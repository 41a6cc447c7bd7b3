"""Which cells of a one-stage detector answer for which truth, by how well they answer already; for a whole batch at once, also without truths."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saccade.ops.iou import overlap

CLOSER = 1e-9
"""What being near the middle of a truth is worth where no cell answers for it yet: far below any alignment that means something."""


class Assigned(NamedTuple):
    """truth: (N, A) int64, the row of the truth that a cell answers for, -1 for none; quality: (N, A) in [0, 1], what its class score is to be."""

    truth: Tensor
    quality: Tensor


class TaskAligned(NamedTuple):
    """Each truth is answered for by the `most` cells within it that are best at its class and its box together.

    Feng et al., "TOOD: task-aligned one-stage object detection", ICCV 2021, section 3.3: alignment t = s^alpha u^beta (eq. 2) with s the score of the
    truth's class and u the IoU of the predicted box; a cell that several truths want goes to the one that it overlaps most; the quality
    is t scaled so that the best cell of a truth has that truth's largest IoU.

    Deviations: a truth smaller than the finest cell is widened to one for the question of who lies within, as it would be answered for by
    nobody; of cells without any alignment those near its middle are taken first.
    """

    most: int = 10
    alpha: float = 0.5
    beta: float = 6.0

    @torch.no_grad()
    def __call__(self, scores: Tensor, boxes: Tensor, cells: Tensor, truths: Tensor, classes: Tensor, valid: Tensor) -> Assigned:
        """scores (N, A, K) in [0, 1], boxes (N, A, 4), cells (A, 3) x, y, stride; truths (N, M, 4), classes (N, M), valid (N, M) bool -> Assigned."""
        n, count = boxes.shape[:2]
        if not truths.shape[1] or not count:
            return Assigned(boxes.new_full((n, count), -1, dtype=torch.int64), boxes.new_zeros(n, count))
        image, row, cell = _within(cells, truths, valid)
        shared = overlap(boxes[image, cell], truths[image, row]).clamp_min(0)
        aligned = scores[image, cell, classes[image, row]].pow(self.alpha) * shared.pow(self.beta)
        table = boxes.new_zeros(n, truths.shape[1], count)
        table[image, row, cell] = aligned + CLOSER * _closeness(cells[cell], truths[image, row])
        chosen = torch.zeros_like(table, dtype=torch.bool)
        best = table.topk(min(self.most, count), dim=2)
        chosen.scatter_(2, best.indices, best.values > 0)

        keep = chosen[image, row, cell]  # from here on only pairs that were chosen
        image, row, cell, shared, aligned = image[keep], row[keep], cell[keep], shared[keep], aligned[keep]
        overlaps = table.zero_()
        overlaps[image, row, cell] = shared + CLOSER
        most, owner = overlaps.max(1)
        truth = torch.where(most > 0, owner, -1)
        own = truth[image, cell] == row
        image, row, cell, shared, aligned = image[own], row[own], cell[own], shared[own], aligned[own]
        place, largest = image * truths.shape[1] + row, boxes.new_zeros(n * truths.shape[1])
        best_aligned = largest.scatter_reduce(0, place, aligned, "amax")[place]
        best_shared = largest.scatter_reduce(0, place, shared, "amax")[place]
        quality = boxes.new_zeros(n, count)
        quality[image, cell] = torch.where(best_aligned > 0, aligned / best_aligned.clamp_min(torch.finfo(aligned.dtype).tiny), 0.0) * best_shared
        return Assigned(truth, quality)


def _within(cells: Tensor, truths: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Image, truth and cell (p,) int64 of every pair whose cell's point lies within the truth, which is widened to the finest cell."""
    middle, half = (truths[..., :2] + truths[..., 2:]) / 2, (truths[..., 2:] - truths[..., :2]) / 2
    half = half.clamp_min(float(cells[:, 2].min()) / 2)
    apart = (cells[:, None, None, :2] - middle).abs() <= half  # (A, N, M, 2)
    inside = (apart.all(-1) & valid).permute(1, 2, 0)
    image, row, cell = torch.where(inside)
    return image, row, cell


def _closeness(cells: Tensor, truths: Tensor) -> Tensor:
    """(p, 3), (p, 4) -> (p,) in (0, 1]: 1 at the middle of the truth; coarse cells and fine ones alike."""
    middle, sides = (truths[:, :2] + truths[:, 2:]) / 2, (truths[:, 2:] - truths[:, :2]).clamp_min(1)
    return torch.exp(-((cells[:, :2] - middle) / sides).square().sum(1))
