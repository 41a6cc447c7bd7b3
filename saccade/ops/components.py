"""Objects in a map of classes: connected pixels, pulled apart where they touch, matched and measured."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MOST = 1 << 24
"""Objects of one plane: their numbers are held as float32 while they grow."""
DEPTH = 0.2
"""Pixels by which an object's two halves must be thicker than the waist between them to be two objects."""
LEVELS = 32
"""Steps in which a relief is flooded."""


class Measured(NamedTuple):
    """Of each object 1..n a row: area (n,) pixels; box (n, 4) xyxy; centre (n, 2) x, y; length and width (n,): the sides of the smallest turned
    rectangle around its pixels; perimeter (n,): the length of its outer outlines through the pixels' centres."""

    area: np.ndarray
    box: np.ndarray
    centre: np.ndarray
    length: np.ndarray
    width: np.ndarray
    perimeter: np.ndarray


def components(classes: np.ndarray, background: int | None = None, ignored: int | None = 255) -> np.ndarray:
    """(h, w) class ids -> (h, w) int32 object numbers from 1: pixels of one class that touch, corners included (8-connected); 0 for background and ignored.

    Numbers go by class, then by the first pixel row by row.

    >>> components(np.array([[1, 0, 1], [1, 0, 2]], np.uint8), background=0).tolist()
    [[1, 0, 2], [1, 0, 3]]
    """
    found = np.zeros(classes.shape, np.int32)
    count = 0
    for k in np.unique(classes).tolist():
        if k in (background, ignored):
            continue
        n, ids = cv2.connectedComponents((classes == k).astype(np.uint8), connectivity=8)
        found = np.where(ids > 0, ids + count, found)
        count += n - 1
    return found


