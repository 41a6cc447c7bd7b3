"""Truths whose classes, or key points, get other numbers: a data set's own become those that a model has for the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saccade.core import Stored
from saccade.targets.boxes import Boxes
from saccade.targets.label import Label
from saccade.targets.labels import Labels
from saccade.targets.segmentation_map import IGNORED, SegmentationMap
from saccade.targets.tag_sequence import TagSequence


@dataclass(frozen=True)
class StoredRenamed:
    """A stored truth whose classes are renamed once it is read."""

    whole: Stored
    table: tuple[int, ...]
    classes: int

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.whole.paths

    def load(self) -> Any:
        return renamed(self.whole.load(), self.table, self.classes)


def renamed(target: Any, table: Sequence[int], classes: int) -> Any:
    """The truth with class k as class table[k] of so many; what is ignored stays so. A kind without classes is returned as it is.

    Labels of classes that the data do not know are unknown afterwards (-1).
    """
    if target is None:
        return None
    if isinstance(target, Stored):
        return StoredRenamed(target, tuple(table), classes)
    if isinstance(target, Label):
        return replace(target, index=table[target.index]) if target.known else target
    if isinstance(target, Labels):
        values = torch.full((classes,), -1, dtype=target.values.dtype)
        values[torch.tensor(table, dtype=torch.int64)] = target.values
        return Labels(values)
    if isinstance(target, SegmentationMap):
        ids = torch.full((256,), IGNORED, dtype=torch.uint8)
        ids[: len(table)] = torch.tensor(table, dtype=torch.uint8)
        return SegmentationMap(ids[target.ids.long()])
    if isinstance(target, TagSequence):
        return replace(target, tags=_mapped(target.tags, table))
    if isinstance(getattr(target, "classes", None), Tensor):
        target = replace(target, classes=_mapped(target.classes, table))
    if isinstance(getattr(target, "boxes", None), Boxes):
        target = replace(target, boxes=replace(target.boxes, classes=_mapped(target.boxes.classes, table)))
    return target


@dataclass(frozen=True)
class StoredReordered:
    """Stored key points that are brought into another order once they are read."""

    whole: Stored
    places: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.whole.paths

    def load(self) -> Any:
        return reordered(self.whole.load(), self.places, self.pairs)


def reordered(target: Any, places: Sequence[int], pairs: tuple[tuple[int, int], ...]) -> Any:
    """Key points in another order: point k is the one at places[k], and not labelled where that is -1. pairs: those of the new order."""
    if target is None:
        return None
    if isinstance(target, Stored):
        return StoredReordered(target, tuple(places), pairs)
    there = torch.tensor([place >= 0 for place in places])
    at = torch.tensor(places, dtype=torch.int64).clamp_min(0)
    xy = torch.where(there[:, None], target.xy[:, at], 0.0).to(target.xy.dtype)
    visible = torch.where(there, target.visible[:, at], 0).to(torch.uint8)
    scores = None if target.scores is None else torch.where(there, target.scores[:, at], 0.0)
    return replace(target, xy=xy, visible=visible, scores=scores, pairs=pairs)


def _mapped(classes: Tensor, table: Sequence[int]) -> Tensor:
    """(n,) ids through the table; those below 0 stay."""
    places = torch.tensor([*table, -1], dtype=classes.dtype, device=classes.device)
    return torch.where(classes < 0, classes, places[classes.clamp(min=-1).long()])
