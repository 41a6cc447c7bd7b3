"""Selective search: about 2,000 boxes of an image that hold its objects, whatever they are (Uijlings, van de Sande, Gevers, Smeulders, IJCV 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np

from saccade.classic.graph_segmentation import ascending, pixel_edges, segments, smoothed
from saccade.classic.region_grouping import Grouping, Segments

Mode = Literal["fast", "quality"]
SIGMA = 0.8


class Strategies(NamedTuple):
    """Every space with every scale gives a segmentation, and each of those a hierarchy by every similarity.

    spaces: names of SPACES; scales: the k of the segmentation, which is also its least segment in pixels; similarities: see `region_grouping.KINDS`.
    """

    spaces: tuple[str, ...]
    scales: tuple[float, ...]
    similarities: tuple[str, ...]


MODES: dict[Mode, Strategies] = {
    "fast": Strategies(("hsv", "lab"), (50, 100), ("ctsf", "tsf")),
    "quality": Strategies(("hsv", "lab", "rgi", "hue", "grey"), (50, 100, 150, 300), ("ctsf", "tsf", "f", "s")),
}
"""The paper's own (section 5.1.3, table 5): 8 and 80 hierarchies."""


def selective_search(image: np.ndarray, *, mode: Mode | Strategies = "fast", most: int | None = 2000, seed: int = 0) -> np.ndarray:
    """(h, w, C) uint8, RGB, grey or any other channels -> (k, 4) float32 boxes x1 y1 x2 y2 in whole pixels, no two alike, the best first.

    most: the first so many. A box comes the earlier the higher it is in a hierarchy, times a random number (section 3.3); `seed` is of those numbers.
    Pictures that have not three channels are segmented by these channels as they are, at the scales of the mode.
    Raises ValueError for an unknown mode, or an image that is not (h, w, C) uint8 or has no pixels.
    """
    if image.ndim != 3 or not image.size or image.dtype != np.uint8:
        raise ValueError(f"expected an image (h, w, C) uint8 with pixels, got {image.shape} {image.dtype}")
    if isinstance(mode, str) and mode not in MODES:
        raise ValueError(f"the mode is {' or '.join(MODES)}, got {mode!r}")
    chosen = MODES[mode] if isinstance(mode, str) else mode
    chance = np.random.default_rng(seed)
    boxes, ranks = [], []
    for space in chosen.spaces if image.shape[2] == 3 else ("plain",):
        plane = in_space(image, space)
        edges = ascending(pixel_edges(smoothed(plane, SIGMA)))
        for scale in chosen.scales:
            found = Segments.of(segments(edges, image.shape[:2], scale=scale, smallest=int(scale)), plane)
            for kinds in chosen.similarities:
                own = Grouping(found, kinds).run()
                boxes.append(own)
                ranks.append(np.arange(len(own), 0, -1) * chance.random(len(own)))
    every = np.concatenate(boxes)[np.argsort(np.concatenate(ranks), kind="stable")]
    _, first = np.unique(every, axis=0, return_index=True)
    return every[np.sort(first)[:most]].astype(np.float32)


def in_space(image: np.ndarray, space: str) -> np.ndarray:
    """(h, w, C) uint8 -> (h, w, C') in [0, 255]. Raises ValueError for a name that is none of SPACES, or one that needs three channels."""
    if space not in SPACES or (space != "plain" and image.shape[2] != 3):
        raise ValueError(f"{space!r} of {image.shape[2]} channels; the spaces are {', '.join(SPACES)}, of three channels but for plain")
    if space == "plain":
        return image
    if space == "rgi":
        return _rgi(image)
    found = cv2.cvtColor(np.ascontiguousarray(image), {"hsv": cv2.COLOR_RGB2HSV_FULL, "hue": cv2.COLOR_RGB2HSV_FULL}.get(space, _CODES.get(space, 0)))
    return found[..., :1] if space == "hue" else found.reshape(*image.shape[:2], -1)


_CODES = {"lab": cv2.COLOR_RGB2LAB, "grey": cv2.COLOR_RGB2GRAY}
SPACES = ("plain", "hsv", "lab", "rgi", "hue", "grey")
"""The channels as they are; HSV; L*a*b*; the shares of red and green with the brightness; hue alone; brightness alone (table 1 of the paper)."""


def _rgi(image: np.ndarray) -> np.ndarray:
    wide = image.astype(np.float32)
    total = wide.sum(2)
    shares = wide[..., :2] / np.maximum(total, 1)[..., None] * 255
    return np.concatenate([shares, (total / 3)[..., None]], 2)


class Recall(NamedTuple):
    """found of `objects` truths; share of them; boxes: proposals an image, on average."""

    found: int
    objects: int
    boxes: float

    @property
    def share(self) -> float:
        return self.found / self.objects if self.objects else float("nan")


def recall(proposals: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, overlap: float = 0.5) -> Recall:
    """How many truths (g, 4) of each image a proposal (k, 4) overlaps by an IoU of at least `overlap`.

    >>> recall([np.array([[0, 0, 4, 4], [0, 0, 2, 2]])], [np.array([[0, 0, 4, 5], [8, 8, 9, 9]])]).share
    0.5
    """
    found = sum(int((best_overlaps(own, truth) >= overlap).sum()) for own, truth in zip(proposals, truths, strict=True))
    return Recall(found, sum(len(truth) for truth in truths), sum(len(own) for own in proposals) / max(1, len(proposals)))


def best_overlaps(proposals: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """(g,) the largest IoU of each truth with a proposal; 0 without proposals."""
    if not len(proposals) or not len(truths):
        return np.zeros(len(truths))
    a, b = proposals[None].astype(np.float64), truths[:, None].astype(np.float64)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(2)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(2) for boxes in (a, b)]
    best: np.ndarray = (shared / np.maximum(areas[0] + areas[1] - shared, 1e-12)).max(1)
    return best