def grown(seeds: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Object numbers (h, w) int32 grown, a pixel at a time to all eight sides, into the pixels `inside` (h, w) bool that have none; where two
    objects meet the larger number wins the tie. Raises ValueError from MOST objects on."""
    if seeds.size and seeds.max() >= MOST:
        raise ValueError(f"{int(seeds.max())} objects, expected fewer than {MOST}")
    ids, around = np.where(inside, seeds, 0).astype(np.float32), np.ones((3, 3), np.uint8)
    while True:
        free = inside & (ids == 0)
        spread = np.where(free, cv2.dilate(ids, around, borderType=cv2.BORDER_CONSTANT, borderValue=0), 0.0)
        if not spread.any():
            return ids.astype(np.int32)
        ids += spread


def summits(height: np.ndarray, depth: float) -> np.ndarray:
    """Numbers (h, w) int32 from 1 of the summits of a relief (h, w), not negative, that stand by `depth` above the pass to any higher one; 0 elsewhere.

    The regions of the h-dome transform whose dome is `depth` high: Vincent, "Morphological grayscale reconstruction in image analysis", IEEE TIP 1993,
    section IV. What is 0 is no part of one.
    """
    height, around = height.astype(np.float32), np.ones((3, 3), np.uint8)
    level = height - np.float32(depth)
    while True:
        risen = np.minimum(cv2.dilate(level, around), height)
        if np.array_equal(risen, level):
            break
        level = risen
    domes = height - level
    _, ids = cv2.connectedComponents(((domes > 1e-4 * depth) & (height > 0)).astype(np.uint8), connectivity=8)
    tall = np.zeros(int(ids.max(initial=0)) + 1, bool)
    tall[ids[domes >= (1 - 1e-4) * depth]] = True
    tall[0] = False
    number = np.where(tall, np.cumsum(tall), 0).astype(np.int32)
    found: np.ndarray = number[ids]
    return found


def flooded(seeds: np.ndarray, height: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Object numbers (h, w) int32 grown into the pixels `inside` from the highest down, LEVELS steps of the relief: a watershed of it."""
    top = float(height[inside].max(initial=0.0))
    for level in np.linspace(top, 0.0, LEVELS, endpoint=False)[1:]:
        seeds = grown(seeds, (inside & (height >= level)) | (seeds > 0))
    return grown(seeds, inside)


def separated(
    classes: np.ndarray, edges: np.ndarray | None, background: int | None = None, *, threshold: float = 0.5, depth: float = DEPTH, least: int = 1
) -> np.ndarray:
    """(h, w) class ids and probabilities of lying where objects meet -> object numbers (h, w) int32 from 1.

    What is no edge is divided where it is narrow: at the passes of its smoothed distance from what it is not, where both sides rise by `depth` pixels
    (Vincent and Soille, "Watersheds in digital spaces", IEEE PAMI 1991). Parts are grown back into the edges of their class; a component that is all
    edge stays one object. A part of fewer than `least` pixels is no object of its own: it goes to its neighbours, or out where it has none. edges None:
    the components as they are.
    """
    if edges is None:
        return _numbered(components(classes, background), least)
    found = np.zeros(classes.shape, np.int32)
    for k in np.unique(classes).tolist():
        if k in (background, 255):
            continue
        inside = classes == k
        core = inside & (edges < threshold)
        height = cv2.GaussianBlur(cv2.distanceTransform(core.astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 1.0) * core
        parts = flooded(summits(height, depth), height, core)
        low = components(np.where(core & (parts == 0), 1, 0).astype(np.uint8), 0)  # too thin to have a summit
        parts = _numbered(np.where(low > 0, low + parts.max(initial=0), parts), least)
        found = np.where(inside, grown(np.where(parts > 0, parts + found.max(initial=0), 0).astype(np.int32), inside), found)
    left = components(np.where(found > 0, 255, classes).astype(np.uint8), background)
    return _numbered(np.where(left > 0, left + found.max(initial=0), found), least)


def _numbered(ids: np.ndarray, least: int) -> np.ndarray:
    """Numbers without gaps, in their order, of the objects that have `least` pixels."""
    counts = np.bincount(ids.ravel())
    kept = counts >= max(1, least)
    kept[:1] = False
    number = np.zeros(len(counts), np.int32)
    number[kept] = np.arange(1, int(kept.sum()) + 1)
    renumbered: np.ndarray = number[ids]
    return renumbered


def touching(objects: Tensor, radius: int = 2) -> Tensor:
    """(N, h, w) object numbers, 0 for none -> (N, h, w) bool: within `radius` pixels (to all sides, a square) of two different objects.

    The line between objects that touch, and the gap between those that nearly do: what Ronneberger et al. 2015 (eq. 2) weigh up, as a class.
    """
    ids = objects.to(torch.float32)[:, None]
    side = 2 * radius + 1
    highest = F.max_pool2d(ids, side, 1, radius)
    lowest = -F.max_pool2d(torch.where(ids > 0, -ids, -torch.inf), side, 1, radius)
    return ((highest > 0) & (highest != lowest))[:, 0]


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a, b) IoU of the objects 1..a of one plane with the objects 1..b of another of the same shape."""
    a, b = int(first.max(initial=0)), int(second.max(initial=0))
    both = np.bincount((first.astype(np.int64) * (b + 1) + second).ravel(), minlength=(a + 1) * (b + 1)).reshape(a + 1, b + 1)
    union = both.sum(1)[1:, None] + both.sum(0)[None, 1:] - both[1:, 1:]
    shares: np.ndarray = both[1:, 1:] / np.maximum(union, 1)
    return shares


def matched(truth: np.ndarray, answer: np.ndarray, threshold: float = 0.5) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of objects that match where their IoU is above `threshold` (at least 0.5, from where on
    every object has at most one match)."""
    if threshold < 0.5:
        raise ValueError(f"the threshold must be at least 0.5, so that matches are unique, got {threshold}")
    hits = int((overlaps(truth, answer) > threshold).sum())
    return hits, int(answer.max(initial=0)) - hits, int(truth.max(initial=0)) - hits


def measured(ids: np.ndarray) -> Measured:
    """Object numbers (h, w) from 1 without gaps -> their measures, in pixels."""
    from scipy.ndimage import find_objects

    parts = find_objects(ids)
    n = len(parts)
    area, box, centre, sides, perimeter = np.zeros(n, np.int64), np.zeros((n, 4)), np.zeros((n, 2)), np.zeros((n, 2)), np.zeros(n)
    for i, (down, across) in enumerate(parts):
        patch = ids[down, across] == i + 1
        area[i], at_rows, at_columns = patch.sum(), patch.sum(1), patch.sum(0)
        box[i] = across.start, down.start, across.stop, down.stop
        middle = (at_columns @ np.arange(across.start, across.stop), at_rows @ np.arange(down.start, down.stop))
        centre[i] = np.array(middle) / area[i] + 0.5
        outlines, _ = cv2.findContours(patch.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        perimeter[i] = sum(cv2.arcLength(outline, True) for outline in outlines)
        sides[i] = _sides(np.concatenate(outlines)[:, 0])
    return Measured(area, box, centre, sides.max(1, initial=0), sides.min(1, initial=np.inf) if n else np.zeros(0), perimeter)


def _sides(outline: np.ndarray) -> tuple[float, float]:
    """The sides of the smallest rectangle around the corners of the outline's pixels."""
    corners = np.concatenate([outline + shift for shift in ((0, 0), (1, 0), (0, 1), (1, 1))]).astype(np.float32)
    (_, _), (w, h), _ = cv2.minAreaRect(corners)
    return float(w), float(h)
