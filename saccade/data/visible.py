"""Which objects of a truth can still be seen under a geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    return target if keep.all() else target.select(keep)
