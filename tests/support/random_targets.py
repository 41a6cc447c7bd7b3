"""Truths of the kinds that `random_sets` does not make, put beside those of a random data set: dots, maps, depth, texts, boxes in space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.source import natural
from saccade.ops.masks import Polygons, mask_of
from saccade.targets import (
    Boxes,
    Boxes3D,
    Caption,
    DepthMap,
    ImageTarget,
    Instances,
    Keypoints,
    Labels,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
    TagSequence,
)

DOTS = ("bud", "leaf")
KINDS = ("dry", "wet", "windy")
REGIONS = ("background", "road", "sky")
RELATIONS = ("near", "on")
SENTENCES = ("a cat", "two dogs, one red", 'the "big" one', "ein Haus; grün", "x")
Size = tuple[int, int]
Generator = np.random.Generator


def _points(g: Generator, size: Size, number: int) -> Points:
    n = len(DOTS) + int(g.integers(0, 3)) if number == 0 else int(g.integers(0, 5))
    classes = np.concatenate([np.arange(len(DOTS)), g.integers(0, len(DOTS), n)])[:n] if number == 0 else g.integers(0, len(DOTS), n)
    xy = g.uniform(0.5, np.array([size[1], size[0]]) - 0.5, (n, 2))
    return Points(torch.from_numpy(xy), torch.from_numpy(classes.astype(np.int64)))


def _whole_points(g: Generator, size: Size, number: int) -> Points:
    """Dots in the middle of pixels that do not touch each other."""
    held = _points(g, size, number)
    cells = g.permutation((size[0] // 3) * (size[1] // 3))[: len(held)]
    rows, columns = np.divmod(cells, size[1] // 3)
    xy = np.stack([columns * 3 + 1.5, rows * 3 + 1.5], 1)[np.lexsort((columns, rows))]
    return Points(torch.from_numpy(xy.astype(np.float64)), held.classes)


def _labels(g: Generator, size: Size, number: int) -> Labels:
    values = g.integers(0, 2, len(KINDS))
    return Labels(torch.from_numpy(np.maximum(values, number == 0).astype(np.int8)))


def _number(g: Generator, size: Size, number: int) -> Number:
    return Number(round(float(g.normal(0, 100)), 3) + number / 1000)


def _regions(g: Generator, size: Size, number: int) -> RegionCaptions:
    n = int(g.integers(number == 0, 4))
    low = g.uniform(0, [size[1] - 9, size[0] - 9], (n, 2))
    boxes = np.concatenate([low, low + g.uniform(2, 8, (n, 2))], 1)
    return RegionCaptions(torch.from_numpy(boxes), tuple(str(t) for t in g.choice(SENTENCES, n)))


def _map(g: Generator, size: Size, number: int) -> SegmentationMap:
    ids = np.kron(g.integers(0, len(REGIONS), (size[0] // 4 + 1, size[1] // 4 + 1)), np.ones((4, 4), int))[: size[0], : size[1]]
    ids[: len(REGIONS), 0] = np.arange(len(REGIONS))
    return SegmentationMap(torch.from_numpy(ids.astype(np.uint8)))


def _depth(g: Generator, size: Size, number: int) -> DepthMap:
    metres = (g.integers(300, 9000, size) / 1000).astype(np.float32)
    metres[g.random(size) < 0.1] = np.nan
    return DepthMap(torch.from_numpy(metres))


def _image(g: Generator, size: Size, number: int) -> ImageTarget:
    return ImageTarget(torch.from_numpy(g.integers(0, 256, (3, *size)).astype(np.float32) / 255))


def _caption(g: Generator, size: Size, number: int) -> Caption:
    return Caption(tuple(str(t) for t in g.choice(SENTENCES, int(g.integers(1, 4)))))


def _boxes3d(g: Generator, size: Size, number: int) -> Boxes3D:
    n = int(g.integers(number == 0, 4))
    camera = torch.tensor([[30.0, 0, size[1] / 2, 4.5], [0, 30.0, size[0] / 2, -0.3], [0, 0, 1, 0.005]], dtype=torch.float64)
    centre, extent = g.uniform([-2, -1, 4], [2, 1, 20], (n, 3)), g.uniform(0.5, 4, (n, 3))
    low = g.uniform(0, [size[1] - 9, size[0] - 9], (n, 2))
    classes = np.concatenate([np.arange(2), g.integers(0, 2, n)])[:n] if number == 0 else g.integers(0, 1, n)
    boxes = Boxes(torch.from_numpy(np.round(np.concatenate([low, low + g.uniform(2, 8, (n, 2))], 1), 2)), torch.from_numpy(classes.astype(np.int64)))
    rounded = [torch.from_numpy(np.round(v, 2)) for v in (centre, extent, g.uniform(-3.1, 3.1, n))]
    return Boxes3D(rounded[0], rounded[1], rounded[2], boxes.classes, camera, boxes)


def _graph(g: Generator, size: Size, number: int) -> SceneGraph:
    n = 2 + int(g.integers(0, 3))
    low = g.uniform(0, [size[1] - 9, size[0] - 9], (n, 2))
    boxes = Boxes(torch.from_numpy(np.concatenate([low, low + g.uniform(2, 8, (n, 2))], 1)), torch.from_numpy(np.arange(n) % len(DOTS)))
    pairs = g.permutation(n)[:2]
    rows = [[int(pairs[0]), number % len(RELATIONS), int(pairs[1])]] + ([[0, 1, 1], [1, 0, 0]] if number == 0 else [])
    return SceneGraph(boxes, tuple(("red", "old")[: int(k)] for k in g.integers(0, 3, n)), torch.tensor(rows, dtype=torch.int64).reshape(-1, 3))


def _tags(g: Generator, size: Size, number: int) -> TagSequence:
    n = 3 + int(g.integers(0, 5))
    return TagSequence(torch.from_numpy(np.concatenate([np.arange(len(KINDS)), g.integers(0, len(KINDS), n)])[: max(n, len(KINDS))].astype(np.int64)))


MAKERS: dict[str, tuple[Callable[[Generator, Size, int], Any], LabelSpace]] = {
    "points": (_points, LabelSpace(DOTS)),
    "whole points": (_whole_points, LabelSpace(DOTS)),
    "labels": (_labels, LabelSpace(KINDS)),
    "number": (_number, LabelSpace(())),
    "regions": (_regions, LabelSpace(())),
    "map": (_map, LabelSpace(REGIONS, background=0)),
    "depth": (_depth, LabelSpace(())),
    "image": (_image, LabelSpace(())),
    "caption": (_caption, LabelSpace(())),
    "boxes3d": (_boxes3d, LabelSpace(DOTS)),
    "graph": (_graph, LabelSpace(DOTS, relations=RELATIONS)),
    "tags": (_tags, LabelSpace(KINDS)),
}


def with_targets(dataset: ImageDataset, seed: int, kinds: Sequence[str]) -> ImageDataset:
    """The data set with more heads: keys of MAKERS, of which the last word is the head."""
    g, records, spaces = np.random.default_rng([seed, 7]), list(dataset.records), dict(dataset.spaces)
    for kind in kinds:
        make, space = MAKERS[kind]
        head = kind.split()[-1]
        spaces[head] = space
        for i, record in enumerate(records):
            records[i] = replace(record, targets={**record.targets, head: make(g, record.size, i)})
    return replace(dataset, records=tuple(records), spaces=spaces)


def without_skeletons(dataset: ImageDataset) -> ImageDataset:
    """Key points as tools without skeletons hold them: no lines and pairs, each object has the first labelled, the very first has all."""
    records, first = [], True
    for record in dataset.records:
        held = record.targets["keypoints"]
        visible, xy = held.visible.clone(), held.xy.clone()
        middle = held.boxes.xyxy[:, None].reshape(-1, 1, 2, 2).mean(2)
        hidden = torch.zeros_like(visible, dtype=torch.bool)
        hidden[:, 0] = True
        if first and len(held):
            hidden[0], first = True, False
        hidden &= visible == 0
        visible[hidden], xy = 1, torch.where(hidden[..., None], middle, xy)
        records.append(replace(record, targets={**record.targets, "keypoints": Keypoints(xy, visible, held.boxes)}))
    space = dataset.spaces["keypoints"]
    spaces = {**dataset.spaces, "keypoints": LabelSpace(space.names, keypoints=space.keypoints)}
    return replace(dataset, records=tuple(records), spaces=spaces)


def natural_names(dataset: ImageDataset) -> ImageDataset:
    """The classes in natural order, as a format without a list of classes gives them."""
    spaces = {head: replace(space, names=tuple(sorted(space.names, key=natural))) for head, space in dataset.spaces.items()}
    return replace(dataset, spaces=spaces)


def one_ring_each(dataset: ImageDataset) -> ImageDataset:
    """Masks of a single outline each, with the box around it."""
    records = []
    for record in dataset.records:
        held = record.targets["instances"]
        shapes = tuple(Polygons(shape.size, shape.rings[:1]) for shape in held.shapes)
        around = [np.concatenate([s.rings[0].min(0), s.rings[0].max(0)]) for s in shapes]
        records.append(_boxed(record, shapes, np.array(around).reshape(-1, 4), range(len(shapes))))
    return replace(dataset, records=tuple(records))


def apart(dataset: ImageDataset) -> ImageDataset:
    """Masks that do not overlap: of each image, in order, those that leave the earlier ones uncovered; without the classes that this leaves without one."""
    records = []
    for record in dataset.records:
        held, seen, rows = record.targets["instances"], np.zeros(record.size, bool), []
        for i, shape in enumerate(held.shapes):
            mask = mask_of(shape)
            if not (mask & seen).any():
                rows.append(i)
                seen |= mask
        records.append(_boxed(record, tuple(held.shapes[i] for i in rows), held.boxes.xyxy.numpy()[rows], rows))
    return replace(dataset, records=tuple(records))


def _boxed(record, shapes, xyxy, rows):
    """A record with other masks and their boxes."""
    held = record.targets["instances"]
    boxes = Boxes(torch.from_numpy(xyxy), held.boxes.classes[list(rows)])
    targets = {head: boxes if head == "boxes" else Instances(boxes, held.size, shapes) for head in record.targets}
    return replace(record, targets=targets)


def apart_by_class(dataset: ImageDataset) -> ImageDataset:
    """Masks that do not overlap, listed class by class: as id maps that number the objects of each class give them."""
    records = []
    for record in apart(dataset).records:
        held = record.targets["instances"]
        rows = np.argsort(held.boxes.classes.numpy(), kind="stable").tolist()
        records.append(_boxed(record, tuple(held.shapes[i] for i in rows), held.boxes.xyxy.numpy()[rows], rows))
    return replace(dataset, records=tuple(records))


def one_class_list(dataset: ImageDataset) -> ImageDataset:
    """A map of the classes of the boxes and a background before them."""
    names = ("background", *dataset.spaces["boxes"].names)
    records = [replace(r, targets={**r.targets, "map": SegmentationMap(r.targets["map"].ids % len(names))}) for r in dataset.records]
    return replace(dataset, records=tuple(records), spaces={**dataset.spaces, "map": LabelSpace(names, background=0)})


def boxes_of_space(dataset: ImageDataset) -> ImageDataset:
    """Boxes in the image that are those of the boxes in space."""
    records = [replace(r, targets={**r.targets, "boxes": r.targets["boxes3d"].boxes}) for r in dataset.records]
    return replace(dataset, records=tuple(records), spaces={**dataset.spaces, "boxes": dataset.spaces["boxes3d"]})


def animals(dataset: ImageDataset) -> ImageDataset:
    """Key points of one class, each labelled or not, at least one of each object, in boxes that are tight around them."""
    records = []
    for record in dataset.records:
        held = record.targets["keypoints"]
        visible = torch.where(held.visible > 0, 2, 0).to(torch.uint8)
        visible[:, :2] = 2
        xy = torch.where((held.visible > 0)[..., None], held.xy, 0.0)
        corners = held.boxes.xyxy[:, None].reshape(-1, 2, 2)  # the first two points are corners of the box
        xy[:, :2] = corners
        inside = torch.where(visible[..., None] > 0, xy, corners[:, :1])
        boxes = Boxes(torch.cat([inside.amin(1), inside.amax(1)], 1) if len(held) else held.boxes.xyxy, torch.zeros_like(held.boxes.classes))
        records.append(replace(record, targets={"keypoints": Keypoints(xy, visible, boxes, pairs=held.pairs)}))
    space = replace(dataset.spaces["keypoints"], names=("animal",))
    return replace(dataset, records=tuple(records), spaces={"keypoints": space})


def one_list(dataset: ImageDataset) -> ImageDataset:
    """Dots of the classes of the boxes; attributes that are false are not said."""
    space, records = dataset.spaces["boxes"], []
    for record in dataset.records:
        boxes, dots = record.targets["boxes"], record.targets["points"]
        if boxes.attributes is not None:
            boxes = replace(boxes, attributes=tuple({k: v for k, v in own.items() if v is not False} for own in boxes.attributes))
        records.append(replace(record, targets={**record.targets, "boxes": boxes, "points": replace(dots, classes=dots.classes % len(space))}))
    return replace(dataset, records=tuple(records), spaces={**dataset.spaces, "points": space})


def used_classes(dataset: ImageDataset) -> ImageDataset:
    """The classes that images have, in natural order."""
    space = dataset.spaces["label"]
    most = max(record.targets["label"].index for record in dataset.records) + 1
    return natural_names(replace(dataset, spaces={**dataset.spaces, "label": LabelSpace(space.names[:most])}))


def pictures_of_one_size(dataset: ImageDataset) -> ImageDataset:
    """The same labels, in natural order, on pictures of 24 x 24."""
    for record in dataset.records:
        with Image.open(record.path) as picture:
            picture.convert("L").resize((24, 24)).save(record.path)
    return replace(used_classes(dataset), records=tuple(replace(record, size=(24, 24)) for record in dataset.records), channels=1)


def named_in_order(dataset: ImageDataset, like: ImageDataset) -> ImageDataset:
    """The records with the names of those of `like` at the same places, split by split: where a file of many has no names."""
    splits = ("train", "val", "test", None)
    names = [r.id for r in sorted(like.records, key=lambda r: splits.index(r.split))]
    records = sorted(dataset.records, key=lambda r: splits.index(r.split))
    return replace(dataset, records=tuple(replace(r, id=name) for r, name in zip(records, names, strict=True)))


def without_background(dataset: ImageDataset) -> ImageDataset:
    return replace(dataset, spaces={**dataset.spaces, "map": replace(dataset.spaces["map"], background=None)})


def as_sequences(dataset: ImageDataset) -> ImageDataset:
    """A sequence of three numbers a frame in place of each picture."""
    g = np.random.default_rng(len(dataset.records[0].targets["tags"]))
    frames = [g.normal(size=(len(record.targets["tags"]), 3)) for record in dataset.records]
    records = [replace(r, path=dataset.root / "s.jsonl", index=i, size=None) for i, r in enumerate(dataset.records)]
    return replace(used_classes(dataset), records=tuple(records), arrays={"s.jsonl": frames})


def different_sentences(dataset: ImageDataset) -> ImageDataset:
    """Each sentence of an image once."""
    records = [replace(r, targets={**r.targets, "caption": Caption(tuple(dict.fromkeys(r.targets["caption"].texts)))}) for r in dataset.records]
    return replace(dataset, records=tuple(records))
