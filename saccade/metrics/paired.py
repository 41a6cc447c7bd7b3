"""Two models on the same samples: is the difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from saccade.metrics import bootstrap
from saccade.metrics.statistics import Array, Statistic, components, mean


class Paired(NamedTuple):
    """A difference a - b with its 95 % interval, the two-sided p-value of "no difference", and the samples behind it."""

    difference: float
    low: float
    high: float
    p: float
    n: int
    test: str

    def to_dict(self) -> dict[str, Any]:
        return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in self._asdict().items()}


def mcnemar(a: Array, b: Array, *, groups: Array | None = None, seed: int = 0) -> Paired:
    """McNemar's exact test of two accuracies: of the samples that one has right and the other wrong, is it half and half?

    a, b: (n,) bool, right or wrong. p is binomial (McNemar 1947, exact form); the interval is the paired bootstrap's.
    With groups (n,) ids the samples of a group are not independent and p is the bootstrap's too.

    >>> a, b = np.ones(40, bool), np.arange(40) >= 6
    >>> round(mcnemar(a, b).p, 5)
    0.03125
    """
    from scipy.stats import binomtest

    a, b = np.asarray(a, bool), np.asarray(b, bool)
    found = paired_bootstrap(mean(a), mean(b), len(a), groups=groups, seed=seed)
    if groups is not None:
        return found
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return found._replace(p=p, test="exact McNemar")


def paired_bootstrap(a: Statistic, b: Statistic, n: int, *, groups: Array | None = None, seed: int = 0) -> Paired:
    """The difference of two statistics of the same n samples, by resampling the samples (groups) of both at once.

    p is twice the smaller share of resamples on either side of 0, counting the sample itself once, so never 0
    (Davison & Hinkley 1997, section 4.4).
    """
    value, drawn = bootstrap.evaluate({"d": lambda w: a(w) - b(w)}, n, groups=groups, seed=seed)["d"]
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Paired(math.nan, math.nan, math.nan, math.nan, n, "paired bootstrap")
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum())) + 1
    name = "paired bootstrap" + (" over groups" if groups is not None else "")
    return Paired(float(value), float(low), float(high), min(1.0, 2 * tail / (len(drawn) + 1)), n, name)


def delong(positive: Array, a: Array, b: Array, *, groups: Array | None = None) -> Paired:
    """The paired test of two AUROCs on the same samples (DeLong, DeLong & Clarke-Pearson 1988).

    positive (n,) bool; a, b (n,) scores. With groups (n,) ids the components are summed over each group first
    (Obuchowski 1997), so that several images of one patient count as one observation.
    """
    from scipy.stats import norm

    positive = np.asarray(positive, bool)
    move_a, area_a = components(positive, a)
    move_b, area_b = components(positive, b)
    name = "DeLong" + (" over groups" if groups is not None else "")
    if not math.isfinite(area_a):
        return Paired(math.nan, math.nan, math.nan, math.nan, len(positive), name)
    moves = move_a - move_b
    if groups is None:
        variance = sum(np.var(part, ddof=1) * len(part) if len(part) > 1 else 0.0 for part in (moves[positive], moves[~positive]))
    else:
        sums = np.bincount(groups, moves)
        variance = float((sums**2).sum()) * len(sums) / max(len(sums) - 1, 1)
    difference, spread = area_a - area_b, math.sqrt(float(variance))
    p = float(2 * norm.sf(abs(difference) / spread)) if spread > 0 else float(difference == 0)
    return Paired(difference, difference - 1.96 * spread, difference + 1.96 * spread, p, len(positive), name)


def corrected_t(differences: Sequence[float], test_share: float) -> Paired:
    """The paired test over the k folds of a cross-validation, whose training sets overlap (Nadeau & Bengio 2003).

    differences: a - b of each fold. test_share: size of a test fold over that of its training set, 1 / (k - 1) for k
    folds. The variance of the mean is s^2 (1 / k + test_share) instead of s^2 / k; Student's t with k - 1 degrees.

    >>> round(corrected_t([0.05, 0.04, 0.06, 0.05, 0.07], 0.25).p, 4)
    0.0021
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    k = len(d)
    if k < 2:
        raise ValueError(f"a fold-wise test needs at least two folds, got {k}")
    middle, spread = float(d.mean()), float(d.std(ddof=1)) * math.sqrt(1 / k + test_share)
    reach = float(t.ppf(0.975, k - 1)) * spread
    p = float(2 * t.sf(abs(middle) / spread, k - 1)) if spread > 0 else float(middle == 0)
    return Paired(middle, middle - reach, middle + reach, p, k, "corrected resampled t over folds")


def combined(folds: Sequence[Paired]) -> Paired:
    """The mean difference over k folds whose test samples are disjoint, from each fold's own DeLong test of the samples.

    The variances of the folds add up: Var = sum(se_i^2) / k^2, se_i being a 3.92th of the fold's interval. It asks whether
    these k networks beat these k others on new samples; `corrected_t` asks the same of newly trained ones too.

    >>> one = Paired(0.04, 0.04 - 0.0588, 0.04 + 0.0588, 0.18, 100, "DeLong")
    >>> found = combined([one] * 4)
    >>> round((found.high - found.low) / 3.92, 4), found.n
    (0.015, 400)
    """
    from scipy.stats import norm

    middle = float(np.mean([fold.difference for fold in folds]))
    spread = math.sqrt(sum(((fold.high - fold.low) / 3.92) ** 2 for fold in folds)) / len(folds)
    p = float(2 * norm.sf(abs(middle) / spread)) if spread > 0 else float(middle == 0)
    return Paired(middle, middle - 1.96 * spread, middle + 1.96 * spread, p, sum(fold.n for fold in folds), f"{folds[0].test}, folds combined")
