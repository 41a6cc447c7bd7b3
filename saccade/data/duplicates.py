"""Pictures that are there more than once: the groups of nearly the same ones, found without comparing every pair.

Two tiny copies (`likeness.tiny`) are near when their distance is at most `NEAR`. Any projection onto orthonormal
directions can only shorten a distance, so the copies are sorted by their first principal component, each is compared
with those within `NEAR` of it there, and by the leading components before all 256 are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from saccade.data.likeness import NEAR

_LEADING = 24  # components of the quick comparison
_BLOCK = 512
_SLACK = 1e-3  # float32 rounding of a distance by a matrix product
_EDGES = 1 << 20  # pairs that are kept before they are reduced to their groups


def near_groups(copies: np.ndarray) -> np.ndarray:
    """The group (n,) int64 of each of n tiny copies (n, 256): the smallest place that a chain of near pairs leads to.

    A picture of one colour (all zeros) is near to none.

    >>> near_groups(np.eye(3, 256, dtype=np.float32)[[0, 1, 0]]).tolist()
    [0, 1, 0]
    """
    groups = np.arange(len(copies))
    live = np.flatnonzero(copies.any(axis=1))
    if len(live) < 2:
        return groups
    distinct, inverse = np.unique(copies[live], axis=0, return_inverse=True)
    roots = _components(len(distinct), _pairs(distinct))[inverse.ravel()]
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    groups[live] = live[first[inverse.ravel()]]
    return groups


def _pairs(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Arrays (m, 2) of places whose vectors are at most NEAR apart, block by block."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    leading = (centred @ directions[:, ::-1][:, :_LEADING]).astype(np.float32)
    order = np.argsort(leading[:, 0], kind="stable")
    leading, first = leading[order], leading[order, 0]
    squares = (leading**2).sum(axis=1)
    for top in range(0, len(order), _BLOCK):
        bottom = min(top + _BLOCK, len(order))
        end = int(np.searchsorted(first, first[bottom - 1] + NEAR + _SLACK, "right"))
        for left in range(top, end, 16 * _BLOCK):
            right = min(left + 16 * _BLOCK, end)
            distances = squares[top:bottom, None] + squares[None, left:right] - 2 * (leading[top:bottom] @ leading[left:right].T)
            i, j = np.nonzero(distances <= (NEAR + _SLACK) ** 2)
            i, j = i + top, j + left
            pairs = np.stack([order[i], order[j]], axis=1)[i < j]
            for start in range(0, len(pairs), 1 << 16):
                some = pairs[start : start + (1 << 16)]
                yield some[np.linalg.norm(vectors[some[:, 0]] - vectors[some[:, 1]], axis=1) <= NEAR]


def _components(n: int, pairs: Iterable[np.ndarray]) -> np.ndarray:
    """The smallest place of each place's connected component; the pairs are reduced on the way, so that a still camera's million pairs cost no memory."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    roots, count = np.arange(n), 0
    kept: list[np.ndarray] = []

    def reduce() -> np.ndarray:
        edges = np.concatenate([*kept, np.stack([np.arange(n), roots], axis=1)])
        graph = coo_matrix((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
        labels = connected_components(graph, directed=False)[1]
        return np.unique(labels, return_index=True)[1][labels]

    for some in pairs:
        kept.append(some)
        count += len(some)
        if count > _EDGES:
            roots, kept, count = reduce(), [], 0
    return reduce()


def merge_groups(*groupings: np.ndarray) -> np.ndarray:
    """Rows that share a value in any of the groupings (n,) are together: the smallest place of each one's group, (n,) int64.

    >>> merge_groups(np.array([5, 5, 6, 7]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 3]
    """
    places = np.arange(len(groupings[0]))
    pairs = [
        np.stack([places, first[inverse.ravel()]], axis=1) for first, inverse in (np.unique(g, return_index=True, return_inverse=True)[1:] for g in groupings)
    ]
    return _components(len(places), pairs)
