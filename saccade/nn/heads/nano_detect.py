"""Boxes from every cell of a few maps: class scores and the distances to the four sides, with no anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.nn.heads.boxes import Choice, chosen, padded_truths
from saccade.nn.heads.classify import full
from saccade.ops.anchors import grid_points
from saccade.ops.assignment import Assigned, TaskAligned
from saccade.ops.iou import box_loss, covered
from saccade.ops.padding import cells, inside, valid_extent
from saccade.targets import Boxes

NOWHERE = -1e4  # the logit of a cell that lies in padding: a score of 0 whose gradient is 0
LARGEST = 1.0e3  # cells to a side at most, so that half precision and a bad step stay finite


class CellsOut(NamedTuple):
    """logits: (N, A, K); boxes: (N, A, 4) xyxy in input pixels; cells: (N, A, 3) x, y of a cell's middle and its stride; all cells fine to coarse."""

    logits: Tensor
    boxes: Tensor
    cells: Tensor


class NanoDetect(Head[CellsOut, Boxes]):
    """For each map one 3x3 convolution for the classes and one for the box, and a 1x1 behind each.

    A cell's box is where its middle is, and the distances to its sides in cells, kept positive by softplus ("FCOS", Tian et al. 2019, eq. 1 and
    section 3.1). Training: `TaskAligned` says which cells answer; binary cross entropy of every class with the quality as its goal, and
    1 - CIoU of the boxes weighted by it, both divided by the sum of the qualities in the batch ("TOOD", eq. 5 and 7).
    Cells in a crowd region or around an object whose class is ignored are no background. Difficult objects are learnt like all others.

    levels: of the maps that are used, without the input. choice: how answers are chosen in `decode`.
    Raises ValueError for a class count below 1 or no levels.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        classes: int,
        *,
        width: int = 64,
        norm: Norm = "batch",
        assigner: TaskAligned = TaskAligned(),  # noqa: B008 - a value that nobody can change
        weights: tuple[float, float] = (1.0, 2.5),
        choice: Choice = Choice(),  # noqa: B008
    ) -> None:
        super().__init__()
        if classes < 1 or not levels:
            raise ValueError(f"a detector needs at least one class and one map, got {classes} and {len(levels)}")
        self.levels, self.classes, self.assigner, self.weights, self.choice = tuple(levels), classes, assigner, weights, choice
        self.stems = nn.ModuleList(Flow(ConvNorm(level.channels, width, kernel=1, norm=norm, activation=nn.SiLU(inplace=True))) for level in levels)
        self.class_ways = nn.ModuleList(ConvNorm(width, width, norm=norm, activation=nn.SiLU(inplace=True)) for _ in levels)
        self.box_ways = nn.ModuleList(ConvNorm(width, width, norm=norm, activation=nn.SiLU(inplace=True)) for _ in levels)
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for _ in levels)
        self.sides = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in levels)
        kaiming(self)
        self._start()

    def _start(self) -> None:
        """Scores begin at 0.01 (Lin et al. 2017, "Focal loss", section 3.3) and sides at two cells."""
        for scores, sides in zip(self.scores, self.sides, strict=True):
            assert isinstance(scores, nn.Conv2d) and isinstance(sides, nn.Conv2d) and scores.bias is not None and sides.bias is not None
            nn.init.normal_(scores.weight, 0.0, 0.01)
            nn.init.constant_(scores.bias, math.log(0.01 / 0.99))
            nn.init.normal_(sides.weight, 0.0, 0.01)
            nn.init.constant_(sides.bias, math.log(math.expm1(2.0)))

    def forward(self, features: Features) -> CellsOut:
        valid = valid_extent(features.maps[0], features.sizes)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        used = list(zip(self.levels, features.maps[-len(self.levels) :], strict=True))
        for i, (level, x) in reversed(list(enumerate(used))):  # the finest last: it has objects at any input size, so it is not taken for a dead layer
            extent = None if valid is None else cells(valid, level.stride)
            stem = self.stems[i](x, extent)[0]
            logits = _rows(full(self.scores[i](self.class_ways[i](stem, extent)[0])))
            sides = _rows(F.softplus(full(self.sides[i](self.box_ways[i](stem, extent)[0]))).clamp_max(LARGEST)) * level.stride
            middle = grid_points(x.shape[-2:], (level.stride, level.stride), device=x.device)
            boxes = torch.cat([middle - sides[..., :2], middle + sides[..., 2:]], 2)
            if extent is not None:
                logits = torch.where(inside(extent, *x.shape[-2:]).flatten(2).transpose(1, 2), logits, NOWHERE)
            own = torch.cat([middle, torch.full_like(middle[:, :1], level.stride)], 1)
            found.append((logits, boxes, own.expand(len(x), -1, -1)))
        return CellsOut(*(torch.cat(parts, 1) for parts in zip(*reversed(found), strict=True)))

    def loss(self, out: CellsOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"class_loss", "box_loss"}; without any object the boxes' is 0 with a gradient of 0."""
        truths, classes, counted = padded_truths(targets, out.boxes.device, self.classes)
        at = self._assigned(out, truths, classes, counted)
        goal = torch.zeros_like(out.logits)
        image, cell = torch.where(at.truth >= 0)
        row = at.truth[image, cell]
        goal[image, cell, classes[image, row]] = at.quality[image, cell]
        total = at.quality.sum().clamp_min(1.0)
        every = F.binary_cross_entropy_with_logits(out.logits, goal, reduction="none")
        heard = ~self._unsaid(out, targets) | (at.truth >= 0)
        class_loss = torch.where(heard[..., None], every, 0.0).sum() / total
        weight = at.quality[image, cell]
        box = (box_loss(out.boxes[image, cell], truths[image, row], "ciou") * weight).sum() / total
        return {"class_loss": self.weights[0] * class_loss, "box_loss": self.weights[1] * box + 0.0 * out.boxes[:0].sum()}

    def assigned(self, out: CellsOut, targets: Sequence[Boxes]) -> Assigned:
        """Which cells answer for which truths, in the state that the network is in."""
        return self._assigned(out, *padded_truths(targets, out.boxes.device, self.classes))

    def _assigned(self, out: CellsOut, truths: Tensor, classes: Tensor, counted: Tensor) -> Assigned:
        own = out.cells[0] if len(out.cells) else out.cells.new_zeros(0, 3)
        return self.assigner(out.logits.detach().sigmoid(), out.boxes.detach(), own, truths, classes, counted)

    def _unsaid(self, out: CellsOut, targets: Sequence[Boxes]) -> Tensor:
        """(N, A) bool: cells of which nobody knows whether they are background, in a crowd or around an object without a class."""
        unsaid = torch.zeros(out.logits.shape[:2], dtype=torch.bool, device=out.logits.device)
        for i, target in enumerate(targets):
            loose = target.classes < 0 if target.crowd is None else (target.classes < 0) | target.crowd
            if bool(loose.any()):
                points = out.cells[i, :, :2]
                spots = torch.cat([points - 0.5, points + 0.5], 1)
                unsaid[i] = (covered(spots, target.xyxy[loose].to(spots)) > 0).any(1)
        return unsaid

    def decode(self, out: CellsOut, meta: Sequence[Meta]) -> list[Boxes]:
        """The boxes that `choice` leaves, best first, clipped to the whole image, in its pixels."""
        return chosen(torch.sigmoid(full(out.logits.detach())), full(out.boxes.detach()), meta, self.choice)


def _rows(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h w, C)."""
    return x.flatten(2).transpose(1, 2)
