"""Objects as inputs of their own: each box with some of its surroundings, one rule for training, evaluation and prediction.

>>> crops = Crops(context=1.25)
>>> crops.window((40.0, 20.0, 60.0, 60.0), image=(100, 100), ratio=1.0)
Window(x=25, y=15, size=(50, 50))
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from saccade.core import Dataset, Record
from saccade.data.tiles import KEPT_BYTES, Kept, Parts, Window
from saccade.errors import UsageError, unknown_name
from saccade.targets import Boxes, Keypoints
from saccade.targets.rows import array

CONTEXT = 1.0, 4.0
LARGEST = 192  # pixels of the longer side of an input for crops, when nothing is said
SAMPLE = 200  # objects whose size is looked at
HEAD = "keypoints"


@dataclass(frozen=True)
class Crops:
    """context: the sides of a crop for each side of its object's box. Raises UsageError USE-VALUE outside of 1 to 4."""

    context: float = 1.25

    def __post_init__(self) -> None:
        real = isinstance(self.context, int | float) and not isinstance(self.context, bool)
        if not real or not CONTEXT[0] <= self.context <= CONTEXT[1]:
            raise UsageError("USE-VALUE", f"context {str(self.context)[:40]}, expected {CONTEXT[0]:g} to {CONTEXT[1]:g}", where="--set")

    def window(self, box: Sequence[float], image: tuple[int, int], ratio: float) -> Window:
        """The whole pixels of an image (h, w) that are shown of an object with this box x0 y0 x1 y1.

        Around the middle of the box, `context` times as large, then as much higher or wider as an input of this ratio (height for width) has room for,
        and cut at the border of the image; at least 4 pixels a side where the image has so many.
        """
        width, height = ((box[i + 2] - box[i]) * self.context for i in (0, 1))
        width, height = max(width, height / ratio, 4.0), max(height, width * ratio, 4.0)
        across = _span((box[0] + box[2]) / 2, width, image[1])
        down = _span((box[1] + box[3]) / 2, height, image[0])
        return Window(across[0], down[0], (down[1] - down[0], across[1] - across[0]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises UsageError USE-OPTION for a name that is not one of the fields, USE-VALUE for a value out of range."""
        if unknown := unknown_name(stored, ["context"]):
            raise UsageError("USE-OPTION", f"crops {unknown}", where="--set")
        return cls(**stored)


def _span(middle: float, length: float, most: int) -> tuple[int, int]:
    """First and last whole pixel, half open, of a stretch along an axis, inside of it and never empty."""
    first = min(max(0, math.floor(middle - length / 2)), most - 1)
    return first, max(first + 1, min(most, math.ceil(middle + length / 2)))


class Crop(NamedTuple):
    """place: of the image; row: of the object among its boxes; window: what is shown of the image."""

    place: int
    row: int
    window: Window


@dataclass(frozen=True)
class StoredCrop:
    """The truth of one object in the pixels of its crop, made when it is asked for."""

    whole: Keypoints
    crop: Crop

    @property
    def paths(self) -> tuple[Path, ...]:
        return ()

    def load(self) -> Keypoints:
        return self.whole.select([self.crop.row]).warp(self.crop.window.geometry)


class CroppedDataset(Parts):
    """The objects of a data set's images as a data set: record `path@k` is the crop of object k, whose key points are its truth.

    boxes: of each image, the objects to be answered; None takes those of the truth that have a labelled point and are no crowd. With boxes of its own a
    crop has no truth: the answers are compared with the truths of the whole image. size: (h, w) of the input, whose ratio the crops have.
    An image is decoded once for its crops as long as they are read one after another.
    """

    def __init__(self, dataset: Dataset, crops: Crops, size: tuple[int, int], boxes: Sequence[Boxes] | None = None) -> None:
        self.dataset, self.crops, self.size_of_input, self.kept = dataset, crops, size, Kept(KEPT_BYTES)
        self.given, self.boxes = boxes is not None, list[Boxes]() if boxes is None else list(boxes)
        self.crop: list[Crop] = []
        self.records: list[Record] = []
        for place in range(len(dataset)):
            self._add(place)

    def _add(self, place: int) -> None:
        truth = None if self.given else self.dataset.truth(place).get(HEAD)
        if not self.given:
            self.boxes.append(Boxes.empty() if truth is None else truth.boxes)
            rows = [] if truth is None else [row for row, usable in enumerate(answerable(truth)) if usable]
        else:
            rows = list(range(len(self.boxes[place])))
        record, ratio = self.dataset.records[place], self.size_of_input[0] / self.size_of_input[1]
        for row in rows:
            window = self.crops.window(self.boxes[place].xyxy[row].tolist(), self.dataset.size(place), ratio)
            self.crop.append(Crop(place, row, window))
            targets = {HEAD: None if truth is None else StoredCrop(truth, self.crop[-1])}
            self.records.append(replace(record, id=f"{record.id}@{row}", targets=targets, size=window.size))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data set's, of the rule and of the crops that there are."""
        return hashlib.blake2b(repr((self.dataset.fingerprint, self.crops, self.crop)).encode(), digest_size=16).hexdigest()

    def part(self, i: int) -> tuple[int, Window]:
        return self.crop[i].place, self.crop[i].window

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """The pixels (h, w, C) of a crop; never reduced, for it `size` says only what would be enough."""
        return self.pixels(i)

    def truth(self, i: int) -> dict[str, Any]:
        """The object's key points in the pixels of its crop."""
        return {head: target.load() if isinstance(target, StoredCrop) else target for head, target in self.records[i].targets.items()}

    def subset(self, indices: Sequence[int]) -> Self:
        """Some of the crops. What is kept of whole images is shared."""
        part = object.__new__(type(self))
        part.__dict__.update({name: value for name, value in self.__dict__.items() if name != "fingerprint"})
        part.crop, part.records = [self.crop[i] for i in indices], [self.records[i] for i in indices]
        return part

    def joined(self, answers: Iterable[tuple[str, Any]]) -> Iterator[tuple[int, Any]]:
        """See `Parts.joined`; images without objects, whose answer is empty, come first."""
        places = {record.id: i for i, record in enumerate(self.records)}
        needed = dict.fromkeys(range(len(self.dataset)), 0)
        for crop in self.crop:
            needed[crop.place] += 1
        space = self.spaces[HEAD]
        for place, count in needed.items():
            if not count:
                yield place, Keypoints.empty(len(space.keypoints), space.pairs)
        waiting: dict[int, list[tuple[Crop, Keypoints]]] = {}
        for name, answer in answers:
            if name not in places:
                raise ValueError(f"{name} is no crop of this data set; crops are named path@k")
            crop = self.crop[places[name]]
            waiting.setdefault(crop.place, []).append((crop, answer))
            if len(waiting[crop.place]) == needed[crop.place]:
                found = waiting.pop(crop.place)
                yield crop.place, assembled(found, self.boxes[crop.place], self.dataset.size(crop.place))


def answerable(truth: Keypoints) -> list[bool]:
    """Of each object whether it has a labelled point and is no crowd."""
    labelled: Tensor = (truth.visible > 0).any(1)
    if truth.boxes.crowd is not None:
        labelled = labelled & ~truth.boxes.crowd
    return [bool(flag) for flag in labelled.tolist()]


def assembled(found: Sequence[tuple[Crop, Keypoints]], boxes: Boxes, image: tuple[int, int]) -> Keypoints:
    """The answers of an image's crops, one object each, in the pixels of the image (h, w), with the boxes and classes that the crops were made from.

    An object's score is its points' times its box's. Raises ValueError for an answer of no or several objects.
    """
    if any(len(answer) != 1 for _, answer in found):
        raise ValueError(f"each crop has one object, got {[len(answer) for _, answer in found]}")
    placed = [answer.warp(crop.window.placement(image)) for crop, answer in found]
    own = boxes.select([crop.row for crop, _ in found])
    scores = torch.stack([answer.boxes.scores[0] if answer.boxes.scores is not None else torch.tensor(1.0) for answer in placed]).float()
    scores = scores if own.scores is None else scores * own.scores.float()
    plain = Boxes(own.xyxy.float(), own.classes, scores)
    points = [answer.scores for answer in placed]
    together = None if any(p is None for p in points) else torch.cat([p for p in points if p is not None])
    return Keypoints(torch.cat([p.xy for p in placed]), torch.cat([p.visible for p in placed]), plain, together, placed[0].pairs)


def typical_crop(dataset: Dataset, crops: Crops) -> tuple[int, int]:
    """(h, w) that the crops of a data set's objects typically have, at most `LARGEST` on the longer side: medians over the first objects."""
    sides: list[np.ndarray] = []
    for place in range(len(dataset)):
        truth = dataset.truth(place).get(HEAD)
        if truth is not None:
            boxes = array(truth.boxes.xyxy)[answerable(truth)]
            sides += list((boxes[:, 2:] - boxes[:, :2]) * crops.context)
        if len(sides) >= SAMPLE:
            break
    if not sides:
        return (LARGEST // 2, LARGEST // 2)
    width, height = (max(1.0, statistics.median(float(side[axis]) for side in sides)) for axis in (0, 1))
    scale = min(1.0, LARGEST / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


class JoinedCrops:
    """The answers of an image's crops, in order, on their way to one answer. image: (h, w); windows: one for each of the boxes; without any, what is
    added (an answer of the whole image) is dropped. empty: the answer to an image without objects."""

    def __init__(self, image: tuple[int, int], boxes: Boxes, windows: Sequence[Window], empty: Keypoints) -> None:
        self.image, self.boxes, self.windows, self.empty = image, boxes, windows, empty
        self.found: list[tuple[Crop, Keypoints]] = []

    def add(self, part: Keypoints) -> None:
        """The answer of the next crop."""
        row = len(self.found)
        if row < len(self.windows):
            self.found.append((Crop(0, row, self.windows[row]), part))

    def finish(self) -> Keypoints:
        """The answer of the image."""
        return assembled(self.found, self.boxes, self.image) if self.found else self.empty
