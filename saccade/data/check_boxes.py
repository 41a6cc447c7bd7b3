"""What can be wrong with the boxes of one image, flat and in space. Problems are without a place: `check_files` names the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from saccade.core import IGNORE, LabelSpace
from saccade.data.contents import box_record
from saccade.errors import Problem, Severity
from saccade.targets import Boxes, Boxes3D, RegionCaptions, SceneGraph

ROUNDING = 0.01  # pixels that a box may stand over its image without a word
SMALLEST = 1.0  # pixels of a side
_WHOLE = 0.995  # of both sides

Size = tuple[int, int]


def told(code: str, rows: np.ndarray, text: Callable[[int], str], severity: Severity | None = None) -> list[Problem]:
    """One problem for all objects (n,) of an image that have it: the first is described, the others are counted."""
    at = np.flatnonzero(rows)
    if not len(at):
        return []
    more = f", and {len(at) - 1:,} more" if len(at) > 1 else ""
    return [Problem(code, "", f"object {at[0] + 1} of {len(rows):,}: {text(int(at[0]))}{more}", severity)]


def class_ids(ids: np.ndarray, space: LabelSpace | None) -> list[Problem]:
    """CLS-RANGE: an id that is no place in the list of classes (-1, ignored, is none either but is meant)."""
    if space is None:
        return []
    foreign = ids[(ids != IGNORE) & ((ids < 0) | (ids >= len(space)))]
    if not len(foreign):
        return []
    shown = ", ".join(str(k) for k in np.unique(foreign)[:10])
    return [Problem("CLS-RANGE", "", f"class {shown}; the list has {len(space)} classes, 0 to {len(space) - 1}")]


def boxes(found: Boxes, size: Size, space: LabelSpace | None) -> list[Problem]:
    """ANN-NUMBER, ANN-BOX-NEGATIVE, ANN-BOX-OUT, BOX-EMPTY, BOX-DUP and BOX-WHOLE of boxes as they are held.

    What a format has checked already finds nothing here; a format that did not know the image's size could not look.
    """
    xyxy = found.xyxy.numpy().astype(np.float64).reshape(-1, 4)
    problems = class_ids(found.classes.numpy(), space)
    finite = np.isfinite(xyxy).min(axis=1, initial=True)
    problems += told("ANN-NUMBER", ~finite, lambda row: _shown(xyxy[row]))
    crowd = np.zeros(len(xyxy), bool) if found.crowd is None else found.crowd.numpy().astype(bool)
    with np.errstate(invalid="ignore"):
        sides = xyxy[:, 2:] - xyxy[:, :2]
        negative = finite & (sides < 0).any(1)
        inside = clipped(xyxy, size)
        left = inside[:, 2:] - inside[:, :2]
        empty = finite & ~negative & ~crowd & (sides.min(1, initial=np.inf) < SMALLEST - 1e-6)
        outside = finite & ~negative & ~empty & (left.min(1, initial=np.inf) < SMALLEST - 1e-6) & ~(crowd & (left > 0).all(1))
    problems += told("ANN-BOX-NEGATIVE", negative, lambda row: _shown(xyxy[row]))
    problems += told("BOX-EMPTY", empty, lambda row: _shown(xyxy[row]))
    problems += told("ANN-BOX-OUT", outside, lambda row: f"{_shown(xyxy[row])}, image {size[1]} x {size[0]}")
    sound = finite & ~negative & ~empty & ~outside & ~crowd
    whole = sound & (left[:, 0] >= _WHOLE * size[1]) & (left[:, 1] >= _WHOLE * size[0])
    problems += told("BOX-WHOLE", whole, lambda row: f"{_named(found, row, space)} {left[row, 0]:g} x {left[row, 1]:g}, image {size[1]} x {size[0]}")
    return problems


def copies(found: Boxes, space: LabelSpace | None) -> list[Problem]:
    """BOX-DUP: the same class and box twice in one image."""
    xyxy = found.xyxy.numpy().reshape(-1, 4)
    if len(xyxy) < 2:
        return []
    keys = np.column_stack([found.classes.numpy(), xyxy]).astype(np.float64)
    _, first = np.unique(keys, axis=0, return_index=True)
    again = np.ones(len(keys), bool)
    again[first] = False
    again &= np.isfinite(xyxy).min(axis=1, initial=True)
    if found.crowd is not None:
        again &= ~found.crowd.numpy().astype(bool)
    return told("BOX-DUP", again, lambda row: f"{_named(found, row, space)} {_shown(xyxy[row])}")


def clipped(xyxy: np.ndarray, size: Size) -> np.ndarray:
    """Boxes (n, 4) cut at the edges of an image (h, w)."""
    return np.clip(xyxy, 0, [size[1], size[0], size[1], size[0]])


def cut(target: Any, size: Size) -> tuple[Any, list[Problem]]:
    """The target with its boxes cut at the edges of the image, and ANN-BOX-CLIP where one stood over; the same target where none did."""
    held = target.xyxy if isinstance(target, RegionCaptions) else getattr(box_record(target), "xyxy", None)
    if held is None or not len(held):
        return target, []
    before = held.numpy().astype(np.float64)
    after = clipped(before, size)
    with np.errstate(invalid="ignore"):
        moved = np.abs(after - before).max(1) > ROUNDING
    if not moved.any():
        return target, []
    mended = torch.from_numpy(after)
    problems = told("ANN-BOX-CLIP", moved, lambda row: f"{_shown(before[row])}, image {size[1]} x {size[0]}")
    if isinstance(target, Boxes | RegionCaptions):
        return replace(target, xyxy=mended), problems
    return replace(target, boxes=replace(target.boxes, xyxy=mended)), problems


def graph(target: SceneGraph, space: LabelSpace | None) -> list[Problem]:
    """GRAPH-ROW: a relation of an object that is not there, or of an object with itself; CLS-RANGE for an unknown predicate."""
    rows = target.relations.numpy().reshape(-1, 3)
    n, problems = len(target), []
    ends = rows[:, [0, 2]]
    wrong = ((ends < 0) | (ends >= n)).any(1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        problems.append(Problem("GRAPH-ROW", "", f"relation {first + 1} joins objects {ends[first, 0]} and {ends[first, 1]}; there are {n}"))
    alone = ~wrong & (ends[:, 0] == ends[:, 1])
    if alone.any():
        problems.append(Problem("GRAPH-ROW", "", f"relation {int(np.flatnonzero(alone)[0]) + 1} joins object {ends[alone][0, 0]} with itself", "warn"))
    if space is not None and space.relations:
        foreign = rows[(rows[:, 1] < 0) | (rows[:, 1] >= len(space.relations)), 1]
        if len(foreign):
            problems.append(Problem("CLS-RANGE", "", f"relation {foreign[0]}; the list has {len(space.relations)} relations"))
    return problems


def boxes3d(target: Boxes3D, space: LabelSpace | None) -> list[Problem]:
    """CLS-RANGE, ANN-SPACE (not finite, or a side not above 0) and ANN-CAMERA (no projection, or one that is not finite)."""
    problems = class_ids(target.classes.numpy(), space)
    centre, size, yaw = target.centre.numpy().reshape(-1, 3), target.size.numpy().reshape(-1, 3), target.yaw.numpy().reshape(-1)
    finite = np.isfinite(centre).all(1) & np.isfinite(size).all(1) & np.isfinite(yaw)
    problems += told("ANN-SPACE", ~finite, lambda row: f"centre {_numbers(centre[row])}, size {_numbers(size[row])}, yaw {yaw[row]:.6g}")
    with np.errstate(invalid="ignore"):
        flat = finite & (size <= 0).any(1)
    problems += told("ANN-SPACE", flat, lambda row: f"length, height, width = {_numbers(size[row])}")
    camera = None if target.camera is None else target.camera.numpy()
    if camera is None or camera.shape != (3, 4) or not np.isfinite(camera).all() or not camera.any():
        seen = "none" if camera is None else f"a matrix {camera.shape[0]} x {camera.shape[-1]}" if camera.shape != (3, 4) else "not finite, or all zero"
        problems.append(Problem("ANN-CAMERA", "", seen))
    return problems


def _named(found: Boxes, row: int, space: LabelSpace | None) -> str:
    label = int(found.classes[row])
    return space.names[label] if space is not None and 0 <= label < len(space) else f"class {label}"


def _shown(box: np.ndarray) -> str:
    return "x1 y1 x2 y2 = " + _numbers(box)


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{v:.6g}" for v in values)
