"""The full table of a joint distribution over d binary variables: 2^d numbers, and everything can be asked of it."""

from __future__ import annotations

import numpy as np

from saccade.classic.bernoulli import binary, known

Array = np.ndarray
LARGEST = 20  # variables: a million numbers


class Table:
    """p[x_0, ..., x_{d-1}], 2^d numbers that sum to 1 (2^d - 1 are free).

    Raises ValueError for more than 20 variables, or numbers that are no distribution.

    >>> table = Table.fit(np.array([[0, 0], [1, 1], [1, 1], [1, 0]]))
    >>> table.conditional(np.array([1, -1])).round(3).tolist()
    [1.0, 0.667]
    """

    def __init__(self, p: Array) -> None:
        self.p = np.asarray(p, np.float64)
        if not 1 <= self.p.ndim <= LARGEST or self.p.shape != (2,) * self.p.ndim:
            raise ValueError(f"a table has two places along each of 1 to {LARGEST} axes, got shape {self.p.shape}")
        if (self.p < 0).any() or not np.isclose(self.p.sum(), 1):
            raise ValueError(f"the numbers of a table are at least 0 and sum to 1, got a sum of {self.p.sum():.4g}")

    @classmethod
    def fit(cls, x: Array, *, pseudo: float = 0.0) -> Table:
        """From samples (n, d): the share of each configuration, with `pseudo` samples of each added (a Dirichlet prior's mean).

        Raises ValueError without any sample, real or pseudo, or for more than 20 variables.
        """
        x = binary(x)
        d = x.shape[1]
        if not 1 <= d <= LARGEST:
            raise ValueError(f"a table over {d} binary variables would have 2^{d} numbers; 1 to {LARGEST} variables are taken")
        if pseudo < 0 or (not len(x) and pseudo == 0):
            raise ValueError(f"a table needs a sample, or pseudo above 0, got {len(x)} and {pseudo}")
        counts = np.bincount(x @ (1 << np.arange(d)[::-1]), minlength=1 << d).astype(np.float64) + pseudo
        return cls((counts / counts.sum()).reshape((2,) * d))

    @property
    def parameters(self) -> int:
        return self.p.size

    def probability(self, x: Array) -> Array:
        """(n, d) of 0, 1 and -1 (summed over) -> (n,)."""
        rows = known(x, self.p.ndim)
        return np.array([self.p[self._where(row)].sum() for row in rows])

    def marginal(self, keep: tuple[int, ...] | None = None) -> Array:
        """The table of the variables in `keep` (each once, in any order); without it (d,), the probability that each is 1."""
        if keep is None:
            return self.conditional(np.full(self.p.ndim, -1))
        rest = tuple(i for i in range(self.p.ndim) if i not in keep)
        table = self.p.sum(rest)
        return np.asarray(np.transpose(table, np.argsort(np.argsort(keep))))

    def conditional(self, evidence: Array) -> Array:
        """(d,): the probability that each variable is 1 given the evidence. Raises ValueError for evidence of probability 0."""
        left = self._given(evidence)
        return np.array([left.sum(tuple(j for j in range(left.ndim) if j != i))[1] for i in range(left.ndim)])

    def decode(self, evidence: Array) -> Array:
        """The most probable completion of the evidence, (d,); not the completion by each variable's own most probable value."""
        left = self._given(evidence)
        return np.array(np.unravel_index(int(left.argmax()), left.shape), np.int64)

    def sample(self, n: int, rng: np.random.Generator, evidence: Array | None = None) -> Array:
        """(n, d) draws given the evidence."""
        left = self.p if evidence is None else self._given(evidence)
        drawn = rng.choice(left.size, size=n, p=left.ravel())
        return np.stack(np.unravel_index(drawn, left.shape), 1).astype(np.int64)

    def _given(self, evidence: Array) -> Array:
        """The table with all that contradicts the evidence at 0, summing to 1."""
        where = self._where(known(evidence, self.p.ndim))
        left = np.zeros_like(self.p)
        left[where] = self.p[where]
        if left.sum() == 0:
            raise ValueError("the evidence has probability 0")
        return left / left.sum()

    def _where(self, evidence: Array) -> tuple[slice, ...]:
        return tuple(slice(None) if value < 0 else slice(int(value), int(value) + 1) for value in evidence)
