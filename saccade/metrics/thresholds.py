"""Thresholds below which a model answers "unknown": applied, and chosen on validation for a goal."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from saccade.core import IGNORE, LabelSpace
from saccade.errors import UsageError, nearest

Array = np.ndarray
Thresholds = float | Mapping[str, float] | None


def as_array(thresholds: Thresholds, space: LabelSpace) -> Array:
    """One threshold for each class (K,), 0 where none is given (then the class is always answered).

    Raises USE-VALUE outside [0, 1] and USE-OPTION for a class that is not one.
    """
    if thresholds is None:
        return np.zeros(len(space))
    table = dict(thresholds) if isinstance(thresholds, Mapping) else dict.fromkeys(space.names, float(thresholds))
    for name, value in table.items():
        if name not in space.names:
            raise UsageError("USE-OPTION", f"a threshold is given for the class {name!r}; {nearest(name, space.names)}")
        if not 0 <= value <= 1:
            raise UsageError("USE-VALUE", f"the threshold of {name} is {value}, expected a probability in [0, 1]")
    return np.array([table.get(name, 0.0) for name in space.names])


def decide(probabilities: Array, thresholds: Array | None = None) -> Array:
    """The answers (n,): the most probable class (the first of equals), or -1 where it is below its threshold.

    >>> decide(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0.7, 0.7])).tolist()
    [0, -1]
    """
    answer = probabilities.argmax(1) if len(probabilities) else np.zeros(0, np.int64)
    if thresholds is None:
        return answer
    return np.where(probabilities[np.arange(len(answer)), answer] >= thresholds[answer], answer, IGNORE)


def choose(probabilities: Array, truth: Array, space: LabelSpace, *, precision: float | None = None) -> dict[str, float]:
    """A threshold for each class, chosen on validation: the one of highest F1, or the lowest that reaches a precision.

    probabilities (n, K), truth (n,). A threshold lies half-way between two scores seen. Where no threshold reaches the
    precision the class gets 1.0, so that it is answered only when certain; a class never answered gets 0.

    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    >>> choose(p, np.array([0, 0, 1, 1]), LabelSpace(("a", "b")), precision=0.95)
    {'a': 0.7, 'b': 0.0}
    """
    if precision is not None and not 0 < precision <= 1:
        raise UsageError("USE-VALUE", f"the precision to reach is {precision}, expected a share in (0, 1]")
    answer = decide(probabilities)
    return {name: _one(probabilities[answer == k, k], truth[answer == k] == k, int((truth == k).sum()), precision) for k, name in enumerate(space.names)}


def _one(scores: Array, right: Array, support: int, precision: float | None) -> float:
    """The threshold of one class from the scores of the samples that it is the answer of."""
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order].astype(np.float64), np.cumsum(right[order])
    given = np.arange(1, len(scores) + 1)
    last = np.append(scores[1:] < scores[:-1], True)  # a cut is possible only below the last of equal scores
    if precision is None:
        place = len(scores) - 1 - int(np.where(last, 2 * hits / (given + support), -1)[::-1].argmax())
    else:
        reached = np.flatnonzero(last & (hits / given >= precision))
        if not len(reached):
            return 1.0
        place = int(reached[-1])
    if place == len(scores) - 1:
        return 0.0
    middle = (scores[place] + scores[place + 1]) / 2
    shown = math.ceil(middle * 1e6) / 1e6
    return shown if scores[place + 1] < shown <= scores[place] else float(scores[place])
