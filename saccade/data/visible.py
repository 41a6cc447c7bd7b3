"""Which objects of a truth can still be seen under a geometry, and the truth of these alone."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.ops.geometry import Geometry
from saccade.targets import Boxes, Instances, Keypoints, Points, RegionCaptions, SceneGraph


def boxes_of(target: Any) -> np.ndarray | None:
    """(n, 4) xyxy of the objects of a target, dots as boxes without area; None when it is not about objects."""
    if isinstance(target, Boxes | RegionCaptions):
        return target.xyxy.numpy()
    if isinstance(target, Instances | Keypoints | SceneGraph):
        return target.boxes.xyxy.numpy()
    return np.concatenate([target.xy.numpy()] * 2, 1) if isinstance(target, Points) else None


def objects_of(truth: dict[str, Any]) -> np.ndarray | None:
    """(n, 4) xyxy of the objects of all heads of a sample; None when no head is about objects."""
    found = [boxes for target in truth.values() if (boxes := boxes_of(target)) is not None]
    return np.concatenate(found) if found else None


def visible_shares(geometry: Geometry, xyxy: np.ndarray) -> np.ndarray:
    """(n,) the share of the upright box around each warped box (n, 4) that lies inside of the target; 1 or 0 for a point (a box without area)."""
    n = len(xyxy)
    moved = geometry.points(xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)).reshape(n, 4, 2)
    unseen = np.isnan(moved).any((1, 2))  # behind the viewer
    low, high = np.nan_to_num(moved.min(1)), np.nan_to_num(moved.max(1))
    limit = np.array([geometry.size[1], geometry.size[0]])
    inside = np.clip(np.minimum(high, limit) - np.maximum(low, 0), 0, None)
    whole = high - low
    shares = np.divide(inside, whole, out=((low >= 0) & (low <= limit)).astype(np.float64), where=whole > 0)
    return np.where(unseen, 0.0, shares.prod(1))


def seen(target: Any, geometry: Geometry, least: float) -> Any:
    """The target without the objects of which less than the share `least` (above 0) of the box is inside of the geometry's target. Not warped.

    Targets that are not about objects come back as they are.
    """
    boxes = boxes_of(target)
    if boxes is None or not len(boxes):
        return target
    keep = visible_shares(geometry, boxes) >= least
    return target if keep.all() else only(target, torch.from_numpy(keep))


def only(target: Any, keep: Tensor) -> Any:
    """The rows of a target where `keep` (n,) bool is set. Raises TypeError for a target without rows of objects."""
    if isinstance(target, Instances):
        return _instances(target, keep)
    if isinstance(target, SceneGraph):
        return _graph(target, keep)
    if not isinstance(target, Boxes | Keypoints | Points | RegionCaptions):
        raise TypeError(f"{type(target).__name__} has no rows to choose from")
    rows = [i for i, kept in enumerate(keep.tolist()) if kept]
    changed: dict[str, Any] = {}
    for f in fields(target):
        value = getattr(target, f.name)
        if isinstance(value, Tensor):
            changed[f.name] = value[keep]
        elif isinstance(value, Boxes):
            changed[f.name] = only(value, keep)
        elif isinstance(value, tuple) and f.name in ("attributes", "texts"):
            changed[f.name] = tuple(value[i] for i in rows)
    return replace(target, **changed)


def _instances(target: Instances, keep: Tensor) -> Instances:
    boxes = only(target.boxes, keep)
    if target.shapes is not None:
        return replace(target, boxes=boxes, shapes=tuple(shape for shape, kept in zip(target.shapes, keep.tolist(), strict=True) if kept))
    numbers = torch.cat([torch.zeros(1, dtype=torch.int32), torch.where(keep, keep.cumsum(0), 0).to(torch.int32)])
    return replace(target, boxes=boxes, ids=None if target.ids is None else numbers[target.ids.long()])


def _graph(target: SceneGraph, keep: Tensor) -> SceneGraph:
    """Relations stay where both of their objects do."""
    places = keep.cumsum(0) - 1
    relations = target.relations
    whole = keep[relations[:, 0]] & keep[relations[:, 2]]
    left = relations[whole].clone()
    left[:, 0], left[:, 2] = places[left[:, 0]], places[left[:, 2]]
    attributes = tuple(words for words, kept in zip(target.attributes, keep.tolist(), strict=True) if kept)
    return SceneGraph(only(target.boxes, keep), attributes, left, None if target.scores is None else target.scores[whole])
