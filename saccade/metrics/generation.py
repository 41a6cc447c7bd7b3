"""The numbers of samples beside pictures, from features of both: distances of the two distributions, what covers what, what was learnt by heart.

Features are rows of float64 numbers that a judge finds in pictures; what it is, is said wherever a number stands. With few rows every distance is too
large (FID) or uncertain (KID), so that numbers compare only where their n do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
BLOCK = 1024  # rows of a table of distances that are held at once


def moments(features: Array) -> tuple[Array, Array]:
    """The mean (D,) and the covariance (D, D), divided by n - 1. Raises ValueError for fewer than 2 rows."""
    if len(features) < 2:
        raise ValueError(f"{len(features)} rows have no covariance")
    return features.mean(0), np.cov(features, rowvar=False).reshape(features.shape[1], features.shape[1])


def frechet(first: tuple[Array, Array], second: tuple[Array, Array]) -> float:
    """|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)): the squared 2-Wasserstein distance of two normal distributions (Heusel et al. 2017, eq. 6).

    The trace of the root is the sum of the singular values of R1 R2, R R = C; nothing complex appears, and covariances may be singular.
    """
    (m1, c1), (m2, c2) = first, second
    shared = np.linalg.svd(_root(c1) @ _root(c2), compute_uv=False).sum()
    return max(0.0, float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * shared))


def _root(covariance: Array) -> Array:
    values, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    return (axes * np.sqrt(values.clip(0))) @ axes.T


def fid(real: Array, drawn: Array) -> float:
    """The Fréchet distance of normal distributions fitted to both."""
    return frechet(moments(real), moments(drawn))


def kid(real: Array, drawn: Array) -> float:
    """The squared maximum mean discrepancy, unbiased, for the kernel (x.y / D + 1)^3 (Binkowski et al. 2018, section 4). It may fall below 0.

    Raises ValueError for fewer than 2 rows of either.
    """
    n, m = len(real), len(drawn)
    if min(n, m) < 2:
        raise ValueError(f"{n} and {m} rows; expected 2 of each at least")
    own_real, own_drawn = _kernel(real, real), _kernel(drawn, drawn)
    same = (own_real.sum() - np.trace(own_real)) / (n * (n - 1)) + (own_drawn.sum() - np.trace(own_drawn)) / (m * (m - 1))
    return float(same - 2 * _kernel(real, drawn).mean())


def _kernel(a: Array, b: Array) -> Array:
    found: Array = (a @ b.T / a.shape[1] + 1) ** 3
    return found


def distances(a: Array, b: Array) -> Array:
    """(n, m) Euclidean distances."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    found: Array = np.sqrt(squares.clip(0))
    return found


def radii(features: Array, k: int) -> Array:
    """(n,) the distance of every row to the k-th nearest other row."""
    found = []
    for start in range(0, len(features), BLOCK):
        found.append(np.partition(distances(features[start : start + BLOCK], features), k, axis=1)[:, k])
    return np.concatenate(found)


class Overlap(NamedTuple):
    """Shares: of the samples that lie among the pictures (precision), of the pictures that lie among the samples (recall)."""

    precision: float
    recall: float


def overlap(real: Array, drawn: Array, k: int = 3) -> Overlap:
    """Kynkäänniemi et al. 2019, eq. 1 and 2: a row lies among others where it is within the distance of one of them to its k-th nearest neighbour.

    Raises ValueError for k rows or fewer of either.
    """
    if min(len(real), len(drawn)) <= k:
        raise ValueError(f"{len(real)} and {len(drawn)} rows; expected more than {k} of each")
    return Overlap(_inside(drawn, real, radii(real, k)), _inside(real, drawn, radii(drawn, k)))


def _inside(rows: Array, others: Array, reach: Array) -> float:
    hits = [(distances(rows[start : start + BLOCK], others) <= reach[None]).any(1) for start in range(0, len(rows), BLOCK)]
    return float(np.concatenate(hits).mean())


class Modes(NamedTuple):
    """covered: of the classes that pictures have, the share that samples have too. divergence: KL of the samples' classes from the pictures', in nats."""

    covered: float
    divergence: float


def modes(real: Array, drawn: Array, least: float = 0.1) -> Modes:
    """Of counts of classes (K,). A class is covered where its share of the samples is at least `least` of its share of the pictures.

    The divergence is that of Che et al. 2017's count of modes: sum q log(q / p); infinite where samples have a class that no picture has.

    >>> modes(np.array([10, 10, 0]), np.array([20, 0, 0]))
    Modes(covered=0.5, divergence=0.6931471805599453)
    """
    p, q = real / max(1, real.sum()), drawn / max(1, drawn.sum())
    there = p > 0
    with np.errstate(divide="ignore"):
        divergence = float((q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum())
    return Modes(float((q[there] >= least * p[there]).mean()) if there.any() else float("nan"), divergence)


class Nearest(NamedTuple):
    """Of every row the nearest other row: its place and its distance."""

    places: Array
    distances: Array


def nearest(rows: Array, others: Array) -> Nearest:
    """By Euclidean distance; of equal ones the first."""
    found = [distances(rows[start : start + BLOCK], others) for start in range(0, len(rows), BLOCK)]
    places = np.concatenate([block.argmin(1) for block in found])
    return Nearest(places, np.concatenate([block.min(1) for block in found]))


def copied(drawn: Array, training: Array, held_out: Array) -> float:
    """The share of samples nearer to a training picture than a 20th of all held-out pictures are to theirs: about 0.05 where nothing is learnt by heart.

    Two sets of new pictures are equally near to those trained on; samples that are much nearer than that are copies (after Meehan, Chaudhuri and
    Dasgupta 2020, who test the same two sets of distances). nan without held-out rows.
    """
    if not len(held_out) or not len(training) or not len(drawn):
        return float("nan")
    usual = np.quantile(nearest(held_out, training).distances, 0.05)
    return float((nearest(drawn, training).distances < usual).mean())


def variety(real: Array, drawn: Array) -> float:
    """The mean squared distance between samples over that between pictures: 1 where they vary alike, near 0 where all samples are one."""
    of_real = float(real.var(0).sum())
    return float(drawn.var(0).sum()) / of_real if of_real else float("nan")
