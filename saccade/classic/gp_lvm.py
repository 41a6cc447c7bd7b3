"""Gaussian-process latent variable model: rows as smooth functions of few latent coordinates, which are learnt (Lawrence 2005).

Every column of the centred rows is drawn from one Gaussian process over the latent points, with the kernel
signal exp(-|x - x'|^2 / 2 length^2) + noise [x = x']. The latent points and the kernel's three numbers minimise

    D/2 log det K + 1/2 tr(K^-1 Y Y^T) + N D/2 log 2 pi + 1/2 sum |x|^2

by L-BFGS from the PCA solution. It costs N^3 a step: for hundreds of rows, such as the glyphs of some fonts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numpy as np

from saccade.classic.pca import PCA

Array = np.ndarray[Any, Any]
MOST = 3000  # rows; the matrices of all pairs and their factors are kept
JITTER = 1e-8  # of the signal's variance, on the diagonal


class Objective(NamedTuple):
    """value: the negative log posterior in nats; latent: its slope by the latent points (n, q); logs: by log signal, log length, log noise (3,)."""

    value: float
    latent: Array
    logs: Array


def objective(latent: Array, logs: Array, rows: Array) -> Objective:
    """At latent (n, q), logs (3,) = log of signal variance, length and noise variance, for centred rows (n, d). Lawrence 2005, equations 6 and 7."""
    from scipy.linalg import cho_factor, cho_solve

    n, d = rows.shape
    signal, length, noise = np.exp(logs)
    apart = squares(latent, latent)
    smooth = signal * np.exp(-0.5 * apart / length**2)
    factor = cho_factor(smooth + (noise + JITTER * signal) * np.eye(n), lower=True)
    weights = cho_solve(factor, rows)
    inverse = cho_solve(factor, np.eye(n))
    value = d * np.log(np.diag(factor[0])).sum() + 0.5 * (rows * weights).sum() + 0.5 * n * d * math.log(2 * math.pi) + 0.5 * (latent**2).sum()
    slope = 0.5 * (d * inverse - weights @ weights.T)  # by the entries of K
    pull = slope * smooth
    by_latent = -2 / length**2 * (pull.sum(1)[:, None] * latent - pull @ latent) + latent
    trace = float(np.trace(slope))
    by_logs = np.array([pull.sum() + trace * JITTER * signal, (pull * apart).sum() / length**2, noise * trace])
    return Objective(float(value), by_latent, by_logs)


def squares(a: Array, b: Array) -> Array:
    """(n, q), (m, q) -> (n, m): squared distances."""
    found: Array = np.clip((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0, None)
    return found


class GPLVM:
    """components: latent coordinates q. steps: of L-BFGS at most. seed: of what is added to a start without variance.

    After `fit`: latent_ (n, q), signal_ and noise_ (variances), length_, mean_ (d,), value_, the negative log posterior in nats, and settled_.
    Raises ValueError for fewer than two rows or more than 3,000, rows that are not finite, and more coordinates than the rows have axes.
    """

    latent_: Array
    mean_: Array
    signal_: float
    length_: float
    noise_: float
    value_: float
    settled_: bool

    def __init__(self, components: int = 2, *, steps: int = 500, seed: int = 0) -> None:
        if components < 1 or steps < 1:
            raise ValueError(f"at least one coordinate and one step, got {components} and {steps}")
        self.components, self.steps, self.seed = components, steps, seed

    def fit(self, rows: Array, truth: Any = None) -> Self:
        from scipy.optimize import minimize

        rows = np.asarray(rows, np.float64)
        if rows.ndim != 2 or not 2 <= len(rows) <= MOST or not np.isfinite(rows).all():
            raise ValueError(f"rows are (n, d) finite numbers, n from 2 to {MOST}, got {rows.shape}")
        self.mean_ = rows.mean(0)
        self._rows = rows - self.mean_
        n, q = len(rows), self.components
        start = PCA(q).fit_transform(rows)
        spread = start.std(0)
        start = start / np.where(spread > 0, spread, 1.0) + np.random.default_rng(self.seed).normal(0, 1e-3, start.shape)
        variance = float(self._rows.var()) or 1.0
        first = np.concatenate([start.ravel(), np.log([variance, 1.0, 0.1 * variance])])

        def both(packed: Array) -> tuple[float, Array]:
            found = objective(packed[: n * q].reshape(n, q), packed[n * q :], self._rows)
            return found.value, np.concatenate([found.latent.ravel(), found.logs])

        limits = [(None, None)] * (n * q) + [(math.log(variance) + low, math.log(variance) + high) for low, high in ((-12, 12),)]
        limits += [(-6.0, 6.0), (math.log(variance) - 14, math.log(variance) + 4)]
        done = minimize(both, first, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": self.steps, "maxfun": 2 * self.steps})
        self.latent_, self.value_, self.settled_ = done.x[: n * q].reshape(n, q), float(done.fun), bool(done.success)
        self.signal_, self.length_, self.noise_ = (float(v) for v in np.exp(done.x[n * q :]))
        return self

    def fit_transform(self, rows: Array, truth: Any = None) -> Array:
        """(n, d) -> (n, q): the latent points of the rows it was fitted to."""
        return self.fit(rows).latent_

    def inverse_transform(self, latent: Array, *, spread: bool = False) -> Any:
        """(m, q) -> (m, d): the mean of the rows at these points; with `spread` also their standard deviation (m,), the same for every column."""
        from scipy.linalg import cho_factor, cho_solve

        latent = np.asarray(latent, np.float64)
        if latent.ndim != 2 or latent.shape[1] != self.components:
            raise ValueError(f"latent points are (m, {self.components}), got {latent.shape}")
        own = self.signal_ * np.exp(-0.5 * squares(self.latent_, self.latent_) / self.length_**2)
        factor = cho_factor(own + (self.noise_ + JITTER * self.signal_) * np.eye(len(own)), lower=True)
        cross = self.signal_ * np.exp(-0.5 * squares(latent, self.latent_) / self.length_**2)
        mean = cross @ cho_solve(factor, self._rows) + self.mean_
        if not spread:
            return mean
        left = self.signal_ + self.noise_ - (cross * cho_solve(factor, cross.T).T).sum(1)
        return mean, np.sqrt(np.clip(left, 0, None))

    def transform(self, rows: Array, *, steps: int = 100) -> Array:
        """(m, d) -> (m, q): for each new row the point that explains it best, sought from the latent point of the nearest fitted row."""
        from scipy.linalg import cho_factor, cho_solve
        from scipy.optimize import minimize

        rows = np.asarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.mean_):
            raise ValueError(f"rows are (m, {len(self.mean_)}), got {rows.shape}")
        rows = rows - self.mean_
        own = self.signal_ * np.exp(-0.5 * squares(self.latent_, self.latent_) / self.length_**2)
        factor = cho_factor(own + (self.noise_ + JITTER * self.signal_) * np.eye(len(own)), lower=True)
        weights, nearest = cho_solve(factor, self._rows), squares(rows, self._rows).argmin(1)

        def cost(x: Array, row: Array) -> tuple[float, Array]:
            k = self.signal_ * np.exp(-0.5 * squares(x[None], self.latent_)[0] / self.length_**2)
            solved = cho_solve(factor, k)
            variance = max(self.signal_ + self.noise_ - float(k @ solved), 1e-12)
            error = row - k @ weights
            by_k = -weights @ error / variance - (len(row) / variance - (error @ error) / variance**2) * solved
            by_x = (by_k * k) @ (self.latent_ - x) / self.length_**2
            return 0.5 * float(error @ error / variance + len(row) * math.log(variance) + x @ x), by_x + x

        return np.stack([minimize(cost, self.latent_[i], args=(row,), jac=True, options={"maxiter": steps}).x for i, row in zip(nearest, rows, strict=True)])
