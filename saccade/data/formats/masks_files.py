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
    folders: dict[str, list[str]] = defaultdict(list)
    for path in files:
        folders[posixpath.dirname(path)].append(path)
    return _by_parent(folders) or _by_folder(folders)


def _by_parent(folders: dict[str, list[str]]) -> Plan | None:
    images: dict[str, list[str]] = {}
    masks: dict[str, list[str]] = {}
    for folder, paths in folders.items():
        parent, _, last = folder.rpartition("/")
        if parent and last.lower() in _IMAGES:
            images[parent] = paths
        elif parent and last.lower() in _MASKS:
            masks[parent] = paths
    if not masks or any(len(paths) != 1 for paths in images.values()):
        return None
    return _plan({paths[0]: masks.get(parent, []) for parent, paths in images.items()}, masks, set(images), "<name>/images with <name>/masks")


def _by_folder(folders: dict[str, list[str]]) -> Plan | None:
    masks: dict[str, list[str]] = {}
    images: dict[str, str] = {}
    for folder, paths in folders.items():
        parts = folder.split("/")
        if len(parts) > 1 and parts[-2].lower() in _MASKS:
            masks[posixpath.join(*parts[:-2], parts[-1])] = paths
    for folder, paths in folders.items() if masks else ():
        above, _, last = folder.rpartition("/")
        if last.lower() in _IMAGES:
            images |= {posixpath.join(above, posixpath.splitext(posixpath.basename(path))[0]): path for path in paths}
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
