"""What is right and wrong at a threshold of the score, and in what way: counts that agree with the matching behind average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from saccade.metrics.coco_matching import Matched

Array = np.ndarray
SAME, NEAR = 0.5, 0.1  # overlaps from which two are the same place, and from which they are about each other
KINDS = ("class", "location", "both", "duplicate", "background", "missed")


class Judged(NamedTuple):
    """right, wrong, truths: (n, K) counts of hits, of answers that are none, and of truths that count. confusion: (K + 1, K + 1), rows truths, the last
    one background, columns answers, the last one missed. kinds: the wrong answers by class of the answer, and those missed by class of the truth, (K,)."""

    right: Array
    wrong: Array
    truths: Array
    confusion: Array
    kinds: dict[str, Array]


def judge(images: Sequence[Matched], limits: Array) -> Judged:
    """Answers of a score of at least their class's limit (K,), at an overlap of 0.5 and over all sizes.

    right and wrong are the hits and misses of the AP's own matching, so precision and recall are a point of its curve. Then each wrong answer, best
    first, takes the truth of another class that it overlaps most, by 0.5 at least, and that nobody took: a confusion; else it is against background.
    Kinds of wrong answers after Bolya et al., "TIDE", ECCV 2020, section 2.2, in this order: location (overlap of 0.1 to 0.5 with a truth of its
    class at best), class (0.5 with another's), duplicate (0.5 with one of its class that was found), background (below 0.1 with all), both.
    missed: truths that nobody found and that are not what a location or class error is about.
    """
    count = len(limits)
    right, wrong, truths = (np.zeros((len(images), count), np.int64) for _ in range(3))
    confusion, kinds = np.zeros((count + 1, count + 1), np.int64), {kind: np.zeros(count, np.int64) for kind in KINDS}
    for i, image in enumerate(images):
        kept = (image.scores >= limits[image.classes]) if len(image.classes) else np.zeros(0, bool)
        hits, misses = kept & image.hit[:, 0, 0], kept & ~image.hit[:, 0, 0] & ~image.free[:, 0, 0]
        right[i], wrong[i] = (np.bincount(image.classes[rows], minlength=count) for rows in (hits, misses))
        truths[i] = image.counts[:, 0]
        open_ = ~image.skipped & (image.truths >= 0)
        open_[image.finds[hits]] = False
        order = np.flatnonzero(misses)[np.argsort(-image.scores[misses], kind="stable")]
        np.fill_diagonal(confusion[:count, :count], confusion.diagonal()[:count] + right[i])
        _confuse(image, order, open_.copy(), confusion)
        _sort(image, order, open_, kinds)
    return Judged(right, wrong, truths, confusion, kinds)


def _confuse(image: Matched, rows: Array, open_: Array, confusion: Array) -> None:
    """Counts the wrong answers and the truths that are left into the confusion; `open_` (g,) bool is used up."""
    background = len(confusion) - 1
    for row in rows:
        own = np.where(open_ & (image.truths != image.classes[row]), image.overlaps[row], -1.0)
        best = int(own.argmax()) if len(own) else -1
        if best >= 0 and own[best] >= SAME:
            open_[best] = False
            confusion[image.truths[best], image.classes[row]] += 1
        else:
            confusion[background, image.classes[row]] += 1
    np.add.at(confusion[:, background], image.truths[open_], 1)


def _sort(image: Matched, rows: Array, open_: Array, kinds: dict[str, Array]) -> None:
    """Counts each wrong answer under its kind, and what is missed."""
    missed = open_.copy()
    real = ~image.skipped & (image.truths >= 0)
    for row in rows:
        k, overlaps = image.classes[row], image.overlaps[row]
        own, other = np.where(real & (image.truths == k), overlaps, 0.0), np.where(real & (image.truths != k), overlaps, 0.0)
        best_own, best_other = own.max(initial=0.0), other.max(initial=0.0)
        if NEAR <= best_own < SAME:
            kind = "location"
            missed[own.argmax()] = False
        elif best_other >= SAME:
            kind = "class"
            missed[other.argmax()] = False
        elif best_own >= SAME:
            kind = "duplicate"
        else:
            kind = "background" if max(best_own, best_other) < NEAR else "both"
        kinds[kind][k] += 1
    np.add.at(kinds["missed"], image.truths[missed], 1)
