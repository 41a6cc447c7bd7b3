"""Cityscapes: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/*_gtFine_{labelIds,labelTrainIds,instanceIds}.png`.

The names, numbers and colours are those of the data set (Cordts et al., CVPR 2016). The classes are the 19 that are evaluated; all
other numbers are ignored. Objects are of the eight classes that have any; a region of an instance file without a number of its
own (a group that nobody has told apart) is no object.
"""

from __future__ import annotations

import re
from typing import Any

from saccade.core import LabelSpace, Record
from saccade.data.formats.pairs_match import split_of
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import IGNORED, Coding, InstanceFile, MaskFile
from saccade.errors import Problem

# fmt: off
CLASSES = (  # name, number in labelIds, colour; the place is the number in labelTrainIds
    ("road", 7, "#804080"), ("sidewalk", 8, "#f423e8"), ("building", 11, "#464646"), ("wall", 12, "#66669c"), ("fence", 13, "#be9999"),
    ("pole", 17, "#999999"), ("traffic light", 19, "#faaa1e"), ("traffic sign", 20, "#dcdc00"), ("vegetation", 21, "#6b8e23"),
    ("terrain", 22, "#98fb98"), ("sky", 23, "#4682b4"), ("person", 24, "#dc143c"), ("rider", 25, "#ff0000"), ("car", 26, "#00008e"),
    ("truck", 27, "#000046"), ("bus", 28, "#003c64"), ("train", 31, "#005064"), ("motorcycle", 32, "#0000e6"), ("bicycle", 33, "#770b20"),
)
# fmt: on
FIRST_THING = 11
_FILE = re.compile(r"(.*/)?([^/]+?)_gt(?:Fine|Coarse)_(labelIds|labelTrainIds|instanceIds|instanceTrainIds|color|polygons)\.[a-z]+")
_IMAGE = re.compile(r"(.*/)?([^/]+?)_leftImg8bit\.[a-z]+")
Plan = dict[str, dict[str, str]]  # image -> kind of file -> file


def detect(files: list[str]) -> Plan | None:
    """The images with their files, None when there are none."""
    images = {found[2]: path for path in files if "_leftImg8bit." in path and (found := _IMAGE.fullmatch(path))}
    if not images:
        return None
    plan: Plan = {path: {} for path in images.values()}
    for path in files:
        found = _FILE.fullmatch(path)
        if found and found[2] in images:
            plan[images[found[2]]][found[3]] = path
    return plan if any({"labelIds", "labelTrainIds", "instanceIds"} & set(kinds) for kinds in plan.values()) else None


def load(source: Source, plan: Plan) -> Found:
    """A record for each image, with its class map and its objects."""
    names, colours = tuple(name for name, _, _ in CLASSES), tuple(colour for _, _, colour in CLASSES)
    numbers = {number: place for place, (_, number, _) in enumerate(CLASSES)}
    by_label = Coding("index", tuple(range(34)), tuple(numbers.get(v, IGNORED) for v in range(34)))
    by_place = Coding("index", (*range(len(CLASSES) + 1), 255), (*range(len(CLASSES)), IGNORED, IGNORED))
    things = tuple((number, place - FIRST_THING) for number, place in numbers.items() if place >= FIRST_THING)
    most = source.wishes.max_pixels
    records = []
    for image, files in plan.items():
        targets: dict[str, Any] = {"map": None, "instances": None}
        if "labelIds" in files:
            targets["map"] = MaskFile(source.root / files["labelIds"], by_label, max_pixels=most)
        elif "labelTrainIds" in files:
            targets["map"] = MaskFile(source.root / files["labelTrainIds"], by_place, max_pixels=most)
        if "instanceIds" in files:
            targets["instances"] = InstanceFile(source.root / files["instanceIds"], divisor=1000, classes=things, max_pixels=most)
        records.append(Record(image, source.root / image, targets=targets, split=split_of(image), group=None))
    spaces = {"map": LabelSpace(names, colours=colours), "instances": LabelSpace(names[FIRST_THING:], colours=colours[FIRST_THING:])}
    for head in tuple(spaces):
        if all(record.targets[head] is None for record in records):
            del spaces[head]
    records = [Record(r.id, r.path, targets={head: r.targets[head] for head in spaces}, split=r.split) for r in records]
    problems: list[Problem] = source.leftovers
    return Found(records, spaces, f"Cityscapes: leftImg8bit and gtFine ({len(records):,} images), the 19 evaluated classes", problems)
