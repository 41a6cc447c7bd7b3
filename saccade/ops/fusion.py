"""Boxes of several detectors joined into one answer: weighted box fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from saccade.ops.boxes import iou

OVERLAP = 0.55  # the paper's threshold


class Fused(NamedTuple):
    """xyxy (n, 4), scores (n,), classes (n,) int64, best first."""

    xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def weighted_box_fusion(
    xyxy: Sequence[np.ndarray], scores: Sequence[np.ndarray], classes: Sequence[np.ndarray], *, weights: Sequence[float] | None = None, overlap: float = OVERLAP
) -> Fused:
    """Solovyev, Wang and Gabruseva 2021, "Weighted boxes fusion", section 3: one (n_i, 4), (n_i,), (n_i,) for each of the detectors.

    Boxes are taken by falling score (times the detector's weight). Each joins the cluster of its class whose fused box it overlaps most, by
    more than `overlap` (IoU), or opens one. A fused box is the mean of its cluster's corners weighted by the scores, its score their mean, times
    min(boxes in it, sum of weights) / sum of weights: what few detectors saw counts less. Weights default to 1 each.
    Raises ValueError for lists of different lengths, or weights that are not as many positive numbers.
    """
    weights = [1.0] * len(xyxy) if weights is None else list(weights)
    if not len(xyxy) == len(scores) == len(classes) == len(weights) or not all(w > 0 for w in weights):
        raise ValueError(f"{len(xyxy)} lists of boxes, {len(scores)} of scores, {len(classes)} of classes and weights {weights[:10]}")
    boxes = np.concatenate([np.asarray(b, float).reshape(-1, 4) for b in xyxy]) if len(xyxy) else np.zeros((0, 4))
    given = np.concatenate([np.asarray(s, float) * w for s, w in zip(scores, weights, strict=True)]) if len(xyxy) else np.zeros(0)
    kinds = np.concatenate([np.asarray(c, np.int64) for c in classes]) if len(xyxy) else np.zeros(0, np.int64)
    total = float(sum(weights))
    found = [_of_class(boxes[kinds == k], given[kinds == k], total, overlap) for k in np.unique(kinds)]
    numbers = [np.full(len(s), k) for k, (_, s) in zip(np.unique(kinds), found, strict=True)]
    if not found:
        return Fused(boxes, given, kinds)
    fused = Fused(np.concatenate([b for b, _ in found]), np.concatenate([s for _, s in found]), np.concatenate(numbers))
    order = np.argsort(-fused.scores, kind="stable")
    return Fused(fused.xyxy[order], fused.scores[order], fused.classes[order])


def _of_class(boxes: np.ndarray, scores: np.ndarray, total: float, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """The fused boxes of one class and their scores; a score above 1 counts as 1."""
    clusters: list[list[int]] = []
    fused = np.zeros((0, 4))
    for row in np.argsort(-scores, kind="stable"):
        shares = iou(fused, boxes[row : row + 1])[:, 0]
        place = int(shares.argmax()) if len(shares) else -1
        if place < 0 or shares[place] <= overlap:
            clusters.append([row])
            fused = np.concatenate([fused, boxes[row : row + 1]])
            continue
        clusters[place].append(row)
        mass = scores[clusters[place]]
        fused[place] = mass @ boxes[clusters[place]] / mass.sum() if mass.sum() > 0 else boxes[clusters[place]].mean(0)
    means = np.array([scores[rows].mean() * min(len(rows), total) / total for rows in clusters])
    return fused, means.clip(0, 1)
