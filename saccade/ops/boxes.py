"""Boxes as arrays of corners (n, 4) x1 y1 x2 y2: areas, overlaps, clipping, suppression, other notations, and how they warp."""

from __future__ import annotations

import numpy as np

from saccade.ops.geometry import Geometry

_STEPS = 16  # points along a side of a box that a perspective or a bend may curve


def area(xyxy: np.ndarray) -> np.ndarray:
    """(n, 4) -> (n,) square pixels; 0 for a box whose corners are exchanged."""
    sides = np.clip(xyxy[..., 2:] - xyxy[..., :2], 0, None)
    product: np.ndarray = sides[..., 0] * sides[..., 1]
    return product


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4), (m, 4) -> (n, m): the area that each pair shares."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    return area(np.concatenate([low, high], -1))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4), (m, 4) -> (n, m): intersection over union in [0, 1]; 0 where both boxes are empty.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(3).tolist()
    [[0.333]]
    """
    shared = intersection(a, b)
    return _share(shared, area(a)[:, None] + area(b)[None] - shared)


def intersection_over_area(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4), (m, 4) -> (n, m): which share of each box of a lies inside of each box of b; 0 for an empty box of a. COCO's overlap with a crowd b."""
    return _share(intersection(a, b), np.broadcast_to(area(a)[:, None], (len(a), len(b))))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, whole, out=np.zeros(part.shape, np.result_type(part, np.float32)), where=whole > 0)
    return share


def clip(xyxy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, 4) -> (n, 4) within a plane of a size (h, w); a box outside becomes empty."""
    clipped: np.ndarray = np.clip(xyxy, 0, np.array([size[1], size[0], size[1], size[0]], dtype=xyxy.dtype))
    return clipped


def nms(xyxy: np.ndarray, scores: np.ndarray, threshold: float, classes: np.ndarray | None = None) -> np.ndarray:
    """Rows (k,) int64 of the boxes that stay, best first: each suppresses those after it that overlap it by more than `threshold` (IoU).

    With `classes` (n,) only boxes of the same class suppress each other. Equal scores keep their order.
    """
    return suppression(xyxy, scores, threshold, classes)[0]


def suppression(xyxy: np.ndarray, scores: np.ndarray, threshold: float, classes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stay as `nms` gives them, and (n,) int64 for every row the one that stays for it: the first that suppresses it, or itself."""
    boxes = np.asarray(xyxy, dtype=np.float64).reshape(-1, 4)
    if classes is not None and len(boxes):  # planes apart from each other
        boxes = boxes + (np.unique(classes, return_inverse=True)[1] * (boxes.max() - boxes.min() + 1))[:, None]
    areas, owner = area(boxes), np.full(len(boxes), -1, np.int64)
    left, kept = np.argsort(-np.asarray(scores), kind="stable"), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        owner[best] = best
        shared = intersection(boxes[best : best + 1], boxes[left])[0]
        gone = shared > threshold * (areas[best] + areas[left] - shared)
        owner[left[gone]] = best
        left = left[~gone]
    return np.array(kept, np.int64), owner


def first_copies(*columns: np.ndarray) -> np.ndarray:
    """Rows (k,) int64 of the first of each set of equal rows, in order; columns (n, ...) are compared together, numbers to a hundredth."""
    if not len(columns[0]):
        return np.zeros(0, np.int64)
    table = np.concatenate([np.round(np.asarray(c, dtype=np.float64), 2).reshape(len(c), -1) for c in columns], 1)
    return np.sort(np.unique(table, axis=0, return_index=True)[1])


# notations -------------------------------------------------------------------------------------------------------


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Corners -> upper left corner and size."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Upper left corner and size -> corners."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def xyxy_to_cxcywh(boxes: np.ndarray) -> np.ndarray:
    """Corners -> middle and size.

    >>> xyxy_to_cxcywh(np.array([0.0, 0, 4, 2])).tolist()
    [2.0, 1.0, 4.0, 2.0]
    """
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def cxcywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Middle and size -> corners."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)


# geometry --------------------------------------------------------------------------------------------------------


def warped(xyxy: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """The upright boxes around (n, 4) warped ones, clipped to the target, and (n,) the share of each one's area that is left inside.

    Around the four corners when the geometry is affine, else around sixteen points a side. What a perspective puts behind the
    viewer counts as outside; a box of which nothing is in front has the share 0.
    """
    outline = _outline(np.asarray(xyxy, dtype=np.float64), 1 if geometry.affine else _STEPS)
    points = geometry.points(outline.reshape(-1, 2)).reshape(outline.shape)
    unseen = np.isnan(points).any(-1, keepdims=True)
    low, high = np.where(unseen, np.inf, points).min(1, initial=np.inf), np.where(unseen, -np.inf, points).max(1, initial=-np.inf)
    whole = np.concatenate([low, high], 1)
    whole[np.isinf(whole).any(1)] = 0.0
    inside = clip(whole, geometry.size)
    return inside, _share(area(inside), area(whole)) * (1 - unseen[..., 0].mean(1))


def _outline(boxes: np.ndarray, steps: int) -> np.ndarray:
    """(n, 4 steps, 2): points along the sides, corners included."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 1, 2)
    t = (np.arange(steps) / steps)[:, None]
    following = np.roll(corners, -1, axis=1)
    outline: np.ndarray = (corners * (1 - t) + following * t).reshape(len(boxes), 4 * steps, 2)
    return outline


def magnification(xyxy: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(n,) by how much a small area at the middle of each box grows; nan behind the viewer."""
    boxes = np.asarray(xyxy, dtype=np.float64)
    if geometry.affine:
        return np.full(len(boxes), abs(np.linalg.det(geometry.matrix[:, :2])))
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    origin, right, below = (geometry.points(middle + np.array(step)) for step in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5)))
    (ax, ay), (bx, by) = (2 * (right - origin)).T, (2 * (below - origin)).T
    grown: np.ndarray = np.abs(ax * by - ay * bx)
    return grown
