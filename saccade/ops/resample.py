"""Planes of values under a geometry: nearest for labels, bilinear after an area average for pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np

from saccade.ops.geometry import Geometry

SHRINKS = 0.6  # below this scale a bilinear warp would alias: the picture is reduced by its area average first
_CHANNELS = 4  # as many as OpenCV takes a border value for
_ROWS = 32  # of a plane worked on at a time
_SIDE = 32_766  # pixels that OpenCV's tables of places hold


def centred(matrix: np.ndarray) -> np.ndarray:
    """(..., 2 or 3, 3) matrices on continuous coordinates (pixel i covers [i, i+1]) as ones on pixel indices, which OpenCV takes."""
    if matrix.shape[-2] == 3:
        half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        indices: np.ndarray = np.linalg.inv(half) @ matrix @ half
        return indices
    moved: np.ndarray = matrix.copy()
    moved[..., 2] += 0.5 * matrix[..., :2].sum(-1) - 0.5
    return moved


def sources(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Two (h, w) float64 arrays: the source x and y (continuous) of the centre of every target pixel; -1e6 where nothing is seen.

    Raises numpy.linalg.LinAlgError when the matrix is singular.
    """
    x, y = np.empty(geometry.size), np.empty(geometry.size)
    h, w = geometry.size
    inverse, bend = np.linalg.inv(geometry.square), geometry.bend
    middles = np.arange(w) + 0.5
    if bend is not None:
        (low, share), (first, part) = _between(bend.shape[1], w), _between(bend.shape[0], h)
        down = (bend[first] * (1 - part)[:, None, None] + bend[first + 1] * part[:, None, None]).transpose(2, 0, 1)  # (2, h, columns of the grid)
        steps = np.diff(down, axis=2)
    for top in range(0, h, _ROWS):  # a few rows at a time stay in the cache
        rows = slice(top, min(top + _ROWS, h))
        u, v = np.broadcast_arrays(middles[None], (np.arange(rows.start, rows.stop) + 0.5)[:, None])
        if bend is not None:
            u, v = (centre + np.take(down[k, rows], low, 1) + np.take(steps[k, rows], low, 1) * share for k, centre in enumerate((u, v)))
        x[rows], y[rows] = (inverse[i, 0] * u + inverse[i, 1] * v + inverse[i, 2] for i in (0, 1))
        if len(geometry.matrix) == 3:
            depth = inverse[2, 0] * u + inverse[2, 1] * v + inverse[2, 2]
            behind = depth <= 1e-9
            depth[behind] = 1.0
            for values in (x, y):
                values[rows] /= depth
                values[rows][behind] = -1e6
    return x, y


