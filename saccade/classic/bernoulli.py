"""The Bernoulli distribution, its conjugate Beta prior, and products of independent Bernoullis over binary pixels.

Evidence, here and in `classic.tabular` and `classic.naive_bayes`: (d,) integers, 1 and 0 for what is known and -1 for what is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray
Estimate = Literal["mle", "map", "mean"]


@dataclass(frozen=True)
class Beta:
    """The distribution of a probability after a - 1 ones and b - 1 zeros were seen from a flat start; Beta(1, 1) is flat.

    Raises ValueError unless a and b are above 0.

    >>> Beta(1, 1).posterior(ones=3, zeros=1)
    Beta(a=4, b=2)
    >>> Beta(4, 2).mode, round(Beta(4, 2).mean, 4)
    (0.75, 0.6667)
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (self.a > 0 and self.b > 0):
            raise ValueError(f"a and b of a Beta distribution must be above 0, got {self.a} and {self.b}")

    def posterior(self, *, ones: int, zeros: int) -> Beta:
        """What is believed after so many more: a Beta again, as the prior is conjugate."""
        return Beta(self.a + ones, self.b + zeros)

    @property
    def mean(self) -> float:
        """The probability that the next one is 1."""
        return self.a / (self.a + self.b)

    @property
    def mode(self) -> float:
        """The most probable value (MAP). Raises ValueError where it is at neither end nor between: a and b both at most 1."""
        if self.a <= 1 and self.b <= 1:
            raise ValueError(f"Beta({self.a}, {self.b}) has no single mode: a or b must be above 1")
        return min(1.0, max(0.0, (self.a - 1) / (self.a + self.b - 2))) if self.a > 1 and self.b > 1 else float(self.a > 1)

    @property
    def variance(self) -> float:
        return self.mean * (1 - self.mean) / (self.a + self.b + 1)

    def log_density(self, p: Array | float) -> Array:
        """log of the density at p in (0, 1)."""
        from scipy.special import betaln

        p = np.asarray(p, np.float64)
        return np.asarray((self.a - 1) * np.log(p) + (self.b - 1) * np.log1p(-p) - betaln(self.a, self.b))


FLAT = Beta(1, 1)


def estimate(ones: Array, n: int, *, prior: Beta = FLAT, how: Estimate = "mean") -> Array:
    """The probability of a 1 from how many of n were 1: the share (mle), the mode (map) or the mean of the posterior.

    Raises ValueError for n = 0 with mle or for a posterior without mode.

    >>> ones = np.array([0, 3])
    >>> [estimate(ones, 4, prior=Beta(2, 2), how=how).round(3).tolist() for how in ("mle", "map", "mean")]
    [[0.0, 0.75], [0.167, 0.667], [0.25, 0.625]]
    """
    ones = np.asarray(ones, np.float64)
    if how == "mean":
        return (ones + prior.a) / (n + prior.a + prior.b)
    if how == "map":
        return np.vectorize(lambda k: Beta(prior.a + k, prior.b + n - k).mode, otypes=[float])(ones)
    if how != "mle":
        raise ValueError(f"the estimate must be mle, map or mean, got {how!r}")
    if n < 1:
        raise ValueError("the maximum likelihood estimate needs at least one sample, got none")
    return ones / n


class ProductOfBernoullis:
    """d independent binary variables: d numbers, p[j] the probability that variable j is 1.

    >>> ProductOfBernoullis(np.array([0.5, 0.9])).log_probability(np.array([[1, 1]])).round(4).tolist()
    [-0.7985]
    """

    def __init__(self, p: Array) -> None:
        self.p = np.asarray(p, np.float64)
        if self.p.ndim != 1 or not ((self.p >= 0) & (self.p <= 1)).all():
            raise ValueError(f"p must be one probability a variable, got shape {self.p.shape}")

    @classmethod
    def fit(cls, x: Array, *, prior: Beta = FLAT, how: Estimate = "mean") -> ProductOfBernoullis:
        """From samples (n, d) of 0 and 1. Raises ValueError for other values, and as `estimate` does."""
        x = binary(x)
        return cls(estimate(x.sum(0), len(x), prior=prior, how=how))

    @property
    def parameters(self) -> int:
        return len(self.p)

    def log_probability(self, x: Array) -> Array:
        """(n, d) of 0, 1, and -1 for unknown -> (n,): the log probability of what is known."""
        x = known(x, len(self.p))
        with np.errstate(divide="ignore"):
            terms = np.where(x == 1, np.log(self.p), np.where(x == 0, np.log1p(-self.p), 0.0))
        return np.asarray(terms.sum(-1))

    def marginal(self) -> Array:
        """(d,): the probability that each variable is 1."""
        return self.p

    def conditional(self, evidence: Array) -> Array:
        """(d,): the same given the evidence, which for independent variables tells only what it says itself."""
        evidence = known(evidence, len(self.p))
        return np.where(evidence >= 0, evidence, self.p).astype(np.float64)

    def decode(self, evidence: Array) -> Array:
        """The most probable completion of the evidence, (d,) of 0 and 1."""
        return (self.conditional(evidence) > 0.5).astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator, evidence: Array | None = None) -> Array:
        """(n, d) draws given the evidence."""
        p = self.p if evidence is None else self.conditional(evidence)
        return (rng.random((n, len(p))) < p).astype(np.int64)


def binary(x: Array) -> Array:
    """Samples (n, d) of 0 and 1 as integers. Raises ValueError for another shape or value."""
    x = np.asarray(x)
    if x.ndim != 2 or not np.isin(x, (0, 1)).all():
        raise ValueError(f"binary samples are (n, d) of 0 and 1, got shape {x.shape}")
    return x.astype(np.int64)


def known(x: Array, d: int) -> Array:
    """Values 0, 1 and -1 (unknown) with a last axis of d. Raises ValueError for others."""
    x = np.asarray(x)
    if x.shape[-1:] != (d,) or not np.isin(x, (0, 1, -1)).all():
        raise ValueError(f"evidence is 0, 1 or -1 (unknown) for each of {d} variables, got shape {x.shape}")
    return x.astype(np.int64)
