"""Four images in one input, each in its quadrant, with their truths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from saccade.ops.geometry import Geometry
from saccade.targets import Boxes, Instances, Keypoints, Points, SegmentationMap
from saccade.targets.segmentation_map import IGNORED

HEADS = ("boxes", "instances", "keypoints", "points", "map")  # whose truths can stand side by side
Corner = tuple[int, int]  # (x, y)


def is_over(epoch: int, schedules: Sequence[int], off: float) -> bool:
    """Whether an epoch is among the last share `off` of its schedule, in which inputs are single images as they will be predicted on.

    schedules: the epochs of the run and of each of its extensions, one after the other; beyond them, and without any, nothing is over.

    >>> [is_over(epoch, (10, 5), 0.2) for epoch in (0, 7, 8, 9, 10, 13, 14, 15)]
    [False, False, True, True, False, False, True, False]
    """
    for epochs in schedules:
        if epoch < epochs:
            return epoch >= epochs - round(off * epochs)
        epoch -= epochs
    return False


def partners(u: np.ndarray, place: int, n: int) -> list[int]:
    """The four places of n that a mosaic is made of: its own and three that the uniform numbers u (COLUMNS,) of its row mean."""
    others = np.random.Generator(np.random.Philox(key=int(u[39] * 2**53))).integers(0, n, 3)
    return [place, *(int(other) for other in others)]


def quadrants(u: np.ndarray, size: tuple[int, int]) -> list[tuple[Corner, tuple[int, int]]]:
    """Corner (x, y) and size (h, w) of the four parts of an input, which meet at a point between 0.3 and 0.7 of each side."""
    h, w = size
    y, x = (min(side - 1, max(1, round(side * (0.3 + 0.4 * share)))) for side, share in zip(size, (u[37], u[38]), strict=True))
    return [((0, 0), (y, x)), ((x, 0), (y, w - x)), ((0, y), (h - y, x)), ((x, y), (h - y, w - x))]


def side_by_side(parts: Sequence[Any], corners: Sequence[Corner], size: tuple[int, int]) -> Any:
    """One truth of a plane (h, w) from truths of its parts, each with the corner (x, y) that its origin comes to.

    None when a part has none: what is not labelled cannot be told from what is empty. Rows keep their order, part after part.
    Raises TypeError for a target that cannot be put together.
    """
    if any(part is None for part in parts):
        return None
    first = parts[0]
    if isinstance(first, SegmentationMap):
        ids = torch.full(size, IGNORED, dtype=first.ids.dtype)
        for part, (x, y) in zip(parts, corners, strict=True):
            ids[y : y + part.ids.shape[0], x : x + part.ids.shape[1]] = part.ids
        return SegmentationMap(ids)
    if isinstance(first, Instances):
        return _instances(parts, corners, size)
    if not isinstance(first, Boxes | Points | Keypoints):
        raise TypeError(f"{type(first).__name__} cannot be put side by side, expected one of {', '.join(HEADS)}")
    shifts = [Geometry.crop(-x, -y, size) for x, y in corners]
    if isinstance(first, Boxes):
        return _shifted(parts, shifts)
    shifted = [part.warp(shift) for part, shift in zip(parts, shifts, strict=True)]
    if isinstance(first, Points):
        return Points(torch.cat([p.xy for p in shifted]), torch.cat([p.classes for p in shifted]))
    boxes = _shifted([part.boxes for part in shifted], [Geometry.identity(size)] * len(parts))
    return replace(first, xy=torch.cat([p.xy for p in shifted]), visible=torch.cat([p.visible for p in shifted]), boxes=boxes)


def _shifted(parts: Sequence[Boxes], shifts: Sequence[Geometry]) -> Boxes:
    """All boxes in the plane; none is dropped, because each is inside as it was."""
    return Boxes.joined([part.moved(shift)[0] for part, shift in zip(parts, shifts, strict=True)])


def _instances(parts: Sequence[Instances], corners: Sequence[Corner], size: tuple[int, int]) -> Instances:
    ids, before = torch.zeros(size, dtype=torch.int32), 0
    for part, (x, y) in zip(parts, corners, strict=True):
        own = torch.from_numpy(part.id_map())
        h, w = own.shape
        ids[y : y + h, x : x + w] = torch.where(own > 0, own + before, 0)
        before += len(part)
    return Instances(_shifted([p.boxes for p in parts], [Geometry.crop(-x, -y, size) for x, y in corners]), size, None, ids)
