"""Naive Bayes over binary pixels: the generative model p(class) prod_j p(x_j | class), of which everything can be asked."""

from __future__ import annotations

import numpy as np

from saccade.classic.bernoulli import FLAT, Beta, Estimate, binary, estimate, known

Array = np.ndarray


class BernoulliNaiveBayes:
    """prior (K,), p (K, d): K - 1 + K d free numbers. A class without samples has prior 0 and is never answered.

    Its posterior is a logistic regression (`as_logistic`); fitted to the joint distribution instead of the posterior, it needs fewer
    samples and ends higher in error (Ng and Jordan 2002).

    >>> x, truth = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 0, 1, 1])
    >>> BernoulliNaiveBayes.fit(x, truth, 2).classify(np.array([[1, -1]])).round(2).tolist()
    [[0.25, 0.75]]
    """

    def __init__(self, prior: Array, p: Array) -> None:
        self.prior, self.p = np.asarray(prior, np.float64), np.asarray(p, np.float64)
        if self.p.ndim != 2 or self.prior.shape != self.p.shape[:1] or not np.isclose(self.prior.sum(), 1):
            raise ValueError(f"prior (K,) sums to 1 and p is (K, d), got {self.prior.shape} and {self.p.shape}")
        if not ((self.p >= 0) & (self.p <= 1)).all() or (self.prior < 0).any():
            raise ValueError("prior and p are probabilities, got numbers out of [0, 1]")

    @classmethod
    def fit(cls, x: Array, truth: Array, classes: int, *, prior: Beta = FLAT, how: Estimate = "mean") -> BernoulliNaiveBayes:
        """From samples (n, d) of 0 and 1 and class ids (n,) 0..K-1; `prior` is every pixel's, the classes' shares are as they are."""
        x, truth = binary(x), np.asarray(truth)
        if len(x) != len(truth) or not len(x) or truth.min() < 0 or truth.max() >= classes:
            raise ValueError(f"one class id of 0..{classes - 1} a sample, at least one sample; got {len(x)} samples and {len(truth)} ids")
        counts = np.bincount(truth, minlength=classes)
        p = np.full((classes, x.shape[1]), 0.5)
        for k in np.flatnonzero(counts):
            p[k] = estimate(x[truth == k].sum(0), int(counts[k]), prior=prior, how=how)
        return cls(counts / len(x), p)

    @property
    def parameters(self) -> int:
        return len(self.prior) - 1 + self.p.size

    def log_joint(self, x: Array) -> Array:
        """(n, d) of 0, 1 and -1 (summed over) -> (n, K): log p(class, what is known)."""
        x = known(x, self.p.shape[1])
        with np.errstate(divide="ignore"):
            ones, zeros, prior = np.log(self.p), np.log1p(-self.p), np.log(self.prior)
        if np.isfinite(ones).all() and np.isfinite(zeros).all():
            return np.asarray(prior + (x == 1).astype(np.float64) @ ones.T + (x == 0).astype(np.float64) @ zeros.T)
        return np.stack([prior[k] + np.where(x == 1, ones[k], np.where(x == 0, zeros[k], 0.0)).sum(-1) for k in range(len(prior))], -1)

    def classify(self, x: Array) -> Array:
        """(n, d) -> (n, K): p(class | what is known). Raises ValueError for a sample that no class can make."""
        logs = self.log_joint(np.atleast_2d(x))
        top = logs.max(-1, keepdims=True)
        if not np.isfinite(top).all():
            raise ValueError("a sample has probability 0 under every class; use a prior instead of mle")
        powers = np.exp(logs - top)
        return np.asarray(powers / powers.sum(-1, keepdims=True))

    def as_logistic(self) -> tuple[Array, Array]:
        """(d, K) weights and (K,) offsets of which softmax(x @ weights + offsets) is p(class | x). Raises ValueError where p has 0 or 1."""
        if ((self.p == 0) | (self.p == 1)).any():
            raise ValueError("a probability of 0 or 1 has no finite weight; use a prior instead of mle")
        with np.errstate(divide="ignore"):
            return (np.log(self.p) - np.log1p(-self.p)).T, np.log(self.prior) + np.log1p(-self.p).sum(1)

    def marginal(self) -> Array:
        """(d,): the probability that each pixel is 1, whatever the class."""
        return np.asarray(self.prior @ self.p)

    def conditional(self, evidence: Array) -> Array:
        """(d,): the same given the evidence, which tells of the others through the class."""
        evidence = known(evidence, self.p.shape[1])
        return np.where(evidence >= 0, evidence, self.classify(evidence)[0] @ self.p).astype(np.float64)

    def decode(self, evidence: Array) -> tuple[int, Array]:
        """The most probable class and completion together: (k, (d,) of 0 and 1)."""
        evidence = known(evidence, self.p.shape[1])
        with np.errstate(divide="ignore"):
            best = np.where(evidence >= 0, 0.0, np.log(np.maximum(self.p, 1 - self.p))).sum(1)
        k = int((self.log_joint(evidence[None])[0] + best).argmax())
        return k, np.where(evidence >= 0, evidence, self.p[k] > 0.5).astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator, evidence: Array | None = None) -> tuple[Array, Array]:
        """Classes (n,) and pixels (n, d) drawn given the evidence."""
        unknown = np.full(self.p.shape[1], -1) if evidence is None else known(evidence, self.p.shape[1])
        classes = rng.choice(len(self.prior), size=n, p=self.classify(unknown)[0])
        pixels = rng.random((n, self.p.shape[1])) < self.p[classes]
        return classes, np.where(unknown >= 0, unknown, pixels).astype(np.int64)
