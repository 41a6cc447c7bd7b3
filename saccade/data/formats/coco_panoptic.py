"""COCO's panoptic segments: one picture an image whose colours are the numbers of segments, and a JSON file that says what each is.

A. Kirillov et al., "Panoptic Segmentation", 2019: the number of a segment is red + 256 green + 65536 blue, 0 where nothing is labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.data.formats.coco_file import CocoFile, shown
from saccade.data.formats.coco_gallery import Gallery, merged_classes
from saccade.data.formats.stored import from_ids, mask_samples, numbers_of, unknown
from saccade.data.image import MAX_PIXELS
from saccade.errors import DataError, Problem
from saccade.targets import Instances, SegmentationMap
from saccade.targets.segmentation_map import IGNORED


class Segment(NamedTuple):
    """One region of an image: its number in the picture, its class, its class among the things (-1 for stuff), whether it is a crowd of them."""

    id: int
    label: int
    thing: int
    crowd: bool


@dataclass(frozen=True)
class PanopticFile:
    """The picture of one image's segments; `load` of the two kinds gives the class of every pixel, or the things as an id map."""

    path: Path
    segments: tuple[Segment, ...]
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def places(self) -> np.ndarray:
        """(h, w) the place of each pixel's segment in `segments`, -1 where nothing is labelled. Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        colours = numbers_of(mask_samples(self.path, self.max_pixels), "colour", str(self.path))
        numbers = (colours >> 16) | (colours & 0xFF00) | ((colours & 0xFF) << 16)
        present, compact = np.unique(numbers, return_inverse=True)
        known = {segment.id: place for place, segment in enumerate(self.segments)} | {0: -1}
        table = np.array([known.get(number, -2) for number in present.tolist()], dtype=np.int64)
        found: np.ndarray = table[compact.reshape(numbers.shape)]
        if (table == -2).any():
            strange = unknown(numbers[found == -2], numbers.size, "index")
            raise DataError("MAP-VALUES", f"segments that the JSON file does not list: {strange}", where=str(self.path))
        return found


@dataclass(frozen=True)
class PanopticMap(PanopticFile):
    """The class of every pixel, 255 where nothing is labelled."""

    def load(self) -> SegmentationMap:
        """Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        table = np.array([segment.label for segment in self.segments] + [IGNORED], dtype=np.uint8)
        return SegmentationMap(torch.from_numpy(table[self.places()]))  # the last entry is that of -1


@dataclass(frozen=True)
class PanopticThings(PanopticFile):
    """The things as one id map; segments without a pixel are none."""

    def load(self) -> Instances:
        """Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        places = self.places()
        seen = set(np.unique(places).tolist())
        things = [(place, segment) for place, segment in enumerate(self.segments) if segment.thing >= 0 and place in seen]
        table = np.zeros(len(self.segments) + 1, np.int32)
        table[[place for place, _ in things]] = np.arange(1, len(things) + 1)
        found = from_ids(table[places], [segment.thing for _, segment in things])
        crowd = torch.tensor([segment.crowd for _, segment in things], dtype=torch.bool)
        ids = torch.tensor([segment.id for _, segment in things], dtype=torch.int64)
        return replace(found, boxes=replace(found.boxes, crowd=crowd, ids=ids))


def add_panoptic(gallery: Gallery, files: Sequence[CocoFile]) -> list[str]:
    """The map of every image, and its things as instances where no other file has given some. Raises DataError ANN-CLASS for more than 255 classes."""
    names, classes = merged_classes(files, gallery.problems)
    if len(names) > IGNORED:
        raise DataError("ANN-CLASS", f"{len(names)} categories, a map holds {IGNORED}", where=files[0].path)
    stuff = {category.name for file in files for category in file.categories if not category.thing}
    things = tuple(name for name in names if name not in stuff)
    new = ["map"] + ["instances"] * (bool(things) and "instances" not in gallery.heads)
    for head in new:
        gallery.heads[head] = {}
        gallery.spaces[head] = LabelSpace(names if head == "map" else things)
    for file, own in zip(files, classes, strict=True):
        segment_of = {category: (label, things.index(names[label]) if names[label] in things else -1) for category, label in own.items()}
        for row, entry in enumerate(file.annotations):
            _add_entry(gallery, file, row, entry, segment_of, new)
    return new


def _add_entry(gallery: Gallery, file: CocoFile, row: int, entry: Mapping[str, Any], segment_of: Mapping[Any, tuple[int, int]], heads: Sequence[str]) -> None:
    """The truths of one annotation, or a problem."""
    image, name = entry.get("image_id"), entry.get("file_name")
    number = file.numbers.get(image) if type(image) in (int, str) else None
    if number is None:
        gallery.problems.append(Problem("ANN-REF", file.where(row), f"image_id {shown(image)} is not among the images"))
        return
    if number < 0:
        return
    code, segments, text = _segments(entry.get("segments_info"), segment_of)
    folder = file.path.rpartition(".")[0]
    path = gallery.source.lookup.find(name, folder) if isinstance(name, str) else None
    if not code and path is None:
        code, text = "ANN-FIELD", f"the picture of the segments, {shown(name)}, is not there"
    if code or path is None:
        gallery.problems.append(Problem(code, file.where(row), text, image=gallery.paths[number]))
        gallery.lost.add(number)
        return
    file.masks.add(path)
    full = gallery.source.root / path
    for head in heads:
        gallery.heads[head][number] = PanopticMap(full, segments) if head == "map" else PanopticThings(full, segments)


def _segments(held: Any, segment_of: Mapping[Any, tuple[int, int]]) -> tuple[str, tuple[Segment, ...], str]:
    """(code, segments, what is wrong); the code is empty when nothing is."""
    if not isinstance(held, list):
        return "ANN-FIELD", (), f"segments_info is {shown(held)}, expected a list"
    found = []
    for entry in held:
        own = entry if isinstance(entry, dict) else {}
        number, category, crowd = own.get("id"), own.get("category_id"), own.get("iscrowd", 0)
        if type(number) is not int or not 0 < number < 1 << 24 or type(category) not in (int, str) or crowd not in (0, 1):
            return "ANN-FIELD", (), f"segment {str(entry)[:80]}, expected id, category_id and iscrowd"
        if category not in segment_of:
            return "ANN-REF", (), f"category_id {shown(category)} of segment {number} is not among the categories"
        found.append(Segment(number, *segment_of[category], bool(crowd)))
    if len({segment.id for segment in found}) != len(found):
        return "ANN-ID", (), "two segments have the same id"
    return "", tuple(found), ""
