"""Which answers find which truths in one image, by COCO's rules, at every overlap threshold and for every range of sizes at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray

THRESHOLDS: Array = np.linspace(0.5, 0.95, 10)
RANGES: dict[str, tuple[float, float]] = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""Square pixels of the whole image; a size on a bound is in both ranges."""
HALF = 0  # the place of 0.5 in THRESHOLDS, and of "all" in RANGES


class Objects(NamedTuple):
    """What matching must know of n truths or answers.

    classes: (n,) int64, -1 where nobody knows. areas: (n,) square pixels. scores: (n,), 1 for truths. loose: (n,) bool, regions that any number of
    answers may lie in (crowds, and what has no class). skipped: (n,) bool, not counted when missed, nor who finds them (loose and difficult ones).
    """

    classes: Array
    areas: Array
    scores: Array
    loose: Array
    skipped: Array


class Matched(NamedTuple):
    """One image. d answers in order of class, each class best first; g truths; T overlap thresholds; A ranges of sizes.

    classes, scores: (d,); rank: (d,) the place among the answers of the class, from 0. hit: (d, T, A) bool finds a truth that counts. free: (d, T, A) bool
    counts neither as right nor as wrong. finds: (d,) the row of the truth found at an overlap of 0.5, -1 none. order: (d,) rows in the prediction.
    counts: (K, A) truths of each class that count. truths, areas: classes and square pixels of the truths. skipped: (g,). overlaps: (d, g).
    """

    classes: Array
    scores: Array
    rank: Array
    hit: Array
    free: Array
    finds: Array
    order: Array
    counts: Array
    truths: Array
    areas: Array
    skipped: Array
    overlaps: Array


def match(answers: Objects, truths: Objects, overlaps: Array, classes: int, *, limit: int = 100) -> Matched:
    """Each answer, best first, takes the free truth of its class that it overlaps most; overlaps: (d, g) float64, `limit` answers a class are looked at.

    Lin et al., COCO's evaluation ("cocoeval"): a truth that counts goes before one that does not; a truth is found once, a loose one any number of times;
    an answer that finds nothing and is outside of the range of sizes is free. Truths without a class are loose ones of every class.
    """
    order = np.lexsort((-answers.scores, answers.classes))  # stable: equal scores keep their order
    sorted_classes = answers.classes[order]
    begins = np.searchsorted(sorted_classes, np.arange(classes))
    rank = np.arange(len(order)) - begins[sorted_classes] if len(order) else np.zeros(0, np.int64)
    order, rank = order[rank < limit], rank[rank < limit]
    ids, areas = answers.classes[order], answers.areas[order]
    bounds = np.array(list(RANGES.values()))
    shape = (len(order), len(THRESHOLDS), len(RANGES))
    hit, free, finds = np.zeros(shape, bool), np.zeros(shape, bool), np.full(len(order), -1, np.int64)
    counts = np.zeros((classes, len(RANGES)), np.int64)
    ignored = truths.skipped[:, None] | ~within(truths.areas, bounds)
    np.add.at(counts, truths.classes[truths.classes >= 0], ~ignored[truths.classes >= 0])
    for k in np.unique(ids):
        rows = np.flatnonzero(ids == k)
        own = np.flatnonzero((truths.classes == k) | (truths.classes < 0))
        found = _greedy(overlaps[np.ix_(order[rows], own)], ignored[own], truths.loose[own])
        hit[rows], free[rows] = found[0], found[1]
        finds[rows] = np.where(found[2] >= 0, own[found[2]] if len(own) else -1, -1)
    outside = ~within(areas, bounds)[:, None]
    free |= ~hit & outside
    return Matched(
        ids, answers.scores[order], rank, hit, free, finds, order, counts, truths.classes, truths.areas, truths.skipped, overlaps[order].astype(np.float32)
    )


def within(areas: Array, bounds: Array) -> Array:
    """(n,), (A, 2) -> (n, A) bool."""
    inside: Array = (areas[:, None] >= bounds[:, 0]) & (areas[:, None] <= bounds[:, 1])
    return inside


def _greedy(overlaps: Array, ignored: Array, loose: Array) -> tuple[Array, Array, Array]:
    """(d, g) overlaps of one class, (g, A) and (g,) bool -> hit and free (d, T, A), and (d,) what is found at 0.5 over all sizes."""
    d, g = overlaps.shape
    limits = np.minimum(THRESHOLDS, 1 - 1e-10)
    hit, free = np.zeros((d, len(limits), ignored.shape[1]), bool), np.zeros((d, len(limits), ignored.shape[1]), bool)
    finds = np.full(d, -1, np.int64)
    if not g:
        return hit, free, finds
    taken = np.zeros((g, len(limits), ignored.shape[1]), bool)
    for i in np.flatnonzero(overlaps.max(1) >= limits[0]):
        near = np.flatnonzero(overlaps[i] >= limits[0])[::-1]  # of equal overlaps the last one is taken, so it comes first
        worth = overlaps[i, near][:, None, None] + 2.0 * ~ignored[near][:, None]  # (c, 1, A): those that count before the others
        open_ = (overlaps[i, near][:, None] >= limits)[:, :, None] & ~taken[near]  # (c, T, A)
        worth = np.where(open_, worth, -1.0)
        best = worth.argmax(0)  # (T, A)
        some = worth.max(0) >= 0
        chosen = near[best]
        skipped = ignored[chosen, np.arange(ignored.shape[1])]  # (T, A)
        hit[i], free[i] = some & ~skipped, some & skipped
        t, a = np.nonzero(some & ~loose[chosen])
        taken[chosen[t, a], t, a] = True
        if some[HALF, HALF]:
            finds[i] = chosen[HALF, HALF]
    return hit, free, finds
