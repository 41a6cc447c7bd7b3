"""CVAT's XML 1.1 for images, written: annotations.xml, and images/ with a folder for each subset."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from saccade.data.dataset import ImageDataset
from saccade.data.formats.cvat_labels import drawing, kind_of
from saccade.data.formats.cvat_shapes import brush_text
from saccade.data.formats.drawn_out import Item, Losses, items, moved
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.errors import Problem
from saccade.ops.masks import Runs, mask_of, tight_box

HOLDS = frozenset({"boxes", "instances", "keypoints", "points", "label", "labels"})
_OBJECTS = ("boxes", "instances", "keypoints", "points")
_SUBSETS = {"train": "Train", "val": "Validation", "test": "Test"}


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes every image with its shapes, skeletons, points and tags; crowd and difficult become attributes.

    What it cannot hold: images without labels (they are read as without objects), unknown answers of several labels, areas, numbers of
    objects, scores, "not occluded", boxes that are not tight around their outline, left and right pairs that the names do not say.
    """
    losses, root = Losses(), Element("annotations")
    SubElement(root, "version").text = "1.1"
    meta = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    kinds: dict[tuple[str, str], set[Any]] = defaultdict(set)
    names = list(dict.fromkeys(name for head in _OBJECTS if head in dataset.spaces for name in dataset.spaces[head].names))
    tags = [name for head in ("label", "labels") if head in dataset.spaces for name in dataset.spaces[head].names]
    for i, record in enumerate(dataset.records):
        truth, (height, width) = dataset.truth(i), dataset.size(i)
        subset = _SUBSETS.get(record.split or "", "")
        path = pictures.put(i, posixpath.join("images", subset))
        name = posixpath.relpath(path, posixpath.join("images", subset)) if pictures.how != "none" else path
        image = SubElement(root, "image", {"id": str(i), "name": name, **({"subset": subset} if subset else {}), "width": str(width), "height": str(height)})
        losses.add("boxes", "images without labels, which are read as without objects", int(all(truth.get(head) is None for head in dataset.spaces)))
        for number, item in enumerate(items(truth, dataset.spaces, losses), 1):
            _object(image, item, number, dataset, losses)
            for key, value in item.flags.items():
                kinds[item.name, key].add(value)
        _others(image, truth, dataset, losses)
    _labels(meta, names, [tag for tag in tags if tag not in names], kinds, dataset)
    pose = dataset.spaces.get("keypoints")
    losses.add("keypoints", "pairs of left and right that the names do not say", int(pose is not None and pose.pairs != mirrored_pairs(pose.keypoints)))
    for head, space in dataset.spaces.items():
        listed = tuple(names) if head in _OBJECTS else space.names
        apart = head in _OBJECTS or not set(names) & set(tags) or (tags == names)
        losses.add(head, "another list of classes than that of the other kinds of labels", int(space.names != listed or not apart))
    indent(root)
    (out / "annotations.xml").write_bytes(b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="utf-8", xml_declaration=False))
    return losses.problems()


def _labels(parent: Element, names: list[str], tags: list[str], kinds: Mapping[tuple[str, str], set[Any]], dataset: ImageDataset) -> None:
    """The list of labels with their attributes; skeletons with their points and lines."""
    pose = dataset.spaces.get("keypoints")
    joined = set(pose.names) if pose is not None else set()
    for name in (*names, *tags):
        label = SubElement(parent, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "tag" if name in tags else "skeleton" if name in joined else "any"
        attributes = SubElement(label, "attributes")
        for (owner, key), values in kinds.items():
            if owner == name and key != "occluded":
                attribute = SubElement(attributes, "attribute")
                for tag, text in (("name", key), ("mutable", "False"), ("input_type", kind_of(values)), ("default_value", ""), ("values", "")):
                    SubElement(attribute, tag).text = text
        if pose is not None and name in joined:
            SubElement(label, "svg").text = drawing(len(pose.keypoints), pose.skeleton)
            for joint in pose.keypoints:
                inner = SubElement(parent, "label")
                for tag, text in (("name", joint), ("type", "points"), ("parent", name)):
                    SubElement(inner, tag).text = text


def _object(image: Element, item: Item, number: int, dataset: ImageDataset, losses: Losses) -> None:
    """A box, an outline or a brush mask, then the skeleton; joined by a group where there is more than one element."""
    rings = item.shape.rings if item.shape is not None and not isinstance(item.shape, Runs) else ()
    group = {"group_id": str(number)} if len(rings) > 1 or item.points is not None else {}
    common = {"label": item.name, "occluded": "1" if item.flags.get("occluded") is True else "0", **group}
    if item.shape is not None and moved(item):
        losses.add("instances", "boxes that are not tight around their masks")
    if isinstance(item.shape, Runs):
        x1, y1, x2, y2 = tight_box(item.shape) or (0, 0, 1, 1)
        place = {"left": str(x1), "top": str(y1), "width": str(x2 - x1), "height": str(y2 - y1)}
        made = [SubElement(image, "mask", {**common, "rle": brush_text(mask_of(item.shape)[y1:y2, x1:x2]), **place})]
    elif rings:
        made = [SubElement(image, "polygon", {**common, "points": ";".join(_point(*xy) for xy in ring.tolist())}) for ring in rings]
    else:
        corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(_number, item.box), strict=True))
        made = [SubElement(image, "box", {**common, **corners})]
    if item.points is not None:
        skeleton = SubElement(image, "skeleton", common)
        for name, (x, y, visible) in zip(dataset.spaces["keypoints"].keypoints, item.points.tolist(), strict=True):
            flags = {"outside": str(int(visible == 0)), "occluded": str(int(visible == 1))}
            SubElement(skeleton, "points", {"label": name, **flags, "points": _point(x, y)})
        made.append(skeleton)
    losses.add("boxes", "not occluded, which is not told from nothing said", int(item.flags.get("occluded") is False))
    for element in made[:1] + made[1:] * (item.points is not None):
        _attributes(element, item.flags, losses)


def _attributes(element: Element, flags: Mapping[str, Any], losses: Losses) -> None:
    for key, value in flags.items():
        if key == "occluded" and isinstance(value, bool):
            continue
        losses.add("boxes", "attributes that are no text, number, true or false", int(not isinstance(value, str | bool | int | float)))
        SubElement(element, "attribute", {"name": key}).text = str(value).lower() if isinstance(value, bool) else str(value)


def _others(image: Element, truth: Mapping[str, Any], dataset: ImageDataset, losses: Losses) -> None:
    """Points and tags."""
    points, label, labels = truth.get("points"), truth.get("label"), truth.get("labels")
    if points is not None:
        for xy, k in zip(points.xy.tolist(), points.classes.tolist(), strict=True):
            SubElement(image, "points", {"label": dataset.spaces["points"].names[k], "occluded": "0", "points": _point(*xy)})
    if label is not None and label.known:
        SubElement(image, "tag", {"label": dataset.spaces["label"].names[label.index]})
    if labels is not None:
        for name, value in zip(dataset.spaces["labels"].names, labels.values.tolist(), strict=True):
            losses.add("labels", "answers that are not known", int(value < 0))
            if value == 1:
                SubElement(image, "tag", {"label": name})


def _point(x: float, y: float) -> str:
    return f"{_number(x)},{_number(y)}"


def _number(value: float) -> str:
    return f"{value:.12g}"
