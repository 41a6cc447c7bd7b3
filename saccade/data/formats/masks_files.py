"""One mask file an object: `<id>/images/x.png` with `<id>/masks/*.png`, or `images/x.png` with `masks/x/*.png`."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from typing import NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats.pairs_match import split_lists, split_of
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import InstanceFiles
from saccade.errors import Problem

_IMAGES, _MASKS = frozenset({"images", "image"}), frozenset({"masks", "mask"})


class Plan(NamedTuple):
    """masks: image -> its mask files, perhaps none. orphans: mask files without an image. where: how they lie, for the reason."""

    masks: dict[str, list[str]]
    orphans: list[str]
    where: str


def detect(files: list[str]) -> Plan | None:
    """Whether most images have mask files of their own, and at least one has several."""
    return _by_parent(files) or _by_folder(files)


def _by_parent(files: list[str]) -> Plan | None:
    images: dict[str, list[str]] = defaultdict(list)
    masks: dict[str, list[str]] = defaultdict(list)
    for path in files:
        folder = posixpath.dirname(path)
        parent, last = posixpath.dirname(folder), posixpath.basename(folder).lower()
        if last in _IMAGES:
            images[parent].append(path)
        elif last in _MASKS:
            masks[parent].append(path)
    single = {parent: paths[0] for parent, paths in images.items() if len(paths) == 1 and parent}
    if len(single) != len(images):
        return None
    return _plan({image: masks.get(parent, []) for parent, image in single.items()}, masks, set(single), "<name>/images with <name>/masks")


def _by_folder(files: list[str]) -> Plan | None:
    masks: dict[str, list[str]] = defaultdict(list)
    images: dict[str, str] = {}
    for path in files:
        parts = [part.lower() for part in path.split("/")]
        if len(parts) > 2 and parts[-3] in _MASKS:
            masks[posixpath.join(*path.split("/")[:-3], path.split("/")[-2])].append(path)
        elif len(parts) > 1 and parts[-2] in _IMAGES:
            images[posixpath.join(*path.split("/")[:-2], posixpath.splitext(path.split("/")[-1])[0])] = path
    return _plan({path: masks.get(key, []) for key, path in images.items()}, masks, set(images), "images/<name> with masks/<name>/")


def _plan(found: dict[str, list[str]], masks: dict[str, list[str]], known: set[str], where: str) -> Plan | None:
    filled = [paths for paths in found.values() if paths]
    if not filled or len(filled) * 2 < len(found) or max(map(len, filled)) < 2:
        return None
    return Plan(found, [path for key, paths in masks.items() if key not in known for path in paths], where)


def load(source: Source, plan: Plan) -> Found:
    """A record for each image, its masks as one Stored truth."""
    lists = split_lists(source, plan.masks)
    records = []
    for image, masks in plan.masks.items():
        files = tuple(source.root / mask for mask in masks)
        target = InstanceFiles(files, None if files else source.size(image), max_pixels=source.wishes.max_pixels)
        records.append(Record(image, source.root / image, targets={"instances": target}, split=split_of(image) or lists.get(image)))
    problems = [Problem("MAP-ORPHAN", path, "no image has its name") for path in plan.orphans]
    n = sum(map(len, plan.masks.values()))
    reason = f"a mask file an object: {plan.where} ({n:,} masks of {len(records):,} images)"
    return Found(records, {"instances": LabelSpace(("object",))}, reason, problems + source.leftovers)
