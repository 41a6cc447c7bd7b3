"""What heads that answer one object's key points have in common: which object is learnt, and how numbers become an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta, Out
from saccade.nn.heads.classify import full
from saccade.ops.padding import cells, valid_extent
from saccade.ops.pooling import global_average
from saccade.targets import Boxes, Keypoints
from saccade.targets.rows import array

SURE = 0.1  # a box holds the points that score at least this


class Truths(NamedTuple):
    """One object an image, tensors on the device of the network.

    xy: (N, K, 2) float32 pixels of the input. visible: (N, K) as `Keypoints.visible`; taught: (N,) bool, whether the image says anything.
    classes: (N,) ids, -1 where there is no object or its class is not known.
    """

    xy: Tensor
    visible: Tensor
    taught: Tensor
    classes: Tensor


class PoseHead(Head[Out, Keypoints]):
    """The K key points of one object an image: of several the one with the largest box is meant; crowds and objects without a labelled point are none.

    points: K. classes: of objects. pairs: (left, right) points. whole: the input is a whole image, whose object's class is answered too and
    whose box is drawn around the points; else it is the crop of an object whose box and class are known. absent: a point that is not labelled is
    taught as not being there, and so is every point of an image without objects; else nothing is taught of it.
    Raises ValueError for counts below 1.
    """

    def __init__(self, level: Level, points: int, classes: int, *, pairs: tuple[tuple[int, int], ...] = (), whole: bool = True, absent: bool = False) -> None:
        super().__init__()
        if points < 1 or classes < 1:
            raise ValueError(f"a pose needs at least one key point and one class, got {points} and {classes}")
        self.last, self.points, self.pairs, self.whole, self.absent = level, points, pairs, whole, absent
        self.kinds = nn.Linear(level.channels, classes) if whole and classes > 1 else None

    def class_logits(self, features: Features) -> Tensor:
        """(N, classes) from the mean of the last map; (N, 0) where no class is asked for."""
        if self.kinds is None:
            return features.maps[-1].new_zeros(len(features.maps[-1]), 0)
        extent = valid_extent(features.maps[0], features.sizes)
        own = None if extent is None else cells(extent, self.last.stride)
        found: Tensor = self.kinds(global_average(features.maps[-1], own))
        return full(found)

    def truths(self, targets: Sequence[Keypoints], device: torch.device) -> Truths:
        """The object of each image. Raises ValueError for another number of key points than the head's."""
        xy, visible = torch.zeros(len(targets), self.points, 2), torch.zeros(len(targets), self.points, dtype=torch.uint8)
        taught, classes = torch.zeros(len(targets), dtype=torch.bool), torch.full((len(targets),), -1)
        for i, target in enumerate(targets):
            if target.xy.shape[1] != self.points:
                raise ValueError(f"an object has {target.xy.shape[1]} key points, the head has {self.points}")
            row = largest(target)
            if row is None:
                taught[i] = self.absent and not len(target)
                continue
            xy[i], visible[i] = target.xy[row].float().cpu(), target.visible[row].cpu()
            taught[i], classes[i] = True, int(target.boxes.classes[row])
        return Truths(xy.to(device), visible.to(device), taught.to(device), classes.to(device))

    def flag_losses(self, flags: Tensor, logits: Tensor, truth: Truths) -> dict[str, Tensor]:
        """{"flag_loss", and "class_loss" where classes are told apart} of logits (N, K, 2), there and visible, and (N, classes): binary cross entropy of the
        points that are labelled (and, with `absent`, of all), cross entropy of the classes."""
        labelled = truth.visible > 0
        seen = F.binary_cross_entropy_with_logits(flags[..., 1], (truth.visible == 2).to(flags), reduction="none")
        total = torch.where(labelled, seen, 0.0).sum() / labelled.sum().clamp_min(1)
        if self.absent:
            there = F.binary_cross_entropy_with_logits(flags[..., 0], labelled.to(flags), reduction="none")
            total = total + torch.where(truth.taught[:, None], there, 0.0).sum() / (truth.taught.sum() * self.points).clamp_min(1)
        found = {"flag_loss": 0.1 * total + 0.0 * flags[..., 0].sum()}
        if self.kinds is None:
            return found
        known = truth.classes >= 0
        named = F.cross_entropy(logits[known], truth.classes[known], reduction="sum") / known.sum().clamp_min(1)
        return found | {"class_loss": 0.1 * named + 0.0 * logits.sum()}

    def answers(self, xy: Tensor, scores: Tensor, flags: Tensor, logits: Tensor, meta: Sequence[Meta]) -> list[Keypoints]:
        """Points (N, K, 2) in pixels of the inputs with scores (N, K), flags (N, K, 2) and class logits as one object each, in pixels of the sources.

        An object's score is the mean of its points'.
        """
        if self.absent:
            scores = scores * torch.sigmoid(flags[..., 0])
        places, told = array(xy.detach().cpu()), scores.detach().float().cpu()
        seen = (flags[..., 1].detach() >= 0).cpu()
        classes = logits.detach().argmax(1).cpu() if logits.shape[1] else torch.zeros(len(xy), dtype=torch.int64)
        return [self._answer(*one) for one in zip(places, told, seen, classes, meta, strict=True)]

    def _answer(self, places: np.ndarray, scores: Tensor, seen: Tensor, kind: Tensor, meta: Meta) -> Keypoints:
        h, w = meta.size
        points = meta.geometry.back(places).clip(0, (w, h))
        order = exchanged(self.pairs, self.points) if meta.geometry.mirrored else list(range(self.points))
        points, scores, seen = points[order], scores[order], seen[order]
        box = around(points, scores.numpy(), (h, w)) if self.whole else np.array([0.0, 0.0, w, h])
        boxes = Boxes(torch.from_numpy(box)[None].float(), kind[None], scores.mean()[None])
        visible = torch.where(seen, 2, 1).to(torch.uint8)
        return Keypoints(torch.from_numpy(points)[None].float(), visible[None], boxes, scores[None], self.pairs)


def largest(target: Keypoints) -> int | None:
    """The row of the object with the largest box that has a labelled point and is no crowd; None where there is none."""
    boxes = target.boxes
    usable = (target.visible > 0).any(1)
    if boxes.crowd is not None:
        usable = usable & ~boxes.crowd
    if not bool(usable.any()):
        return None
    areas = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(1)
    return int(torch.where(usable, areas, -1.0).argmax())


def exchanged(pairs: Sequence[tuple[int, int]], points: int) -> list[int]:
    """The point that each one becomes in a mirror.

    >>> exchanged([(0, 1)], 3)
    [1, 0, 2]
    """
    order = list(range(points))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def around(points: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(4,) the box around those of the points (K, 2) that score `SURE` at least (all where none does), a pixel wide at least and inside of the image."""
    sure = points[scores >= SURE] if (scores >= SURE).any() else points
    low, high = sure.min(0), sure.max(0)
    missing = np.maximum(0.0, 1.0 - (high - low)) / 2
    low, high = low - missing, high + missing
    bound: Any = (size[1], size[0])
    return np.concatenate([low.clip(0, bound), high.clip(0, bound)])
