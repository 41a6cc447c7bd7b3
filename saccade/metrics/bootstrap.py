"""Percentile bootstrap intervals (Efron & Tibshirani 1993, section 13.3), all resamples at once.

A resample is a column of weights: how often each sample was drawn. A statistic is a function of weights, so that the
value itself is the statistic of a column of ones, and value and interval cannot come from two definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from saccade.core import Value

RESAMPLES = 1000
BLOCK = 2_000_000  # weights held at a time: 16 MB of float64
DRAWS = 200_000_000  # samples drawn in all; above 200,000 samples there are fewer resamples, but never below 200

Array = np.ndarray
Statistic = Callable[[Array], Array]  # weights (n, R) -> values (R,) or (R, K)


def codes(groups: Sequence[str | None]) -> Array:
    """Group names as ids 0..G-1 (n,); a sample without a group is a group of its own.

    >>> codes(["p1", None, "p1", None]).tolist()
    [0, 1, 0, 2]
    """
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(("alone", i) if g is None else g, len(seen)) for i, g in enumerate(groups)], np.int64)


def group_codes(groups: Sequence[str | None]) -> Array | None:
    """`codes`, or None where no sample has a group: then the samples themselves are drawn.

    >>> group_codes([None, None]) is None
    True
    """
    return codes(groups) if any(group is not None for group in groups) else None


def weights(n: int, *, groups: Array | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Array]:
    """Blocks (n, r) float64 of resampling weights, `resamples` columns in all.

    groups: (n,) ids 0..G-1; then whole groups are drawn, so that images of one patient stay together.
    """
    units = n if groups is None else int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    left = min(resamples, max(200, DRAWS // max(n, 1)))
    while left > 0:
        count = min(left, max(1, BLOCK // n))
        drawn = rng.integers(units, size=(count, units)) + units * np.arange(count)[:, None]
        block = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units).T.astype(np.float64)
        yield block if groups is None else block[groups]
        left -= count


def evaluate(
    statistics: Mapping[str, Statistic], n: int, *, groups: Array | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[Array, Array]]:
    """Each statistic's value (...) and its resampled values (R, ...), every statistic on the same resamples."""
    values = {key: statistic(np.ones((n, 1)))[0] for key, statistic in statistics.items()}
    parts: dict[str, list[Array]] = {key: [] for key in statistics}
    for block in weights(n, groups=groups, resamples=resamples, seed=seed):
        for key, statistic in statistics.items():
            parts[key].append(statistic(block))
    return {key: (values[key], np.concatenate([np.empty((0, *np.shape(values[key]))), *parts[key]])) for key in statistics}


def interval(value: float, resampled: Array, n: int) -> Value:
    """The value with the 2.5 % and 97.5 % quantiles of its resamples; resamples without a value (nan) are left out,
    and without any resample the bounds are nan.

    Where every resample gives the same 0 or 1 the bootstrap knows nothing of the other side; there the bound is that of
    Clopper & Pearson (1934) for n of n: 0.025 ** (1 / n).

    >>> interval(1.0, np.ones(1000), 30).low.__round__(4)
    0.8843
    """
    finite = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(finite) == 0:
        return Value(float(value), float("nan"), float("nan"), n)
    low, high = np.quantile(finite, [0.025, 0.975])
    if finite.min() == finite.max() == value and n > 0:
        bound = 0.025 ** (1 / n)
        low, high = (bound, high) if value == 1 else (low, 1 - bound) if value == 0 else (low, high)
    return Value(float(value), float(min(low, value)), float(max(high, value)), n)
