"""The truths of one image against its real size: loaded once, checked, and reduced to their numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from saccade.core import LabelSpace, Record, Stored
from saccade.data import check_boxes, check_maps, check_points, check_text
from saccade.data.check_boxes import Size
from saccade.data.contents import Contents, box_record, contents
from saccade.data.dataset import ImageDataset
from saccade.errors import DataError, Problem
from saccade.targets import (
    Boxes,
    Boxes3D,
    Caption,
    DepthMap,
    FlowMap,
    ImageTarget,
    Instances,
    Keypoints,
    Label,
    Labels,
    NormalMap,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
    TagSequence,
)


class Seen(NamedTuple):
    """What was found in a record's truths: the numbers of each head, the targets that were mended, the problems."""

    contents: Mapping[str, Contents] = {}
    mended: Mapping[str, Any] = {}
    problems: tuple[Problem, ...] = ()


def look(record: Record, size: Size, dataset: ImageDataset, pixels: bool = True) -> Seen:
    """The record's truths against the image's size (h, w); what is stored in files is loaded, but not with `pixels` False.

    A problem of a truth in a file of its own is at that file, relative to the data set's folder, and names the image.
    """
    problems: list[Problem] = []
    found: dict[str, Contents] = {}
    mended: dict[str, Any] = {}
    known: list[torch.Tensor] = []  # boxes that were checked already for another head of the same file
    for head, held in record.targets.items():
        stored = isinstance(held, Stored)
        if held is None or (stored and not pixels):
            continue
        place = _place(held, dataset) if stored else ""
        try:
            target = held.load() if stored else held
        except DataError as error:
            problems += _placed([error.problem()], record, place)
            continue
        space, frame = dataset.spaces.get(head), box_record(target)
        own = _own(target, size, space)
        if isinstance(target, Boxes) and len(record.targets) == 1:  # with masks or key points two objects may share a box
            own += check_boxes.copies(target, space)
        if frame is not None and not any(frame.xyxy is other or torch.equal(frame.xyxy, other) for other in known):
            known.append(frame.xyxy)
            framed = check_boxes.boxes(frame, size, space)
            unsound = any(problem.severity == "error" for problem in framed)  # then nothing can be compared with the boxes
            own = framed + [problem for problem in own if not (unsound and problem.code in ("MASK-BOX", "KEY-BOX"))]
        after, cuts = check_boxes.cut(target, size)
        if cuts and not stored and not any(problem.severity == "error" for problem in own):
            mended[head], target = after, after
            own += cuts
        problems += _placed(own, record, place)
        found[head] = contents(target)
    return Seen(found, mended, tuple({(p.code, p.where, p.got): p for p in problems}.values()))


def _place(held: Stored, dataset: ImageDataset) -> str:
    """The first file behind a truth, relative to the data set's folder."""
    return next((os.path.relpath(path, dataset.root).replace(os.sep, "/") for path in held.paths), "")


def _placed(problems: list[Problem], record: Record, place: str) -> list[Problem]:
    return [replace(p, where=place, image=record.id) if place else replace(p, where=record.id) for p in problems]


def _own(target: Any, size: Size, space: LabelSpace | None) -> list[Problem]:
    """The checks of one kind of truth alone, its boxes apart."""
    match target:
        case Instances():
            return check_maps.instances(target, size)
        case Keypoints():
            return check_points.keypoints(target, size, space)
        case SegmentationMap():
            return check_maps.segmentation(target, size, space)
        case Points():
            return check_points.points(target, size, space)
        case DepthMap():
            return check_maps.depth(target, size)
        case FlowMap() | NormalMap():
            return check_maps.plane((int(target.vectors.shape[1]), int(target.vectors.shape[2])), size, "map of vectors")
        case ImageTarget():
            return check_maps.picture(target)
        case Caption():
            return check_text.sentences(target.texts)
        case RegionCaptions():
            return check_text.sentences(target.texts) + _regions(target, size)
        case SceneGraph():
            return check_boxes.graph(target, space)
        case Boxes3D():
            return check_boxes.boxes3d(target, space)
        case TagSequence():
            return check_text.tags(target, space)
        case Labels():
            return check_text.labels(target, space)
        case Label():
            return check_text.label(target, space)
        case Number():
            return check_text.number(target)
    return []


def _regions(target: RegionCaptions, size: Size) -> list[Problem]:
    return check_boxes.boxes(Boxes(target.xyxy, torch.zeros(len(target), dtype=torch.int64)), size, None)


def sized(record: Record, size: Size, orientation: str) -> list[Problem]:
    """ANN-SIZE: the label file gives another size (`record.size`) than the image has; orientation: what IMG-EXIF says of it, or ""."""
    if record.size is None or record.index is not None or tuple(record.size) == tuple(size):
        return []
    said, own = f"the labels say {record.size[1]} x {record.size[0]}", f"the image is {size[1]} x {size[0]}"
    why = ""
    if orientation and tuple(record.size) == tuple(size[::-1]):
        why = f"; its EXIF {orientation} turns it, and the labels are for the picture that was not turned"
    elif tuple(record.size) == tuple(size[::-1]):
        why = "; the two numbers are exchanged"
    elif record.size[0] * size[1] == record.size[1] * size[0]:
        why = f"; the image was resized by {size[0] / record.size[0]:.3g} and the labels were not"
    return [Problem("ANN-SIZE", record.id, f"{said}, {own}{why}")]


def checked(record: Record, size: Size, mended: Mapping[str, Any]) -> Record:
    """The record with the size it really has and the targets that were mended."""
    targets = {**record.targets, **mended} if mended else record.targets
    return replace(record, size=size, targets=targets)
