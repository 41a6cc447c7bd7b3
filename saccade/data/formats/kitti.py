"""KITTI's object files: a text file an image with boxes in the image and in space, and the calibration of the cameras (Geiger et al. 2012).

A row: type, truncated, occluded, alpha, left, top, right, bottom, height, width, length, x, y, z, rotation_y, perhaps a score. Corners are
taken as they are, as positions in the image. (x, y, z) is the middle of the floor in the rectified camera 0; P2 projects from there to
image_2. DontCare is a region of any class that counts for nothing: a crowd of class -1. truncated (0 to 1), occluded (0 to 3) and alpha
(radians) are attributes. Classes are those of classes.txt, else the names found: KITTI's own in its order, others in natural order.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from saccade.core import LabelSpace, Record
from saccade.data.formats.beside import Beside, listed_names, orphans, sizes_of, split_of, text_of, unlisted, without_labels
from saccade.data.formats.objects import Objects, Share
from saccade.data.formats.source import Found, Source, natural
from saccade.errors import DataError, Problem
from saccade.targets import Boxes3D

TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
REGION = "DontCare"
ANY_CLASS = -1
LARGEST = 1 << 24
_PEEKS = 9


class Plan(NamedTuple):
    """Image -> its label file."""

    own: dict[str, str]
    labels: tuple[str, ...]


class Row(NamedTuple):
    """A line of a label file; `space` is height, width, length, x, y, z, yaw, None where the object has no box in space."""

    where: str
    name: str
    corners: tuple[float, ...]
    attributes: dict[str, Any]
    space: tuple[float, ...] | None


def detect(source: Source) -> Plan | None:
    """Whether there is a folder label_2 with rows that begin with a word and have at least 14 numbers."""
    if source.only:
        return None
    labels = tuple(path for path in source.listing.labels if posixpath.dirname(path).split("/")[-1] == "label_2" and path.lower().endswith(".txt"))
    heads = [_plausible(source.head(path)) for path in labels[:: max(1, len(labels) // _PEEKS)][:_PEEKS]]
    if not labels or heads.count(False) > heads.count(True):
        return None
    beside = Beside(labels)
    return Plan({image: label for image in source.listing.files if (label := beside.label(image)) is not None}, labels)


def _plausible(head: bytes) -> bool | None:
    """Whether the first line is KITTI's; None for an empty file."""
    cells = head.split(b"\n", 1)[0].split()
    if not cells:
        return None
    return not cells[0].replace(b".", b"").isdigit() and (len(cells) >= 13 or cells[0].decode("ascii", "replace") in (*TYPES, REGION))


def load(source: Source, plan: Plan) -> Found:
    """A record for each image in a folder where images have label files. Problems: ANN-ROW, ANN-SPACE, ANN-CAMERA, those of `Objects.finish`."""
    problems: list[Problem] = []
    folders = {posixpath.dirname(image) for image in plan.own}
    images = [image for image in source.listing.files if posixpath.dirname(image) in folders]
    rows = {image: _rows(source, plan.own[image], image, problems) for image in images if image in plan.own}
    images = [image for image in images if rows.get(image, ()) is not None]
    names, index = _names(source, rows)
    sizes = sizes_of(source, images)
    objects = _objects(images, rows, index, problems)
    spatial = any(row.space is not None for found in rows.values() for row in found or ())
    cameras = _cameras(source, images, problems) if spatial else {}
    splits, records = _splits(source, images, problems), []
    for i, share in enumerate(objects.finish(images, sizes, problems)):
        image = images[i]
        if share is None or (cameras and cameras.get(image) is None):
            continue
        labelled = image in rows and sizes[i] is not None
        targets: dict[str, Any] = {"boxes": share.boxes if labelled else None}
        if cameras:
            targets["boxes3d"] = in_space(share, cameras[image]) if labelled else None
        records.append(Record(image, source.root / image, targets=targets, split=splits.get(image), size=sizes[i]))
    space = LabelSpace(names)
    spaces = {"boxes": space} | ({"boxes3d": space} if cameras else {})
    kinds = "boxes in the image and in space" if cameras else "boxes"
    reason = f"KITTI: {kinds} in {len(plan.labels):,} files of label_2"
    return Found(records, spaces, reason, problems + _told(source, plan, images, set(rows)))


def _rows(source: Source, label: str, image: str, problems: list[Problem]) -> list[Row] | None:
    """The rows of one file; None when one cannot be understood."""
    try:
        return [_row(line.split(), f"{label}:{n}") for n, line in enumerate(text_of(source, label, LARGEST).splitlines(), 1) if line.strip()]
    except DataError as error:
        problems.append(Problem(error.code, error.where, error.got, "error", image))
        return None


def _row(cells: list[str], where: str) -> Row:
    if len(cells) not in (15, 16):
        raise DataError("ANN-ROW", f"{len(cells)} columns, expected a type and 14 numbers, perhaps a score", where=where)
    try:
        truncated, occluded, alpha, *numbers = map(float, cells[1:15])
    except ValueError as error:
        raise DataError("ANN-ROW", f"{' '.join(cells)[:80]}: expected a type and numbers", where=where) from error
    corners, space = tuple(numbers[:4]), tuple(numbers[4:])
    if cells[0] == REGION:
        return Row(where, REGION, corners, {}, None)
    attributes: dict[str, Any] = {"truncated": truncated} if 0 <= truncated <= 1 else {}
    attributes |= {"occluded": int(occluded)} if occluded in (0, 1, 2, 3) else {}
    attributes |= {"alpha": alpha} if abs(alpha) <= 2 * math.pi else {}
    if all(side == -1 for side in space[:3]):
        return Row(where, cells[0], corners, attributes, None)
    if not all(map(math.isfinite, space)) or min(space[:3]) <= 0:
        raise DataError("ANN-SPACE", "height width length x y z yaw = " + " ".join(cells[8:15]), where=where)
    return Row(where, cells[0], corners, attributes, space)


