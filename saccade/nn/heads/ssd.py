"""SSD's head: Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg, "SSD: single shot multibox detector", ECCV 2016, section 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.anchored import by_cell, in_source, matched, truth_of
from saccade.nn.heads.classify import full
from saccade.ops.anchors import around_data, default_cells, grid_anchors
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.focal import smooth_l1
from saccade.ops.matching import Matcher, hard_negatives
from saccade.ops.proposals import Answerer
from saccade.targets import Boxes


class SSDOut(NamedTuple):
    """logits: (N, B, K + 1), the first that of background; deltas: (N, B, 4); maps: (N, 1, h, w) of each map, of which only the shape is of use;
    whole: (N, 1, H, W), likewise of the input; sizes: (N, 2) valid h, w."""

    logits: Tensor
    deltas: Tensor
    maps: list[Tensor]
    whole: Tensor
    sizes: Tensor


class DefaultBoxes(NamedTuple):
    """The default boxes of every map: `scales` (one more than maps), of each map its `ratios`; `steps` in pixels a cell."""

    scales: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    steps: tuple[float, ...]

    def __call__(self, maps: Sequence[Tensor], image: tuple[int, int]) -> Tensor:
        """Maps (N, C, h, w) and the input's (h, w) -> (B, 4) in input pixels."""
        found = []
        for place, x in enumerate(maps):
            cells = default_cells(self.scales[place], self.scales[place + 1], self.ratios[place], image).to(x.device)
            found.append(grid_anchors(cells, x.shape[-2:], (self.steps[place], self.steps[place])))
        return torch.cat(found)


class SSD(Head[SSDOut, Boxes]):
    """A 3x3 convolution on every map for the classes (softmax with background) and one for the boxes.

    Training: a default box is an object from an IoU of 0.5 on, and of each truth the one that overlaps it most; cross entropy of the objects and of
    the three hardest background boxes for each, smooth L1 of the boxes, both over the number of objects in the batch (eq. 1).
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        defaults: DefaultBoxes,
        *,
        answerer: Answerer = Answerer(least=0.01, overlap=0.45, most=200, each=4000),  # noqa: B008 - a value that nobody can change
    ) -> None:
        super().__init__()
        if classes < 1 or not levels or len(levels) != len(defaults.ratios) or len(defaults.scales) != len(levels) + 1:
            raise ValueError(f"ratios for each map and one scale more, got {len(levels)} maps, {len(defaults.ratios)} and {len(defaults.scales)}")
        self.level_count, self.classes, self.defaults, self.answerer = len(levels), classes, defaults, answerer
        self.coder = DeltaCoder((10.0, 10.0, 5.0, 5.0))
        self.counts = [2 + 2 * len(own) for own in defaults.ratios]
        pairs = list(zip(levels, self.counts, strict=True))
        self.scores = nn.ModuleList(nn.Conv2d(level.channels, count * (classes + 1), 3, padding=1) for level, count in pairs)
        self.deltas = nn.ModuleList(nn.Conv2d(level.channels, count * 4, 3, padding=1) for level, count in pairs)
        for part in (*self.scores, *self.deltas):
            nn.init.xavier_uniform_(part.weight)  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> SSDOut:
        maps = features.maps[-self.level_count :]
        logits = [by_cell(full(score(x)), count) for score, x, count in zip(self.scores, maps, self.counts, strict=True)]
        deltas = [by_cell(full(delta(x)), count) for delta, x, count in zip(self.deltas, maps, self.counts, strict=True)]
        return SSDOut(torch.cat(logits, 1), torch.cat(deltas, 1), [x[:, :1] for x in maps], features.maps[0][:, :1], features.sizes)

    def boxes(self, out: SSDOut) -> Tensor:
        """(B, 4) default boxes in input pixels."""
        return self.defaults(out.maps, (out.whole.shape[-2], out.whole.shape[-1]))

    def loss(self, out: SSDOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"class", "box"}; in a batch without any object both are 0 with a gradient of 0."""
        defaults, matcher = self.boxes(out), Matcher(0.5, 0.5, "force")
        goals, moved = [], out.deltas.sum() * 0.0
        for moves, target, size in zip(out.deltas, targets, out.sizes, strict=True):
            truth = truth_of(target, self.classes, moves.device)
            found = matched(matcher, defaults, truth, size)
            rows = torch.where(found.positive)[0]
            own = torch.where(found.truth == -2, -1, torch.zeros_like(found.truth))
            own[rows] = truth.classes[found.truth[rows]] + 1
            goals.append(own)
            moved = moved + smooth_l1(moves[rows], self.coder.encode(defaults[rows], truth.boxes[found.truth[rows]])).sum()
        goal = torch.stack(goals)
        crossed = F.cross_entropy(out.logits.flatten(0, 1), goal.flatten(), ignore_index=-1, reduction="none").view(goal.shape)
        heard = (goal > 0) | hard_negatives(crossed, goal > 0, goal == 0)
        count = (goal > 0).sum().clamp_min(1)
        return {"class": torch.where(heard, crossed, 0.0).sum() / count, "box": moved / count}

    @torch.no_grad()
    def decode(self, out: SSDOut, meta: Sequence[Meta]) -> list[Boxes]:
        """Boxes of the whole image in its pixels, best first, on the CPU."""
        defaults = self.boxes(out)
        scores, boxes, answers = torch.softmax(out.logits, 2)[..., 1:], self.coder.decode(defaults, out.deltas), []
        for own, where_to, size, where in zip(scores, boxes, out.sizes, meta, strict=True):
            answers.append(in_source(self.answerer([torch.where(around_data(defaults, size)[:, None], own, 0.0)], [where_to], size)[0], where))
        return answers
