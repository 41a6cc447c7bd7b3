"""What augmentation does to values once every pixel is in its place: colour, gamma, blur, noise, JPEG, cut-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from saccade.data.augment import Draws

MATRIX = 4  # channels that OpenCV takes a matrix for
BLOCK = 100_000  # values of a block of lines, 400 kB
NOISE, SCALE = 0, 1  # streams of random numbers of one image


def chance(seed: int, epoch: int, place: int, stream: int = NOISE) -> np.random.Generator:
    """Random numbers of one image in one epoch, in any thread: a counter-based generator with its own key."""
    key = np.array([((seed << 32) + epoch) % 2**64, place], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, stream]))


def coloured(pixels: np.ndarray, colours: np.ndarray, white: float, out: np.ndarray, *, last: bool = False) -> None:
    """(h, w, C) pixels with their `white` value under a (C, C+1) float32 matrix on [0, 1] values, written to `out` (h, w, C) float32.

    last: nothing comes after it, so the values are brought back into [0, 1]. More than four channels are scaled one by one. It is done
    in blocks of lines that stay in the processor's cache.
    """
    height, width, depth = pixels.shape
    if depth <= MATRIX:
        colours = colours.copy()
        colours[:, :-1] /= white
    lines = max(1, BLOCK // (width * depth))
    block = np.empty((min(lines, height), width, depth), np.float32) if 1 < depth <= MATRIX else None
    for top in range(0, height, lines):
        source, goal = pixels[top : top + lines], out[top : top + lines]
        if block is not None:
            floats = block[: len(source)]
            np.copyto(floats, source, casting="unsafe")
            cv2.transform(floats, colours, dst=goal)
        elif depth == 1:
            np.multiply(source, colours[0, 0], out=goal, dtype=np.float32, casting="unsafe")
            goal += colours[0, 1]
        else:
            np.multiply(source, np.diagonal(colours) / np.float32(white), out=goal, dtype=np.float32, casting="unsafe")
            goal += colours[:, -1]
        if last:
            np.clip(goal, 0, 1, out=goal)


def unfinished(drawn: Draws) -> np.ndarray:
    """(n,) bool: for which images something comes after the colours."""
    cut = drawn.boxes[:, 2] > drawn.boxes[:, 0]
    return cut | (drawn.gamma != 1) | (drawn.blur > 0) | (drawn.motion[:, 0] > 0) | (drawn.noise != 0) | (drawn.jpeg > 0)


def finish(out: np.ndarray, drawn: Draws, seed: int, epoch: int, places: np.ndarray, extents: Sequence[tuple[int, int]] | None = None) -> None:
    """(n, h, w, C) float32 inputs, in place: exponents, blurs, noise, JPEG, rectangles filled with the image's mean; then these back into [0, 1].

    extents: (h, w) at the top left that each picture has, all of it when not given; what is beyond is neither read nor of use.
    """
    views = list(out) if extents is None else [picture[:h, :w] for picture, (h, w) in zip(out, extents, strict=True)]
    for i in np.flatnonzero(drawn.gamma != 1):
        views[i][:] = np.power(np.clip(views[i], 0, 1), np.float32(drawn.gamma[i]))
    for i in np.flatnonzero(drawn.blur):
        views[i][:] = gaussian(views[i], float(drawn.blur[i]))
    for i in np.flatnonzero(drawn.motion[:, 0]):
        views[i][:] = stroked(views[i], *drawn.motion[i])
    for i in np.flatnonzero(drawn.noise):
        views[i] += chance(seed, epoch, places[i]).standard_normal(views[i].shape, np.float32) * np.float32(drawn.noise[i])
    for i in np.flatnonzero(drawn.jpeg):
        views[i][:] = compressed(views[i], int(drawn.jpeg[i]))
    for i in np.flatnonzero(drawn.boxes[:, 2] > drawn.boxes[:, 0]):
        h, w = views[i].shape[:2]
        x0, y0, x1, y1 = np.round(drawn.boxes[i] * (w, h, w, h)).astype(int)
        views[i][y0:y1, x0:x1] = views[i].mean((0, 1))
    for i in np.flatnonzero(unfinished(drawn)):
        np.clip(views[i], 0, 1, out=views[i])


def gaussian(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w, C) float32 under a Gaussian of a standard deviation in pixels; the picture is mirrored beyond its edge."""
    return cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).reshape(pixels.shape)


def stroked(pixels: np.ndarray, length: float, angle: float) -> np.ndarray:
    """(h, w, C) float32 averaged along a straight stroke of a length in pixels, centred, at an angle in radians: a moving camera."""
    side = 2 * int(np.ceil(length / 2)) + 1
    steps = np.linspace(-length / 2, length / 2, 8 * side)
    kernel = np.zeros((side, side))
    x, y = side // 2 + steps * np.cos(angle), side // 2 + steps * np.sin(angle)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1 - np.abs(x - x0 - dx)) * (1 - np.abs(y - y0 - dy))
        np.add.at(kernel, (np.clip(y0 + dy, 0, side - 1), np.clip(x0 + dx, 0, side - 1)), weight)
    blurred = cv2.filter2D(np.ascontiguousarray(pixels), cv2.CV_32F, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return blurred.reshape(pixels.shape)


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """(h, w, C) float32 in [0, 1] after JPEG of a quality 1..100; three channels as colour, others one by one."""
    eight = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    depth = pixels.shape[2]
    parts = [eight[..., ::-1]] if depth == 3 else [eight[..., i] for i in range(depth)]
    done: list[Any] = []
    for part in parts:
        _, data = cv2.imencode(".jpg", np.ascontiguousarray(part), [cv2.IMWRITE_JPEG_QUALITY, quality])
        done.append(cv2.imdecode(data, cv2.IMREAD_COLOR if depth == 3 else cv2.IMREAD_GRAYSCALE))
    whole = done[0][..., ::-1] if depth == 3 else np.stack(done, -1)
    return whole.astype(np.float32) / np.float32(255)
