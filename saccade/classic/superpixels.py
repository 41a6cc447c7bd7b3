"""Superpixels by SLIC: Achanta, Shaji, Smith, Lucchi, Fua, Süsstrunk, "SLIC superpixels compared to state-of-the-art methods", PAMI 2012.

k-means over colour and place, in which a centre looks no further than one step of the grid that it began on. All windows are searched at once: every pair of
a centre and a pixel of its window is one number that holds the distance before the centre's place, of which each pixel keeps the least.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saccade.classic.graph_segmentation import Edges, absorbed, ascending, numbered

ROUNDS, COMPACTNESS = 10, 10.0  # the paper's own
SETTLED = 0.05  # mean movement of the centres in pixels below which the search ends
AT_ONCE = 500_000  # pairs of a centre and a pixel that are held at once
NONE = np.iinfo(np.int64).max
FARTHEST = int(np.float32(np.inf).view(np.int32)) << 32  # from here on a distance is infinite
Array = np.ndarray


class Grid(NamedTuple):
    """rows, columns: of centres. step: pixels between them, the paper's S. reach: pixels to each side that a centre looks."""

    rows: int
    columns: int
    step: float
    reach: int


def slic(image: Array, count: int, *, compactness: float = COMPACTNESS, rounds: int = ROUNDS, connected: bool = True) -> Array:
    """(h, w, C) of colours whose Euclidean distances mean something, L*a*b* above all -> (h, w) int32 superpixels 0..n-1, numbered by their first pixel.

    count: how many are wanted, 1 or more; about so many come. compactness: the paper's m, the colour difference that counts as much as a step of the grid.
    rounds: most searches. connected: parts of a superpixel that do not touch (by their sides) become superpixels of their own, and what is
    smaller than a quarter of a step squared joins the neighbour across the least difference of colour.
    Deviations: the paper gives loose parts to the nearest neighbour of any kind, and looks at the movement of all centres together; a pixel
    that no window holds, for which the paper has no rule, goes to the nearest centre of all.
    Raises ValueError for an image without pixels, for values that are not finite, and for numbers out of range.
    """
    image = np.ascontiguousarray(image, np.float32)
    if image.ndim != 3 or not image.size:
        raise ValueError(f"expected an image (h, w, C), got {image.shape}")
    if count < 1 or rounds < 1 or not compactness > 0:
        raise ValueError(f"expected a count and rounds from 1 on and a compactness above 0, got {count}, {rounds}, {compactness}")
    if not np.isfinite(image).all():
        raise ValueError("an image of finite values was expected")
    grid = laid_out(image.shape[:2], count)
    centres, weight = seeded(image, grid), (compactness / grid.step) ** 2
    ids = assigned(image, centres, grid.reach, weight)
    for _ in range(rounds - 1):
        moved = means(image, ids, centres)
        distance = float(np.abs(moved[:, -2:] - centres[:, -2:]).sum(1).mean())
        centres = moved
        ids = assigned(image, centres, grid.reach, weight)
        if distance < SETTLED:
            break
    return joined(image, ids, least=max(1, round(grid.step**2 / 4))) if connected else numbered(ids.ravel()).reshape(ids.shape)


def laid_out(size: tuple[int, int], count: int) -> Grid:
    """The grid of about `count` centres over (h, w) pixels, never more than one a pixel.

    >>> laid_out((60, 90), 6)
    Grid(rows=2, columns=3, step=30.0, reach=30)
    """
    h, w = size
    step = (h * w / count) ** 0.5
    rows = min(h, count, max(1, round(h / step)))
    columns = min(w, max(1, round(count / rows)))
    return Grid(rows, columns, (h * w / rows / columns) ** 0.5, int(np.ceil(max(h / rows, w / columns))))


