"""Small pictures for the report: decoded by the one reader and encoded anew, so that no EXIF or GPS travels along."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.image import read_image
from saccade.data.open import open_dataset
from saccade.errors import DataError

SIDE = 144


def thumbnail(path: Path, index: int | None = None, side: int = SIDE) -> bytes | None:
    """A JPEG of at most side x side, or None when the picture cannot be read any more.

    index: the picture's place in an IDX file.
    """
    try:
        pixels = read_image(path, channels=3, at_least=(side, side)).pixels if index is None else _from_idx(path, index)
    except (DataError, OSError, KeyError):
        return None
    if pixels.dtype != np.uint8:
        pixels = (pixels * 255).round().clip(0, 255).astype(np.uint8)
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    if small.ndim == 2 or small.shape[2] == 1:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return bytes(data)


def _from_idx(path: Path, index: int) -> np.ndarray:
    dataset, places = _opened(path.parent)
    return dataset.read(places[path.name, index])


@cache
def _opened(folder: Path) -> tuple[ImageDataset, dict[tuple[str, int | None], int]]:
    dataset = open_dataset(folder)
    return dataset, {(r.path.name, r.index): i for i, r in enumerate(dataset.records)}
