"""What the tasks share that learn from plain photographs: a small example of real ones, and how they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from saccade.core import Dataset, Record
from saccade.tasks.classify import Pictures
from saccade.tasks.task import Size

TILE = 96
"""Pixels of a side of the windows that are learnt from: large against what the networks look at, small enough for many in a step."""


def example(images: int = 60, side: int = 64) -> Dataset:
    """Pieces of scikit-learn's two photographs (a temple, a flower; Creative Commons, 427 x 640), `images` of them, spread evenly."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    places = [(k, y, x) for k in (0, 1) for y in range(0, 427 - side, side) for x in range(0, 640 - side, side)]
    chosen = [places[i] for i in np.linspace(0, len(places) - 1, min(images, len(places))).astype(int)]
    pixels = np.stack([photographs[k][y : y + side, x : x + side] for k, y, x in chosen])
    records = tuple(Record(f"photographs#{i}", Path("photographs"), i) for i in range(len(chosen)))
    return Pictures("photographs", records, pixels, {}, f"scikit-learn photographs {len(chosen)} {side}")


def size(model: str, typical: Size) -> Size:
    """The size of the windows: nothing is scaled.

    >>> size("refine", (480, 640))
    (96, 96)
    """
    return TILE, TILE
