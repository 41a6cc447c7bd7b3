"""Logistic regression of a binary answer on d numbers: d + 1 parameters, by Newton's method; the discriminative partner of naive Bayes."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

Array = np.ndarray
ENOUGH = 1e-8  # largest slope at which the search ends


class LogisticRegression:
    """p(y = 1 | x) = 1 / (1 + exp(-(w x + b))): weights (d,) and an offset.

    For many classes see `classic.floors.fit_logistic`.

    >>> model = LogisticRegression(np.array([2.0]), -1.0)
    >>> model.probability(np.array([[0.5], [1.0]])).round(3).tolist()
    [0.5, 0.731]
    """

    def __init__(self, weights: Array, offset: float) -> None:
        self.weights, self.offset = np.asarray(weights, np.float64), float(offset)
        if self.weights.ndim != 1:
            raise ValueError(f"weights are one number a variable, got shape {self.weights.shape}")

    @property
    def parameters(self) -> int:
        return len(self.weights) + 1

    @classmethod
    def fit(cls, x: Array, truth: Array, *, penalty: float = 0.0, steps: int = 100) -> LogisticRegression:
        """Least sum of cross-entropies plus penalty |w|^2 / 2 (a Gaussian prior's MAP), the offset free. x (n, d), truth (n,) of 0 and 1.

        Raises ValueError where there is no least value: without penalty on samples that a plane divides.
        """
        x, y = np.asarray(x, np.float64), np.asarray(truth, np.float64)
        if x.ndim != 2 or y.shape != x.shape[:1] or not np.isin(y, (0, 1)).all() or len(np.unique(y)) < 2:
            raise ValueError(f"x is (n, d) with a 0 or 1 a sample, both seen; got {x.shape} and {y.shape}")
        full = np.column_stack([x, np.ones(len(x))])
        ridge = np.r_[np.full(x.shape[1], penalty), 0.0]
        w = np.zeros(full.shape[1])

        def loss(w: Array) -> float:
            z = full @ w
            return float(np.logaddexp(0, z).sum() - y @ z + (ridge * w**2).sum() / 2)

        for _ in range(steps):
            p = expit(full @ w)
            slope = full.T @ (p - y) + ridge * w
            if np.abs(slope).max() < ENOUGH * len(x):
                if penalty == 0 and np.abs(p - y).max() < 1e-4:
                    break
                return cls(w[:-1], w[-1])
            curve = (full * (p * (1 - p))[:, None]).T @ full + np.diag(ridge)
            step, size = np.linalg.lstsq(curve, slope, rcond=None)[0], 1.0
            while loss(w - size * step) > loss(w) and size > 1e-6:
                size /= 2
            w = w - size * step
        raise ValueError(f"no least loss was found in {steps} steps: the samples are divided by a plane; give a penalty above 0")

    def probability(self, x: Array) -> Array:
        """(n, d) -> (n,): p(y = 1 | x)."""
        return np.asarray(expit(np.asarray(x, np.float64) @ self.weights + self.offset))
