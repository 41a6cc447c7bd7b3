"""Whatever tells of pixels as maps of classes: maps, objects with masks, boxes as outer bounds, dots; mixed freely in one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import torch

from saccade.core import Dataset, LabelSpace, Record, Stored
from saccade.errors import DataError
from saccade.targets import Boxes, Instances, Points, SegmentationMap
from saccade.targets.segmentation_map import IGNORED

SOURCES = ("map", "instances", "points", "boxes")
"""Heads that tell of pixels, the fullest first; dots and boxes of one image tell together."""
DOT_RADIUS = 1
"""Pixels around a dot that are told with it: a single one could be lost when the picture is resampled."""


def map_space(spaces: Mapping[str, LabelSpace]) -> LabelSpace:
    """The classes of the maps: those of the data's own maps, else of its objects, with the background before them where they do not name it.

    Raises DataError DATA-TASK where no head tells of pixels.
    """
    head = next((head for head in SOURCES if head in spaces), None)
    if head is None:
        raise DataError("DATA-TASK", f"heads {', '.join(sorted(spaces)) or 'none'}", where="data")
    space = spaces[head]
    if head == "map":
        return space
    if "background" in space.names:
        return LabelSpace(space.names, background=space.index("background"), colours=space.colours)
    return LabelSpace(("background", *space.names), background=0)


def map_of_instances(truth: Instances, shift: int = 1, background: int = 0) -> SegmentationMap:
    """Every pixel's class is that of the object there, plus `shift`; the objects are told too. Crowds are ignored."""
    numbers = torch.from_numpy(truth.id_map().astype(np.int32))
    classes = torch.cat([torch.tensor([background]), truth.boxes.classes + shift])
    if truth.boxes.crowd is not None:
        classes[1:][truth.boxes.crowd] = IGNORED
    return SegmentationMap(classes.to(torch.uint8)[numbers.long()], objects=numbers)


def map_of_points(truth: Points, size: tuple[int, int], shift: int = 1, radius: int = DOT_RADIUS) -> SegmentationMap:
    """The pixels within `radius` of a dot have its class, plus `shift`; nothing is known of the others."""
    ids = np.full(size, IGNORED, np.uint8)
    for (x, y), k in zip(np.floor(truth.xy.numpy()).astype(int).tolist(), truth.classes.tolist(), strict=True):
        if k >= 0:
            cv2.circle(ids, (min(x, size[1] - 1), min(y, size[0] - 1)), radius, k + shift, -1)
    return SegmentationMap(torch.from_numpy(ids))


def map_of_boxes(truth: Boxes, size: tuple[int, int], classes: int, shift: int = 1, background: int = 0) -> SegmentationMap:
    """Boxes as outer bounds: a class is forbidden wherever none of its boxes is, so that what no box covers is background."""
    allowed = np.zeros((classes, *size), bool)
    allowed[background] = True
    for (x0, y0, x1, y1), k in zip(truth.xyxy.tolist(), truth.classes.tolist(), strict=True):
        rows, columns = slice(max(0, int(np.floor(y0))), int(np.ceil(y1))), slice(max(0, int(np.floor(x0))), int(np.ceil(x1)))
        allowed[k + shift if k >= 0 else slice(None), rows, columns] = True
    ids = np.where(allowed.sum(0) == 1, background, IGNORED).astype(np.uint8)
    return SegmentationMap(torch.from_numpy(ids), allowed=torch.from_numpy(allowed))


def joined(first: SegmentationMap, second: SegmentationMap | None) -> SegmentationMap:
    """What the first tells, and where it tells nothing what the second does."""
    if second is None:
        return first
    return replace(first, ids=torch.where(first.ids == IGNORED, second.ids, first.ids), allowed=second.allowed if first.allowed is None else first.allowed)


@dataclass(frozen=True)
class StoredMap:
    """The map of a record whose truths stay in their files until they are needed."""

    sources: Mapping[str, Any]
    space: LabelSpace
    shift: int
    size: tuple[int, int] | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for source in self.sources.values() if isinstance(source, Stored) for path in source.paths)

    def load(self) -> SegmentationMap:
        found = {head: source.load() if isinstance(source, Stored) else source for head, source in self.sources.items()}
        background = self.space.background or 0
        if "map" in found:
            made: SegmentationMap = found["map"]
            return made
        if "instances" in found:
            return map_of_instances(found["instances"], self.shift, background)
        assert self.size is not None
        bounds = map_of_boxes(found["boxes"], self.size, len(self.space), self.shift, background) if "boxes" in found else None
        return joined(map_of_points(found["points"], self.size, self.shift), bounds) if "points" in found else bounds or SegmentationMap.empty(self.size)


class MapDataset:
    """A data set whose only truth is the head `map`, made of what each record has: a full map, else objects with masks, else dots and boxes together.

    Raises DataError DATA-TASK where no head tells of pixels.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.space = dataset, map_space(dataset.spaces)
        self.shift = 0 if "map" in dataset.spaces or any("background" in s.names for h, s in dataset.spaces.items() if h in SOURCES) else 1
        self.records: Sequence[Record] = [self._record(i, record) for i, record in enumerate(dataset.records)]

    def _record(self, i: int, record: Record) -> Record:
        held = {head: record.targets[head] for head in SOURCES if record.targets.get(head) is not None}
        full = next((head for head in ("map", "instances") if head in held), None)
        if full is not None:
            held = {full: held[full]}
        if full == "map" or not held:
            return replace(record, targets={"map": held.get("map")})
        size = None if full else self.dataset.size(i)
        return replace(record, targets={"map": StoredMap(held, self.space, self.shift, size)})

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def spaces(self) -> Mapping[str, LabelSpace]:
        return {"map": self.space}

    @property
    def channels(self) -> int:
        return self.dataset.channels

    @property
    def fingerprint(self) -> str:
        return self.dataset.fingerprint

    def __len__(self) -> int:
        return len(self.records)

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        return self.dataset.read(i, size)

    def size(self, i: int) -> tuple[int, int]:
        return self.dataset.size(i)

    def truth(self, i: int) -> dict[str, Any]:
        target = self.records[i].targets["map"]
        return {"map": target.load() if isinstance(target, Stored) else target}

    def subset(self, indices: Sequence[int]) -> Self:
        part = object.__new__(type(self))
        part.dataset, part.space, part.shift = self.dataset.subset(indices), self.space, self.shift
        part.records = [self.records[i] for i in indices]
        return part
