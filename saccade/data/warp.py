"""Pixels under a geometry: one call of OpenCV for a matrix, a perspective or a bend, for any number of channels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from saccade.ops.geometry import Geometry

CHANNELS = 4  # as many as OpenCV takes a border value for


def centred(matrix: np.ndarray) -> np.ndarray:
    """(..., 2 or 3, 3) matrices on continuous coordinates (pixel i covers [i, i+1]) as ones on pixel indices, which OpenCV takes."""
    if matrix.shape[-2] == 3:
        half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        return np.linalg.inv(half) @ matrix @ half
    moved = matrix.copy()
    moved[..., 2] += 0.5 * matrix[..., :2].sum(-1) - 0.5
    return moved


def scales(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long a step of one source pixel along x, and along y, becomes under (..., 2, 3) matrices."""
    lengths = np.sqrt((matrices[..., :2] ** 2).sum(-2))
    return lengths[..., 0], lengths[..., 1]


def local_scales(geometry: Geometry) -> tuple[float, float]:
    """The same where the middle of the target comes from: under a perspective the scale differs from place to place."""
    if len(geometry.matrix) == 2:
        across, down = scales(geometry.matrix)
        return float(across), float(down)
    middle = np.array([[geometry.size[1] / 2, geometry.size[0] / 2]])
    inverse = Geometry(geometry.matrix, geometry.size).back(middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    steps = np.linalg.inv((inverse[1:] - inverse[0]).T)
    across, down = scales(np.concatenate([steps, np.zeros((2, 1))], 1))
    return float(across), float(down)


def moved(pixels: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int, fill: float) -> np.ndarray:
    """(H, W, C) -> (*size, C): one bilinear warp by a matrix on pixel indices (see `centred`), affine (2, 3) or projective (3, 3).

    fill: what stands outside when the border is BORDER_CONSTANT, in the pixels' own unit.
    """
    call = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
    return grouped(lambda part: call(part, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,) * 4), pixels, size)


def bent(pixels: np.ndarray, geometry: Geometry, border: int, fill: float) -> np.ndarray:
    """(H, W, C) -> (*geometry.size, C): one bilinear sampling at the places that every target pixel's centre comes from."""
    size = geometry.size
    x, y = sources(geometry)
    indices = (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
    return grouped(lambda part: cv2.remap(part, *indices, cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,) * 4), pixels, size)


def sources(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Two (h, w) float64 arrays: the source x and y (continuous) of the centre of every target pixel; far outside where nothing is seen."""
    h, w = geometry.size
    x, y = np.broadcast_arrays((np.arange(w) + 0.5)[None], (np.arange(h) + 0.5)[:, None])
    if geometry.bend is not None:
        rows, columns = (_weights(n, cells) for n, cells in zip((h, w), geometry.bend.shape[:2], strict=True))
        x = x + rows @ geometry.bend[..., 0] @ columns.T
        y = y + rows @ geometry.bend[..., 1] @ columns.T
    inverse = np.linalg.inv(geometry.square)
    depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
    depth = np.where(depth > 1e-9, depth, np.nan)
    found = [(inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2]) / depth for i in (0, 1)]
    return np.nan_to_num(found[0], nan=-1e6), np.nan_to_num(found[1], nan=-1e6)


def _weights(n: int, cells: int) -> np.ndarray:
    """(n, cells): the weight of each grid point, corners at 0 and n, at the centres of n pixels."""
    at = (np.arange(n) + 0.5) / n * (cells - 1)
    return np.clip(1 - np.abs(at[:, None] - np.arange(cells)[None]), 0, None)


def grouped(call: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What a call of OpenCV makes of (H, W, C) pixels, (*size, C), four channels at a time."""
    depth = pixels.shape[2]
    if depth <= CHANNELS:
        return call(pixels).reshape(*size, depth)
    parts = [call(np.ascontiguousarray(pixels[..., i : i + CHANNELS])).reshape(*size, -1) for i in range(0, depth, CHANNELS)]
    return np.concatenate(parts, axis=2)
