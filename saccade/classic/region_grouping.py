"""Hierarchical grouping of segments by how alike they are: colour, texture, size, fill (Uijlings et al., "Selective search for object recognition", 2013)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

COLOUR_BINS, ORIENTATIONS, TEXTURE_BINS = 25, 8, 10
KINDS = "ctsf"
"""Colour, texture, size, fill: the letters of a similarity, which is the sum of those that are named."""


class Segments(NamedTuple):
    """What is known of n segments. boxes: (n, 4) int32 x1 y1 x2 y2; sizes: (n,) pixels; colours: (n, 25 C) and textures: (n, 80 C) histograms that sum
    to 1; pairs: (m, 2), those that touch; area: pixels of the image."""

    boxes: np.ndarray
    sizes: np.ndarray
    colours: np.ndarray
    textures: np.ndarray
    pairs: np.ndarray
    area: int

    @classmethod
    def of(cls, labels: np.ndarray, image: np.ndarray) -> Segments:
        """labels: (h, w) 0..n-1, each of them there; image: (h, w, C) in [0, 255]."""
        count = int(labels.max()) + 1
        sizes = np.bincount(labels.ravel(), minlength=count)
        colours, textures = colour_histograms(image, labels, count), texture_histograms(image, labels, count)
        return cls(boxes_around(labels, count), sizes, colours, textures, touching(labels), labels.size)


def boxes_around(labels: np.ndarray, count: int) -> np.ndarray:
    """(h, w) -> (count, 4) int32 x1 y1 x2 y2 of the pixels of each number, the far sides beyond the last pixel."""
    height, width = labels.shape
    flat = labels.ravel()
    rows = np.repeat(np.arange(height, dtype=np.int32), width)
    boxes = np.empty((count, 4), np.int32)
    boxes[flat, 3] = rows + 1  # row by row, the last one stays
    boxes[flat[::-1], 1] = rows[::-1]
    down = labels.T.ravel()
    along = np.repeat(np.arange(width, dtype=np.int32), height)
    boxes[down, 2] = along + 1
    boxes[down[::-1], 0] = along[::-1]
    return boxes


def touching(labels: np.ndarray) -> np.ndarray:
    """(h, w) -> (m, 2) pairs of different numbers side by side or below one another, each once, the smaller first."""
    pairs = [np.stack([labels[one].ravel(), labels[other].ravel()], 1) for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))]
    every = np.concatenate(pairs)
    every = np.sort(every[every[:, 0] != every[:, 1]], 1).astype(np.int64)
    count = int(labels.max()) + 1
    keys = np.unique(every[:, 0] * count + every[:, 1])
    return np.stack([keys // count, keys % count], 1)


def colour_histograms(image: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(h, w, C) in [0, 255] -> (count, 25 C) float32: of each channel 25 equal bins; rows sum to 1 (section 3.2, eq. 1)."""
    place = np.minimum(image.astype(np.float32) * (COLOUR_BINS / 256), COLOUR_BINS - 1).astype(np.int32)
    return _histograms(np.moveaxis(place, 2, 0), labels, count, COLOUR_BINS)


