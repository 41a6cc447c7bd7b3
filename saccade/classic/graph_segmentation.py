"""Graph segmentation of an image: Felzenszwalb and Huttenlocher, "Efficient graph-based image segmentation", IJCV 2004.

The edges of the pixel graph are taken in ascending order, and an edge joins two components where it is no heavier than what either of them holds
inside. The order matters, but not everywhere: an edge that is the lightest one of both components that it touches is decided by these two alone,
whatever happens elsewhere. All such edges are decided together, round by round, and only what is left is taken one after another: the components
are those of the plain loop, in a fraction of its time.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

ROUNDS = (2, 4, 4)
"""How many rounds before parallel edges are taken out, each time: what costs least on photographs."""


class Edges(NamedTuple):
    """a, b: (m,) vertices 0..n-1 that an edge joins; weight: (m,)."""

    a: np.ndarray
    b: np.ndarray
    weight: np.ndarray


def pixel_edges(image: np.ndarray) -> Edges:
    """(h, w, C) float -> the edges between pixels and their eight neighbours; a weight is the Euclidean distance of the two colours."""
    height, width = image.shape[:2]
    place = np.arange(height * width, dtype=np.int32).reshape(height, width)
    pairs = (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[1:, :-1], np.s_[:-1, 1:]),
    )
    a = np.concatenate([place[one].ravel() for one, _ in pairs])
    b = np.concatenate([place[other].ravel() for _, other in pairs])
    weight = np.concatenate([np.sqrt(np.square(image[one] - image[other]).sum(2)).ravel() for one, other in pairs])
    return Edges(a, b, weight)


def ascending(edges: Edges) -> Edges:
    """The edges by their weights, those of equal weight as they came; weights are float32 from 0 on, whose bits are in their order."""
    key = edges.weight.astype(np.float32).view(np.int32).astype(np.int64) << 32 | np.arange(len(edges.weight))
    key.sort()
    order = (key & 0xFFFFFFFF).astype(np.int32)
    return Edges(*(column[order] for column in edges))


def segment(image: np.ndarray, *, scale: float, sigma: float = 0.8, smallest: int = 20) -> np.ndarray:
    """(h, w, C) of any values -> (h, w) int32 segments 0..n-1, numbered by their first pixel row by row.

    scale: the paper's k, in units of the values: a component of so many pixels is joined over a difference of 1 more than inside; the larger, the larger
    the segments. sigma: of the Gaussian before. smallest: pixels; smaller segments join the neighbour across their lightest edge.
    Raises ValueError for an image without pixels, or a scale, sigma or smallest below 0.
    """
    if min(scale, sigma, smallest) < 0:
        raise ValueError(f"expected numbers from 0 on, got scale {scale}, sigma {sigma}, smallest {smallest}")
    return segments(ascending(pixel_edges(smoothed(image, sigma))), image.shape[:2], scale=scale, smallest=smallest)


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w, C) of any values -> (h, w, C) float32 under a Gaussian. Raises ValueError for an image without pixels."""
    if image.ndim != 3 or not image.size:
        raise ValueError(f"expected an image (h, w, C), got {image.shape}")
    plain = np.ascontiguousarray(image, np.float32)
    return cv2.GaussianBlur(plain, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).reshape(image.shape) if sigma > 0 else plain


def segments(edges: Edges, size: tuple[int, int], *, scale: float, smallest: int) -> np.ndarray:
    """`segment` of the pixel edges of an image of this size (h, w), in ascending order: what several scales of one image share."""
    found = joined(edges, size[0] * size[1], scale)
    return numbered(absorbed(edges, found, smallest) if smallest > 1 else found).reshape(size)


