"""The floors: simple models that a network must beat, on the same images, in seconds.

    majority      the most frequent class, whatever the image
    nearest       the class of the nearest training image (Cover and Hart 1967)
    logistic      multinomial logistic regression; its strength chosen by cross-validation on the training images
    bayes         naive Bayes with Gaussian pixels

All of them see small pictures (at most 32 px a side) and at most 5,000 training images. One that does not end in time is
reported as unfinished, never left out.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

LARGEST, SIDE = 5_000, 32
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # of the logistic regression: C, on standardised pixels
Array = np.ndarray
Floor = Callable[[Array, Array, Array, int, "Sequence[str | None] | None"], Array]


def majority(train: Array, truth: Array, test: Array, classes: int, groups: Sequence[str | None] | None = None) -> Array:
    """The classes' frequencies for every image."""
    return np.tile(np.bincount(truth, minlength=classes) / len(truth), (len(test), 1))


def nearest(train: Array, truth: Array, test: Array, classes: int, groups: Sequence[str | None] | None = None) -> Array:
    """Certainty of the nearest image's class, by Euclidean distance; in blocks, so that memory stays bounded."""
    found = np.empty(len(test), np.int64)
    squares = (train**2).sum(1)
    for first in range(0, len(test), 512):
        block = test[first : first + 512]
        found[first : first + 512] = (squares[None] - 2 * block @ train.T).argmin(1)
    return np.eye(classes)[truth[found]]


def logistic(train: Array, truth: Array, test: Array, classes: int, groups: Sequence[str | None] | None = None) -> Array:
    """Logistic regression on standardised pixels, its strength the best of four in a three-fold (grouped) cross-validation by log loss."""
    from sklearn.linear_model import LogisticRegression

    mean, std = train.mean(0), train.std(0) + 1e-3
    x, y = (train - mean) / std, (test - mean) / std
    best = _strength(x, truth, groups, classes) if len(x) <= 2_000 else 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping early is meant: it is a floor
        model = LogisticRegression(C=best, max_iter=100).fit(x, truth)
    return _spread(model.predict_proba(y), model.classes_, classes)


def _strength(x: Array, truth: Array, groups: Sequence[str | None] | None, classes: int) -> float:
    from sklearn.linear_model import LogisticRegression

    keys = np.arange(len(x)) if groups is None else np.unique([str(g) if g is not None else f"#{i}" for i, g in enumerate(groups)], return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(keys.max() + 1)[keys] % 3
    losses = []
    for strength in STRENGTHS:
        total = 0.0
        for k in range(3):
            inside, outside = fold != k, fold == k
            if len(np.unique(truth[inside])) < 2:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = LogisticRegression(C=strength, max_iter=50).fit(x[inside], truth[inside])
            p = _spread(model.predict_proba(x[outside]), model.classes_, classes)
            total -= np.log(np.maximum(p[np.arange(outside.sum()), truth[outside]], 1e-6)).sum()
        losses.append(total)
    return STRENGTHS[int(np.argmin(losses))]


def bayes(train: Array, truth: Array, test: Array, classes: int, groups: Sequence[str | None] | None = None) -> Array:
    """Naive Bayes with a Gaussian for each pixel and class."""
    from sklearn.naive_bayes import GaussianNB

    model = GaussianNB(var_smoothing=1e-2).fit(train, truth)
    return _spread(model.predict_proba(test), model.classes_, classes)


def _spread(probabilities: Array, known: Array, classes: int) -> Array:
    """Columns for all classes from those that the training images had."""
    out = np.zeros((len(probabilities), classes))
    out[:, known] = probabilities
    return out


FLOORS: dict[str, Floor] = {"majority": majority, "bayes": bayes, "nearest": nearest, "logistic": logistic}


def floors(
    train: Array, truth: Array, test: Array, classes: int, *, groups: Sequence[str | None] | None = None, budget_s: float = 20.0
) -> Mapping[str, Array | str]:
    """Every floor's probabilities (n, K), or the reason why it has none.

    train, test: (n, d) pixels in [0, 1]; truth: (n,) class ids. The cheap ones run first; one is not begun after the time is up.
    """
    found: dict[str, Array | str] = {}
    deadline = time.monotonic() + budget_s
    for name, floor in FLOORS.items():
        if time.monotonic() > deadline:
            found[name] = f"not begun: the {budget_s:g} s were over"
            continue
        try:
            found[name] = floor(train, truth, test, classes, groups)
        except (ValueError, MemoryError) as problem:
            found[name] = f"failed: {problem}"
    return found
