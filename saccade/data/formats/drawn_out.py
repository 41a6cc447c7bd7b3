"""The objects of a record as the drawing tools' files list them: boxes, masks and key points of one object together, and what is lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs, area, runs_from_mask, tight_box
from saccade.targets import Boxes, Instances, Keypoints


@dataclass
class Item:
    """One object: its class, its box x1 y1 x2 y2, its mask and its key points (K, 3) where it has them, and what else is said of it."""

    name: str
    box: tuple[float, ...]
    shape: Runs | Polygons | None = None
    points: np.ndarray | None = None
    flags: dict[str, Any] = field(default_factory=dict)


class Losses:
    """What a layout could not hold, counted by head and kind."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, head: str, what: str, n: int = 1) -> None:
        self.counts[head, what] += n

    def problems(self) -> list[Problem]:
        return [Problem("LOSS-FIELD", head, f"{what} of {n:,}") for (head, what), n in self.counts.items() if n]


def listing(dataset: ImageDataset) -> list[str]:
    """The names of classes, of dots and of key points, each once, in the order of their spaces: what a list of labels is written from."""
    spaces = [space for head, space in dataset.spaces.items() if head in ("boxes", "instances", "keypoints", "points")]
    return list(dict.fromkeys([name for space in spaces for name in space.names] + [name for space in spaces for name in space.keypoints]))


def items(truth: Mapping[str, Any], spaces: Mapping[str, LabelSpace], losses: Losses) -> list[Item]:
    """The objects of one image: those of the instances, then boxes and key points that are none of them."""
    found: list[Item] = []
    places: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for head in ("instances", "boxes", "keypoints"):
        target = truth.get(head)
        if not isinstance(target, Boxes | Instances | Keypoints):
            continue
        shapes = _shapes(target) if isinstance(target, Instances) else [None] * len(target)
        points = _points(target) if isinstance(target, Keypoints) else [None] * len(target)
        boxes = target if isinstance(target, Boxes) else target.boxes
        taken: Counter[tuple[Any, ...]] = Counter()
        losses.add(head, "areas", _other_areas(boxes, shapes))
        for i, item in enumerate(_boxes(boxes, spaces[head], head, losses)):
            key = (item.name, item.box)
            item.shape, item.points = shapes[i], points[i]
            if taken[key] < len(places[key]):  # the same object under another head
                same = found[places[key][taken[key]]]
                same.points = same.points if item.points is None else item.points
            else:
                places[key].append(len(found))
                found.append(item)
            taken[key] += 1
    return found


def _boxes(boxes: Boxes, space: LabelSpace, head: str, losses: Losses) -> Iterator[Item]:
    for name in ("scores", "ids"):
        if getattr(boxes, name) is not None:
            losses.add(head, name, len(boxes))
    for i, (box, k) in enumerate(zip(boxes.xyxy.tolist(), boxes.classes.tolist(), strict=True)):
        flags = dict(boxes.attributes[i]) if boxes.attributes is not None else {}
        for name in ("crowd", "difficult"):
            column = getattr(boxes, name)
            if column is not None and bool(column[i]):
                flags[name] = True
        yield Item(space.names[k], tuple(box), flags=flags)


def _other_areas(boxes: Boxes, shapes: Sequence[Runs | Polygons | None]) -> int:
    """How many areas are neither those of the masks nor, where there are none, those of the boxes: only these say something of their own."""
    if boxes.areas is None:
        return 0
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    expected = [float(w * h) if shape is None else area(shape) for (w, h), shape in zip(sides.tolist(), shapes, strict=True)]
    given = boxes.areas.double().numpy()
    return int((~(np.isclose(given, expected, rtol=1e-6, atol=1e-6) | np.isnan(given))).sum())


def _shapes(target: Instances) -> list[Runs | Polygons]:
    if target.shapes is not None:
        return list(target.shapes)
    assert target.ids is not None
    ids = target.ids.numpy()
    return [runs_from_mask(ids == i + 1) for i in range(len(target))]


def _points(target: Keypoints) -> list[np.ndarray]:
    table = np.concatenate([target.xy.numpy(), target.visible.numpy()[..., None].astype(np.float64)], 2)
    return list(table)


def rings_of(shape: Runs | Polygons) -> tuple[np.ndarray, ...] | None:
    """The outlines of a mask that is given by them, None for one of run lengths."""
    return shape.rings if isinstance(shape, Polygons) else None


def moved(item: Item) -> bool:
    """Whether the box is not the one around its mask, which is all that a file with masks alone can say."""
    if item.shape is None:
        return False
    if isinstance(item.shape, Polygons):
        corners = np.concatenate(item.shape.rings)
        h, w = item.shape.size
        around: Any = np.clip([*corners.min(0), *corners.max(0)], 0, [w, h, w, h])
    else:
        around = tight_box(item.shape) or (np.nan,) * 4
    return not bool(np.allclose(around, item.box, rtol=0, atol=1e-6))
