"""Pascal VOC written: Annotations, JPEGImages, ImageSets, masks as palette pictures, and labelmap.txt for the order of the classes."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.voc_parts import palette
from saccade.errors import Problem
from saccade.ops.masks import id_map
from saccade.targets import Boxes, Instances

HOLDS = frozenset({"boxes", "instances", "map"})
MOST_IDS = 254


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes an XML file for each image with boxes (of the instances, where there are no others), and masks pixel by pixel.

    What it cannot hold: crowds, areas, numbers of objects, scores, attributes that are neither text nor true or false, outlines finer than
    pixels, masks that overlap (a later one covers an earlier one), more than 254 objects with masks in one image, boxes that differ
    from those of the instances, splits of images that have no name of their own.
    """
    losses, splits = Losses(), defaultdict[str, list[str]](list)
    _label_map(dataset, out, losses)
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i)
        path = pictures.put(i, "JPEGImages")
        stem = posixpath.splitext(posixpath.basename(path))[0] if pictures.how != "none" else posixpath.splitext(path)[0]
        splits[record.split or ""].append(stem)
        size = dataset.size(i)
        instances = truth.get("instances")
        boxes, head = _objects(truth, losses)
        if boxes is not None:
            _write_xml(
                out / "Annotations" / f"{stem}.xml", _annotation(posixpath.basename(path), size, boxes, dataset.spaces[head], instances is not None, losses)
            )
        if instances is not None:
            _instances(out, stem, instances, losses)
        if truth.get("map") is not None:
            ids = truth["map"].ids.numpy()
            _write_mask(out / "SegmentationClass" / f"{stem}.png", ids)
    for split, stems in splits.items():
        if split:
            for kind in ["Main", *(["Segmentation"] if "map" in dataset.spaces else [])]:
                listed = out / "ImageSets" / kind / f"{split}.txt"
                listed.parent.mkdir(parents=True, exist_ok=True)
                listed.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    if splits.keys() - {""}:
        losses.add("boxes", "images without a split, in data that have splits, are left out of the lists", len(splits.get("", ())))
    return losses.problems()


def _label_map(dataset: ImageDataset, out: Path, losses: Losses) -> None:
    """The classes in their order; those of the map, with its background, where there is one."""
    space = dataset.spaces.get("map")
    plain = next((dataset.spaces[head] for head in ("boxes", "instances") if head in dataset.spaces), None)
    named = space or plain or LabelSpace(())
    if space is not None:
        usual = space.names.index("background") if "background" in space.names else None
        losses.add("map", "another background than the class of that name", int(space.background != usual))
    if plain is not None and space is not None:
        losses.add("map", "another order of the classes than that of the boxes", int(tuple(n for n in space.names if n != "background") != plain.names))
    lines = ["# label:color_rgb:parts:actions"]
    more = [name for name in plain.names if name not in named.names] if plain is not None else []
    losses.add("map", "fewer classes than the boxes have beside it", len(more))
    for i, name in enumerate((*named.names, *more)):
        losses.add("boxes", "a class name that begins with # or has an end of line", int(name.startswith("#") or name != " ".join(name.split())))
        colour = ",".join(map(str, named.rgb(i))) if named.colours and i < len(named) else ""
        lines.append(f"{name}:{colour}::")
    (out / "labelmap.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _objects(truth: Mapping[str, Any], losses: Losses) -> tuple[Boxes | None, str]:
    """The boxes of an image, and the head they are of."""
    boxes, instances = truth.get("boxes"), truth.get("instances")
    if not isinstance(instances, Instances):
        return boxes, "boxes"
    if isinstance(boxes, Boxes) and (len(boxes) != len(instances) or not np.allclose(boxes.xyxy.numpy(), instances.boxes.xyxy.numpy(), rtol=0, atol=1e-6)):
        losses.add("instances", "masks of objects that are not those of the boxes", len(instances))
        return boxes, "boxes"
    return instances.boxes, "instances"


def _annotation(name: str, size: tuple[int, int], boxes: Boxes, space: LabelSpace, segmented: bool, losses: Losses) -> Element:
    root = Element("annotation")
    for tag, value in (("folder", "JPEGImages"), ("filename", name)):
        SubElement(root, tag).text = value
    plane = SubElement(root, "size")
    for tag, side in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        SubElement(plane, tag).text = str(side)
    SubElement(root, "segmented").text = str(int(segmented))
    for column in ("crowd", "areas", "ids", "scores"):
        held = getattr(boxes, column)
        if held is not None:
            losses.add("boxes", column, int(held.sum()) if column == "crowd" else len(boxes))
    for i, corners in enumerate(boxes.xyxy.tolist()):
        element = SubElement(root, "object")
        SubElement(element, "name").text = space.names[int(boxes.classes[i])]
        attributes = dict(boxes.attributes[i]) if boxes.attributes is not None else {}
        for tag in ("pose", "truncated", "occluded"):
            if tag in attributes and (isinstance(attributes[tag], bool) if tag != "pose" else isinstance(attributes[tag], str)):
                value = attributes.pop(tag)
                SubElement(element, tag).text = value if isinstance(value, str) else str(int(value))
        SubElement(element, "difficult").text = str(int(bool(boxes.difficult[i]))) if boxes.difficult is not None else "0"
        box = SubElement(element, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), (corners[0] + 1, corners[1] + 1, corners[2], corners[3]), strict=True):
            SubElement(box, tag).text = str(int(value)) if float(value).is_integer() else f"{value:.12g}"
        _more(element, attributes, losses)
    return root


def _more(element: Element, attributes: Mapping[str, Any], losses: Losses) -> None:
    """The attributes that VOC has no tag for, as CVAT writes them."""
    known = {name: value for name, value in attributes.items() if isinstance(value, str | bool)}
    losses.add("boxes", "attributes that are neither text nor true or false", len(attributes) - len(known))
    parent = SubElement(element, "attributes") if known else element
    for name, value in known.items():
        one = SubElement(parent, "attribute")
        SubElement(one, "name").text = name
        SubElement(one, "value").text = value if isinstance(value, str) else str(value).lower()


def _write_xml(path: Path, root: Element) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    indent(root, "\t")
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=False)


def _instances(out: Path, stem: str, instances: Instances, losses: Losses) -> None:
    """The id map of an image's objects."""
    if len(instances) > MOST_IDS:
        losses.add("instances", f"masks of images with more than {MOST_IDS} objects", len(instances))
        return
    if instances.ids is not None:
        ids = instances.ids.numpy()
    else:
        ids = id_map(instances.shapes or (), instances.size)
        losses.add("instances", "outlines, which are pixels now, and what others cover", len(instances))
    losses.add("instances", "objects of which nothing is seen", len(instances) - len(np.unique(ids[ids > 0])))
    _write_mask(out / "SegmentationObject" / f"{stem}.png", ids.astype(np.uint8))


def _write_mask(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(palette())
    image.save(path)
