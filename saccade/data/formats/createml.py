"""CreateML's JSON: a list of images, each with labelled boxes given by their middle and their sides in pixels.

Read as Apple's tools and Roboflow write it: one file, or one (`_annotations.createml.json`) in each folder of a split; also with the keys
`imagefilename` and `annotation`. An entry that has a label and no coordinates is the class of its image.
"""

from __future__ import annotations

import json
import posixpath
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn import Drawn
from saccade.data.formats.drawn_out import Losses, items
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.strict_json import parse
from saccade.data.formats.values import items as listed
from saccade.data.formats.values import mapping, name, number
from saccade.errors import Problem
from saccade.targets import Label

HOLDS = frozenset({"boxes"})
_NAMES = ("image", "imagefilename")
_LISTS = ("annotations", "annotation")


class Plan(NamedTuple):
    """The files that look like CreateML's."""

    files: list[str]


def detect(source: Source) -> Plan | None:
    """JSON files that begin as CreateML's do: a list of entries that name an image."""
    files = [path for path in source.labels(".json") if _looks(source.head(path))]
    return Plan(files) if files else None


def _looks(head: bytes) -> bool:
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    named = any(f'"{key}"'.encode() in head for key in _NAMES) and any(f'"{key}"'.encode() in head for key in _LISTS)
    return begins and named and b'"result"' not in head and b'"data"' not in head


def load(source: Source, plan: Plan) -> Found:
    """A record for each entry whose image is there."""
    drawn = Drawn(source)
    classes: dict[int, str] = {}
    for path in plan.files:
        for i, entry in enumerate(listed(parse(source.content(path), path))):
            _entry(drawn, mapping(entry), path, f"{path}:[{i}]", classes)
    spaces = {}
    if classes:
        names = tuple(sorted(set(classes.values()), key=natural))
        spaces["label"] = LabelSpace(names)
        drawn.extras["label"] = {image: Label(names.index(label)) for image, label in classes.items()}
    return drawn.found(f"CreateML: {', '.join(plan.files[:3])}", (), spaces)


def _entry(drawn: Drawn, entry: dict[str, Any], path: str, where: str, classes: dict[int, str]) -> None:
    given = next((entry[key] for key in _NAMES if isinstance(entry.get(key), str)), None)
    rows: Any = next((entry[key] for key in _LISTS if key in entry), None)
    if given is None or not isinstance(rows, list):
        drawn.problems.append(Problem("ANN-FIELD", where, "no name of an image" if given is None else "no list of annotations"))
        return
    image = drawn.image(given, where, posixpath.dirname(path))
    for k, row in enumerate(rows if image is not None else ()):
        assert image is not None
        at, held = f"{where}.annotations[{k}]", mapping(row)
        label, place = name(held.get("label")), held.get("coordinates")
        if not label:
            drawn.lose(image, Problem("ANN-FIELD", at, f"label = {held.get('label')!r:.80}"))
        elif "coordinates" not in held:
            classes.setdefault(image, label)
        else:
            x, y, w, h = (number(mapping(place).get(key)) for key in ("x", "y", "width", "height"))
            drawn.box(image, label, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), at)


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `_annotations.createml.json` into the folder of each split, beside the pictures. What it cannot hold: the order of the classes and those
    without objects, and all that is said of a box but its class."""
    losses, files = Losses(), defaultdict(list)
    used: set[str] = set()
    for i, record in enumerate(dataset.records):
        path = pictures.put(i, record.split or "")
        truth = dataset.truth(i)
        if truth.get("boxes") is None:
            continue
        rows = []
        for item in items(truth, dataset.spaces, losses):
            losses.add("boxes", "flags and attributes", len(item.flags))
            used.add(item.name)
            x1, y1, x2, y2 = np.asarray(item.box).tolist()
            rows.append({"label": item.name, "coordinates": {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}})
        files[record.split or ""].append({"image": posixpath.basename(path) if pictures.how != "none" else path, "annotations": rows})
    for folder, entries in files.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder / "_annotations.createml.json").write_text(json.dumps(entries, ensure_ascii=False, indent=1), encoding="utf-8")
    names = dataset.spaces["boxes"].names
    if names != tuple(sorted(used, key=natural)):
        losses.add("boxes", "the order of the classes and those without objects", len(names))
    return losses.problems()
