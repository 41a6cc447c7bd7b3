"""Planes of values under a geometry: nearest for labels, bilinear after an area average for pictures."""

from __future__ import annotations

import cv2
import numpy as np

from saccade.ops.geometry import Geometry

_SHRINKS = 0.6  # below this scale a bilinear warp would alias: the picture is reduced by its area average first
_CHANNELS = 4  # as many as OpenCV warps at once
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
    h, w = geometry.size
    x, y = np.broadcast_arrays((np.arange(w) + 0.5)[None], (np.arange(h) + 0.5)[:, None])
    if geometry.bend is not None:
        down, across = (_weights(n, cells) for n, cells in zip((h, w), geometry.bend.shape[:2], strict=True))
        x, y = x + down @ geometry.bend[..., 0] @ across.T, y + down @ geometry.bend[..., 1] @ across.T
    inverse = np.linalg.inv(geometry.square)
    depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
    behind = depth <= 1e-9
    depth = np.where(behind, 1.0, depth)
    found = [np.where(behind, -1e6, (inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2]) / depth) for i in (0, 1)]
    return found[0], found[1]


def _weights(n: int, cells: int) -> np.ndarray:
    """(n, cells): the weights of the points of a line, the first at 0 and the last at n, at the centres of n pixels."""
    at = (np.arange(n) + 0.5) / n * (cells - 1)
    weights: np.ndarray = np.clip(1 - np.abs(at[:, None] - np.arange(cells)[None]), 0, None)
    return weights


def nearest(plane: np.ndarray, geometry: Geometry, fill: float) -> np.ndarray:
    """(H, W) of any number type -> (h, w): each target pixel takes the value of the source pixel that its centre comes from, `fill` outside.

    Where a centre comes from between two pixels either is taken. Raises numpy.linalg.LinAlgError when the matrix is singular.
    """
    h, w = geometry.size
    if not plane.size or not h * w:
        return np.full((h, w), fill, plane.dtype)
    if geometry.affine and max(*plane.shape, h, w) <= _SIDE and plane.dtype.name in ("uint8", "uint16", "int32", "float32"):
        np.linalg.inv(geometry.square)  # OpenCV takes a singular matrix without a word
        flags = cv2.INTER_NEAREST
        warped: np.ndarray = cv2.warpAffine(plane, centred(geometry.matrix), (w, h), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,) * 4)
        return warped
    x, y = (np.floor(np.clip(values, -1, 1 << 30)).astype(np.int64) for values in sources(geometry))
    there = (x >= 0) & (x < plane.shape[1]) & (y >= 0) & (y < plane.shape[0])
    out = np.full((h, w), fill, plane.dtype)
    out[there] = plane[y[there], x[there]]
    return out


def covered(size: tuple[int, int], geometry: Geometry) -> np.ndarray:
    """(h, w) bool: the target pixels whose centres come from inside of a source of `size`."""
    return nearest(np.ones(size, np.uint8), geometry, 0) > 0


def smooth(pixels: np.ndarray, geometry: Geometry, fill: float = np.nan) -> np.ndarray:
    """(H, W, C) float32 -> (h, w, C) float32: one resize where that is all (area average along an axis that shrinks, bilinear along one
    that grows), else one bilinear warp, reduced by the area average first where it shrinks; `fill` where nothing is seen.

    Values at the source's edge are continued to the edge of its outermost pixels. Raises numpy.linalg.LinAlgError when the matrix is singular.
    """
    size = (pixels.shape[0], pixels.shape[1])
    if not pixels.size or not geometry.size[0] * geometry.size[1]:
        return np.full((*geometry.size, pixels.shape[2]), fill, np.float32)
    if geometry.affine and np.allclose(geometry.matrix, Geometry.resize(size, geometry.size).matrix, rtol=0, atol=1e-9):
        return resized(pixels, geometry.size)
    seen = covered(size, geometry)
    across, down = local_scales(geometry)
    fewer = (max(1, round(size[0] * down)) if down < _SHRINKS else size[0], max(1, round(size[1] * across)) if across < _SHRINKS else size[1])
    if fewer != size:
        geometry, pixels = Geometry.resize(fewer, size).then(geometry), resized(pixels, fewer)
    x, y = (np.clip(values - 0.5, -1, side).astype(np.float32) for values, side in zip(sources(geometry), pixels.shape[1::-1], strict=True))
    parts = [
        cv2.remap(np.ascontiguousarray(pixels[..., i : i + _CHANNELS]), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(*geometry.size, -1)
        for i in range(0, pixels.shape[2], _CHANNELS)
    ]
    out = np.concatenate(parts, axis=2)
    out[~seen] = fill
    return out


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
    depth = pixels.shape[2]
    fewer = (min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1]))
    for target, how in ((fewer, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if pixels.shape[:2] != target:
            pixels = cv2.resize(pixels, target[::-1], interpolation=how).reshape(*target, depth)
    return pixels
