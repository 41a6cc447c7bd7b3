"""Sheets of small pictures: what many pictures look like at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.ops.resample import resized

Picture = np.ndarray[Any, Any]
GAP = 2


def picture_of(values: Picture) -> Picture:
    """(C, h, w) numbers in [0, 1] -> (h, w, 3) uint8: three channels as colours, any other number by the first as grey; what is not known is mid-grey."""
    planes = values if values.shape[0] == 3 else np.repeat(values[:1], 3, axis=0)
    levels: Picture = (np.nan_to_num(planes.astype(np.float32), nan=0.5).clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return levels


def fitted(picture: Picture, side: int, *, fill: int = 255) -> Picture:
    """(h, w, 3) uint8 -> (side, side, 3): as large as it can be, in the middle; small ones grow by whole factors, so that pixels stay squares."""
    h, w = picture.shape[:2]
    scale = side / max(h, w)
    if scale >= 2:
        picture = picture.repeat(int(scale), 0).repeat(int(scale), 1)
    elif scale < 1:
        picture = resized(np.ascontiguousarray(picture), (max(1, round(h * scale)), max(1, round(w * scale))))
    h, w = picture.shape[:2]
    canvas = np.full((side, side, 3), fill, np.uint8)
    top, left = (side - h) // 2, (side - w) // 2
    canvas[top : top + h, left : left + w] = picture
    return canvas


def sheet(pictures: Sequence[Picture], *, columns: int, side: int) -> Picture:
    """(h, w, 3) uint8 pictures of any sizes -> one picture of rows of `columns` squares of `side` pixels with white lines between.

    >>> sheet([np.zeros((8, 8, 3), np.uint8)] * 3, columns=2, side=16).shape
    (38, 38, 3)
    """
    if not pictures:
        raise ValueError("a sheet needs a picture")
    tiles = [np.pad(fitted(picture, side), ((GAP, 0), (GAP, 0), (0, 0)), constant_values=255) for picture in pictures]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return np.pad(np.concatenate(rows), ((0, GAP), (0, GAP), (0, 0)), constant_values=255)
