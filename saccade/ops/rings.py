"""Outlines as pixels: which pixels lie inside of closed rings of points, as COCO defines it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FARTHEST = 1e8
"""Pixels from the origin that a point of an outline may lie."""
LARGEST_PLANE = 1 << 28
"""Pixels of a plane that masks may be made for."""
MOST_CROSSINGS = 1 << 23
_PART = 1 << 20  # crossings worked on at a time
_FINE = 5  # COCO's outlines are drawn on a grid five times as fine as the pixels


class Spans(NamedTuple):
    """Runs of set pixels: ring (k,) whose; first, last (k,) places in the plane read column by column, [first, last). All int64, ordered by (ring, first)."""

    ring: np.ndarray
    first: np.ndarray
    last: np.ndarray


def spans(rings: Sequence[np.ndarray], size: tuple[int, int]) -> Spans:
    """The pixels inside of each ring ((m, 2) points (x, y), m >= 3, closed by itself), in a plane of `size` (h, w); rings may cross themselves (even-odd).

    Pixel for pixel as COCO: the outline is rounded to a grid of fifths of a pixel and drawn there; where it passes the middle of a
    column of pixels it divides what is above from what is below. Raises ValueError for a ring that is not (m, 2) with m >= 3,
    coordinates that are not finite or farther than FARTHEST, and outlines that cross the columns more than MOST_CROSSINGS times.
    """
    check_size(size)
    if not len(rings):
        return Spans(*(np.zeros(0, np.int64),) * 3)
    fine = np.trunc(_FINE * _stacked(rings) + 0.5).astype(np.int64)
    lengths = np.array([len(ring) for ring in rings])
    following = np.arange(1, len(fine) + 1)
    ends = np.cumsum(lengths)
    following[ends - 1] = ends - lengths
    owner = np.repeat(np.arange(len(rings)), lengths)
    segments = np.concatenate([fine, fine[following]], 1)
    low, high = np.minimum(segments[:, 0], segments[:, 2]), np.maximum(segments[:, 0], segments[:, 2])
    first, last = np.maximum(-((2 - low) // _FINE), 0), np.minimum((high - 3) // _FINE, size[1] - 1)  # columns whose middle is passed
    counts = last - first + 1
    used = np.flatnonzero(counts > 0)
    segments, owner, first, counts = segments[used], owner[used], first[used], counts[used]
    total = int(counts.sum())
    if total > MOST_CROSSINGS:
        raise ValueError(f"the outlines cross the columns of pixels {total:,} times, expected at most {MOST_CROSSINGS:,}: simplify them")
    stride = size[0] * size[1] + 1
    bounds = np.searchsorted(np.cumsum(counts), np.arange(_PART, total + _PART, _PART)) if total > _PART else np.array([len(counts)])
    parts, begin = [], 0
    for end in np.minimum(bounds + 1, len(counts)):
        part = slice(begin, int(end))
        parts.append(_crossings(segments[part], first[part], counts[part], size) + np.repeat(owner[part] * stride, counts[part]))
        begin = int(end)
    places = np.sort(np.concatenate(parts)).reshape(-1, 2)  # a closed ring passes every column an even number of times
    places = places[places[:, 0] < places[:, 1]]
    ring = places[:, 0] // stride
    return Spans(ring, places[:, 0] - ring * stride, places[:, 1] - ring * stride)


def check_size(size: tuple[int, int]) -> None:
    """Raises ValueError for a plane (h, w) with a negative side, or of more pixels than LARGEST_PLANE."""
    h, w = size
    if h < 0 or w < 0 or h * w > LARGEST_PLANE:
        raise ValueError(f"a plane of {h} x {w} pixels, expected at most {LARGEST_PLANE:,} pixels and no negative side")


def _stacked(rings: Sequence[np.ndarray]) -> np.ndarray:
    """All points (M, 2) float64, checked."""
    for ring in rings:
        if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
            raise ValueError(f"a ring of shape {ring.shape}, expected (m, 2) with at least 3 points")
    points = np.concatenate(rings).astype(np.float64, copy=False)
    reach = np.abs(points).max()
    if not reach <= FARTHEST:  # nan is neither
        raise ValueError(f"an outline reaches {reach:g}, expected finite coordinates of at most {FARTHEST:g} pixels")
    return points


def _crossings(segments: np.ndarray, first: np.ndarray, counts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where segments (n, 4) x y x y on the fine grid pass the middles of `counts` columns each, from `first` on: places in the plane."""
    which = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    u = _FINE * column + 2  # the middle of the column lies between u and u + 1
    x0, y0, x1, y1 = segments.T
    dx, dy = np.abs(x1 - x0), np.abs(y1 - y0)
    steep = dx < dy
    turned = np.where(steep, y0 > y1, x0 > x1)  # drawn in the direction of the longer axis
    x0, x1, y0, y1 = np.where(turned, x1, x0), np.where(turned, x0, x1), np.where(turned, y1, y0), np.where(turned, y0, y1)
    slope = np.where(steep, x1 - x0, y1 - y0) / np.maximum(dx, dy)
    v = np.empty(len(which), np.int64)
    for some, lowest in ((steep, _steep), (~steep, _shallow)):
        rows = np.flatnonzero(some[which])
        if len(rows):
            at = which[rows]
            v[rows] = lowest(x0[at], y0[at], slope[at], u[rows])
    row = np.clip(-((2 - v) // _FINE), 0, size[0])
    places: np.ndarray = column * size[0] + row
    return places


def _shallow(x0: np.ndarray, y0: np.ndarray, slope: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The upper of the heights that a flat segment has at u and at u + 1."""
    t = u - x0
    here, there = np.trunc(y0 + slope * t + 0.5), np.trunc(y0 + slope * (t + 1) + 0.5)
    upper: np.ndarray = np.minimum(here, there).astype(np.int64)
    return upper


def _steep(x0: np.ndarray, y0: np.ndarray, slope: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The height just above the step at which a steep segment goes from u to u + 1, or back: found by division, then put right for rounding."""

    def past(t: np.ndarray) -> np.ndarray:
        x = np.trunc(x0 + slope * t + 0.5)
        passed: np.ndarray = np.where(slope > 0, x > u, x <= u)
        return passed

    t = np.ceil((u + 0.5 - x0) / slope).astype(np.int64)
    t -= past(t - 1)
    t += ~past(t)
    height: np.ndarray = y0 + t - 1
    return height