def _names(source: Source, rows: Mapping[str, list[Row] | None]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes, and the class id of each name in the files (which have _ for a space)."""
    used = {row.name for found in rows.values() for row in found or ()} - {REGION}
    if "classes.txt" in source.names:
        names = tuple(listed_names(source, "classes.txt"))
        return names, {name.replace(" ", "_"): i for i, name in enumerate(names)}
    names = (*(name for name in TYPES if name in used), *sorted(used - set(TYPES), key=natural))
    return names, {name: i for i, name in enumerate(names)}


def _objects(images: Sequence[str], rows: Mapping[str, list[Row] | None], index: Mapping[str, int], problems: list[Problem]) -> Objects:
    """All objects; the box in space travels in the column of points."""
    objects = Objects()
    for i, image in enumerate(images):
        for row in rows.get(image) or ():
            if row.name == REGION:
                objects.add(i, ANY_CLASS, row.corners, row.where, crowd=True)
            elif row.name not in index:
                problems.append(Problem("ANN-CLASS", row.where, f"{row.name} is not in classes.txt", image=image))
            else:
                space = None if row.space is None else np.array(row.space)
                objects.add(i, index[row.name], row.corners, row.where, attributes=row.attributes, points=space)
    return objects


def in_space(share: Share, camera: torch.Tensor) -> Boxes3D:
    """The objects of an image that have a box in space."""
    rows = [i for i, given in enumerate(share.points) if given is not None]
    table = np.stack([given for given in share.points if given is not None]) if rows else np.zeros((0, 7))
    height, width, length, x, floor, z, yaw = torch.from_numpy(table.astype(np.float64)).unbind(1)
    turned = math.pi - torch.remainder(math.pi - yaw, 2 * math.pi)  # in (-pi, pi]
    boxes = share.boxes.select(rows)
    return Boxes3D(torch.stack([x, floor - height / 2, z], 1), torch.stack([length, height, width], 1), turned, boxes.classes, camera, boxes)


def _cameras(source: Source, images: Sequence[str], problems: list[Problem]) -> dict[str, torch.Tensor]:
    """P2 of each image (3, 4). Without any calibration there are none, and one warning."""
    files = {image: _calibration(image) for image in images}
    there = set(source.listing.labels)
    if not there & set(files.values()):
        problems.append(Problem("ANN-CAMERA", "calib", "no calibration at all: boxes in space are left out", "warn"))
        return {}
    cameras = {}
    for image, path in files.items():
        try:
            cameras[image] = camera_of(text_of(source, path), path)
        except DataError as error:
            problems.append(Problem("ANN-CAMERA", path, error.got if path in there else "the file is missing", image=image))
    return cameras


def _calibration(image: str) -> str:
    folder, name = posixpath.split(image)
    return posixpath.join(posixpath.dirname(folder), "calib", posixpath.splitext(name)[0] + ".txt")


def camera_of(text: str, where: str) -> torch.Tensor:
    """P2 (3, 4) of a calibration file. Raises DataError ANN-CAMERA when it is not there or is no projection."""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        numbers = [float(cell) for cell in lines["P2"].split()]
    except (KeyError, ValueError) as error:
        raise DataError("ANN-CAMERA", "no line P2 of numbers", where=where) from error
    if len(numbers) != 12 or not all(map(math.isfinite, numbers)) or numbers[0] <= 0 or numbers[5] <= 0:
        raise DataError("ANN-CAMERA", f"P2 is no projection: {len(numbers)} numbers, {lines['P2'].strip()[:60]}", where=where)
    return torch.tensor(numbers, dtype=torch.float64).reshape(3, 4)


def _splits(source: Source, images: Sequence[str], problems: list[Problem]) -> dict[str, str]:
    """The splits of ImageSets/*.txt; without them those of folders, when there are several (`training` alone is all there is)."""
    stems: dict[str, list[str]] = {}
    for image in images:
        stems.setdefault(posixpath.splitext(posixpath.basename(image))[0], []).append(image)
    splits: dict[str, str] = {}
    for path in (path for path in source.listing.labels if posixpath.dirname(path).split("/")[-1] == "ImageSets"):
        split = {"train.txt": "train", "val.txt": "val", "test.txt": "test"}.get(posixpath.basename(path))
        for line, name in enumerate(text_of(source, path).split(), 1) if split is not None else ():
            for image in stems.get(posixpath.splitext(name)[0], ()):
                assert split is not None
                if splits.setdefault(image, split) != split:
                    problems.append(Problem("LEAK-EXACT", f"{path}:{line}", f"{image} is in {splits[image]} too"))
    if splits:
        return splits
    found = {image: split for image in images if (split := split_of(image)) is not None}
    return found if len(set(found.values())) > 1 else {}


def _told(source: Source, plan: Plan, images: Sequence[str], labelled: set[str]) -> list[Problem]:
    used, known = set(plan.own.values()), {*images, *labelled}
    alone = [path for path in plan.labels if path not in used]
    bare = [image for image in images if image not in plan.own]
    left = [image for image in source.listing.files if image not in known]
    told = without_labels(bare, len(known), "they count as not labelled") + orphans(alone, len(plan.labels))
    return told + unlisted(left, len(source.listing.files)) + source.leftovers
