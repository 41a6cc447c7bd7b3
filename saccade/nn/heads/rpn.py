"""Region proposal network: Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal networks", NIPS 2015, section 3.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.nn.heads.anchored import AnchorGrid, Truth, by_cell, matched
from saccade.nn.heads.classify import full
from saccade.ops.anchors import around_data
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.focal import smooth_l1
from saccade.ops.matching import Matcher, Sampler, seeded
from saccade.ops.proposals import Proposer


class Regions(NamedTuple):
    """For each map: logits (N, h w A) of being an object, deltas (N, h w A, 4) of the anchors."""

    logits: list[Tensor]
    deltas: list[Tensor]


class RegionProposals(nn.Module):
    """A 3x3 convolution shared by all maps and two 1x1 behind it: is it an object, and how does its box differ from the anchor.

    Training: an anchor is an object from an IoU of 0.7 on, or where no other overlaps that truth more; background below 0.3; 256 of an image by
    chance, at most half of them objects. The chance is in the numbers themselves, so that `losses` is a pure function.
    Kernels start as normal numbers of deviation 0.01, biases at 0.
    """

    def __init__(self, channels: int, grid: AnchorGrid, *, proposer: Proposer = Proposer(), sampler: Sampler = Sampler(256, 0.5)) -> None:  # noqa: B008
        super().__init__()
        self.grid, self.proposer, self.sampler, self.coder = grid, proposer, sampler, DeltaCoder()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness, self.deltas = nn.Conv2d(channels, grid.count, 1), nn.Conv2d(channels, 4 * grid.count, 1)
        for part in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(part.weight, std=0.01)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Regions:
        hidden = [F.relu(self.conv(x)) for x in maps]
        logits = [by_cell(full(self.objectness(x)), self.grid.count)[..., 0] for x in hidden]
        return Regions(logits, [by_cell(full(self.deltas(x)), self.grid.count) for x in hidden])

    def losses(self, regions: Regions, anchors: Sequence[Tensor], truths: Sequence[Truth], sizes: Tensor) -> dict[str, Tensor]:
        """{"objectness", "region"}: binary cross entropy of the samples, smooth L1 (beta 1/9) of the objects among them, both over the number of samples."""
        logits, deltas, every = torch.cat(regions.logits, 1), torch.cat(regions.deltas, 1), torch.cat(list(anchors))
        crossed, moved, count = logits.sum() * 0.0, deltas.sum() * 0.0, 0
        chance, matcher = seeded(logits), Matcher(0.7, 0.3, "ties")
        for own, moves, truth, size in zip(logits, deltas, truths, sizes, strict=True):
            found = matched(matcher, every, truth, size)
            positive, negative = self.sampler(found, chance)
            rows = torch.cat([positive, negative])
            goal = (torch.arange(len(rows), device=rows.device) < len(positive)).to(own.dtype)
            crossed = crossed + F.binary_cross_entropy_with_logits(own[rows], goal, reduction="sum")
            wanted = self.coder.encode(every[positive], truth.boxes[found.truth[positive]])
            moved = moved + smooth_l1(moves[positive], wanted, 1 / 9).sum()
            count += len(rows)
        return {"objectness": crossed / max(1, count), "region": moved / max(1, count)}

    @torch.no_grad()
    def proposals(self, regions: Regions, anchors: Sequence[Tensor], sizes: Tensor) -> list[Tensor]:
        """The regions (k, 4) of each image that are looked at again, best first, in input pixels."""
        found = []
        for i, size in enumerate(sizes):
            logits = [torch.where(around_data(cells, size), own[i], -torch.inf) for own, cells in zip(regions.logits, anchors, strict=True)]
            found.append(self.proposer(logits, [own[i] for own in regions.deltas], anchors, size).boxes)
        return found