def numbered(components: np.ndarray) -> np.ndarray:
    """(n,) ids of any values -> (n,) int32 0, 1, ... in the order in which they first occur.

    >>> numbered(np.array([7, 7, 2, 7, 0])).tolist()
    [0, 0, 1, 0, 2]
    """
    _, first, inverse = np.unique(components, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int32)
    place[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return place[inverse]


def joined(edges: Edges, count: int, scale: float) -> np.ndarray:
    """(count,) int32: the component of each vertex; `edges` in ascending order of their weights.

    Section 3: an edge of weight w joins C1 and C2 where w <= min(Int(C1) + k / |C1|, Int(C2) + k / |C2|), Int being the heaviest edge of a component's
    minimum spanning tree. Who is refused because of what it holds itself is refused by every later edge too, and needs no more.
    """
    component = np.arange(count, dtype=np.int32)
    state = _Components(component, np.ones(count, np.int32), np.full(count, scale, np.float64))
    for rounds in ROUNDS:
        for _ in range(rounds):
            edges = _round(edges, state, scale)
        edges = _single(edges, count)
    return _one_by_one(edges, state, scale)


class _Components(NamedTuple):
    """component: (n,) of each vertex; of each component: size, and the largest weight that it takes. All change in place."""

    component: np.ndarray
    size: np.ndarray
    limit: np.ndarray


def _round(edges: Edges, state: _Components, scale: float) -> Edges:
    """Decides every edge that is the lightest of both its components; the edges that are left, between components."""
    a, b, weight = edges
    count, every = len(state.component), np.arange(len(a), dtype=np.int32)
    first = _lightest(a, b, count)
    mutual = np.flatnonzero((first[a] == every) & (first[b] == every))
    one, other, w = a[mutual], b[mutual], weight[mutual]
    fits, also = w <= state.limit[one], w <= state.limit[other]
    closed = np.concatenate([one[~fits], other[~also]])
    joins = fits & also
    one, other, w = one[joins], other[joins], w[joins]
    state.size[one] += state.size[other]
    state.limit[one] = w + scale / state.size[one]
    target = np.arange(count, dtype=np.int32)
    target[other] = one
    np.copyto(state.component, target[state.component])
    a, b = target[a], target[b]
    stays = a != b
    if len(closed):
        done = np.zeros(count, bool)
        done[closed] = True
        stays &= ~(done[a] | done[b])
    return Edges(a[stays], b[stays], weight[stays])


def absorbed(edges: Edges, component: np.ndarray, smallest: int) -> np.ndarray:
    """(count,) int32: components below `smallest` vertices joined with the one across the lightest edge that is still there; `edges` in ascending order."""
    count = len(component)
    size = np.bincount(component, minlength=count)
    a, b, weight = component[edges.a], component[edges.b], edges.weight
    stays = (a != b) & ((size[a] < smallest) | (size[b] < smallest))
    a, b, _ = _single(Edges(a[stays], b[stays], weight[stays]), count)
    parent, sizes = np.arange(count).tolist(), size.tolist()
    for i, j in zip(a.tolist(), b.tolist(), strict=True):
        i, j = _root(parent, i), _root(parent, j)
        if i != j and (sizes[i] < smallest or sizes[j] < smallest):
            parent[j] = i
            sizes[i] += sizes[j]
    return _roots(np.array(parent, np.int32))[component]


def _lightest(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """(count,) the first edge of each vertex, in the order of the edges; len(a) where it has none."""
    first = np.full(count, len(a), np.int32)
    other = first.copy()
    backward = np.arange(len(a) - 1, -1, -1, dtype=np.int32)
    first[a[::-1]] = backward  # of several values for one place the last one stays
    other[b[::-1]] = backward
    return np.minimum(first, other)


def _single(edges: Edges, count: int) -> Edges:
    """The edges without those between two components that a lighter one joins already; in the same order."""
    a, b, weight = edges
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b)
    bits = max(1, len(a)).bit_length()
    if 2 * count.bit_length() + bits > 62:
        _, first = np.unique(low * count + high, return_index=True)
    else:  # one sort of whole numbers: the pair, then the place
        key = (low * count + high) << bits | np.arange(len(a))
        key.sort()
        new = np.ones(len(key), bool)
        np.not_equal(key[1:] >> bits, key[:-1] >> bits, out=new[1:])
        first = key[new] & ((1 << bits) - 1)
    kept = np.sort(first)
    return Edges(a[kept], b[kept], weight[kept])


def _one_by_one(edges: Edges, state: _Components, scale: float) -> np.ndarray:
    """The plain loop over edges between the components that are there."""
    parent, sizes, limits = np.arange(len(state.component)).tolist(), state.size.tolist(), state.limit.tolist()
    for i, j, w in zip(edges.a.tolist(), edges.b.tolist(), edges.weight.tolist(), strict=True):
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        while parent[j] != j:
            parent[j] = j = parent[parent[j]]
        if i != j and w <= limits[i] and w <= limits[j]:
            parent[j] = i
            sizes[i] += sizes[j]
            limits[i] = w + scale / sizes[i]
    return _roots(np.array(parent, np.int32))[state.component]


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = i = parent[parent[i]]
    return i


def _roots(parent: np.ndarray) -> np.ndarray:
    """The last one of each chain of parents."""
    while True:
        further = parent[parent]
        if np.array_equal(further, parent):
            return parent
        parent = further
