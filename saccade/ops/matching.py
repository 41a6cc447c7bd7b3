"""Which reference box answers for which truth, and which of them a loss looks at: matchers and samplers as values, on any device, also without truths."""

from __future__ import annotations

import struct
import zlib
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.ops.iou import covered, pairwise

BACKGROUND, IGNORED = -1, -2


class Matching(NamedTuple):
    """truth: (n,) int64, the row of the truth that each reference box answers for, -1 background, -2 ignored; overlap: (n,) its best IoU."""

    truth: Tensor
    overlap: Tensor

    @property
    def positive(self) -> Tensor:
        """(n,) bool."""
        return self.truth >= 0

    @property
    def negative(self) -> Tensor:
        """(n,) bool."""
        return self.truth == BACKGROUND


class Matcher(NamedTuple):
    """A box answers for the truth that it overlaps most, when by at least `high`; below `low` it is background; between them it is ignored.

    rescue: "none"; "ties" (Faster R-CNN, section 3.1.2 rule i, as the published code has it): every box that overlaps some truth as much
    as no other box does answers for the truth that it overlaps most itself; "force" (SSD, section 2.2): of each truth the one box
    that overlaps it most answers for it (of several truths with the same box the last). A truth that nothing overlaps is not rescued.
    """

    high: float = 0.5
    low: float = 0.5
    rescue: Literal["none", "ties", "force"] = "none"

    def of_overlaps(self, overlaps: Tensor) -> Matching:
        """(g, n) IoU of truths with reference boxes -> Matching of n; g and n may be 0."""
        truths, count = overlaps.shape
        if not truths or not count:
            return Matching(torch.full((count,), BACKGROUND, device=overlaps.device), overlaps.new_zeros(count))
        best, row = overlaps.max(0)
        found = torch.where(best >= self.high, row, torch.where(best < self.low, BACKGROUND, IGNORED))
        if self.rescue == "ties":
            most = overlaps.max(1).values
            tied = ((overlaps == most[:, None]) & (most[:, None] > 0)).any(0)
            found = torch.where(tied, row, found)
        elif self.rescue == "force":
            most, place = overlaps.max(1)
            for truth in torch.where(most > 0)[0].tolist():
                found[place[truth]] = truth
        return Matching(found, best)

    def __call__(self, references: Tensor, boxes: Tensor, crowd: Tensor | None = None) -> Matching:
        """(n, 4) reference boxes and (g, 4) truths -> Matching. Rows of `crowd` (g,) bool are answered by nobody, and a background box of
        which at least half lies in one is ignored."""
        if crowd is None or not bool(crowd.any()):
            return self.of_overlaps(pairwise(boxes.to(references), references))
        single = torch.where(~crowd)[0]
        found = self.of_overlaps(pairwise(boxes[single].to(references), references))
        truth = torch.where(found.truth >= 0, single[found.truth.clamp_min(0)], found.truth) if len(single) else found.truth
        inside = (covered(references, boxes[crowd].to(references)) >= 0.5).any(1)
        return Matching(torch.where(inside & (truth == BACKGROUND), IGNORED, truth), found.overlap)


class Sampler(NamedTuple):
    """At most `most` boxes by chance, at most a `share` of them positive, filled up with background (Fast R-CNN, section 2.3)."""

    most: int
    share: float

    def __call__(self, matching: Matching, chance: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows (p,) of positive and (q,) of background boxes, each in ascending order; p + q <= most. chance: on the CPU; None is torch's own."""
        positive, negative = torch.where(matching.positive)[0], torch.where(matching.negative)[0]
        positive = _some(positive, int(self.most * self.share), chance)
        return positive, _some(negative, self.most - len(positive), chance)


def _some(rows: Tensor, count: int, chance: torch.Generator | None) -> Tensor:
    """`count` of the rows, or all."""
    if len(rows) <= count:
        return rows
    order = torch.randperm(len(rows), generator=chance)[:count]
    return rows[order.sort().values.to(rows.device)]


def hard_negatives(losses: Tensor, positive: Tensor, negative: Tensor, *, ratio: float = 3.0, least: int = 0) -> Tensor:
    """(N, n) bool: of each row the background boxes with the largest losses, at most `ratio` for each positive one and at least `least`.

    Liu et al., "SSD", section 2.2, hard negative mining. losses: (N, n); positive, negative: (N, n) bool, neither for what is ignored.
    """
    if not losses.numel():
        return torch.zeros_like(negative)
    wanted = (positive.sum(1, keepdim=True) * ratio).long().clamp_min(least)
    ranked = torch.where(negative, losses.detach(), -torch.inf)
    rank = torch.argsort(torch.sort(ranked, dim=1, descending=True, stable=True).indices, dim=1)
    chosen: Tensor = negative & (rank < wanted)
    return chosen


def seeded(*tensors: Tensor) -> torch.Generator:
    """A generator on the CPU whose seed is in the numbers themselves: a draw that is the same for the same network and batch, and another at each step."""
    total = sum(float(t.detach().double().abs().sum()) for t in tensors)
    return torch.Generator().manual_seed(zlib.crc32(struct.pack("<d", total)))
