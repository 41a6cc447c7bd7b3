"""Average precision as PASCAL VOC defines it: one overlap, all recalls, and an answer whose best truth is taken is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from saccade.core import LabelSpace
from saccade.ops.boxes import area
from saccade.targets import Boxes
from saccade.targets.rows import array

Array = np.ndarray


class VocAP(NamedTuple):
    """ap: of each class with a truth; mean: over them, nan without any; truths and answers: counts of each class."""

    ap: dict[str, float]
    mean: float
    truths: dict[str, int]
    answers: dict[str, int]


def voc_ap(pairs: Sequence[tuple[Boxes, Boxes]], space: LabelSpace, *, overlap: float = 0.5, whole_pixels: bool = False, eleven: bool = False) -> VocAP:
    """AP of predictions against truths, (prediction, truth) for each image.

    Everingham et al., "The PASCAL visual object classes (VOC) challenge", IJCV 2010, section 4.2. Every recall counts (as since 2010), with
    `eleven` only 0, 0.1 .. 1 (as before). Each answer, best first over all images, belongs to the truth of its class that it overlaps most. It is
    right when that is by at least `overlap` and the truth is free; it does not count when the truth is difficult, a crowd or without a class; else
    it is wrong. whole_pixels: boxes of whole numbers include their last pixel, so a side is one longer, as the development kit has it.
    """
    found, truths, answers = {}, {}, {}
    for k, name in enumerate(space.names):
        hits, scores, total = _of_class(pairs, k, overlap, 1.0 if whole_pixels else 0.0)
        truths[name], answers[name] = total, len(scores)
        if total:
            found[name] = _area(hits[np.argsort(-scores, kind="stable")], total, eleven)
    return VocAP(found, float(np.mean(list(found.values()))) if found else float("nan"), truths, answers)


def _of_class(pairs: Sequence[tuple[Boxes, Boxes]], k: int, least: float, more: float) -> tuple[Array, Array, int]:
    """1 for a hit, 0 for a wrong answer, in the order of the images; their scores; the number of truths that count."""
    all_hits: list[Array] = []
    all_scores: list[Array] = []
    total = 0
    for prediction, truth in pairs:
        rows, own = np.flatnonzero(prediction.classes.numpy() == k), np.flatnonzero(truth.classes.numpy() == k)
        loose = _loose(truth)[own]
        total += int((~loose).sum())
        scores = np.ones(len(rows)) if prediction.scores is None else array(prediction.scores)[rows]
        order = np.argsort(-scores, kind="stable")
        shared = _iou(array(prediction.xyxy)[rows][order], array(truth.xyxy)[own], more)
        hits, free = np.full(len(rows), 0), np.ones(len(own), bool)
        for i, row in enumerate(shared):
            best = int(row.argmax()) if len(row) else -1
            if best < 0 or row[best] < least:
                continue
            hits[i] = -1 if loose[best] else int(free[best])
            free[best] = False
        all_hits.append(hits[hits >= 0])
        all_scores.append(scores[order][hits >= 0])
    return np.concatenate([np.zeros(0, np.int64), *all_hits]), np.concatenate([np.zeros(0), *all_scores]), total


def _loose(truth: Boxes) -> Array:
    loose = truth.classes.numpy() < 0
    for flags in (truth.crowd, truth.difficult):
        loose = loose if flags is None else loose | flags.numpy()
    return loose


def _iou(a: Array, b: Array, more: float) -> Array:
    """IoU (n, m) of boxes whose lower right corner is `more` further than written."""
    a, b = a + np.array([0, 0, more, more]), b + np.array([0, 0, more, more])
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    union = area(a)[:, None] + area(b)[None] - shared
    quotient: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return quotient


def _area(hits: Array, total: int, eleven: bool) -> float:
    """The area under the curve of the best precision at a recall or a higher one; hits (d,) best first."""
    right = hits.cumsum()
    reached, precision = right / total, right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if eleven:
        return float(np.mean([best[reached >= level][0] if (reached >= level).any() else 0.0 for level in np.linspace(0, 1, 11)]))
    return float((np.diff(reached, prepend=0.0) * best).sum())
