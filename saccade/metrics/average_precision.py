"""Average precision and recall from matched answers, for any weighting of the images, so that a resample costs no new matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from saccade.metrics.coco_matching import RANGES, THRESHOLDS, Matched

Array = np.ndarray
LEVELS: Array = np.linspace(0.0, 1.0, 101)  # of recall, at which precision is read
LIMITS = (1, 10)  # answers of a class in an image, beside all


class Ranked(NamedTuple):
    """All answers of one class, best first: image (d,), score (d,), rank (d,), hit and free (d, T, A); counts (n, A) its truths in each image."""

    image: Array
    score: Array
    rank: Array
    hit: Array
    free: Array
    counts: Array


def ranked(images: Sequence[Matched], classes: int) -> list[Ranked]:
    """The answers of all images by class; equal scores keep the order of the images."""
    if not images:
        none = np.zeros((0, len(THRESHOLDS), len(RANGES)), bool)
        return [Ranked(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), none, none, np.zeros((0, len(RANGES))))] * classes
    image = np.repeat(np.arange(len(images)), [len(m.classes) for m in images])
    ids, score, rank = (np.concatenate([getattr(m, name) for m in images]) for name in ("classes", "scores", "rank"))
    hit, free, counts = np.concatenate([m.hit for m in images]), np.concatenate([m.free for m in images]), np.stack([m.counts for m in images])
    found = []
    for k in range(classes):
        rows = np.flatnonzero(ids == k)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        found.append(Ranked(image[rows], score[rows], rank[rows], hit[rows], free[rows], counts[:, k]))
    return found


def average_precision(one: Ranked, weights: Array, threshold: int, area: int) -> Array:
    """weights (n, R): how often each image counts -> (R,) AP of one class at one overlap threshold and range of sizes; nan without a truth.

    The mean over 101 levels of recall of the best precision at that recall or a higher one (COCO). Only hits are looked at: the best precision
    is always reached at one.
    """
    total = one.counts[:, area] @ weights  # (R,)
    counted = np.flatnonzero(~one.free[:, threshold, area])
    at = np.flatnonzero(one.hit[counted, threshold, area])
    if not len(at):
        return np.where(total > 0, 0.0, np.nan)
    drawn = weights[one.image[counted]]  # (d, R)
    answered = np.add.reduceat(drawn[: at[-1] + 1], np.concatenate([[0], at[:-1] + 1]), axis=0).cumsum(0)  # up to and with each hit
    right = drawn[at].cumsum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(right > 0, right / (answered + np.spacing(1)), 0.0)
        reached = np.where(total > 0, right / total, 0.0)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    levels = np.searchsorted(LEVELS, reached, side="right")  # levels of recall that are reached by then
    # the first hit answers for level 0 as well, which is where `levels` of a recall of 0 is 1
    new = np.diff(levels, axis=0, prepend=0)
    found: Array = np.where(total > 0, (best * new).sum(0) / len(LEVELS), np.nan)
    return found


def recall(one: Ranked, weights: Array, threshold: int, area: int, limit: int | None = None) -> Array:
    """weights (n, R) -> (R,) the share of truths found by the best `limit` answers of each image; nan without a truth."""
    total = one.counts[:, area] @ weights
    hits = one.hit[:, threshold, area] if limit is None else one.hit[:, threshold, area] & (one.rank < limit)
    found = weights[one.image[hits]].sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = np.where(total > 0, found / total, np.nan)
    return share


def curve(one: Ranked, threshold: int = 0) -> tuple[Array, Array, Array]:
    """Scores, precision and recall (d,) behind every counted answer of one class, best first, over all sizes; recall is nan without a truth."""
    counted = ~one.free[:, threshold, 0]
    hits, given, total = one.hit[counted, threshold, 0].cumsum(), np.arange(1, counted.sum() + 1), one.counts[:, 0].sum()
    return one.score[counted], hits / given, hits / total if total else np.full(len(given), np.nan)


def mean_over(values: Sequence[Array]) -> Array:
    """Arrays (R,) of classes or thresholds -> (R,) the mean of those that are numbers; nan where none is."""
    table = np.stack(values)
    known = np.isfinite(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Array = np.where(known, table, 0.0).sum(0) / known.sum(0)
    return mean
