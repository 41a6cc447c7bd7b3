"""Linear codes that know the truth, or not: principal-component regression and partial least squares, with scikit-learn's verbs; scikit-learn does the work.

Both are linear cases of what an encoder with a classifier does: rows (n, d) become a few codes (n, k), and the codes a class or numbers.

>>> chance = np.random.default_rng(0)
>>> rows = chance.normal(size=(3000, 6)) * [3, 3, 1, 1, 1, 1]
>>> truth = (rows[:, 2] > 0).astype(int)                 # in a direction of little variance
>>> [round(float((model(1).fit(rows, truth).predict(rows) == truth).mean()), 1) for model in (PrincipalRegression, PartialLeastSquares)]
[0.5, 0.9]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np

from saccade.classic.pca import PCA

Array = np.ndarray[Any, Any]


class LinearCodes(ABC):
    """`fit`, `transform` to codes (n, k) and `predict` of rows (n, d): classes where the truths were whole numbers (n,), numbers where they were not.

    components: k. standardise: rows in units of each column's deviation first; a column without any stays nought.
    Classes are learnt as numbers, a column of noughts and ones each, and the largest answer is taken: regression on the indicators (Hastie, Tibshirani
    and Friedman 2009, section 4.2). After `fit`: mean_, scale_ (d,), classes_ (K,) or None, coefficients_ (k, K) and intercept_ (K,) from codes to answers.
    Raises ValueError for fewer than two rows, rows or truths that are not finite, and more components than there are directions.
    """

    mean_: Array
    scale_: Array
    classes_: Array | None
    coefficients_: Array
    intercept_: Array

    def __init__(self, components: int, *, standardise: bool = False) -> None:
        if components < 1:
            raise ValueError(f"components are 1 or more, got {components}")
        self.components, self.standardise = components, standardise

    def fit(self, rows: Array, truth: Array) -> Self:
        """From rows (n, d) and truths: classes (n,) of whole numbers, or numbers (n,) or (n, m)."""
        rows, truth = np.asarray(rows, np.float64), np.asarray(truth)
        if rows.ndim != 2 or len(rows) < 2 or len(truth) != len(rows) or not (np.isfinite(rows).all() and np.isfinite(truth).all()):
            raise ValueError(f"rows are (n, d) finite numbers, n from 2, with a truth each; got {rows.shape} and {truth.shape}")
        if self.components > min(len(rows) - 1, rows.shape[1]):
            raise ValueError(f"{self.components} components of {len(rows)} rows of {rows.shape[1]} numbers")
        self.classes_ = np.unique(truth) if truth.ndim == 1 and truth.dtype.kind in "iub" else None
        wanted = (truth[:, None] == self.classes_).astype(np.float64) if self.classes_ is not None else truth.reshape(len(truth), -1).astype(np.float64)
        self._columns = truth.ndim
        self.mean_ = rows.mean(0)
        spread = rows.std(0, ddof=1) if self.standardise else np.ones(rows.shape[1])
        self.scale_ = np.where(spread > 0, spread, 1.0)
        codes = self._fitted(self._centred(rows), wanted)
        means, answers = codes.mean(0), wanted.mean(0)
        self.coefficients_ = np.linalg.lstsq(codes - means, wanted - answers, rcond=None)[0]
        self.intercept_ = answers - means @ self.coefficients_
        return self

    def transform(self, rows: Array) -> Array:
        """(n, d) -> (n, k)."""
        return self._codes(self._centred(np.asarray(rows, np.float64)))

    def decision(self, rows: Array) -> Array:
        """(n, d) -> (n, K): the answers as numbers, of classes one a class."""
        found: Array = self.transform(rows) @ self.coefficients_ + self.intercept_
        return found

    def predict(self, rows: Array) -> Array:
        """(n, d) -> (n,) classes, or numbers as they were given: (n,) or (n, m)."""
        found = self.decision(rows)
        if self.classes_ is not None:
            return np.asarray(self.classes_[found.argmax(1)])
        return found[:, 0] if self._columns == 1 else found

    def _centred(self, rows: Array) -> Array:
        found: Array = (rows - self.mean_) / self.scale_
        return found

    @abstractmethod
    def _fitted(self, rows: Array, wanted: Array) -> Array:
        """Learns from centred rows, and gives their codes."""

    @abstractmethod
    def _codes(self, rows: Array) -> Array:
        """The codes (n, k) of centred rows."""


class PrincipalRegression(LinearCodes):
    """Least squares on the principal components of largest variance, which are found without the truth (Massy 1965)."""

    def _fitted(self, rows: Array, wanted: Array) -> Array:
        self._axes = PCA(self.components).fit(rows)
        return self._codes(rows)

    def _codes(self, rows: Array) -> Array:
        return self._axes.transform(rows)


class PartialLeastSquares(LinearCodes):
    """Least squares on the directions of largest covariance with the truth, one after the other (Wold 1966; scikit-learn's PLSRegression, PLS2)."""

    def _fitted(self, rows: Array, wanted: Array) -> Array:
        from sklearn.cross_decomposition import PLSRegression

        varied = int((wanted.std(0) > 0).sum())
        if not varied:
            raise ValueError("all truths are the same")
        self._rotation = np.asarray(PLSRegression(self.components, scale=False, max_iter=5000, tol=1e-10).fit(rows, wanted).x_rotations_, np.float64)
        return self._codes(rows)

    def _codes(self, rows: Array) -> Array:
        found: Array = rows @ self._rotation
        return found
