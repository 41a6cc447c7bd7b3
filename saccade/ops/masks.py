"""Masks as run lengths and as polygons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Runs:
    """A mask as run lengths, column by column (COCO): `counts` alternate between unset and set pixels, beginning with unset.

    size: (h, w). counts: int64, none below 0, adding up to h * w.
    """

    size: tuple[int, int]
    counts: np.ndarray


@dataclass(frozen=True)
class Polygons:
    """A mask as outlines: the union of its rings. size: (h, w) of the image. rings: (m, 2) float64 points (x, y) each, m >= 3, not closed."""

    size: tuple[int, int]
    rings: tuple[np.ndarray, ...]
