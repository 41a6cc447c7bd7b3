"""Four images in one input, each in its quadrant, with their truths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from saccade.ops.geometry import Geometry
from saccade.targets import Boxes, Instances, Keypoints, Points, SegmentationMap
from saccade.targets.segmentation_map import IGNORED

HEADS = ("boxes", "instances", "keypoints", "points", "map")  # whose truths can stand side by side
Corner = tuple[int, int]  # (x, y)


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
    shifted = [part.warp(Geometry.crop(-x, -y, size)) for part, (x, y) in zip(parts, corners, strict=True)]
    if isinstance(first, Boxes):
        return joined_boxes(shifted)
    if isinstance(first, Points):
        return Points(torch.cat([p.xy for p in shifted]), torch.cat([p.classes for p in shifted]))
    if isinstance(first, Keypoints):
        return replace(
            first,
            xy=torch.cat([p.xy for p in shifted if len(p)] or [first.xy]),
            visible=torch.cat([p.visible for p in shifted if len(p)] or [first.visible]),
            boxes=joined_boxes([p.boxes for p in shifted]),
        )
    raise TypeError(f"{type(first).__name__} cannot be put side by side, expected one of {', '.join(HEADS)}")


def joined_boxes(parts: Sequence[Boxes]) -> Boxes:
    """The boxes of several, one after another; a field that only some have is filled with what its absence means."""
    found: dict[str, Any] = {"xyxy": torch.cat([p.xyxy for p in parts]), "classes": torch.cat([p.classes for p in parts])}
    for f in fields(Boxes)[2:]:
        if all(getattr(p, f.name) is None for p in parts):
            continue
        found[f.name] = _filled(f.name, parts)
    return Boxes(**found)


def _filled(name: str, parts: Sequence[Boxes]) -> Any:
    if name == "attributes":
        return tuple(entry for p in parts for entry in (p.attributes if p.attributes is not None else ({},) * len(p)))
    meant = {"crowd": False, "difficult": False, "scores": 1.0, "ids": -1}
    held = next(getattr(p, name) for p in parts if getattr(p, name) is not None)
    columns = []
    for p in parts:
        column = getattr(p, name)
        if column is None:
            sides = p.xyxy[:, 2:] - p.xyxy[:, :2]
            column = sides.prod(1).to(held.dtype) if name == "areas" else torch.full((len(p),), meant[name], dtype=held.dtype)
        columns.append(column)
    return torch.cat(columns)


def _instances(parts: Sequence[Instances], corners: Sequence[Corner], size: tuple[int, int]) -> Instances:
    ids, before, boxes = torch.zeros(size, dtype=torch.int32), 0, []
    for part, (x, y) in zip(parts, corners, strict=True):
        own = part.ids
        if own is None:
            raise TypeError("the masks of a mosaic's parts must be id maps, as `warp` gives them")
        h, w = own.shape
        ids[y : y + h, x : x + w] = torch.where(own > 0, own + before, 0)
        boxes.append(part.boxes.warp(Geometry.crop(-x, -y, size)))
        before += len(part)
    return Instances(joined_boxes(boxes), size, None, ids)
