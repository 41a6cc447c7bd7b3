"""Overlaps of boxes as differentiable tensors: IoU, GIoU, DIoU, CIoU of pairs and of rows, the losses 1 - overlap, and what a crowd covers.

Boxes are (..., 4) x1 y1 x2 y2 in continuous pixels, on any device. `saccade.ops.boxes` has the same for NumPy arrays, without gradients.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["iou", "giou", "diou", "ciou"]
KINDS: tuple[Kind, ...] = ("iou", "giou", "diou", "ciou")


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...) square pixels; 0 for a box whose corners are exchanged."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """(..., 4), (..., 4) -> (...): the area that two boxes share; leading axes broadcast."""
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp_min(0) * height.clamp_min(0)


def overlap(a: Tensor, b: Tensor, kind: Kind = "iou") -> Tensor:
    """(..., 4), (..., 4) -> (...): the overlap of boxes with boxes; leading axes broadcast, so equal shapes go row by row.

    iou: intersection over union in [0, 1]. giou: less the share of the enclosing box that neither fills, in [-1, 1] (Rezatofighi et al.
    2019, "Generalized intersection over union", algorithm 1). diou: iou less the squared distance of the middles over the squared diagonal
    of the enclosing box (Zheng et al. 2020, "Distance-IoU loss", eq. 7). ciou: diou less alpha v, the difference of aspect (eq. 8 to 11;
    alpha takes no gradient). Where nothing can be divided by (two empty boxes at one point) the term is 0, and so is its gradient.
    Raises ValueError for another kind.

    >>> overlap(torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2])).item() == torch.tensor(1 / 3).item()
    True
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    iou = _over(shared, union)
    if kind == "iou":
        return iou
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    around = (high - low).clamp_min(0)
    if kind == "giou":
        hull = around[..., 0] * around[..., 1]
        return iou - _over(hull - union, hull)
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    diou = iou - _over(apart.square().sum(-1), around.square().sum(-1))
    if kind == "diou":
        return diou
    difference = (4 / math.pi**2) * (_aspect(a) - _aspect(b)).square()
    with torch.no_grad():
        alpha = _over(difference, 1 - iou + difference)
    return diou - alpha * difference


def pairwise(a: Tensor, b: Tensor, kind: Kind = "iou") -> Tensor:
    """(n, 4), (m, 4) -> (n, m): `overlap` of each box of a with each of b."""
    return overlap(a[:, None], b[None], kind)


def covered(a: Tensor, b: Tensor) -> Tensor:
    """(n, 4), (m, 4) -> (n, m): which share of each box of a lies inside of each box of b, COCO's overlap with a crowd b; 0 for an empty box of a."""
    return _over(intersection(a[:, None], b[None]), area(a)[:, None])


def box_loss(prediction: Tensor, truth: Tensor, kind: Kind = "giou") -> Tensor:
    """(n, 4), (n, 4) -> (n,): 1 - overlap row by row, at least 0; its mean over no rows is the caller's to avoid."""
    return 1 - overlap(prediction, truth, kind)


def _over(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 without a gradient where the whole is 0."""
    some = whole > 0
    return torch.where(some, part, 0.0) / torch.where(some, whole, 1.0)


def _aspect(boxes: Tensor) -> Tensor:
    """The angle whose tangent is width over height; that of a box without height is a right angle."""
    sides = boxes[..., 2:] - boxes[..., :2]
    flat = sides[..., 1] <= 0
    angle = torch.atan(torch.where(flat, 0.0, sides[..., 0]) / torch.where(flat, 1.0, sides[..., 1]))
    return torch.where(flat, math.pi / 2, angle)
