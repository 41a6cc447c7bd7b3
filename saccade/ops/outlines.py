"""The outline of a region of pixels: closed rings along the edges between set and unset pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class _Edges(NamedTuple):
    """Straight edges with the region on their right, seen along them: (n, 2) corners (x, y) and (n,) keys that join an end to the next edge's begin."""

    begin: np.ndarray
    end: np.ndarray
    begin_key: np.ndarray
    end_key: np.ndarray


def rings_of(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """(h, w) bool -> one ring ((m, 2) float64 corners) for each region of pixels that touch by their sides.

    The holes of a region are joined to its ring by cuts of no width, so that each ring, taken even-odd, is its region exactly.
    """
    if not mask.any():
        return ()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    mask = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    padded = np.pad(mask, 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    saddles = (a == d) & (b == c) & (a != b)  # corners where two pixels touch by their tips only
    flat, upright = _edges(padded[1:, 1:-1] - padded[:-1, 1:-1], saddles, False), _edges((padded[1:-1, 1:] - padded[1:-1, :-1]).T, saddles, True)
    to_upright = _joined(flat.end_key, upright.begin_key)
    following = _joined(upright.end_key, flat.begin_key)[to_upright]
    region = _regions(mask, flat)
    loops: dict[int, list[np.ndarray]] = {}
    for loop in _cycles(following.tolist()):
        corners = np.stack([flat.begin[loop], flat.end[loop]], 1).reshape(-1, 2)
        loops.setdefault(int(region[loop[0]]), []).append(corners + np.array([left, top], np.float64))
    return tuple(_one_ring(parts) for parts in loops.values())


def _edges(steps: np.ndarray, saddles: np.ndarray, upright: bool) -> _Edges:
    """The longest straight edges. steps: one row a line of the grid, +1 where the region begins across it, -1 where it ends."""
    padded = np.pad(steps, ((0, 0), (1, 1)))
    change = padded[:, 1:] != padded[:, :-1]
    line, low = np.nonzero(change & (padded[:, 1:] != 0))
    _, high = np.nonzero(change & (padded[:, :-1] != 0))
    starts = steps[line, low] > 0
    ahead = starts ^ upright  # clockwise on the screen: along the top to the right, down the right side
    first, last = np.where(ahead, low, high), np.where(ahead, high, low)
    ends = [np.stack([line, at] if upright else [at, line], 1) for at in (first, last)]
    keys = []
    for corners, at_low in zip(ends, (ahead, ~ahead), strict=True):
        after, across = at_low.astype(np.int64), starts.astype(np.int64)  # where the region's pixel lies, seen from the corner
        quadrant = 2 * after + across if upright else 2 * across + after
        place = corners[:, 1] * saddles.shape[1] + corners[:, 0]
        keys.append(4 * place + np.where(saddles.ravel()[place], quadrant, 0))
    return _Edges(ends[0], ends[1], keys[0], keys[1])


def _joined(ends: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """For each end the row of the begin with the same key; both hold every key once."""
    order = np.argsort(begins)
    found: np.ndarray = order[np.searchsorted(begins[order], ends)]
    return found


def _regions(mask: np.ndarray, flat: _Edges) -> np.ndarray:
    """The number of the region that each flat edge belongs to."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    top = flat.begin[:, 0] < flat.end[:, 0]
    row, column = flat.begin[:, 1] - ~top, np.minimum(flat.begin[:, 0], flat.end[:, 0])
    numbers: np.ndarray = labels[row, column]
    return numbers


def _cycles(following: list[int]) -> list[list[int]]:
    """The cycles of a permutation."""
    seen, cycles = bytearray(len(following)), []
    for start in range(len(following)):
        if seen[start]:
            continue
        cycle, at = [], start
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = following[at]
        cycles.append(cycle)
    return cycles


def _one_ring(loops: list[np.ndarray]) -> np.ndarray:
    """Loops as one ring: from the first's begin there and back to each of the others."""
    if len(loops) == 1:
        return loops[0]
    home = loops[0][:1]
    return np.concatenate([loops[0], *(np.concatenate([home, loop, loop[:1]]) for loop in loops[1:])])
