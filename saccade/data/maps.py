"""Whatever tells of pixels as maps of classes: maps, objects with masks, boxes as outer bounds, dots; mixed freely in one data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from saccade.core import LabelSpace, Stored
from saccade.data.dataset import ImageDataset
from saccade.data.image import header
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
        told = ", ".join(sorted(spaces)) or "no labels"
        raise DataError("DATA-TASK", f"the data have {told}; pixels are told of by {', '.join(SOURCES)}", where="data")
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
    """The map of a record that is made, whenever it is asked for, of truths that may stay in their files.

    sources: head -> Target or Stored. classes, shift, background: of the map's label space. size: (h, w) of the image, None where `image` tells it.
    """

    sources: Mapping[str, Any]
    classes: int
    shift: int
    background: int
    size: tuple[int, int] | None = None
    image: Path | None = field(default=None, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for source in self.sources.values() if isinstance(source, Stored) for path in source.paths)

    def load(self) -> SegmentationMap:
        """Raises DataError as the sources do, and IMG-* where the image's size is wanted and cannot be read."""
        found = {head: source.load() if isinstance(source, Stored) else source for head, source in self.sources.items()}
        if "instances" in found:
            return map_of_instances(found["instances"], self.shift, self.background)
        size = self.size
        if size is None:
            assert self.image is not None
            size = header(self.image).size
        bounds = map_of_boxes(found["boxes"], size, self.classes, self.shift, self.background) if "boxes" in found else None
        return joined(map_of_points(found["points"], size, self.shift), bounds) if "points" in found else bounds or SegmentationMap.empty(size)


def with_maps(dataset: ImageDataset) -> ImageDataset:
    """The data set with the head `map` alone, made of what each record has: a full map, else objects with masks, else dots and boxes together.

    Raises DataError DATA-TASK where no head tells of pixels.
    """
    space = map_space(dataset.spaces)
    if all(record.targets.get(head) is None for record in dataset.records for head in SOURCES if head != "map"):
        return dataset.with_heads(["map"])
    shift = 0 if "map" in dataset.spaces or "background" in next(dataset.spaces[h].names for h in SOURCES if h in dataset.spaces) else 1
    records = []
    for record in dataset.records:
        held = {head: record.targets[head] for head in SOURCES if record.targets.get(head) is not None}
        target = held.get("map")
        if target is None and held:
            used = {"instances": held["instances"]} if "instances" in held else held
            size = record.size or (dataset.size(dataset.records.index(record)) if record.index is not None else None)
            target = StoredMap(used, len(space), shift, space.background or 0, size, record.path)
        records.append(replace(record, targets={"map": target}))
    return replace(dataset, records=tuple(records), spaces={"map": space})


def tells_objects(dataset: ImageDataset) -> bool:
    """Whether the maps of some records are made of single objects, so that a network can learn where objects meet."""
    return any(isinstance(target := record.targets.get("map"), StoredMap) and "instances" in target.sources for record in dataset.records)
