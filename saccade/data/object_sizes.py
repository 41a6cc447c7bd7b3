"""How large objects are at the size of an input, and what shows them larger where a network would hardly see them."""

from __future__ import annotations

import math

import numpy as np

DETECTOR_SIDE = 320
"""Pixels of the longer side of a detector's input where nothing is said; images are shrunk to it and never enlarged."""
SMALL = 10.0
"""Pixels of the input, as the root of a box's area: where a quarter of the objects are smaller, it is told."""
WANTED = 16.0
"""Pixels of the input that what is advised gives them: two cells of a map of stride 8."""
STEP = 32


def sides(boxes: np.ndarray) -> np.ndarray:
    """(n,) roots of the areas of (n, 4) boxes xyxy."""
    found: np.ndarray = np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))
    return found


def advice(side: float, scale: float, size: tuple[int, int]) -> str:
    """Options that show objects of `side` pixels of an input of `size` (h, w) at WANTED pixels.

    scale: pixels of the input for each pixel of the image, or of the window where there are windows.

    >>> advice(7.0, 0.5, (256, 320)), advice(5.0, 1.0, (256, 320))
    ('--tile 256 --size 320 or --size 608,736', '--tile 96 --size 320 or --size 832,1024')
    >>> advice(8.0, 1 / 6, (192, 320))
    '--tile 960 or --size 384,640'
    """
    factor = WANTED / side
    window = max(STEP, math.floor(max(size) / (scale * factor) / STEP) * STEP)
    enlarged = f" --size {max(size)}" if window < max(size) else ""
    larger = [math.ceil(length * factor / STEP) * STEP for length in size]
    return f"--tile {window}{enlarged} or --size {larger[0]},{larger[1]}"


def warning(at_input: np.ndarray, scale: float, size: tuple[int, int]) -> str:
    """One sentence where a quarter of the objects (n,) are below SMALL pixels of an input of `size` (h, w); "" where they are not, or there are none.

    >>> warning(np.array([5.0, 6.0, 8.0, 30.0]), 1 / 6, (192, 320))
    'a quarter of your objects are below 6 px at this input size (192x320); --tile 672 or --size 544,896 shows them at 16 px'
    """
    side = float(np.percentile(at_input, 25)) if len(at_input) else SMALL
    if side >= SMALL:
        return ""
    side = max(side, 1.0)
    return (
        f"a quarter of your objects are below {side:.0f} px at this input size ({size[0]}x{size[1]}); {advice(side, scale, size)} shows them at {WANTED:.0f} px"
    )
