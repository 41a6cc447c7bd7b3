"""YOLO: a text file an image, with a class and shares of the image's size a line; `data.yaml`, Darknet's files, or nothing but the folders.

An image without a label file has no objects, as an empty file says too. Splits are those of the configuration, else those that
folders are named after. Heads: boxes, with instances where there are outlines, with keypoints where `kpt_shape` says so.
"""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats import yolo_config
from saccade.data.formats.beside import Beside, orphans, sizes_of, split_of, text_of, unlisted, without_labels
from saccade.data.formats.objects import Objects
from saccade.data.formats.source import Found, Source
from saccade.data.formats.yolo_config import Config
from saccade.data.formats.yolo_rows import Layout, Target, read_lines
from saccade.errors import DataError, Problem

_PEEKS = 9
LARGEST = 1 << 24
"""Bytes of the label file of one image."""


class Plan(NamedTuple):
    """The configuration, if there is one, and the images' own label files."""

    config: str | None
    own: dict[str, str]


def detect(source: Source) -> Plan | None:
    """Whether text files of numbers belong to images, or a configuration names classes and folders."""
    config = yolo_config.config_file(source)
    if source.only and config is None:
        return None
    own = _own(source)
    heads = [_plausible(source.head(label)) for label in list(own.values())[:: max(1, len(own) // _PEEKS)][:_PEEKS]]
    if heads.count(True) > 0 and heads.count(False) <= heads.count(True):
        return Plan(config, own)
    hinted = config is not None or bool(yolo_config.lists(source))
    if hinted and own and heads.count(False) <= len(heads) // 2:
        return Plan(config, own)  # empty or damaged files only, but the classes are listed
    return Plan(config, own) if config is not None and source.only == config and source.listing.files else None


def _own(source: Source) -> dict[str, str]:
    """Image -> its label file."""
    names = {path for path in source.listing.labels if posixpath.basename(path).lower() in yolo_config.LISTS}
    beside = Beside(path for path in source.listing.labels if path.lower().endswith(".txt") and path not in names)
    return {image: label for image in source.listing.files if (label := beside.label(image)) is not None}


def _plausible(head: bytes) -> bool | None:
    """Whether the first lines are those of a YOLO file; None when there are none."""
    lines = [line.split() for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()[:3] if line.split()]
    if not lines:
        return None
    cells = lines[0]
    try:
        numbers = [float(cell.replace(b",", b".")) for cell in cells]
    except ValueError:
        return False
    return len(numbers) >= 4 and numbers[0].is_integer() and sum(-0.5 <= v <= 2 for v in numbers[1:5]) >= 3


def load(source: Source, plan: Plan) -> Found:
    """A record for each image in a place where images have label files. Raises DataError ANN-YAML, ANN-CLASS for the configuration."""
    config = yolo_config.read_config(source, plan.config)
    problems = config.problems
    splits = _splits(source, config, problems)
    images = _images(source, plan, splits)
    sizes = sizes_of(source, images)
    objects, lost = _read(source, plan, config, images, sizes, problems)
    if config.names is None:
        problems.append(Problem("ANN-NAMES", plan.config or str(source.root), f"{max(objects.label, default=-1) + 1} classes"))
    pose = yolo_config.space_of(config, int(max(objects.label, default=-1)))
    space = LabelSpace(pose.names)
    outlines = any(shape is not None for shape in objects.shape)
    if outlines and (plain := len(objects) - sum(shape is not None for shape in objects.shape)):
        problems.append(Problem("ANN-MIXED", str(source.root), f"{plain:,} of {len(objects):,} objects are boxes"))
    shares = objects.finish(images, sizes, problems)
    records = []
    for i, image in enumerate(images):
        size, share = sizes[i], shares[i]
        if share is None or i in lost:
            continue
        targets: dict[str, Any] = {"boxes": share.boxes if size is not None else None}
        if outlines:
            targets["instances"] = share.instances(size) if size is not None else None
        if config.keypoints:
            targets["keypoints"] = share.keypoints(pose) if size is not None else None
        records.append(Record(image, source.root / image, targets=targets, split=splits.get(image, split_of(image)), size=size))
    spaces = {"boxes": space} | ({"instances": space} if outlines else {}) | ({"keypoints": pose} if config.keypoints else {})
    problems += _told(source, plan, images)
    return Found(records, spaces, _reason(plan, space.names, list(spaces)[-1]), problems)


def _read(
    source: Source, plan: Plan, config: Config, images: list[str], sizes: list[tuple[int, int] | None], problems: list[Problem]
) -> tuple[Objects, set[int]]:
    """The objects of all images, and the numbers of the images whose labels cannot be understood."""
    count = len(config.names) if config.names is not None else config.count
    layout = Layout(count, len(config.keypoints), config.dims)
    objects, lost = Objects(), set()
    for i, image in enumerate(images):
        label, size = plan.own.get(image), sizes[i]
        if label is None or size is None:
            continue
        try:
            found = read_lines(text_of(source, label, LARGEST), label, Target(i, image, size), layout, objects)
        except DataError as error:
            found = [Problem(error.code, label, error.got, "error", image)]
        problems += found
        if any(problem.severity != "warn" for problem in found):
            lost.add(i)
    return objects, lost


def _splits(source: Source, config: Config, problems: list[Problem]) -> dict[str, str]:
    """Image -> the split that the configuration puts it into."""
    folders: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for split, entries in config.parts.items():
        for entry in entries:
            path = yolo_config.resolve(source, config, entry)
            if path is None:
                outside = posixpath.normpath(entry.replace("\\", "/")).startswith(("..", "/"))
                problems.append(Problem("ANN-PATH" if outside else "IMG-MISSING", config.where, f"{split}: {entry[:200]}", "warn"))
            elif path.lower().endswith(".txt"):
                _from_list(source, path, split, splits, problems)
            else:
                folders.setdefault(path, []).append(split)
    for path, named in folders.items():
        if len(set(named)) > 1:
            code = ("LEAK-EXACT", None) if "train" in named else ("ANN-IGNORED", "note")
            problems.append(Problem(code[0], config.where, f"{' and '.join(dict.fromkeys(named))} are the same folder {path}", code[1]))  # type: ignore[arg-type]
    longest = sorted(folders, key=len, reverse=True)
    for image in source.listing.files:
        folder = next((f for f in longest if f == "." or image.startswith(f + "/")), None)
        if folder is not None:
            splits.setdefault(image, folders[folder][0])
    return splits


def _from_list(source: Source, path: str, split: str, splits: dict[str, str], problems: list[Problem]) -> None:
    """The images that a text file lists, a path a line."""
    for line, name in enumerate(text_of(source, path).splitlines(), 1):
        if not name.strip():
            continue
        image = source.lookup.find(name, posixpath.dirname(path))
        if image is None:
            problems.append(source.lookup.missing(name, f"{path}:{line}"))
        elif splits.setdefault(image, split) != split:
            problems.append(Problem("LEAK-EXACT", f"{path}:{line}", f"{image} is in {splits[image]} too"))


def _images(source: Source, plan: Plan, splits: dict[str, str]) -> list[str]:
    """The images of the configuration, and those in folders where images have label files."""
    folders = {posixpath.dirname(image) for image in plan.own}
    return [image for image in source.listing.files if image in splits or posixpath.dirname(image) in folders or not plan.own]


def _told(source: Source, plan: Plan, images: list[str]) -> list[Problem]:
    """What has no counterpart: images without label files, label files without an image, images elsewhere."""
    used, chosen = set(plan.own.values()), set(images)
    folders = {posixpath.dirname(label) for label in used}
    labels = [p for p in source.listing.labels if p.lower().endswith(".txt") and posixpath.dirname(p) in folders]
    alone = [p for p in labels if p not in used and posixpath.basename(p).lower() not in yolo_config.LISTS and _plausible(source.head(p)) is not False]
    empty = [image for image in images if image not in plan.own]
    left = [image for image in source.listing.files if image not in chosen]
    told = without_labels(empty, len(images), "they count as images without objects") + orphans(alone, len(alone) + len(used))
    return told + unlisted(left, len(source.listing.files)) + source.leftovers


def _reason(plan: Plan, names: tuple[str, ...], head: str) -> str:
    what = {"instances": "YOLO outlines", "keypoints": "YOLO key points"}.get(head, "YOLO boxes")
    return f"{what}: {len(plan.own):,} text files beside the images" + (f", {plan.config}" if plan.config else "") + f", {len(names)} classes"
