"""Linear support vector machines with hard negatives mined, ridge regression, and scores as probabilities: what R-CNN learns on the features of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

EASY = -1.2
"""A negative example that scores below this is forgotten after a fit."""


class Linear(NamedTuple):
    """weight: (d,); bias."""

    weight: np.ndarray
    bias: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n,) scores."""
        found: np.ndarray = x @ self.weight + self.bias
        return found


def fit_svm(x: np.ndarray, positive: np.ndarray, *, cost: float = 1e-3, positive_cost: float = 2.0, bias: float = 10.0, steps: int = 100) -> Linear:
    """The minimum of |w|^2 / 2 + cost sum_i c_i max(0, 1 - y_i f(x_i))^2 over (w, b), f(x) = w x + b bias, b being one of w's numbers.

    x: (n, d); positive: (n,) bool, y = 1, whose c is `positive_cost`, that of the others 1. By Newton's method in the primal (Chapelle, "Training a
    support vector machine in the primal", 2007): each step is exact but for who violates the margin. Deviation from R-CNN: the hinge is squared.
    Raises ValueError unless there are examples of both kinds.
    """
    if positive.all() or not positive.any():
        raise ValueError(f"examples of both kinds are needed, got {int(positive.sum())} positive of {len(positive)}")
    wide = np.concatenate([x.astype(np.float64), np.full((len(x), 1), bias)], 1)
    y, c = np.where(positive, 1.0, -1.0), 2 * cost * np.where(positive, positive_cost, 1.0)
    w = np.zeros(wide.shape[1])

    def value(at: np.ndarray) -> float:
        return float(at @ at / 2 + (c / 2 * np.square(np.maximum(0, 1 - y * (wide @ at)))).sum())

    now = value(w)
    for _ in range(steps):
        inside = y * (wide @ w) < 1
        rows, weights = wide[inside], c[inside]
        hessian = np.eye(len(w)) + (rows * weights[:, None]).T @ rows
        way = np.linalg.solve(hessian, rows.T @ (weights * y[inside])) - w
        length = 1.0
        while (then := value(w + length * way)) > now and length > 1e-10:
            length /= 2
        w, gain, now = w + length * way, now - then, then
        if gain <= 1e-12 * max(1.0, abs(now)):
            break
    return Linear(w[:-1], float(w[-1] * bias))


Chunks = Callable[[], Iterable[np.ndarray]]


def mined_svm(
    positives: np.ndarray, negatives: Chunks, *, cost: float = 1e-3, positive_cost: float = 2.0, each: int = 2000, most: int = 20_000, passes: int = 1
) -> Linear:
    """The machine of positives (p, d) against more negatives than can be fitted at once, which `negatives()` gives chunk by chunk, (n, d) each.

    Hard negative mining (Felzenszwalb et al., "Object detection with discriminatively trained part-based models", 2010, section 4.4; R-CNN, section
    2.3): of each chunk those are kept that score above -1; after `each` new ones the machine is fitted again, and the easy ones go. At most `most`
    are held, those with the highest scores. Raises ValueError without positives or negatives.
    """
    held, keys, machine, new = np.zeros((0, positives.shape[1]), positives.dtype), np.zeros(0, np.int64), None, 0
    for turn in range(passes):
        for number, chunk in enumerate(negatives()):
            own = (np.int64(number) << 32) + np.arange(len(chunk))
            fresh = ~np.isin(own, keys) if turn else np.ones(len(chunk), bool)
            hard = fresh if machine is None else fresh & (machine(chunk) > -1)
            held, keys, new = np.concatenate([held, chunk[hard]]), np.concatenate([keys, own[hard]]), new + int(hard.sum())
            if new >= each:
                machine, held, keys, new = *_refitted(positives, held, keys, cost, positive_cost, most), 0
    if machine is None or new:
        machine = _refitted(positives, held, keys, cost, positive_cost, most)[0]
    return machine


def _refitted(positives: np.ndarray, held: np.ndarray, keys: np.ndarray, cost: float, positive_cost: float, most: int) -> tuple[Linear, np.ndarray, np.ndarray]:
    x = np.concatenate([positives, held])
    machine = fit_svm(x, np.arange(len(x)) < len(positives), cost=cost, positive_cost=positive_cost)
    scores = machine(held)
    stays = scores >= EASY
    if int(stays.sum()) > most:
        stays &= scores >= np.partition(scores, -most)[-most]
    return machine, held[stays], keys[stays]


class Map(NamedTuple):
    """weight: (t, d); bias: (t,)."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, t)."""
        found: np.ndarray = x @ self.weight.T + self.bias
        return found


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> Map:
    """The minimum of sum_i |y_i - W x_i - b|^2 + penalty |W|^2, x (n, d), y (n, t), in closed form; b is free (R-CNN, appendix C, eq. 5).

    Solved in d or in n unknowns, whichever are fewer. Raises ValueError without examples, or for a penalty that is not above 0.
    """
    if not len(x) or penalty <= 0:
        raise ValueError(f"examples and a penalty above 0 are needed, got {len(x)} and {penalty}")
    middle, goal = x.mean(0, dtype=np.float64), y.mean(0, dtype=np.float64)
    a, b = x - middle, y - goal
    if a.shape[1] <= len(a):
        weight = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ b).T
    else:
        weight = (a.T @ np.linalg.solve(a @ a.T + penalty * np.eye(len(a)), b)).T
    return Map(weight, goal - weight @ middle)


def calibrated(scores: np.ndarray, positive: np.ndarray, *, steps: int = 100) -> tuple[float, float]:
    """(slope, offset) of p = 1 / (1 + exp(-(slope score + offset))) with the least cross entropy: Platt, "Probabilistic outputs for support vector
    machines", 1999, with his targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2).

    The slope is at least a thousandth, so that a higher score stays the more probable one. Newton's method, halved where it does not help.
    """
    count = int(positive.sum())
    goal = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    x = np.stack([scores.astype(np.float64), np.ones(len(scores))], 1)
    at = np.array([1.0, np.log((count + 1) / (len(positive) - count + 1))])

    def value(w: np.ndarray) -> float:
        z = x @ w
        return float((np.logaddexp(0, z) - goal * z).sum())

    now = value(at)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ at, -500, 500)))
        slope = x.T @ (p - goal)
        way = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), -slope)
        length = 1.0
        while (then := value(at + length * way)) > now and length > 1e-10:
            length /= 2
        at, gain, now = at + length * way, now - then, then
        if gain <= 1e-10 * max(1.0, now):
            break
    return max(1e-3, float(at[0])), float(at[1])
