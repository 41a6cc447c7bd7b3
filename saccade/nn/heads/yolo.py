"""YOLO's first head: the image in S x S cells, each with B boxes, their confidences, and one set of class scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, kaiming
from saccade.nn.heads.boxes import Choice, chosen, padded_truths
from saccade.nn.heads.classify import full, last_extent
from saccade.ops.iou import overlap
from saccade.ops.pooling import grid_average
from saccade.targets import Boxes

OBJECT, EMPTY_CELL = 5.0, 0.5  # lambda_coord and lambda_noobj


class GridOut(NamedTuple):
    """boxes: (N, S, S, B, 5) x and y in the cell, roots of width and height as shares of the image, confidence; classes: (N, S, S, C); sizes: (N, 2)."""

    boxes: Tensor
    classes: Tensor
    sizes: Tensor


class Yolo(Head[GridOut, Boxes]):
    """Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", CVPR 2016.

    The last map becomes S x S cells, which give S x S x (5B + C) numbers. An object belongs to the cell that holds its middle, and there to the box that
    overlaps it most; of several objects in one cell the largest is learnt. loss: eq. 3, sums of squares: 5 times the place and the roots of the sides,
    the confidence towards the overlap, half of it where there is no object, and the classes of cells with an object. Score: confidence times
    class (eq. 1).

    units: of a dense layer over all cells before the output, 4096 in the paper; 0: a 3x3 convolution of `width` channels and a 1x1, which needs far
    fewer pictures to learn from. Deviations: that default; the S x S cells are means of the map's cells, so that any input size and stride fit.
    Raises ValueError for a grid, a number of boxes or of classes below 1.
    """

    def __init__(
        self,
        level: Level,
        classes: int,
        *,
        grid: int = 7,
        boxes: int = 2,
        width: int = 256,
        units: int = 0,
        dropout: float = 0.5,
        reach: int = 1,
        choice: Choice = Choice(overlap=0.5, limit=100),  # noqa: B008 - a value that nobody can change
    ) -> None:
        super().__init__()
        if min(grid, boxes, classes) < 1:
            raise ValueError(f"grid, boxes and classes must be at least 1, got {grid}, {boxes} and {classes}")
        self.level, self.classes, self.grid, self.boxes, self.reach, self.choice = level, classes, grid, boxes, reach, choice
        self.numbers = 5 * boxes + classes
        self.way: nn.Module
        if units:
            cells = grid * grid
            self.way = nn.Sequential(nn.Flatten(), nn.Linear(level.channels * cells, units), nn.LeakyReLU(0.1), nn.Dropout(dropout))
            self.output: nn.Module = nn.Linear(units, cells * self.numbers)
        else:
            self.way = ConvNorm(level.channels, width, activation=nn.LeakyReLU(0.1, inplace=True))
            self.output = nn.Conv2d(width, self.numbers, 1)
        self.dense = bool(units)
        kaiming(self.way)
        self._start()

    def _start(self) -> None:
        """Boxes begin in the middle of their cell, a quarter of the image wide; confidence and classes at nought."""
        assert isinstance(self.output, nn.Linear | nn.Conv2d) and self.output.bias is not None
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        start = torch.tensor([0.5, 0.5, 0.5, 0.5, 0.0] * self.boxes + [0.0] * self.classes)
        with torch.no_grad():
            self.output.bias.copy_(start.repeat(self.grid**2) if self.dense else start)

    def forward(self, features: Features) -> GridOut:
        cells = grid_average(features.maps[-1], self.grid, last_extent(features, self.level.stride, self.reach))
        if self.dense:
            numbers = self.output(self.way(cells)).view(len(cells), self.grid, self.grid, self.numbers)
        else:
            numbers = self.output(self.way(cells)[0]).permute(0, 2, 3, 1)
        boxes, classes = full(numbers).split([5 * self.boxes, self.classes], 3)
        return GridOut(boxes.unflatten(3, (self.boxes, 5)), classes, features.sizes)

    def corners(self, out: GridOut) -> Tensor:
        """(N, S, S, B, 4) xyxy in input pixels."""
        s, numbers = self.grid, out.boxes
        at = torch.arange(s, device=numbers.device, dtype=numbers.dtype)
        middle = torch.stack([numbers[..., 0] + at[None, None, :, None], numbers[..., 1] + at[None, :, None, None]], -1) / s
        half = numbers[..., 2:4].square() / 2
        extent = out.sizes.flip(1).to(numbers.dtype).repeat(1, 2)[:, None, None, None]
        return torch.cat([middle - half, middle + half], -1) * extent

    def loss(self, out: GridOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"place_loss", "confidence_loss", "class_loss"}: sums over the cells, means over the images."""
        image, row, column, truth, classes = self._owners(out, targets)
        n = max(1, len(targets))
        numbers = out.boxes[image, row, column]  # (m, B, 5)
        with torch.no_grad():
            shared = overlap(self.corners(out)[image, row, column], truth[:, None]).clamp_min(0)  # (m, B)
            best = shared.argmax(1) if len(shared) else shared.new_zeros(0, dtype=torch.int64)
        at = torch.arange(len(best), device=best.device)
        own, extent = numbers[at, best], out.sizes[image].flip(1).to(truth)
        middle = (truth[:, :2] + truth[:, 2:]) / 2 / extent * self.grid - torch.stack([column, row], 1)
        sides = ((truth[:, 2:] - truth[:, :2]) / extent).sqrt()
        place = (own[:, :2] - middle).square().sum() + (own[:, 2:4] - sides).square().sum()
        every = out.boxes[..., 4].square().sum()  # confidences towards nought, but for those that answer
        sure = (own[:, 4] - shared[at, best]).square().sum() + EMPTY_CELL * (every - own[:, 4].square().sum())
        goal = torch.zeros(len(image), self.classes, device=truth.device)
        goal[at, classes] = 1.0
        named = (out.classes[image, row, column] - goal).square().sum()
        return {"place_loss": OBJECT * place / n, "confidence_loss": sure / n, "class_loss": named / n}

    def _owners(self, out: GridOut, targets: Sequence[Boxes]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Image, row and column of each cell with an object, the object's box and its class; of several in a cell the largest."""
        truths, classes, counted = padded_truths(targets, out.boxes.device, self.classes)
        image, place = torch.where(counted)
        truth, extent = truths[image, place], out.sizes[image].flip(1).to(truths)
        cell = ((truth[:, :2] + truth[:, 2:]) / 2 / extent * self.grid).long().clamp(0, self.grid - 1)
        area = (truth[:, 2:] - truth[:, :2]).prod(1)
        order = torch.argsort(area, stable=True)  # the last one written stays
        key = (image * self.grid + cell[:, 1]) * self.grid + cell[:, 0]
        owner = torch.full((len(targets) * self.grid**2,), -1, device=key.device)
        owner[key[order]] = order
        kept = owner[owner >= 0]
        return image[kept], cell[kept, 1], cell[kept, 0], truth[kept], classes[image, place][kept]

    def decode(self, out: GridOut, meta: Sequence[Meta]) -> list[Boxes]:
        """The boxes that `choice` leaves, best first, clipped to the whole image, in its pixels."""
        scores = (out.boxes[..., 4:] * out.classes[:, :, :, None]).detach().clamp(0, 1).flatten(1, 3)
        return chosen(torch.where((out.boxes[..., 4:].detach() > 0).flatten(1, 3), scores, 0.0), self.corners(out).detach().flatten(1, 3), meta, self.choice)
