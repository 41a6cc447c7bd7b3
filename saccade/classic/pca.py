"""Principal component analysis with scikit-learn's verbs: exact in one pass over data of any size, randomised, or incremental; with PCA or ZCA whitening.

>>> rows = np.random.default_rng(0).normal(size=(200, 5)) * [3, 2, 1, 0.5, 0.1]
>>> PCA(2).fit(rows).transform(rows).shape
(200, 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np

from saccade.data.whiten import Whitener
from saccade.ops.principal import Moments, moments, upright

Array = np.ndarray[Any, Any]
Method = Literal["auto", "exact", "randomised", "incremental"]
White = Literal["pca", "zca"]
WIDEST = 4096  # values a row, up to which the matrix of covariances is made
PART = 4096  # rows that are worked on at once


class PCA:
    """The `components` axes of largest variance: how many, a share of the variance from 0 to below 1, or None for all.

    method: exact makes the covariances in one pass (up to 4,096 values a row; wider ones with fewer rows by a singular value decomposition);
    randomised finds few axes of wide rows by scikit-learn's (Halko, Martinsson and Tropp 2011); incremental is scikit-learn's IncrementalPCA,
    for wide rows that do not fit into memory, with `partial_fit`; auto takes exact where it can. whiten: "pca" brings each component to unit
    variance, "zca" turns them back into the rows' space. epsilon: added to the variances before. seed: of the randomised method.

    After `fit`: mean_ (d,), components_ (k, d) with the value of largest size positive in each, explained_variance_ (k,) with n - 1 degrees of
    freedom, explained_variance_ratio_ (k,), as scikit-learn names them. All float64.
    Raises ValueError for values out of range and rows that are not finite numbers.
    """

    mean_: Array
    components_: Array
    explained_variance_: Array
    explained_variance_ratio_: Array

    def __init__(
        self, components: int | float | None = None, *, method: Method = "auto", whiten: White | None = None, epsilon: float = 0.0, seed: int = 0
    ) -> None:
        if method not in ("auto", "exact", "randomised", "incremental") or whiten not in (None, "pca", "zca") or not epsilon >= 0:
            raise ValueError(f"method auto, exact, randomised or incremental; whiten pca, zca or None; epsilon from 0; got {method!r}, {whiten!r}, {epsilon}")
        share = isinstance(components, float)
        if components is not None and not (0 < components < 1 if share else components >= 1):
            raise ValueError(f"components are a number from 1, a share between 0 and 1, or None; got {components}")
        if method in ("randomised", "incremental") and (components is None or share):
            raise ValueError(f"the {method} method needs a number of components, got {components}")
        self.components, self.method, self.whiten, self.epsilon, self.seed = components, method, whiten, epsilon, seed
        self._moments: Moments | None = None
        self._parts: Any = None

    def fit(self, rows: Array, truth: Any = None) -> Self:
        """From (n, d) rows of any numbers, a memory map included: they are read part by part, but for the randomised method."""
        self._moments, self._parts = None, None
        rows = _rows(rows)
        n, d = rows.shape
        if isinstance(self.components, int) and self.components > min(n, d):
            raise ValueError(f"{self.components} components of {n} rows with {d} values, at most {min(n, d)}")
        if n < 2:
            raise ValueError(f"two rows or more, got {n}")
        method = self._chosen(n, d)
        if method == "incremental":
            return self._many(rows)
        if method == "randomised":
            return self._few(rows)
        if d <= WIDEST and not (n < d and n <= PART):
            found = moments(_parts(rows))
            return self._keep(found.mean, *found.axes(self._wanted(n, d)), found.variance)
        if d > WIDEST and n > PART:
            raise ValueError(f"exact axes of {n} rows with {d} values need too much memory; use method randomised or incremental")
        mean = rows.mean(0, dtype=np.float64)
        _, singular, axes = np.linalg.svd(rows.astype(np.float64) - mean, full_matrices=False)
        return self._keep(mean, singular**2 / (n - 1), upright(axes), float((singular**2).sum() / (n - 1)))

    def _chosen(self, n: int, d: int) -> str:
        if self.method != "auto":
            return self.method
        few = isinstance(self.components, int) and d > WIDEST and n > PART
        return "incremental" if few else "exact"

    def partial_fit(self, rows: Array, truth: Any = None) -> Self:
        """More rows of a stream; the axes are those of all rows so far, exactly, but for the incremental method, which keeps the leading ones only."""
        rows = _rows(rows)
        if self.method == "incremental":
            return self._many(rows)
        if self.method == "randomised":
            raise ValueError("the randomised method sees all rows at once; use exact or incremental for a stream")
        if rows.shape[1] > WIDEST:
            raise ValueError(f"exact axes of a stream of {rows.shape[1]} values a row, at most {WIDEST}; use method incremental")
        self._moments = (Moments(rows.shape[1]) if self._moments is None else self._moments).add(rows)
        if self._moments.count >= 2:
            wanted = self._wanted(self._moments.count, rows.shape[1])
            self._keep(self._moments.mean.copy(), *self._moments.axes(wanted), self._moments.variance)
        return self

    def _wanted(self, n: int, d: int) -> int:
        return min(n, d, self.components) if isinstance(self.components, int) else min(n, d)

    def _few(self, rows: Array) -> Self:
        from sklearn.decomposition import PCA as Randomised

        found = Randomised(self.components, svd_solver="randomized", random_state=self.seed).fit(rows.astype(np.float64))
        return self._keep(found.mean_, found.explained_variance_, upright(found.components_), _total(found))

    def _many(self, rows: Array) -> Self:
        from sklearn.decomposition import IncrementalPCA

        self._parts = IncrementalPCA(self.components) if self._parts is None else self._parts
        size = max(int(self.components or 0), min(PART, 5 * rows.shape[1]))
        starts = list(range(0, len(rows), size))
        if len(starts) > 1 and len(rows) - starts[-1] < int(self.components or 0):
            starts.pop()  # a last part with too few rows goes with the one before
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            self._parts.partial_fit(rows[start:stop].astype(np.float64))
        return self._keep(self._parts.mean_, self._parts.explained_variance_, upright(self._parts.components_), _total(self._parts))

    def _keep(self, mean: Array, variances: Array, axes: Array, total: float) -> Self:
        ratio = variances / total if total > 0 else np.zeros_like(variances)
        k = len(variances) if self.components is None else self.components
        if isinstance(k, float):
            k = int(np.searchsorted(np.cumsum(ratio), k, side="right")) + 1
        self.mean_, self.components_ = np.asarray(mean, np.float64), axes[:k]
        self.explained_variance_, self.explained_variance_ratio_ = variances[:k], ratio[:k]
        return self

    @property
    def n_components_(self) -> int:
        return len(self.components_)

    def transform(self, rows: Array) -> Array:
        """(n, d) -> (n, k) float64, whitened if so made; ZCA gives (n, d)."""
        rows = _rows(rows)
        if self.whiten:
            return self.whitener().transform(rows)
        out: Array = rows @ self.components_.T - self.mean_ @ self.components_.T
        return out

    def fit_transform(self, rows: Array, truth: Any = None) -> Array:
        return self.fit(rows).transform(rows)

    def inverse_transform(self, codes: Array) -> Array:
        """(n, k) -> (n, d): the rows nearest to those that have these codes; whitened codes are brought back first, ZCA's (n, d) too."""
        if self.whiten:
            spread = np.sqrt(self.explained_variance_ + self.epsilon)
            codes = (codes @ self.components_.T if self.whiten == "zca" else codes) * spread
        out: Array = codes @ self.components_ + self.mean_
        return out

    def whitener(self) -> Whitener:
        """The whitening along these axes (`whiten`, "pca" without)."""
        return Whitener.along(self.mean_, self.explained_variance_, self.components_, kind=self.whiten or "pca", epsilon=self.epsilon)

    def state(self) -> dict[str, Array]:
        """All that was learnt, as arrays."""
        names = ("mean_", "components_", "explained_variance_", "explained_variance_ratio_")
        return {name: getattr(self, name) for name in names}

    def load_state(self, state: dict[str, Array]) -> Self:
        """What `state` gave. Raises KeyError for a missing array."""
        for name in ("mean_", "components_", "explained_variance_", "explained_variance_ratio_"):
            setattr(self, name, np.asarray(state[name], np.float64))
        return self


def _rows(rows: Array) -> Array:
    rows = np.asanyarray(rows)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise ValueError(f"rows are (n, d) numbers, got {rows.shape} of {rows.dtype}")
    return rows


def _parts(rows: Array) -> Iterator[Array]:
    for start in range(0, len(rows), PART):
        yield rows[start : start + PART]


def _total(found: Any) -> float:
    """All the variance of the rows, of which scikit-learn tells the shares."""
    first = float(found.explained_variance_ratio_[0])
    return float(found.explained_variance_[0]) / first if first > 0 else 0.0