def seeded(image: Array, grid: Grid) -> Array:
    """(n, C + 2) centres: colour, then y and x in pixels; in the middle of each cell, moved to the least gradient of the 3x3 pixels there (section 3.1)."""
    h, w = image.shape[:2]
    y = np.clip(((np.arange(grid.rows) + 0.5) * h / grid.rows).astype(int), 0, h - 1)
    x = np.clip(((np.arange(grid.columns) + 0.5) * w / grid.columns).astype(int), 0, w - 1)
    rows, columns = (part.ravel() for part in np.meshgrid(y, x, indexing="ij"))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    gradient = np.square(padded[2:, 1:-1] - padded[:-2, 1:-1]).sum(2) + np.square(padded[1:-1, 2:] - padded[1:-1, :-2]).sum(2)
    steps = [(0, 0), *((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)]  # the middle first: it stays where nothing is less
    near = np.array([(np.clip(rows + dy, 0, h - 1), np.clip(columns + dx, 0, w - 1)) for dy, dx in steps])
    best = gradient[near[:, 0], near[:, 1]].argmin(0)
    rows, columns = near[best, 0, np.arange(len(best))], near[best, 1, np.arange(len(best))]
    return np.column_stack([image[rows, columns], rows, columns]).astype(np.float32)


def assigned(image: Array, centres: Array, reach: int, weight: float) -> Array:
    """(h, w) int32: of the centres (n, C + 2) at most `reach` pixels away in y and in x, the one of least |colour|^2 + weight |place|^2; the first of equal
    ones. A pixel that is in no window takes the nearest of all."""
    h, w, channels = image.shape
    side, wide = 2 * reach + 1, w + 2 * reach
    planes = [np.pad(image[:, :, channel], reach).ravel() for channel in range(channels)]  # so that every window is whole
    best = np.full((h + 2 * reach) * wide, NONE)
    for first in range(0, len(centres), max(1, AT_ONCE // side**2)):
        part = centres[first : first + max(1, AT_ONCE // side**2)]
        lines = [np.ceil(part[:, axis] - reach).astype(np.int64)[:, None] + np.arange(side) for axis in (-2, -1)]
        squares = [weight * np.square(line - part[:, axis, None]) for axis, line in zip((-2, -1), lines, strict=True)]
        for axis, line in enumerate(lines):  # a window between two pixels has one line less
            squares[axis][line - part[:, axis - 2, None] > reach] = np.inf
        distance = (squares[0][:, :, None] + squares[1][:, None, :]).astype(np.float32)
        place = (lines[0][:, :, None] + reach) * wide + (lines[1] + reach)[:, None, :]
        for channel, plane in enumerate(planes):
            distance += np.square(plane.take(place) - part[:, channel, None, None])
        key = distance.view(np.int32).astype(np.int64) << 32 | np.arange(first, first + len(part))[:, None, None]
        np.minimum.at(best, place.ravel(), key.ravel())
    best = np.ascontiguousarray(best.reshape(-1, wide)[reach : reach + h, reach : reach + w]).ravel()
    lost = np.flatnonzero(best >= FARTHEST)
    if len(lost):
        best[lost] = _nearest(image.reshape(-1, channels)[lost], np.column_stack(np.divmod(lost, w)), centres, weight)
    return (best & 0xFFFFFFFF).astype(np.int32).reshape(h, w)


def _nearest(colours: Array, places: Array, centres: Array, weight: float) -> Array:
    """(m,) int64: the nearest centre of each pixel, however far."""
    found = np.empty(len(colours), np.int64)
    rows = max(1, AT_ONCE // len(centres) // 8)
    for first in range(0, len(colours), rows):
        some, at = colours[first : first + rows, None], places[first : first + rows, None]
        distance = np.square(some - centres[:, :-2]).sum(2) + weight * np.square(at - centres[:, -2:]).sum(2)
        found[first : first + rows] = distance.argmin(1)
    return found


def means(image: Array, ids: Array, centres: Array) -> Array:
    """(n, C + 2) float32: the mean colour and place of each centre's pixels; a centre without any stays."""
    flat, n = ids.ravel(), len(centres)
    count = np.bincount(flat, minlength=n)
    y, x = np.divmod(np.arange(flat.size), ids.shape[1])
    columns = [*image.reshape(-1, image.shape[2]).T, y, x]
    sums = np.stack([np.bincount(flat, column, minlength=n) for column in columns], 1)
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres).astype(np.float32)


def touching_pixels(ids: Array) -> tuple[Array, Array]:
    """Two (m,): the places (row by row) of pixels that touch by a side, each pair once."""
    place = np.arange(ids.size, dtype=np.int32).reshape(ids.shape)
    pairs = ((place[:, :-1], place[:, 1:]), (place[:-1], place[1:]))
    return tuple(np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))  # type: ignore[return-value]


def parts(ids: Array) -> Array:
    """(h, w) int32: the sets of pixels of one id that hang together by their sides, 0..n-1.

    >>> parts(np.array([[0, 1, 0]])).tolist()
    [[0, 1, 2]]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = touching_pixels(ids)
    same = ids.ravel()[a] == ids.ravel()[b]
    links = coo_array((np.ones(int(same.sum()), bool), (a[same], b[same])), shape=(ids.size, ids.size))
    return connected_components(links, directed=False)[1].astype(np.int32).reshape(ids.shape)


def joined(image: Array, ids: Array, *, least: int) -> Array:
    """(h, w) int32 superpixels, each in one piece of `least` pixels or more where the image has so many, numbered by their first pixel."""
    found = parts(ids).ravel()
    if least > 1:
        a, b = touching_pixels(ids)
        border = found[a] != found[b]
        a, b, flat = a[border], b[border], image.reshape(-1, image.shape[2])
        weight = np.sqrt(np.square(flat[a] - flat[b]).sum(1))
        found = absorbed(ascending(Edges(a, b, weight)), found, least)
    return numbered(found).reshape(ids.shape)
