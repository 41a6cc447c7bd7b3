"""Pictures of a data set with their truths drawn: single cells, and the contact sheet of many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.stratify import classes_of
from saccade.errors import DataError
from saccade.ops.geometry import Geometry
from saccade.ops.resample import resized
from saccade.targets import Boxes, Instances
from saccade.targets.paint import Canvas, colour_of, name_of, of_palette

GAP = 6  # pixels between cells
_NAMED = 6  # objects of an image whose names are written; more would hide the picture
_TALLEST = 1.6  # of the side: a cell with what is written below it
_WORDS = ("label", "labels", "number", "caption", "tags")  # heads that are written below, after what is drawn into the picture
_GREY = 128


def contact_sheet(dataset: ImageDataset, places: Sequence[int], *, side: int = 160, columns: int = 8) -> np.ndarray:
    """(H, W, 3) uint8: the records at these places, `columns` in a row, each at most `side` pixels long, with its truths drawn; white between.

    What cannot be read is a grey cell. Raises ValueError without places.
    """
    return joined([cell(dataset, i, side) for i in places], side=side, columns=columns)


def joined(cells: Sequence[np.ndarray | None], *, side: int = 160, columns: int = 8) -> np.ndarray:
    """Cells at most `side` wide as one picture (H, W, 3) uint8, grey for None. Raises ValueError without cells."""
    if not len(cells):
        raise ValueError("a contact sheet needs at least one cell, got none")
    empty = np.full((side, side, 3), _GREY, np.uint8)
    rows = [[empty if one is None else one for one in cells[first : first + columns]] for first in range(0, len(cells), columns)]
    width = columns * (side + GAP) + GAP
    bands = []
    for row in rows:
        band = np.full((max(one.shape[0] for one in row) + GAP, width, 3), 255, np.uint8)
        for k, one in enumerate(row):
            left = GAP + k * (side + GAP) + (side - one.shape[1]) // 2
            band[GAP : GAP + one.shape[0], left : left + one.shape[1]] = one
        bands.append(band)
    return np.concatenate([*bands, np.full((GAP, width, 3), 255, np.uint8)])


def cell(dataset: ImageDataset, place: int, side: int = 160) -> np.ndarray | None:
    """(h, w, 3) uint8 of one record, its picture at most `side` pixels long, with its truths drawn; None when the picture cannot be read.

    A truth that cannot be loaded or does not fit its picture is left out: the check names it.
    """
    try:
        whole = dataset.size(place)
        pixels = dataset.read(place, size=(side, side))
    except (DataError, OSError, KeyError):
        return None
    pixels = _shown(pixels)
    scale = side / max(whole)
    size = max(1, round(whole[0] * scale)), max(1, round(whole[1] * scale))
    drawn = np.ascontiguousarray(_three(resized(pixels, size)))
    try:
        truth = {head: target for head, target in dataset.truth(place).items() if target is not None}
    except DataError:
        truth = {}
    below = []  # what each truth writes under the picture; the next one is drawn on the picture alone
    for head in sorted(_told(truth), key=lambda head: head in _WORDS):
        try:
            after = _drawn(truth[head], drawn, whole, size, dataset.spaces.get(head, LabelSpace(())))
        except (ValueError, DataError):
            continue
        drawn = np.ascontiguousarray(after[: size[0]])
        below.append(after[size[0] :])
    return np.concatenate([drawn, *below])[: int(_TALLEST * side)]


def _told(truth: Mapping[str, Any]) -> list[str]:
    """The heads to draw: boxes are not drawn again where masks, key points or graphs have the same."""
    others = [own for head, own in truth.items() if head in ("instances", "keypoints", "graph") and len(own) == len(truth.get("boxes", ()))]
    return [head for head in truth if head != "boxes" or not others]


def _drawn(target: Any, image: np.ndarray, whole: tuple[int, int], size: tuple[int, int], space: LabelSpace) -> np.ndarray:
    """The truth of a picture of size `whole`, drawn on it at `size`."""
    if type(target).__name__ != "ImageTarget":  # a second picture may have a size of its own, and is drawn below
        target = target.warp(Geometry.resize(whole, size))
    if isinstance(target, Boxes | Instances) and (len(target) > _NAMED or len(space) < 2):  # one class needs no name
        return _crowd(target, image, space)
    drawn: np.ndarray = target.draw(image, space)
    return drawn


def _crowd(target: Boxes | Instances, image: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Many objects with each class named once below; masks without boxes, of one class in different colours, so that neighbours can be told apart."""
    canvas = Canvas(image)
    classes = (target if isinstance(target, Boxes) else target.boxes).classes.tolist()
    for row, index in enumerate(classes):
        if isinstance(target, Boxes):
            corners = target.xyxy[row].numpy()[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
            canvas.polyline(corners, colour_of(space, index), closed=True, dashed=target.crowd is not None and bool(target.crowd[row]))
        else:
            canvas.mask(target.mask(row), of_palette(row) if len(space) < 2 else colour_of(space, index))
    if len(space) > 1:
        canvas.legend((colour_of(space, index), name_of(space, index)) for index in sorted(set(classes)))
    return canvas.finish()


def _shown(pixels: np.ndarray) -> np.ndarray:
    """What is shown of a sequence: the first frame of (T, H, W, C); features (T, D) between their extremes, as a picture."""
    if pixels.ndim == 2:
        low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
        return ((pixels - low) / max(high - low, 1e-9))[..., None].astype(np.float32)
    first: np.ndarray = pixels[0] if pixels.ndim == 4 else pixels
    return first


def _three(pixels: np.ndarray) -> np.ndarray:
    """(h, w, C) uint8 or float in [0, 1] -> (h, w, 3) uint8; more than three channels show their mean."""
    if pixels.shape[2] != 3:
        pixels = np.repeat(pixels[..., :1] if pixels.shape[2] < 3 else pixels.mean(2, keepdims=True), 3, axis=2)
    return pixels if pixels.dtype == np.uint8 else np.round(np.nan_to_num(pixels).clip(0, 1) * 255).astype(np.uint8)


def spread_places(dataset: ImageDataset, n: int = 48) -> list[int]:
    """At most n places that show every class, as evenly as there are: one of each class in turn, the rarest first, spread over the set."""
    holders: dict[Hashable, list[int]] = defaultdict(list)
    for i, own in enumerate(classes_of(dataset)):
        for k in own or ("none",):
            holders[k].append(i)
    order = sorted(holders, key=lambda k: (len(holders[k]), str(k)))
    waiting = {k: [holders[k][j] for j in _scattered(len(holders[k]))] for k in order}
    chosen: dict[int, None] = {}
    while len(chosen) < min(n, len(dataset)) and any(waiting.values()):
        for k in order:
            while waiting[k] and (place := waiting[k].pop(0)) in chosen:
                pass
            if len(holders[k]) and place not in chosen and len(chosen) < n:
                chosen[place] = None
    return list(chosen)


def _scattered(n: int) -> list[int]:
    """0..n-1 in an order whose every beginning is spread over the whole: by the reversed bits of the numbers.

    >>> _scattered(6)
    [0, 4, 2, 1, 5, 3]
    """
    bits = max(1, (n - 1).bit_length())
    return sorted(range(n), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