def texture_histograms(image: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(h, w, C) -> (count, 80 C) float32: Gaussian derivatives (sigma 1) in eight directions of each channel, their positive parts in ten bins.

    Section 3.2, eq. 3. A derivative in any direction is a sum of those along the axes. Bins are equal up to the largest one of the image and channel;
    the paper does not say up to where. Rows sum to 1.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
    places = []
    for plane in np.moveaxis(smooth, 2, 0):
        padded = np.pad(plane, 1, mode="edge")
        down, along = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
        half = [math.cos(t) * along + math.sin(t) * down for t in np.arange(ORIENTATIONS // 2) * (2 * math.pi / ORIENTATIONS)]
        factor = TEXTURE_BINS / max(1e-6, *(float(np.abs(steep).max()) for steep in half))
        for steep in (*half, *(-steep for steep in half)):
            places.append(np.clip(steep * factor, 0, TEXTURE_BINS - 1).astype(np.uint8))
    return _histograms(places, labels, count, TEXTURE_BINS)


def _histograms(places: Iterable[np.ndarray], labels: np.ndarray, count: int, bins: int) -> np.ndarray:
    """F maps (h, w) of bin numbers -> (count, F bins) float32 whose rows sum to 1."""
    base = labels.ravel().astype(np.intp) * bins
    columns = [np.bincount(base + place.ravel(), minlength=count * bins).reshape(count, bins) for place in places]
    found = np.concatenate(columns, 1).astype(np.float32)
    return found / found.sum(1, keepdims=True)


class Grouping:
    """One hierarchy: the two neighbours that are most alike become one, until there is one. Algorithm 1 of the paper.

    kinds: letters of KINDS. What a new region is made of follows from its two parts alone (section 3.2): histograms are their means by size.
    """

    def __init__(self, segments: Segments, kinds: str) -> None:
        if not kinds or set(kinds) - set(KINDS):
            raise ValueError(f"a similarity is made of the letters {KINDS}, got {kinds!r}")
        self.kinds, self.area, self.count = kinds, segments.area, len(segments.sizes)
        room = 2 * self.count - 1
        self.boxes, self.sizes = np.empty((room, 4), np.int32), np.empty(room, np.float32)
        histograms = [h for letter, h in (("c", segments.colours), ("t", segments.textures)) if letter in kinds]
        own = np.concatenate(histograms, 1) if histograms else np.zeros((self.count, 0), np.float32)
        self.histograms = np.empty((room, own.shape[1]), np.float32)
        self.boxes[: self.count], self.sizes[: self.count], self.histograms[: self.count] = segments.boxes, segments.sizes, own
        self.pairs = segments.pairs

    def similar(self, one: np.ndarray | int, others: np.ndarray) -> np.ndarray:
        """(k,) the similarity of regions, eq. 2 to 6: shared histograms, the share of the image that both leave, and that they leave in their common box."""
        found = np.minimum(self.histograms[one], self.histograms[others]).sum(1)
        both = self.sizes[one] + self.sizes[others]
        if "s" in self.kinds:
            found = found + 1 - both / self.area
        if "f" in self.kinds:
            a, b = self.boxes[one], self.boxes[others]
            sides = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
            found = found + 1 - (sides[..., 0] * sides[..., 1].astype(np.float32) - both) / self.area
        return found

    def run(self) -> np.ndarray:
        """(2 n - 1, 4) int32: the boxes of all regions, segments first, then in the order in which they came to be."""
        near: list[set[int]] = [set() for _ in range(2 * self.count - 1)]
        for a, b in self.pairs.tolist():
            near[a].add(b)
            near[b].add(a)
        first, second = self.pairs[:, 0], self.pairs[:, 1]
        queue = list(zip((-self.similar(first, second)).tolist(), first.tolist(), second.tolist(), strict=True))
        heapq.heapify(queue)
        alive = [True] * self.count + [False] * (self.count - 1)
        new = self.count
        while queue:
            _, a, b = heapq.heappop(queue)
            if not (alive[a] and alive[b]):
                continue
            self._merge(a, b, new)
            alive[a] = alive[b] = False
            alive[new] = True
            around = sorted((near[a] | near[b]) - {a, b})
            for other in around:
                near[other] -= {a, b}
                near[other].add(new)
            near[new] = set(around)
            if around:
                for alike, other in zip(self.similar(new, np.array(around)).tolist(), around, strict=True):
                    heapq.heappush(queue, (-alike, other, new))
            new += 1
        return self.boxes[:new]

    def _merge(self, a: int, b: int, new: int) -> None:
        total = self.sizes[a] + self.sizes[b]
        self.histograms[new] = (self.sizes[a] * self.histograms[a] + self.sizes[b] * self.histograms[b]) / total
        self.sizes[new] = total
        self.boxes[new, :2] = np.minimum(self.boxes[a, :2], self.boxes[b, :2])
        self.boxes[new, 2:] = np.maximum(self.boxes[a, 2:], self.boxes[b, 2:])
