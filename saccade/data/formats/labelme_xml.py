"""The LabelMe of the web: an XML file an image, with polygons, boxes and masks in `Annotations`, `Images` and `Masks`.

Deleted objects are left out; `occluded` and the text of `attributes` are kept; parts of objects are objects of their own.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from saccade.data.formats.drawn import Drawn, masked
from saccade.data.formats.source import Found, Source
from saccade.data.formats.strict_xml import parse
from saccade.data.formats.values import name, size
from saccade.data.image import read_image
from saccade.errors import DataError, Problem

_SIGN = re.compile(rb"<sourceAnnotation>\s*LabelMe|<deleted>")


class Plan(NamedTuple):
    """The files that look like LabelMe's."""

    files: list[str]


def detect(source: Source) -> Plan | None:
    """XML files that begin with an annotation, with an outline or a sign of LabelMe and without a box as Pascal VOC has it."""
    files = [path for path in source.labels(".xml") if _looks(source.head(path))]
    return Plan(files) if files else None


def _looks(head: bytes) -> bool:
    return b"<annotation" in head and b"<bndbox>" not in head and (_SIGN.search(head) is not None)


def load(source: Source, plan: Plan) -> Found:
    """A record for each file whose image is there; a file that cannot be read loses its image, and is named."""
    drawn = Drawn(source)
    for path in plan.files:
        try:
            root = parse(source.content(path), path)
        except DataError as error:
            stem = posixpath.splitext(path)[0]
            drawn.problems.append(Problem(error.code, error.where, error.got, None if error.code == "ANN-XML" else "error", source.lookup.find(stem) or ""))
            continue
        stem, folder = posixpath.splitext(posixpath.basename(path))[0], _text(root, "folder")
        stated = size(_number(root, "imagesize/nrows"), _number(root, "imagesize/ncols"))
        given = _text(root, "filename") or stem
        image = drawn.image(posixpath.join(folder, given), path, posixpath.dirname(path), stated, given, stem)
        for i, thing in enumerate(root.iter("object")):
            if image is not None and _text(thing, "deleted") != "1":
                _object(drawn, image, thing, path, f"{path}:object[{i}]")
    return drawn.found(f"LabelMe: {len(plan.files)} XML files")


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Element, path: str) -> float:
    try:
        return float(_text(element, path))
    except ValueError:
        return float("nan")


def _object(drawn: Drawn, image: int, thing: Element, path: str, where: str) -> None:
    label = name(_text(thing, "name"))
    if not label:
        drawn.lose(image, Problem("ANN-FIELD", where, "no name"))
        return
    flags = {"occluded": True} if _text(thing, "occluded") == "yes" else {}
    more = {"flags": flags | ({"attributes": text} if (text := _text(thing, "attributes")) else {})}
    outline = thing.find("polygon")
    if outline is not None:
        ring = np.array([[_number(pt, "x"), _number(pt, "y")] for pt in outline.iter("pt")], dtype=np.float64).reshape(-1, 2)
        if _text(thing, "type") == "bounding_box" and len(ring):
            drawn.box(image, label, (*ring.min(0).tolist(), *ring.max(0).tolist()), where, **more)
        else:
            drawn.outline(image, label, ring, where, **more)
    elif thing.find("segm/mask") is not None:
        _mask(drawn, image, label, thing, path, where, more)
    else:
        drawn.lose(image, Problem("ANN-FIELD", where, "neither a polygon nor a mask"))


def _mask(drawn: Drawn, image: int, label: str, thing: Element, path: str, where: str, more: dict[str, Any]) -> None:
    """A mask in a file of its own, set where it is not black."""
    given, lookup = _text(thing, "segm/mask"), drawn.source.lookup
    found = lookup.find(given, posixpath.dirname(path).replace("Annotations", "Masks", 1))
    if (scribble := lookup.find(_text(thing, "segm/scribbles/scribble_name"))) is not None:
        drawn.aside.add(scribble)
    if found is None:
        drawn.lose(image, Problem("ANN-MASK", where, f"there is no {given[:200]}"))
        return
    drawn.aside.add(found)
    try:
        pixels = read_image(drawn.source.root / found, channels=1).pixels[..., 0]
    except DataError as error:
        drawn.lose(image, Problem("ANN-MASK", where, f"{found}: {error.code} {error.got}"))
        return
    if pixels.shape != drawn.sizes[image]:
        drawn.lose(image, Problem("ANN-MASK", where, f"{found} is {pixels.shape[1]} x {pixels.shape[0]}, the image {drawn.sizes[image]} (h, w)"))
        return
    drawn.shapes.append(masked(image, label, where, pixels > 0, **more))
