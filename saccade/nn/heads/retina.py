"""RetinaNet's head: Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017, section 4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, Flow, Norm
from saccade.nn.heads.anchored import AnchorGrid, by_cell, in_source, matched, truth_of
from saccade.nn.heads.classify import full
from saccade.ops.anchors import around_data
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.focal import focal_loss
from saccade.ops.iou import box_loss
from saccade.ops.matching import Matcher
from saccade.ops.padding import cells, valid_extent
from saccade.ops.proposals import Answerer
from saccade.targets import Boxes

BoxLoss = Literal["l1", "giou"]
Loss = Literal["focal", "cross_entropy"]


class RetinaOut(NamedTuple):
    """For each map: logits (N, h w A, K) and deltas (N, h w A, 4) of the anchors; maps: (N, 1, h, w), of which only the shape is of use; sizes: (N, 2)."""

    logits: list[Tensor]
    deltas: list[Tensor]
    maps: list[Tensor]
    sizes: Tensor


class Tower(nn.Module):
    """3x3 convolutions with ReLU, and a last one; the same for all maps. norm: none in the paper."""

    def __init__(self, channels: int, outputs: int, *, layers: int, norm: Norm) -> None:
        super().__init__()
        self.layers = Flow(*(ConvNorm(channels, channels, norm=norm) for _ in range(layers)))
        self.output = nn.Conv2d(channels, outputs, 3, padding=1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.01 if norm == "none" or part is self.output else math.sqrt(2 / (9 * channels)))
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, x: Tensor, extent: Tensor | None) -> Tensor:
        y: Tensor = self.output(self.layers(x, extent)[0])
        return y


class Retina(Head[RetinaOut, Boxes]):
    """Two towers over every map: K yes-or-no questions and a box for each anchor.

    grid: anchors of each map (nine a cell in the paper: three sizes, three ratios). Training: an anchor is an object from an IoU of 0.5 on,
    or where no other overlaps that truth more, background below 0.4; focal loss of all anchors but those between, and of the objects the L1 distance of
    the deltas (or 1 - GIoU), each over the number of objects of the image, at least 1. Every score begins at 0.01.
    loss: "cross_entropy" is focal loss with gamma 0 and no alpha, to compare. Deviation from the paper: L1 for smooth L1, as published weights.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        grid: AnchorGrid,
        *,
        layers: int = 4,
        norm: Norm = "none",
        loss: Loss = "focal",
        box: BoxLoss = "l1",
        answerer: Answerer = Answerer(each=1000, most=300),  # noqa: B008 - a value that nobody can change
    ) -> None:
        super().__init__()
        if classes < 1 or not levels or len({level.channels for level in levels}) != 1:
            raise ValueError(f"at least one class, and maps of one width, got {classes} and {[level.channels for level in levels]}")
        self.level_count, self.classes, self.grid, self.answerer = len(levels), classes, grid, answerer
        self.kind, self.box, self.coder = loss, box, DeltaCoder()
        self.scores = Tower(levels[0].channels, grid.count * classes, layers=layers, norm=norm)
        self.deltas = Tower(levels[0].channels, grid.count * 4, layers=layers, norm=norm)
        nn.init.constant_(self.scores.output.bias, -math.log((1 - 0.01) / 0.01))  # type: ignore[arg-type]

    def forward(self, features: Features) -> RetinaOut:
        maps = features.maps[-self.level_count :]
        valid = valid_extent(features.maps[0], features.sizes)
        extents = [None if valid is None else cells(valid, stride) for stride in self.grid.strides]
        logits = [by_cell(full(self.scores(x, extent)), self.grid.count) for x, extent in zip(maps, extents, strict=True)]
        deltas = [by_cell(full(self.deltas(x, extent)), self.grid.count) for x, extent in zip(maps, extents, strict=True)]
        return RetinaOut(logits, deltas, [x[:, :1] for x in maps], features.sizes)

    def loss(self, out: RetinaOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"class", "box"}; without any object the boxes' is 0 with a gradient of 0."""
        logits, deltas, anchors = torch.cat(out.logits, 1), torch.cat(out.deltas, 1), torch.cat(self.grid(out.maps))
        gamma, alpha = (2.0, 0.25) if self.kind == "focal" else (0.0, None)
        matcher, scored, moved = Matcher(0.5, 0.4, "ties"), [], []
        for own, moves, target, size in zip(logits, deltas, targets, out.sizes, strict=True):
            truth = truth_of(target, self.classes, own.device)
            found = matched(matcher, anchors, truth, size)
            rows, count = torch.where(found.positive)[0], found.positive.sum().clamp_min(1)
            kinds = truth.classes[found.truth[rows]]
            goal = torch.zeros_like(own)
            goal[rows, kinds] = 1.0
            heard = found.truth != -2
            scored.append(focal_loss(own[heard], goal[heard], alpha=alpha, gamma=gamma).sum() / count)
            boxes = truth.boxes[found.truth[rows]]
            if self.box == "l1":
                distance = (moves[rows] - self.coder.encode(anchors[rows], boxes)).abs().sum()
            else:
                distance = box_loss(self.coder.decode(anchors[rows], moves[rows]), boxes, "giou").sum()
            moved.append(distance / count)
        return {"class": torch.stack(scored).mean(), "box": torch.stack(moved).mean()}

    @torch.no_grad()
    def decode(self, out: RetinaOut, meta: Sequence[Meta]) -> list[Boxes]:
        """Of each map the best (anchor, class) pairs, suppressed class by class; boxes of the whole image in its pixels, best first, on the CPU."""
        anchors, answers = self.grid(out.maps), []
        for i, (size, where) in enumerate(zip(out.sizes, meta, strict=True)):
            scores, boxes = [], []
            for logits, deltas, own in zip(out.logits, out.deltas, anchors, strict=True):
                scores.append(torch.where(around_data(own, size)[:, None], torch.sigmoid(logits[i]), 0.0))
                boxes.append(self.coder.decode(own, deltas[i]))
            answers.append(in_source(self.answerer(scores, boxes, size)[0], where))
        return answers
