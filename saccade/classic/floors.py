"""The floors: simple models that a network must beat, on the same images, in seconds.

    majority      the classes' frequencies, whatever the image
    bayes         naive Bayes, a Gaussian for each pixel and class
    naive_bayes   naive Bayes, a Bernoulli with a flat prior for each class and pixel, black or white
    nearest       the class of the nearest training image (Cover & Hart 1967)
    logistic      multinomial logistic regression, its strength chosen by cross-validation on the training images

All of them see small pictures, at most 5,000 of them. The time they have is kept: one that does not end in it is
reported with the reason, never left out and never half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from saccade.classic.naive_bayes import BernoulliNaiveBayes

LARGEST, SIDE = 5_000, 32  # training images, pixels a side
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C of the logistic regression on standardised pixels, the strongest penalty first
SEARCHED = 1_500  # images that the strength is chosen on
SMOOTHING = 1e-2  # of naive Bayes: added to every variance, as a share of the largest
Array = np.ndarray


class OutOfTime(Exception):
    """The floors' time is over."""


class Clock:
    """What is left of the time that all floors share.

    >>> Clock(0.0).over
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    def check(self) -> None:
        """Raises OutOfTime when the time is over."""
        if self.over:
            raise OutOfTime(f"did not end within the {self.seconds:g} s that all simple models share")


class Floor(NamedTuple):
    """A simple model's answer: probabilities (n, K), or None with the reason in `note`; the seconds it took."""

    probabilities: Array | None
    seconds: float
    note: str = ""


class Task(NamedTuple):
    """train (n, d) and test (m, d) pixels in [0, 1], float32; truth (n,) class ids; groups (n,) ids or None."""

    train: Array
    truth: Array
    test: Array
    classes: int
    groups: Array | None
    clock: Clock


def majority(task: Task) -> tuple[Array, str]:
    """The classes' frequencies for every image."""
    return np.tile(np.bincount(task.truth, minlength=task.classes) / len(task.truth), (len(task.test), 1)), ""


def bayes(task: Task) -> tuple[Array, str]:
    """p(class) times the product over pixels of a Gaussian with the class's mean and variance."""
    known, counts = np.unique(task.truth, return_counts=True)
    x = task.train.astype(np.float64)
    extra = SMOOTHING * max(float(x.var(0).max()), 1e-6)
    logits = np.full((len(task.test), task.classes), -np.inf)
    y = task.test.astype(np.float64)
    squares = y**2
    for k, count in zip(known, counts, strict=True):
        task.clock.check()
        own = x[task.truth == k]
        mean, precision = own.mean(0), 1 / (own.var(0) + extra)
        distance = squares @ precision - 2 * y @ (mean * precision) + mean @ (mean * precision)
        logits[:, k] = np.log(count / len(x)) - 0.5 * (distance - np.log(precision).sum())
    return softmax(logits), ""


def binary_bayes(task: Task) -> tuple[Array, str]:
    """p(class) times the product over pixels of a Bernoulli, a pixel being 1 above its mean over the training images; Beta(1, 1) priors."""
    threshold = task.train.mean(0)
    model = BernoulliNaiveBayes.fit(task.train > threshold, task.truth, task.classes)
    task.clock.check()
    return model.classify((task.test > threshold).astype(np.int64)), ""


def nearest(task: Task) -> tuple[Array, str]:
    """Each class in inverse proportion to the Euclidean distance of its nearest image, so the answer is the nearest one's class."""
    order = np.argsort(task.truth, kind="stable")
    train = task.train[order]
    known, starts = np.unique(task.truth[order], return_index=True)
    squares, found = (train**2).sum(1), np.zeros((len(task.test), task.classes))
    for first in range(0, len(task.test), 256):
        task.clock.check()
        block = task.test[first : first + 256]
        distance = np.maximum((block**2).sum(1)[:, None] + squares - 2 * block @ train.T, 0)
        closest = np.sqrt(np.minimum.reduceat(distance, starts, axis=1)) + 1e-6
        found[first : first + 256, known] = 1 / closest
    return found / found.sum(1, keepdims=True), ""


def logistic(task: Task) -> tuple[Array, str]:
    """Logistic regression on standardised pixels, of the strength with the least log loss in a three-fold (grouped) cross-validation."""
    mean, std = task.train.mean(0), task.train.std(0)
    std = np.sqrt(std**2 + (0.1 * std).mean() ** 2 + 1e-6)  # a pixel that hardly varies must not shout when it does
    x, y = (task.train - mean) / std, (task.test - mean) / std
    known, ids = np.unique(task.truth, return_inverse=True)
    strength, note = _strength(x, ids, task)
    weights = fit_logistic(x, ids, strength, task.clock)
    found = np.zeros((len(y), task.classes))
    found[:, known] = softmax(y @ weights[:-1] + weights[-1])
    return found, note


