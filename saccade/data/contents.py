"""What a truth holds, in numbers: enough to check, split, count and plot a data set once its pixels are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from saccade.core import IGNORE, Record, Stored
from saccade.data.dataset import ImageDataset
from saccade.errors import DataError
from saccade.targets import (
    TARGETS,
    Boxes,
    Boxes3D,
    Caption,
    DepthMap,
    FlowMap,
    ImageTarget,
    Instances,
    Keypoints,
    Label,
    Labels,
    NormalMap,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
    TagSequence,
)
from saccade.targets.segmentation_map import IGNORED

OBJECTS = frozenset({"boxes", "instances", "keypoints", "points", "regions", "graph", "boxes3d"})
"""The heads whose truths are lists of objects, which may be empty."""
_NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Contents:
    """The numbers of one truth.

    known: whether it says anything (a label that is ignored does not). classes: (n,) int64, the class of each object, of each step of a
    sequence, or each class that a map or a set of labels has; ignored ones left out. amounts: (n,) pixels of each class of a map, else
    None: one each. objects: how many there are. boxes: (n, 4) xyxy. points: (n, 2), dots or key points that are labelled. visible: (n, K)
    of key points. texts: sentences. plane: (h, w) of a map or a second picture. values: other numbers by name.
    """

    known: bool = True
    classes: np.ndarray = field(default_factory=lambda: _NO_IDS)
    amounts: np.ndarray | None = None
    objects: int = 0
    boxes: np.ndarray | None = None
    points: np.ndarray | None = None
    visible: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    plane: tuple[int, int] | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def present(self) -> np.ndarray:
        """The classes that are there, ascending, each once."""
        return np.unique(self.classes)


def contents(target: Any) -> Contents:
    """The numbers of a loaded truth; None gives one that is not known. Raises TypeError for what is no target."""
    if target is None:
        return Contents(known=False)
    if type(target) not in _READERS:
        raise TypeError(f"{type(target).__name__} is no target; expected one of {', '.join(sorted(t.__name__ for t in _READERS))}")
    return _READERS[type(target)](target)


def heads(dataset: ImageDataset) -> tuple[str, ...]:
    """The kinds of truth that a data set has, in the order of `TARGETS`: those with names of classes, and those of any record."""
    there = set(dataset.spaces)
    for record in dataset.records:
        there.update(record.targets)
    return tuple(name for name in TARGETS if name in there)


def main_head(dataset: ImageDataset) -> str:
    """The head that a report speaks of first: `label` where there is one, else the first with classes and a truth, else the first with a truth."""
    own = heads(dataset)
    there = [name for name in own if any(record.targets.get(name) is not None for record in dataset.records)]
    named = [name for name in there if name in dataset.spaces and len(dataset.spaces[name])]
    return "label" if "label" in there else next(iter(named + there + list(own)), "label")


def plain(dataset: ImageDataset) -> bool:
    """Whether the data set is one of classification alone."""
    return set(heads(dataset)) <= {"label"}


def contents_of(dataset: ImageDataset, record: Record, head: str) -> Contents:
    """What `check` saw of a record's truth, else what it holds now: stored truths are loaded. Raises DataError when that fails."""
    seen = dataset.contents.get(record.id, {}).get(head)
    if seen is not None:
        return seen
    target = record.targets.get(head)
    return contents(target.load() if isinstance(target, Stored) else target)


def all_contents(dataset: ImageDataset, head: str, places: Sequence[int] | None = None) -> Iterator[Contents]:
    """The contents of one head for these records or all, in order; a truth that cannot be read counts as unknown."""
    for i in range(len(dataset)) if places is None else places:
        try:
            yield contents_of(dataset, dataset.records[i], head)
        except DataError:
            yield Contents(known=False)


def amount(dataset: ImageDataset, head: str) -> int:
    """How many objects a head has, or images where it says one thing an image."""
    held = list(all_contents(dataset, head))
    return sum(one.objects for one in held) if head in OBJECTS else sum(one.known for one in held)


def tally(dataset: ImageDataset, head: str, places: Sequence[int] | None = None, *, objects: bool = False) -> dict[str, int]:
    """Images that have each class, among these places or all, or with `objects` the objects (of a map: the pixels); in the order of the classes."""
    names = dataset.spaces[head].names if head in dataset.spaces else ()
    if head == "label":
        return dataset.class_counts(places)
    counts = np.zeros(len(names), np.int64)
    for held in all_contents(dataset, head, places) if names else ():
        inside = held.classes < len(names)
        ids = held.classes[inside]
        if objects:
            np.add.at(counts, ids, 1 if held.amounts is None else held.amounts[inside])
        else:
            counts[np.unique(ids)] += 1
    return dict(zip(names, counts.tolist(), strict=True))


