"""A class and a box for each given region, by linear machines on features of a network: the last part of R-CNN, of SPP-net and of a sliding window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Head, Meta
from saccade.nn.heads.anchored import in_source, truth_of
from saccade.nn.heads.classify import full
from saccade.nn.heads.two_stage import DenseTrunk
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.iou import pairwise
from saccade.ops.proposals import Answerer
from saccade.targets import Boxes

By = Literal["machines", "network"]


class Pooled(NamedTuple):
    """Of one image. boxes: (k, 4) regions in input pixels; features: (k, D) of each; size: (2,) valid h, w of the image."""

    boxes: Tensor
    features: Tensor
    size: Tensor


class RegionsOut(NamedTuple):
    """boxes: (N, k, 4) regions, filled up with zeros; logits: (N, k, K) of overlapping an object of each class by half; deltas: (N, k, K, 4); sizes: (N, 2)."""

    boxes: Tensor
    logits: Tensor
    deltas: Tensor
    sizes: Tensor


class RegionHead(Head[RegionsOut, Boxes]):
    """Dense layers over a region's features and, by what they give, scores.

    by: "machines": a linear support vector machine for each class, its score made a probability, and a linear regression of the box from the features
    before the dense layers (R-CNN, section 2 and appendix C); "network": the softmax that the network was trained with, and the region itself.
    inputs: D. What is not learnt by gradients are buffers: weight, bias, slope and offset of the machines, weight and bias of the boxes,
    and the factors that bring features to a norm of 20.
    """

    def __init__(self, inputs: int, classes: int, *, hidden: int, by: By, answerer: Answerer) -> None:
        super().__init__()
        if classes < 1 or inputs < 1:
            raise ValueError(f"at least one class and one feature, got {classes} and {inputs}")
        self.classes, self.by, self.answerer, self.coder = classes, by, answerer, DeltaCoder()
        self.trunk = DenseTrunk(inputs, hidden)
        self.scores = nn.Linear(hidden, classes + 1)  # class 0 is background
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.zeros_(self.scores.bias)
        if by == "machines":
            shapes = {"machine_weight": (classes, hidden), "machine_bias": (classes,), "slope": (classes,), "offset": (classes,)}
            shapes |= {"box_weight": (classes, 4, inputs), "box_bias": (classes, 4), "hidden_factor": (), "feature_factor": ()}
            for name, shape in shapes.items():
                self.register_buffer(name, torch.zeros(shape))
        self.machine_weight: Tensor
        self.machine_bias: Tensor
        self.slope: Tensor
        self.offset: Tensor
        self.box_weight: Tensor
        self.box_bias: Tensor
        self.hidden_factor: Tensor
        self.feature_factor: Tensor

    def hidden(self, features: Tensor) -> Tensor:
        """(k, D) -> (k, hidden): what the machines see."""
        return full(self.trunk(features))

    def forward(self, given: Pooled) -> RegionsOut:  # type: ignore[override]
        """Of one image, N = 1."""
        hidden = self.hidden(given.features)
        with torch.autocast(hidden.device.type, enabled=False):
            if self.by == "network":
                logits = F.linear(hidden, full(self.scores.weight), self.scores.bias)
                others = torch.stack([torch.cat([logits[:, :k], logits[:, k + 1 :]], 1).logsumexp(1) for k in range(1, self.classes + 1)], 1)
                logits, deltas = logits[:, 1:] - others, hidden.new_zeros(len(hidden), self.classes, 4)
            else:
                scores = F.linear(hidden * self.hidden_factor, self.machine_weight, self.machine_bias)
                logits = self.slope * scores + self.offset
                moved = F.linear(full(given.features) * self.feature_factor, self.box_weight.flatten(0, 1), self.box_bias.flatten())
                deltas = moved.view(-1, self.classes, 4)
        return RegionsOut(given.boxes[None], logits[None], deltas[None], given.size[None])

    def loss(self, out: RegionsOut, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """{"class"}: binary cross entropy of each region and class, against an IoU of at least one half with an object; the mean over regions."""
        total, count = out.logits.sum() * 0.0, 0
        for boxes, logits, target in zip(out.boxes, out.logits, targets, strict=True):
            there = (boxes[:, 2:] > boxes[:, :2]).all(1)
            goal = (overlaps_by_class(boxes[there], target, self.classes) >= 0.5).to(logits)
            total = total + F.binary_cross_entropy_with_logits(logits[there], goal, reduction="sum")
            count += int(there.sum())
        return {"class": total / max(1, count)}

    def decode(self, out: RegionsOut, meta: Sequence[Meta]) -> list[Boxes]:
        """Boxes of the whole image in its pixels, best first, suppressed class by class, on the CPU."""
        found = []
        for boxes, logits, deltas, size, where in zip(out.boxes, out.logits, out.deltas, out.sizes, meta, strict=True):
            there = (boxes[:, 2:] > boxes[:, :2]).all(1)
            moved = self.coder.decode(boxes[there][:, None], deltas[there])
            found.append(in_source(self.answerer([torch.sigmoid(logits[there])], [moved], size)[0], where))
        return found

    @torch.no_grad()
    def set_machine(self, k: int, weight: np.ndarray, bias: float, slope: float, offset: float) -> None:
        """What class k is scored by."""
        self.machine_weight[k] = torch.from_numpy(weight)
        self.machine_bias[k], self.slope[k], self.offset[k] = bias, slope, offset

    @torch.no_grad()
    def set_box(self, k: int, weight: np.ndarray, bias: np.ndarray) -> None:
        """How boxes of class k are moved: (4, D) and (4,)."""
        self.box_weight[k], self.box_bias[k] = torch.from_numpy(weight), torch.from_numpy(bias)


def overlaps_by_class(boxes: Tensor, target: Boxes, classes: int) -> Tensor:
    """(k, 4) -> (k, K) the largest IoU of each with an object of each class, 0 where there is none; crowds and unknown classes are no objects."""
    truth = truth_of(target, classes, boxes.device)
    found = boxes.new_zeros(len(boxes), classes)
    for k in range(classes):
        own = truth.boxes[(truth.classes == k) & ~truth.loose]
        if len(own) and len(boxes):
            found[:, k] = pairwise(boxes, own.to(boxes)).max(1).values
    return found


def batched(parts: Sequence[RegionsOut]) -> RegionsOut:
    """The answers of single images as those of a batch, filled up to the most regions of one."""
    most = max(part.boxes.shape[1] for part in parts)

    def together(name: str) -> Tensor:
        rows = [getattr(part, name) for part in parts]
        return torch.cat([F.pad(row, (0, 0) * (row.ndim - 2) + (0, most - row.shape[1])) for row in rows])

    return RegionsOut(together("boxes"), together("logits"), together("deltas"), torch.cat([part.sizes for part in parts]))
