"""The masks of Pascal VOC: a class for every pixel by palette index, and a second picture with the number of the object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from saccade.data.formats.stored import Coding, mask_samples, numbers_of
from saccade.errors import DataError
from saccade.targets import Boxes, Instances
from saccade.targets.segmentation_map import IGNORED


@dataclass(frozen=True)
class ObjectMasks:
    """The instances of one image: an id map in a palette picture (0 none, 255 not known), read when it is needed.

    boxes: the objects of the image's XML file, in its order: object i is where the id is i + 1. None when there are none, or when they
    are not one for each id; the class is then the one that most of the object's pixels have in the class mask, and the box is around them.
    """

    path: Path
    classes: Path | None
    coding: Coding
    boxes: Boxes | None
    background: bool = True

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,) if self.classes is None else (self.path, self.classes)

    def load(self) -> Instances:
        """Raises DataError IMG-*, MAP-*; ANN-MASK when an object's class cannot be told."""
        ids = numbers_of(mask_samples(self.path), "index", str(self.path)).astype(np.int32)
        ids[ids == IGNORED] = 0
        held = self._held(ids)
        return held if held is not None else self._from_classes(ids)

    def _held(self, ids: np.ndarray) -> Instances | None:
        """The objects of the XML file, where each id is one of them."""
        if self.boxes is None or ids.max(initial=0) > len(self.boxes):
            return None
        return Instances(self.boxes, ids.shape, ids=torch.from_numpy(ids))  # type: ignore[arg-type]

    def _from_classes(self, ids: np.ndarray) -> Instances:
        if self.classes is None:
            raise DataError("ANN-MASK", "neither a label file nor a class mask says what the objects are", where=str(self.path))
        numbers = numbers_of(mask_samples(self.classes), self.coding.kind, str(self.classes))
        classes = self.coding.classes(numbers, str(self.classes))
        if classes.shape != ids.shape:
            raise DataError("ANN-MASK", f"{ids.shape} pixels, the class mask has {classes.shape}", where=str(self.path))
        boxes, labels, renumbered = [], [], np.zeros_like(ids)
        for number in np.unique(ids[ids > 0]).tolist():
            rows, columns = np.nonzero(ids == number)
            own = classes[rows, columns]
            counts = np.bincount(own[(own != IGNORED) & ((own > 0) | (not self.background))], minlength=1)
            if not counts.any():
                continue
            labels.append(int(counts.argmax()) - self.background)
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            renumbered[rows, columns] = len(labels)
        xyxy = torch.tensor(np.array(boxes, dtype=np.float64).reshape(-1, 4))
        return Instances(Boxes(xyxy, torch.tensor(labels, dtype=torch.int64)), (ids.shape[0], ids.shape[1]), ids=torch.from_numpy(renumbered))