def box_record(target: Any) -> Boxes | None:
    """The boxes of a target that has some, whatever its kind."""
    return target if isinstance(target, Boxes) else getattr(target, "boxes", None)


def _label(target: Label) -> Contents:
    return Contents(target.known, np.array([target.index] if target.known else [], np.int64), objects=int(target.known))


def _labels(target: Labels) -> Contents:
    values = target.values.numpy()
    yes = np.flatnonzero(values == 1)
    return Contents(bool((values != IGNORE).any()), yes, objects=len(yes), values={"unknown": float((values == IGNORE).sum())})


def _number(target: Number) -> Contents:
    return Contents(bool(np.isfinite(target.value)), values={"value": float(target.value)})


def _ids(classes: Any) -> np.ndarray:
    ids = np.asarray(classes.numpy(), dtype=np.int64)
    return ids[ids != IGNORE]


def _boxes(target: Boxes) -> Contents:
    return Contents(True, _ids(target.classes), None, len(target), np.asarray(target.xyxy.numpy(), np.float64))


def _instances(target: Instances) -> Contents:
    held = _boxes(target.boxes)
    return Contents(True, held.classes, None, len(target), held.boxes, plane=target.size)


def _keypoints(target: Keypoints) -> Contents:
    held, visible = _boxes(target.boxes), target.visible.numpy()
    points = target.xy.numpy()[visible > 0] if len(target) else np.zeros((0, 2))
    return Contents(True, held.classes, None, len(target), held.boxes, points, visible)


def _map(target: SegmentationMap) -> Contents:
    pixels = np.bincount(target.ids.numpy().ravel(), minlength=256)
    ids = np.flatnonzero(pixels[:IGNORED])
    size = tuple(target.ids.shape)
    ignored = float(pixels[IGNORED]) / max(1, pixels.sum())
    return Contents(len(ids) > 0, ids, pixels[ids], len(ids), plane=(int(size[0]), int(size[1])), values={"ignored": ignored})


def _points(target: Points) -> Contents:
    return Contents(True, _ids(target.classes), None, len(target), points=np.asarray(target.xy.numpy(), np.float64))


def _depth(target: DepthMap) -> Contents:
    metres = target.metres.numpy()
    known = metres[np.isfinite(metres)]
    values = {"known": len(known) / max(1, metres.size)}
    if len(known):
        values |= {"nearest": float(known.min()), "farthest": float(known.max()), "mean": float(known.mean(dtype=np.float64))}
    return Contents(len(known) > 0, plane=(metres.shape[0], metres.shape[1]), values=values)


def _vectors(target: FlowMap | NormalMap) -> Contents:
    vectors = target.vectors.numpy()
    known = np.isfinite(vectors).min(axis=0, initial=True)
    return Contents(bool(known.any()), plane=(vectors.shape[1], vectors.shape[2]), values={"known": float(known.mean())})


def _picture(target: ImageTarget) -> Contents:
    return Contents(True, plane=(int(target.pixels.shape[1]), int(target.pixels.shape[2])), values={"channels": float(len(target.pixels))})


def _caption(target: Caption) -> Contents:
    return Contents(any(text.strip() for text in target.texts), texts=target.texts)


def _regions(target: RegionCaptions) -> Contents:
    return Contents(True, objects=len(target), boxes=np.asarray(target.xyxy.numpy(), np.float64), texts=target.texts)


def _graph(target: SceneGraph) -> Contents:
    held = _boxes(target.boxes)
    return Contents(True, held.classes, None, len(target), held.boxes, values={"relations": float(len(target.relations))})


def _boxes3d(target: Boxes3D) -> Contents:
    flat = None if target.boxes is None else np.asarray(target.boxes.xyxy.numpy(), np.float64)
    return Contents(True, _ids(target.classes), None, len(target), flat)


def _tags(target: TagSequence) -> Contents:
    ids = _ids(target.tags)
    return Contents(len(ids) > 0, ids, objects=len(ids), values={"steps": float(len(target))})


_READERS: Mapping[type[Any], Callable[[Any], Contents]] = MappingProxyType(
    {
        Label: _label,
        Labels: _labels,
        Number: _number,
        Boxes: _boxes,
        Instances: _instances,
        Keypoints: _keypoints,
        SegmentationMap: _map,
        Points: _points,
        DepthMap: _depth,
        ImageTarget: _picture,
        Caption: _caption,
        RegionCaptions: _regions,
        SceneGraph: _graph,
        Boxes3D: _boxes3d,
        TagSequence: _tags,
        FlowMap: _vectors,
        NormalMap: _vectors,
    }
)
