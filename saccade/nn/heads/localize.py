"""One object in an image, or none: whether there is one, which class it is of, and where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.heads.boxes import Choice, chosen, padded_truths
from saccade.nn.heads.classify import full, last_extent
from saccade.ops.iou import box_loss
from saccade.ops.pooling import grid_average
from saccade.targets import Boxes


class LocalizeOut(NamedTuple):
    """present: (N,) logit of c0; logits: (N, K) of c1..cK; place: (N, 4) br, bc, bh, bw in [0, 1], shares of the input; sizes: (N, 2)."""

    present: Tensor
    logits: Tensor
    place: Tensor
    sizes: Tensor


class Localize(Head[LocalizeOut, Boxes]):
    """The vector [c0, c1..cK, br, bc, bh, bw] from a grid of means of the last map, through one dense layer.

    c0 = Pr(an object is there), ci = Pr(class i given c0 = 1), then the middle's row and column, the height and the width. loss, gated: cross entropy of
    c0; where there is an object also the cross entropy of its class, `place_weight` times the smooth L1 of the four shares (Girshick 2015, eq. 3) and
    1 - CIoU of the box. Where c0 = 0 every other entry is without effect. Of several objects in an image the largest one is meant; an image that shows
    nothing but crowds or objects without a class teaches nothing. decode: one box with the score c0 times the class's probability, or none where
    that is below the threshold. Raises ValueError for a grid, a class count or units below 1.
    """

    def __init__(
        self,
        level: Level,
        classes: int,
        *,
        grid: int = 7,
        units: int = 256,
        dropout: float = 0.2,
        place_weight: float = 10.0,
        reach: int = 1,
        threshold: float = 0.01,
    ) -> None:
        super().__init__()
        if min(grid, classes, units) < 1:
            raise ValueError(f"grid, classes and units must be at least 1, got {grid}, {classes} and {units}")
        self.level, self.classes, self.grid, self.reach, self.place_weight = level, classes, grid, reach, place_weight
        self.choice = Choice(threshold, 0.5, 1, 1)
        narrow = max(16, min(64, level.channels // 2))
        self.narrow = nn.Conv2d(level.channels, narrow, 1)
        self.hidden = nn.Sequential(nn.Linear(narrow * grid * grid, units), nn.ReLU(), nn.Dropout(dropout))
        self.output = nn.Linear(units, 1 + classes + 4)
        kaiming_dense(self.hidden)
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Features) -> LocalizeOut:
        cells = grid_average(self.narrow(features.maps[-1]), self.grid, last_extent(features, self.level.stride, self.reach))
        present, logits, place = full(self.output(self.hidden(cells.flatten(1)))).split([1, self.classes, 4], 1)
        return LocalizeOut(present[:, 0], logits, place.sigmoid(), features.sizes)

    def corners(self, out: LocalizeOut) -> Tensor:
        """(N, 4) xyxy in input pixels."""
        middle, half = out.place[:, [1, 0]], out.place[:, [3, 2]] / 2
        return torch.cat([middle - half, middle + half], 1) * out.sizes.flip(1).repeat(1, 2).to(out.place)

    def loss(self, out: LocalizeOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"presence_loss", "class_loss", "place_loss"}: means over the images; the latter two are 0 with a gradient of 0 where no image has an object."""
        truths, classes, counted = padded_truths(targets, out.place.device, self.classes)
        n = max(1, len(targets))
        there = counted.any(1)
        known = there | torch.tensor([len(target) == 0 for target in targets], dtype=torch.bool, device=there.device)
        every = F.binary_cross_entropy_with_logits(out.present, there.to(out.present.dtype), reduction="none")
        rows = torch.where(there)[0]
        area = torch.where(counted, (truths[..., 2:] - truths[..., :2]).prod(-1), -1.0)[rows]
        largest = area.argmax(1) if len(rows) else rows
        truth, ids = truths[rows, largest], classes[rows, largest]
        named = F.cross_entropy(out.logits[rows], ids, reduction="sum") if len(rows) else out.logits[:0].sum()
        goal = shares(truth, out.sizes[rows])
        place = self.place_weight * F.smooth_l1_loss(out.place[rows], goal, reduction="sum", beta=0.1) + box_loss(self.corners(out)[rows], truth, "ciou").sum()
        return {"presence_loss": torch.where(known, every, 0.0).sum() / n, "class_loss": named / n, "place_loss": place / n}

    def decode(self, out: LocalizeOut, meta: Sequence[Meta]) -> list[Boxes]:
        """At most one box for each image, clipped to the whole image, in its pixels."""
        scores = torch.sigmoid(out.present.detach())[:, None] * torch.softmax(out.logits.detach(), 1)
        return chosen(scores[:, None], self.corners(out).detach()[:, None], meta, self.choice)


def kaiming_dense(module: nn.Module) -> None:
    """Dense weights normal with variance 2 / fan_in (He et al. 2015, eq. 10), biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            nn.init.zeros_(part.bias)


def shares(xyxy: Tensor, sizes: Tensor) -> Tensor:
    """(m, 4) corners and (m, 2) sizes (h, w) -> (m, 4) row and column of the middle, height and width, as shares of the size.

    >>> shares(torch.tensor([[0.0, 10, 20, 30]]), torch.tensor([[40, 80]])).tolist()
    [[0.5, 0.125, 0.5, 0.25]]
    """
    middle, sides = (xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]
    extent = sizes.to(xyxy)
    return torch.cat([middle.flip(1) / extent, sides.flip(1) / extent], 1)
