"""Whether two truths of one picture say the same, as far as two people can."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.core import Stored
from saccade.data.contents import box_record
from saccade.data.dataset import target_hash
from saccade.targets import Keypoints, Points, RegionCaptions, SceneGraph

NEAR = 2.0
"""Pixels that two drawings of the same corner or dot may be apart; or a fiftieth of the object's longer side."""
_SHARE = 0.02


def loaded(target: Any) -> Any:
    """The target itself, of one that is stored in files. Raises DataError when that cannot be read."""
    return target.load() if isinstance(target, Stored) else target


def agree(a: Any, b: Any) -> bool:
    """Whether two loaded truths of one kind agree: objects by class and place in any order, everything else exactly.

    Numbers of annotations, flags and attributes play no part; masks do not where their boxes agree.
    """
    if isinstance(a, SceneGraph | RegionCaptions):
        return target_hash(a) == target_hash(b)
    if isinstance(a, Points):
        return _match(a.classes.numpy(), a.xy.numpy(), b.classes.numpy(), b.xy.numpy())
    first, second = box_record(a), box_record(b)
    if first is None or second is None:
        return target_hash(a) == target_hash(b)
    places = [np.asarray(held.xyxy.numpy(), np.float64) for held in (first, second)]
    if isinstance(a, Keypoints):
        if a.xy.shape[1:] != b.xy.shape[1:]:
            return False
        places = [np.concatenate([place, held.xy.numpy().reshape(len(held), -1)], 1) for place, held in zip(places, (a, b), strict=True)]
    return _match(first.classes.numpy(), places[0], second.classes.numpy(), places[1])


def _match(ids: np.ndarray, places: np.ndarray, other_ids: np.ndarray, other: np.ndarray) -> bool:
    """Whether each of n places (n, D) can be given one of the other's (n, D), of the same class and near it."""
    from scipy.optimize import linear_sum_assignment

    if len(ids) != len(other_ids) or sorted(ids.tolist()) != sorted(other_ids.tolist()):
        return False
    if not len(ids):
        return True
    sides = (places[:, 2:4] - places[:, :2]).max(1) if places.shape[1] >= 4 else np.zeros(len(ids))
    apart = np.abs(places[:, None] - other[None]).max(2)
    far = (apart > np.maximum(NEAR, _SHARE * sides)[:, None]) | (ids[:, None] != other_ids[None])
    rows, columns = linear_sum_assignment(far)
    return not bool(far[rows, columns].any())