def _between(cells: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the centres of n pixels lie among points of a line, the first at 0, the last at n: the point before each, and the share of the way on."""
    at = (np.arange(n) + 0.5) / n * (cells - 1)
    low = np.minimum(at.astype(np.int64), cells - 2)
    return low, at - low


def nearest(plane: np.ndarray, geometry: Geometry, fill: float) -> np.ndarray:
    """(H, W) of any number type -> (h, w): each target pixel takes the value of the source pixel that its centre comes from, `fill` outside.

    Where a centre comes from between two pixels either is taken. Raises numpy.linalg.LinAlgError when the matrix is singular.
    """
    h, w = geometry.size
    if not plane.size or not h * w:
        return np.full((h, w), fill, plane.dtype)
    inverse = np.linalg.inv(geometry.square)
    if max(*plane.shape, h, w) > _SIDE or plane.dtype.name not in ("uint8", "uint16", "int32", "float32"):
        x, y = (np.floor(np.clip(values, -1, 1 << 30)).astype(np.int64) for values in sources(geometry))
        there = (x >= 0) & (x < plane.shape[1]) & (y >= 0) & (y < plane.shape[0])
        out = np.full((h, w), fill, plane.dtype)
        out[there] = plane[y[there], x[there]]
        return out
    how: dict[str, Any] = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (fill,) * 4}
    if geometry.affine:
        return cv2.warpAffine(plane, centred(geometry.matrix), (w, h), flags=cv2.INTER_NEAREST, **how)
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ inverse[2]
    if geometry.bend is None and corners.min() > 1e-6:  # all of the target shows what is in front of the viewer
        return cv2.warpPerspective(plane, centred(geometry.matrix), (w, h), flags=cv2.INTER_NEAREST, **how)
    maps = [(values - 0.5).astype(np.float32) for values in sources(geometry)]
    return cv2.remap(plane, maps[0], maps[1], cv2.INTER_NEAREST, **how)


def covered(size: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """(h, w) bool: the target pixels whose centres come from inside of a source of `size`."""
    return nearest(np.ones(size, np.uint8), geometry, 0) > 0


def smooth(pixels: np.ndarray, geometry: Geometry, fill: float = np.nan) -> np.ndarray:
    """(H, W, C) float32 -> (h, w, C) float32: resampled like a network's input (`shrunk`, then `placed`), `fill` outside.

    Values at the source's edge are continued to the edge of its outermost pixels. Raises numpy.linalg.LinAlgError when the matrix is singular.
    """
    if not pixels.size or not geometry.size[0] * geometry.size[1]:
        return np.full((*geometry.size, pixels.shape[2]), fill, np.float32)
    size, scale = (pixels.shape[0], pixels.shape[1]), max(local_scales(geometry))
    fits = scale <= max(geometry.size[0] / size[0], geometry.size[1] / size[1]) * (1 + 1e-6)  # else the target is a part, which keeps its detail
    smaller = shrunk(pixels, geometry.size if fits else (round(scale * size[0]), round(scale * size[1])))
    if smaller is not pixels:
        geometry = Geometry.resize((smaller.shape[0], smaller.shape[1]), size).then(geometry)
    seen = covered((smaller.shape[0], smaller.shape[1]), geometry)
    out = placed(smaller, geometry, cv2.BORDER_REPLICATE, fill)
    if not seen.all():
        out[~seen] = fill
    return out


WORTH = 0.75  # a picture is reduced beforehand when its sides become at most this share


def shrunk(pixels: np.ndarray, least: tuple[int, int]) -> np.ndarray:
    """(H, W, C) reduced (area average) until one more reduction would leave fewer pixels than `least` (h, w) a side; itself where it is not much larger.

    A reduction by less than a quarter is left to whoever resamples next: it would cost a pass and save few pixels.
    """
    h, w = pixels.shape[:2]
    factor = max(least[0] / h, least[1] / w)
    return pixels if factor >= WORTH else resized(pixels, (max(least[0], round(h * factor)), max(least[1], round(w * factor))))


def placed(pixels: np.ndarray, geometry: Geometry, border: int, fill: float) -> np.ndarray:
    """(H, W, C) under a geometry, of its own type: one resize where that is all, else one bilinear warp, reduced by its area average first where
    it shrinks much. border: OpenCV's; fill: what stands outside of a resize, and where the border is BORDER_CONSTANT, in the pixels' own unit."""
    h, w = pixels.shape[:2]
    if geometry.affine and (extent := _resize_only(geometry, (h, w))):
        out = resized(pixels, extent)
        if extent != geometry.size:
            below, right = geometry.size[0] - extent[0], geometry.size[1] - extent[1]
            out = np.pad(out, ((0, below), (0, right), (0, 0)), constant_values=np.asarray(fill).astype(out.dtype))
        return out
    across, down = local_scales(geometry)
    fewer = (max(1, round(h * down)) if down < SHRINKS else h, max(1, round(w * across)) if across < SHRINKS else w)
    if fewer != (h, w):
        geometry, pixels = Geometry.resize(fewer, (h, w)).then(geometry), resized(pixels, fewer)
    if geometry.bend is not None:
        return bent(pixels, geometry, border, fill)
    return moved(pixels, centred(geometry.matrix), geometry.size, border, fill)


def _resize_only(geometry: Geometry, source: tuple[int, int]) -> tuple[int, int] | None:
    """The (h, w) at the top left of the target that the whole source is scaled to, when that is all the geometry does; else None."""
    h, w = source
    extent = round(h * float(geometry.matrix[1, 1])), round(w * float(geometry.matrix[0, 0]))
    if min(extent) < 1 or extent[0] > geometry.size[0] or extent[1] > geometry.size[1]:
        return None
    return extent if np.abs(geometry.matrix - Geometry.resize(source, extent).matrix).max() <= 1e-9 else None


def moved(pixels: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int, fill: float) -> np.ndarray:
    """(H, W, C) -> (*size, C): one bilinear warp by a matrix on pixel indices (see `centred`), affine (2, 3) or projective (3, 3).

    fill: what stands outside when the border is BORDER_CONSTANT, in the pixels' own unit.
    """
    call = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
    return grouped(lambda part: call(part, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,) * 4), pixels, size)


def bent(pixels: np.ndarray, geometry: Geometry, border: int, fill: float) -> np.ndarray:
    """(H, W, C) -> (*geometry.size, C): one bilinear sampling at the places that every target pixel's centre comes from."""
    x, y = ((values - 0.5).astype(np.float32) for values in sources(geometry))
    return grouped(lambda part: cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,) * 4), pixels, geometry.size)


def grouped(call: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What a call of OpenCV makes of (H, W, C) pixels, (*size, C), four channels at a time."""
    depth = pixels.shape[2]
    if depth <= _CHANNELS:
        return call(pixels).reshape(*size, depth)
    parts = [call(np.ascontiguousarray(pixels[..., i : i + _CHANNELS])).reshape(*size, -1) for i in range(0, depth, _CHANNELS)]
    return np.concatenate(parts, axis=2)


def scales(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long a step of one source pixel along x, and along y, becomes under (..., 2, 3) matrices."""
    lengths = np.sqrt((matrices[..., :2] ** 2).sum(-2))
    return lengths[..., 0], lengths[..., 1]


def jacobian(geometry: Geometry) -> np.ndarray:
    """(2, 2): what becomes of a small step in the source where the middle of the target comes from; the matrix itself when affine."""
    if len(geometry.matrix) == 2:
        linear: np.ndarray = geometry.matrix[:, :2]
        return linear
    middle = np.array([[geometry.size[1] / 2, geometry.size[0] / 2]])
    back = Geometry(geometry.matrix, geometry.size).back(middle + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]))
    if np.isnan(back).any():  # the middle shows nothing
        return np.eye(2)
    steps: np.ndarray = np.linalg.inv(2 * (back[1:] - back[0]).T)
    return steps


def local_scales(geometry: Geometry) -> tuple[float, float]:
    """How long steps of one source pixel along x and y become in the middle of the target: under a perspective this differs from place to place."""
    across, down = scales(np.concatenate([jacobian(geometry), np.zeros((2, 1))], 1))
    return float(across), float(down)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) -> (*size, C): area average along an axis that shrinks, bilinear along one that grows.

    >>> resized(np.array([[[0], [255]], [[255], [0]]], np.uint8), (4, 1)).ravel().tolist()
    [128, 128, 128, 128]
    """
    fewer = (min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1]))
    for target, how in ((fewer, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if pixels.shape[:2] != target:
            pixels = grouped(partial(cv2.resize, dsize=target[::-1], interpolation=how), pixels, target)
    return pixels
