"""The random geometry of a batch: affine and projective matrices, smooth bends, and windows that keep something of the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from saccade.data.visible import visible_shares
from saccade.ops.geometry import Geometry

if TYPE_CHECKING:
    from saccade.data.augment import Policy

GRID = 5  # points a side of the grid that a bend is given on
TRIES, WINDOWS_AT = 10, 40  # windows that are drawn for an image, in the columns from this one on


def matrices(p: Policy, u: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Around the centre: mirror and scale, shear, rotate; then translate; then move the corners. (n, 2, 3), (n, 3, 3) with perspective."""
    h, w = size
    angle, shear = np.deg2rad(_both(u[:, 1], p.rotate_deg)), np.tan(np.deg2rad(_both(u[:, 4], p.shear_deg)))
    scale, aspect = _factor(u[:, 2], p.scale), np.sqrt(_factor(u[:, 3], p.aspect))
    sx, sy = scale * aspect * np.where(p.flip & (u[:, 0] < 0.5), -1.0, 1.0), scale / aspect
    if p.flip_vertical:
        sy = sy * np.where(u[:, 17] < 0.5, -1.0, 1.0)
    if p.quarter_turns:
        angle = angle + (np.floor(4 * u[:, 18]) * np.pi / 2 if h == w else np.floor(2 * u[:, 18]) * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.empty((len(u), 2, 2))
    linear[:, 0, 0], linear[:, 0, 1] = cos * sx, (cos * shear - sin) * sy
    linear[:, 1, 0], linear[:, 1, 1] = sin * sx, (sin * shear + cos) * sy
    centre = np.array([w / 2, h / 2])
    shift = np.stack([_both(u[:, 5], p.translate) * w, _both(u[:, 6], p.translate) * h], 1)
    affine = np.concatenate([linear, (centre - linear @ centre + shift)[:, :, None]], 2)
    if not p.perspective:
        return affine
    square = np.concatenate([affine, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(u), 1, 3))], 1)
    return perspectives(_both(u[:, 27:35], p.perspective).reshape(-1, 4, 2), size) @ square


def perspectives(shares: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, 3, 3) matrices that take the corners of the size (h, w) to themselves plus (n, 4, 2) shares of (w, h); clockwise from the top left."""
    h, w = size
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64)
    goals = corners + shares * np.array([w, h])
    n = len(shares)
    equations, answers = np.zeros((n, 8, 8)), goals.reshape(n, 8)
    for k, (x, y) in enumerate(corners):
        gx, gy = goals[:, k, 0], goals[:, k, 1]
        equations[:, 2 * k, :3] = x, y, 1.0
        equations[:, 2 * k, 6], equations[:, 2 * k, 7] = -gx * x, -gx * y
        equations[:, 2 * k + 1, 3:6] = x, y, 1.0
        equations[:, 2 * k + 1, 6], equations[:, 2 * k + 1, 7] = -gy * x, -gy * y
    solved = np.linalg.solve(equations, answers[:, :, None])[:, :, 0]
    return np.concatenate([solved, np.ones((n, 1))], 1).reshape(n, 3, 3)


def bends(elastic: float, u: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, GRID, GRID, 2) offsets in pixels of the size (h, w): each up to `elastic` of it each way."""
    drawn = np.stack([np.random.Generator(np.random.Philox(key=int(row * 2**53))).random((GRID, GRID, 2)) for row in u[:, 35]])
    return _both(drawn, elastic) * np.array([size[1], size[0]], dtype=np.float64)


def windows(crop: float, aspect: float, u: np.ndarray) -> np.ndarray:
    """(n, TRIES, 4) windows x0 y0 x1 y1 as shares of the size: an area of 1 - crop to 1, sides that differ by up to the aspect."""
    four = u[:, WINDOWS_AT : WINDOWS_AT + 4 * TRIES].reshape(len(u), TRIES, 4)
    area, lean = 1 - crop * four[..., 0], np.sqrt(_factor(four[..., 1], aspect))
    width, height = np.minimum(1, np.sqrt(area) * lean), np.minimum(1, np.sqrt(area) / lean)
    x, y = four[..., 2] * (1 - width), four[..., 3] * (1 - height)
    return np.stack([x, y, x + width, y + height], -1)


def enlarged(window: np.ndarray, size: tuple[int, int]) -> Geometry:
    """The window (4,) of an input of the size, as large as the input."""
    h, w = size
    x0, y0, x1, y1 = window
    sx, sy = 1 / (x1 - x0), 1 / (y1 - y0)
    return Geometry(np.array([[sx, 0.0, -x0 * w * sx], [0.0, sy, -y0 * h * sy]]), size)


def chosen_window(tries: np.ndarray, before: Geometry, objects: np.ndarray | None, least: float) -> Geometry | None:
    """The first of the windows (TRIES, 4) that shows at least the share `least` of one of the objects (n, 4) xyxy; None when none does.

    before: from the objects' pixels to the input. Without objects the first one is taken.
    """
    for window in tries:
        after = enlarged(window, before.size)
        if objects is None or not len(objects) or visible_shares(before.then(after), objects).max() >= max(least, 1e-9):
            return after
    return None


def _both(u: np.ndarray, reach: float) -> np.ndarray:
    return (2 * u - 1) * reach


def _factor(u: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(_both(u, np.log1p(reach)))
