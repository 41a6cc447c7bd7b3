"""What heads that answer with boxes share: truths of a batch in one table, and the choice of the boxes that are answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.core import Meta
from saccade.ops.nms import nms
from saccade.targets import Boxes


class Choice(NamedTuple):
    """Which of a detector's boxes are answered.

    threshold: the least score. overlap: the IoU above which the worse of two boxes of one class is left out. considered: the best so many
    (box, class) pairs of an image that are looked at. limit: answers to an image at most.
    """

    threshold: float = 0.01
    overlap: float = 0.65
    considered: int = 1000
    limit: int = 300


def padded_truths(targets: Sequence[Boxes], device: torch.device, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Truths (N, M, 4) float32, class ids (N, M) int64, and (N, M) bool which of them are objects to be found.

    Crowds, objects whose class is ignored (-1) and the rows that fill up are none; their class is given as 0. M may be 0.
    Raises ValueError for an id outside -1..K-1.
    """
    most = max((len(target) for target in targets), default=0)
    truths, ids = torch.zeros(len(targets), most, 4), torch.full((len(targets), most), -1, dtype=torch.int64)
    for i, target in enumerate(targets):
        if not len(target):
            continue
        truths[i, : len(target)] = target.xyxy
        ids[i, : len(target)] = target.classes if target.crowd is None else torch.where(target.crowd, -1, target.classes)
    if most and not -1 <= int(ids.min()) <= int(ids.max()) < classes:
        raise ValueError(f"class ids must be 0..{classes - 1}, or -1 for ignored, got {int(ids.min())}..{int(ids.max())}")
    return truths.to(device), ids.clamp_min(0).to(device), (ids >= 0).to(device)


def chosen(scores: Tensor, boxes: Tensor, meta: Sequence[Meta], choice: Choice) -> list[Boxes]:
    """scores (N, A, K) in [0, 1] and boxes (N, A, 4) in input pixels -> the answers of each image in its own pixels, best first, on the CPU."""
    found = []
    for own_scores, own_boxes, where in zip(scores, boxes, meta, strict=True):
        flat = own_scores.flatten()
        places = torch.where(flat > choice.threshold)[0]
        if len(places) > choice.considered:
            places = places[flat[places].topk(choice.considered).indices]
        cell, ids = torch.div(places, scores.shape[2], rounding_mode="floor"), places % scores.shape[2]
        corners, values = own_boxes[cell], flat[places]
        rows = nms(_apart(corners, ids), values, choice.overlap, limit=choice.limit)
        answers = Boxes(corners[rows].cpu(), ids[rows].cpu(), values[rows].cpu())
        found.append(answers.warp(where.geometry.inverse(where.size)))
    return found


def _apart(corners: Tensor, ids: Tensor) -> Tensor:
    """(n, 4) float64: the boxes with every class in a place of its own, so that one suppression serves all of them."""
    wide = corners.double()
    span = (wide.max() - wide.min() + 1) if len(wide) else wide.new_ones(())
    return wide + (ids * span)[:, None]
