"""What can be wrong with the dots and key points of one image."""

from __future__ import annotations

import numpy as np

from saccade.core import LabelSpace
from saccade.data.check_boxes import Size, class_ids, told
from saccade.errors import Problem
from saccade.targets import Keypoints, Points

_FAR = 0.5  # of a box's longer side that a key point may be outside of its own box
_EDGE = 1.0  # pixels that a point may stand over its image without a word


def points(target: Points, size: Size, space: LabelSpace | None) -> list[Problem]:
    """CLS-RANGE, ANN-NUMBER, ANN-POINT-OUT and POINT-DUP."""
    xy = target.xy.numpy().astype(np.float64).reshape(-1, 2)
    problems = class_ids(target.classes.numpy(), space)
    finite = np.isfinite(xy).min(axis=1, initial=True)
    problems += told("ANN-NUMBER", ~finite, lambda row: _shown(xy[row]))
    problems += told("ANN-POINT-OUT", finite & beyond(xy, size), lambda row: f"{_shown(xy[row])}, image {size[1]} x {size[0]}")
    if len(xy) > 1:
        again = np.ones(len(xy), bool)
        again[np.unique(np.column_stack([target.classes.numpy(), xy]), axis=0, return_index=True)[1]] = False
        problems += told("POINT-DUP", again & finite, lambda row: _shown(xy[row]))
    return problems


def beyond(xy: np.ndarray, size: Size) -> np.ndarray:
    """(..., ) whether points (..., 2) are more than a pixel outside of the image (h, w)."""
    with np.errstate(invalid="ignore"):
        found: np.ndarray = (xy < -_EDGE).any(-1) | (xy[..., 0] > size[1] + _EDGE) | (xy[..., 1] > size[0] + _EDGE)
    return found


def keypoints(target: Keypoints, size: Size, space: LabelSpace | None) -> list[Problem]:
    """KEY-COUNT, ANN-NUMBER, KEY-VISIBLE, KEY-OUT (an error where a whole object is outside) and KEY-BOX."""
    xy, visible = target.xy.numpy().astype(np.float64), target.visible.numpy()
    if not len(xy):
        return []
    names = space.keypoints if space is not None else ()
    if xy.shape[1] != len(names) and space is not None:
        return [Problem("KEY-COUNT", "", f"{xy.shape[1]} key points an object; the list has {len(names)}")]
    labelled = visible > 0
    finite = np.isfinite(xy).min(axis=2, initial=True)
    problems = told("ANN-NUMBER", np.asarray((labelled & ~finite).any(1)), lambda row: _first(labelled[row] & ~finite[row], names))
    problems += told("KEY-VISIBLE", np.asarray((visible > 2).any(1)), lambda row: f"visibility {visible[row].max()}, expected 0, 1 or 2", "error")
    origin = labelled & (xy == 0).min(axis=2, initial=True)
    problems += told("KEY-VISIBLE", np.asarray(origin.any(1)), lambda row: f"{_first(origin[row], names)} is labelled at 0 0")
    unseen = ~labelled & finite & (xy != 0).max(axis=2, initial=False)
    problems += told("KEY-VISIBLE", np.asarray(unseen.any(1)), lambda row: f"{_first(unseen[row], names)} is not labelled, but has a place")
    outside = labelled & beyond(xy, size)
    lost = outside.any(1) & (outside == labelled).all(1)
    problems += told("KEY-OUT", lost, lambda row: f"every one, as {_at(outside, xy, row, names)}, image {size[1]} x {size[0]}", "error")
    problems += told("KEY-OUT", outside.any(1) & ~lost, lambda row: f"{_at(outside, xy, row, names)}, image {size[1]} x {size[0]}")
    problems += _from_box(target, xy, labelled & finite & ~outside, names)
    return problems


def _from_box(target: Keypoints, xy: np.ndarray, labelled: np.ndarray, names: tuple[str, ...]) -> list[Problem]:
    """KEY-BOX: a key point outside of its object's box by more than half of the box's longer side."""
    box = target.boxes.xyxy.numpy().astype(np.float64)
    if len(box) != len(xy):
        return [Problem("KEY-COUNT", "", f"{len(box)} boxes for {len(xy)} objects with key points")]
    away = np.maximum(np.maximum(box[:, None, :2] - xy, xy - box[:, None, 2:]), 0).max(2)
    allowed = _FAR * (box[:, 2:] - box[:, :2]).max(1)
    far = labelled & (away > allowed[:, None])
    return told("KEY-BOX", far.any(1), lambda row: f"{_at(far, xy, row, names)}, box {_numbers(box[row])}")


def _first(rows: np.ndarray, names: tuple[str, ...]) -> str:
    at = int(np.flatnonzero(rows)[0])
    return names[at] if at < len(names) else f"key point {at + 1}"


def _at(rows: np.ndarray, xy: np.ndarray, row: int, names: tuple[str, ...]) -> str:
    at = int(np.flatnonzero(rows[row])[0])
    return f"{_first(rows[row], names)} at {_numbers(xy[row, at])}"


def _shown(point: np.ndarray) -> str:
    return "x y = " + _numbers(point)


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{v:.6g}" for v in values)
