"""Densities of codes, p(z): a Gaussian, a mixture of Gaussians, a kernel estimate; each can be sampled from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]
RIDGE = 1e-6  # of the mean variance, added to every direction
COMPONENTS = (1, 2, 5, 10, 20, 40)  # tried for a mixture
CENTRES = 5000  # rows that a kernel estimate keeps, at most
BANDWIDTHS = tuple(np.geomspace(0.05, 2.0, 20))  # tried for a kernel estimate, in deviations


class Density(ABC):
    """`fit`, `log_density` in nats and `sample` of rows (n, k). Raises ValueError for fewer than three rows, or rows that are not finite."""

    @abstractmethod
    def fit(self, rows: Array) -> Self:
        """From (n, k) rows."""

    @abstractmethod
    def log_density(self, rows: Array) -> Array:
        """(n, k) -> (n,): log p in nats."""

    @abstractmethod
    def sample(self, count: int, chance: np.random.Generator) -> Array:
        """(count, k) independent draws."""


class Standard(Density):
    """N(0, I): what codes are sampled from where nothing was fitted."""

    def fit(self, rows: Array) -> Self:
        self.width = _sound(rows).shape[1]
        return self

    def log_density(self, rows: Array) -> Array:
        found: Array = -0.5 * (np.asarray(rows, np.float64) ** 2).sum(1) - 0.5 * self.width * math.log(2 * math.pi)
        return found

    def sample(self, count: int, chance: np.random.Generator) -> Array:
        return chance.standard_normal((count, self.width))


class Gaussian(Density):
    """One Gaussian with any covariance: mean (k,) and factor (k, k), lower triangular, of maximum likelihood, a small ridge apart."""

    def fit(self, rows: Array) -> Self:
        rows = _sound(rows)
        self.mean = rows.mean(0)
        centred = rows - self.mean
        self.factor = np.linalg.cholesky(centred.T @ centred / len(rows) + _ridge(rows) * np.eye(rows.shape[1]))
        return self

    def whitened(self, rows: Array) -> Array:
        """(n, k) -> (n, k) of unit variance and no correlation."""
        from scipy.linalg import solve_triangular

        found: Array = solve_triangular(self.factor, (np.asarray(rows, np.float64) - self.mean).T, lower=True).T
        return found

    @property
    def log_scale(self) -> float:
        """The log of the volume that a unit of `whitened` rows fills."""
        return float(np.log(np.diag(self.factor)).sum())

    def log_density(self, rows: Array) -> Array:
        white = self.whitened(rows)
        found: Array = -0.5 * (white**2).sum(1) - 0.5 * white.shape[1] * math.log(2 * math.pi) - self.log_scale
        return found

    def sample(self, count: int, chance: np.random.Generator) -> Array:
        found: Array = chance.standard_normal((count, len(self.mean))) @ self.factor.T + self.mean
        return found


class Mixture(Density):
    """A mixture of Gaussians with any covariances by EM (scikit-learn's), as many as have the least Bayesian information criterion."""

    def __init__(self, components: int | None = None, *, seed: int = 0) -> None:
        self.components, self.seed = components, seed

    def fit(self, rows: Array) -> Self:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        rows = _sound(rows)
        ridge = max(_ridge(rows), 1e-10)
        enough = len(rows) // (2 * rows.shape[1] + 2)  # rows that a component needs for its covariance to mean anything
        tried = [self.components] if self.components is not None else [c for c in COMPONENTS if c <= max(1, enough)]
        best, least = None, math.inf
        for count in tried:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = GaussianMixture(count, reg_covar=ridge, random_state=self.seed, max_iter=200).fit(rows)
            if (criterion := float(found.bic(rows))) < least:
                best, least = found, criterion
        assert best is not None
        self.weights, self.means = best.weights_, best.means_
        self.parts = []
        for mean, covariance in zip(best.means_, best.covariances_, strict=True):
            part = Gaussian()
            part.mean, part.factor = mean, np.linalg.cholesky(covariance)
            self.parts.append(part)
        return self

    def log_density(self, rows: Array) -> Array:
        from scipy.special import logsumexp

        each = np.stack([part.log_density(rows) for part in self.parts], 1) + np.log(self.weights)
        found: Array = logsumexp(each, axis=1)
        return found

    def sample(self, count: int, chance: np.random.Generator) -> Array:
        which = chance.choice(len(self.parts), count, p=self.weights / self.weights.sum())
        out = np.empty((count, self.means.shape[1]))
        for place, part in enumerate(self.parts):
            here = which == place
            out[here] = part.sample(int(here.sum()), chance)
        return out


class Kernel(Density):
    """A Gaussian kernel on every row (of at most 5,000, drawn evenly), alike in the directions of the whitened rows.

    Its width is the one of twenty, 0.05 to 2 deviations, under which rows are most probable given the others (left one out).
    """

    def __init__(self, bandwidth: float | None = None) -> None:
        self.given = bandwidth

    def fit(self, rows: Array) -> Self:
        rows = _sound(rows)
        self.base = Gaussian().fit(rows)
        self.centres = self.base.whitened(rows[np.linspace(0, len(rows) - 1, min(CENTRES, len(rows))).astype(int)])
        if self.given is not None:
            self.bandwidth = self.given
            return self
        some = self.centres[np.linspace(0, len(self.centres) - 1, min(1000, len(self.centres))).astype(int)]
        apart = _squares(some, some)
        np.fill_diagonal(apart, np.inf)
        self.bandwidth = max(BANDWIDTHS, key=lambda width: float(_kernels(apart, width, some.shape[1], len(some) - 1).mean()))
        return self

    def log_density(self, rows: Array) -> Array:
        white, parts = self.base.whitened(rows), []
        for start in range(0, len(white), 512):
            parts.append(_kernels(_squares(white[start : start + 512], self.centres), self.bandwidth, white.shape[1], len(self.centres)))
        return np.concatenate(parts) - self.base.log_scale

    def sample(self, count: int, chance: np.random.Generator) -> Array:
        white = self.centres[chance.integers(0, len(self.centres), count)]
        white = white + self.bandwidth * chance.standard_normal(white.shape)
        found: Array = white @ self.base.factor.T + self.base.mean
        return found


DENSITIES: dict[str, type[Density]] = {"standard": Standard, "gaussian": Gaussian, "mixture": Mixture, "kernel": Kernel}


def _kernels(squares: Array, width: float, dimensions: int, count: int) -> Array:
    from scipy.special import logsumexp

    found: Array = logsumexp(-0.5 * squares / width**2, axis=1) - math.log(count) - dimensions * math.log(width * math.sqrt(2 * math.pi))
    return found


def _squares(a: Array, b: Array) -> Array:
    found: Array = np.clip((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0, None)
    return found


def _sound(rows: Array) -> Array:
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or len(rows) < 3 or not np.isfinite(rows).all():
        raise ValueError(f"rows are (n, k) finite numbers, n from 3, got {rows.shape}")
    return rows


def _ridge(rows: Array) -> float:
    return RIDGE * float(rows.var(0).mean()) + 1e-12
