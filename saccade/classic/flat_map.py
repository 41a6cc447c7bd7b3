"""Maps of codes in the plane: principal components or t-SNE, and new points placed on a map that is there.

t-SNE is openTSNE's where it is installed (the extra `embed`), else scikit-learn's; which of them is part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from saccade.classic.pca import PCA

Array = np.ndarray[Any, Any]
Method = Literal["tsne", "pca"]
LEADING = 50  # components that t-SNE is given of longer codes (van der Maaten and Hinton 2008, section 4.2)
LARGE = 10_000  # points from which forces are interpolated on a grid
NEIGHBOURS = 15  # of a new point, where openTSNE is not there to place it


@dataclass(frozen=True)
class FlatMap:
    """points: (n, 2) float64. method; by: whose t-SNE it was, or how new points were placed; perplexity: as it was used, 0 of principal components."""

    points: Array
    method: Method
    by: str
    perplexity: float = 0.0


def flat_map(codes: Array, *, method: Method = "tsne", perplexity: float = 30.0, seed: int = 0, threads: int = 1) -> FlatMap:
    """A map of (n, k) codes; perplexity is lowered to (n - 1) / 3 where there are few. Codes of one or two numbers are their own map.

    van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 9, 2008; begun from the principal components (Kobak and Berens 2019).
    Raises ValueError for fewer than two codes, or codes that are not finite.
    """
    codes = _sound(codes)
    if method == "pca" or codes.shape[1] <= 2 or len(codes) < 5:
        return FlatMap(_first_two(codes), "pca", "principal components" if codes.shape[1] > 2 else "the codes themselves")
    used = min(perplexity, (len(codes) - 1) / 3)
    rows = leading(codes).transform(codes) if codes.shape[1] > LEADING else codes
    if has_open_tsne():
        return FlatMap(_open(rows, used, seed, threads), "tsne", "openTSNE", used)
    from sklearn.manifold import TSNE

    points = TSNE(2, perplexity=used, init="pca", random_state=seed, n_jobs=threads).fit_transform(rows.astype(np.float32))
    return FlatMap(points.astype(np.float64), "tsne", "scikit-learn", used)


def placed(new: Array, codes: Array, found: FlatMap, *, threads: int = 1) -> FlatMap:
    """New (m, k) codes on the map of (n, k) codes, whose points stay where they are: (m, 2).

    Principal components: exactly. t-SNE: openTSNE's descent of the new points alone (Policar, Strazar, Zupan 2019); without it the mean of the 15
    nearest codes' points, weighted by exp(-d^2 / 2 s^2), s the distance to the fifth: `by` says which.
    Raises ValueError for codes of another length.
    """
    codes, new = _sound(codes), _sound(new, least=1)
    if codes.shape[1] != new.shape[1] or len(codes) != len(found.points):
        raise ValueError(f"a map of {len(found.points)} codes of {codes.shape[1]} numbers, new ones have {new.shape[1]}; {len(codes)} codes were given")
    if found.method == "pca":
        return FlatMap(_first_two(new, codes), "pca", found.by)
    if codes.shape[1] > LEADING:
        axes = leading(codes)
        codes, new = axes.transform(codes), axes.transform(new)
    if has_open_tsne():
        return FlatMap(_open_placed(new, codes, found, threads), "tsne", "placed by openTSNE", found.perplexity)
    return FlatMap(_among(new, codes, found.points), "tsne", f"placed among the nearest {NEIGHBOURS} codes", found.perplexity)


def leading(codes: Array) -> PCA:
    """The axes that long codes are shortened by."""
    return PCA(min(LEADING, *codes.shape)).fit(codes)


def has_open_tsne() -> bool:
    """Whether openTSNE is installed."""
    from importlib.util import find_spec

    return find_spec("openTSNE") is not None


def _first_two(codes: Array, of: Array | None = None) -> Array:
    """The coordinates along the first two principal axes of `of`; a second one of nought where there is a single number."""
    of = codes if of is None else of
    if of.shape[1] == 1:
        return np.concatenate([codes, np.zeros_like(codes)], 1)
    return codes.astype(np.float64) if of.shape[1] == 2 else PCA(2).fit(of).transform(codes)


def _open(rows: Array, perplexity: float, seed: int, threads: int) -> Array:
    from openTSNE import TSNE

    gradient = "fft" if len(rows) > LARGE else "bh"
    embedding = TSNE(2, perplexity=perplexity, initialization="pca", negative_gradient_method=gradient, n_jobs=threads, random_state=seed).fit(rows)
    return np.asarray(embedding, np.float64)


def _open_placed(new: Array, codes: Array, found: FlatMap, threads: int) -> Array:
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    affinities = PerplexityBasedNN(codes, perplexity=found.perplexity, n_jobs=threads, random_state=0)
    gradient = "fft" if len(codes) > LARGE else "bh"
    embedding = TSNEEmbedding(found.points, affinities, negative_gradient_method=gradient, n_jobs=threads, random_state=0)
    return np.asarray(embedding.transform(new, perplexity=min(5.0, found.perplexity)), np.float64)


def _among(new: Array, codes: Array, points: Array) -> Array:
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS, len(codes))
    distances, near = cKDTree(codes).query(new, k=count)
    distances, near = distances.reshape(len(new), count), near.reshape(len(new), count)
    scale = np.maximum(distances[:, [min(4, count - 1)]], 1e-12)
    weights = np.exp(-0.5 * (distances**2 - distances[:, :1] ** 2) / scale**2)
    found: Array = (weights[..., None] * points[near]).sum(1) / weights.sum(1, keepdims=True)
    return found


def _sound(codes: Array, least: int = 2) -> Array:
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or len(codes) < least or not np.isfinite(codes).all():
        raise ValueError(f"codes are (n, k) finite numbers, n from {least}, got {codes.shape}")
    return codes