def _strength(x: Array, ids: Array, task: Task) -> tuple[float, str]:
    """The strength C of least log loss, and a note when the time did not allow to try them all."""
    chosen = np.linspace(0, len(x) - 1, min(SEARCHED, len(x))).astype(int)
    units = np.arange(len(chosen)) if task.groups is None else np.unique(task.groups[chosen], return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(int(units.max()) + 1)[units] % 3
    half = Clock((task.clock.end - time.monotonic()) / 2)
    folds = [(chosen[fold != k], chosen[fold == k]) for k in range(3) if len(np.unique(ids[chosen[fold != k]])) > 1]
    starts: list[Array | None] = [None] * len(folds)
    losses: list[float] = []
    try:
        for strength in STRENGTHS if folds else STRENGTHS[1:2]:
            total = 0.0
            for k, (inside, outside) in enumerate(folds):
                found = starts[k] = fit_logistic(x[inside], ids[inside], strength, half, classes=int(ids.max()) + 1, start=starts[k])
                p = softmax(x[outside] @ found[:-1] + found[-1])
                total -= float(np.log(np.maximum(p[np.arange(len(outside)), ids[outside]], 1e-6)).sum())
            losses.append(total)
    except OutOfTime:
        task.clock.check()
        tried = f"the first {len(losses)} of {len(STRENGTHS)} strengths were tried in the time"
        return STRENGTHS[int(np.argmin(losses))] if losses else STRENGTHS[1], tried
    return STRENGTHS[int(np.argmin(losses))] if folds else STRENGTHS[1], ""


def fit_logistic(x: Array, ids: Array, strength: float, clock: Clock, *, classes: int | None = None, start: Array | None = None, steps: int = 100) -> Array:
    """Weights (d + 1, K) of least ||W||^2 / 2 + C * sum of cross-entropies, the last row being the free offsets; by L-BFGS.

    x (n, d), ids (n,) in 0..K-1, strength C. Raises OutOfTime between two steps.
    """
    classes = int(ids.max()) + 1 if classes is None else classes
    return fit_shares(x, np.eye(classes, dtype=np.float32)[ids], strength, clock, start=start, steps=steps)


def fit_shares(x: Array, shares: Array, strength: float, clock: Clock, *, start: Array | None = None, steps: int = 100) -> Array:
    """`fit_logistic` of samples that are of several classes at once: x (n, d), shares (n, K), how much of each class a sample is; their sums weigh the
    samples. Raises OutOfTime between two steps."""
    from scipy.optimize import minimize

    x, shares = np.ascontiguousarray(x, np.float32), np.asarray(shares, np.float32)
    classes, mass = shares.shape[1], shares.sum(1, keepdims=True)
    total = float(mass.sum(dtype=np.float64))
    scale = 1 / (strength * total)

    def loss(flat: Array) -> tuple[float, Array]:
        clock.check()
        weights = flat.reshape(-1, classes)
        logits = (x @ weights[:-1].astype(np.float32)).astype(np.float64) + weights[-1]
        p = softmax(logits)
        error = (p * mass - shares) / total
        slope = np.concatenate([x.T @ error.astype(np.float32) + scale * weights[:-1], error.sum(0)[None]])
        value = -float((np.log(np.maximum(p, 1e-30)) * shares).sum()) / total + scale * float((weights[:-1] ** 2).sum()) / 2
        return value, slope.astype(np.float64).ravel()

    begin = np.zeros((x.shape[1] + 1, classes)) if start is None else start
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "gtol": 1e-4})
    return np.asarray(found.x, np.float64).reshape(-1, classes)


def softmax(logits: Array) -> Array:
    """Rows of probabilities; a class of logit -inf gets 0."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


FLOORS: dict[str, Callable[[Task], tuple[Array, str]]] = {
    "majority": majority,
    "bayes": bayes,
    "naive_bayes": binary_bayes,
    "nearest": nearest,
    "logistic": logistic,
}


def floors(
    train: Array, truth: Array, test: Array, classes: int, *, groups: Sequence[str | None] | None = None, clock: Clock | None = None
) -> dict[str, Floor]:
    """Every floor's answers to `test`, the cheap ones first, within the time of `clock` (20 s).

    train (n, d), test (m, d) pixels in [0, 1]; truth (n,) class ids 0..K-1; groups: names, never divided in the inner
    cross-validation; None is a group of its own.

    >>> x = np.array([[0.0], [0.1], [0.9], [1.0]], np.float32)
    >>> found = floors(x, np.array([0, 0, 1, 1]), np.array([[0.2]], np.float32), 2)
    >>> [int(f.probabilities.argmax()) for name, f in found.items() if name != "majority"]
    [0, 0, 0, 0]
    """
    named = None if groups is None else np.array([f"alone {i}" if g is None else f"group {g}" for i, g in enumerate(groups)])
    task = Task(np.asarray(train, np.float32), np.asarray(truth), np.asarray(test, np.float32), classes, named, clock or Clock(20.0))
    found: dict[str, Floor] = {}
    for name, floor in FLOORS.items():
        began = time.monotonic()
        try:
            task.clock.check()
            p, note = floor(task)
            found[name] = Floor(p, time.monotonic() - began, note)
        except OutOfTime as reason:
            found[name] = Floor(None, time.monotonic() - began, str(reason))
        except MemoryError:
            found[name] = Floor(None, time.monotonic() - began, "needs more memory than there is")
    return found
