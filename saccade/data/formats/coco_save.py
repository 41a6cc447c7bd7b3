"""COCO's JSON files written: `annotations/instances_train.json` and its like for key points, captions, panoptic segments, images in `train/`."""

from __future__ import annotations

import json
import posixpath
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saccade import storage
from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.coco_panoptic_save import Segments
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs, area, runs_from_mask, runs_to_text
from saccade.targets import Boxes, Caption, Instances, Keypoints

HOLDS = frozenset({"boxes", "instances", "keypoints", "caption", "map"})
_NAMES = {"boxes": "instances", "instances": "instances", "keypoints": "person_keypoints", "caption": "captions", "map": "panoptic"}
_LICENCE = {"id": 1, "name": "not stated", "url": ""}


@dataclass
class _Page:
    """One JSON file while it grows."""

    categories: list[dict[str, Any]]
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes the files, one for each kind of label and split, and the pictures into a folder a split (`images` where there is none).

    Areas that the data do not give are those of the masks, else of the boxes. Objects keep their numbers where these are unique.
    What COCO cannot hold: scores (see `coco_results`), colours, groups, backgrounds, left and right that names do not tell, boxes that
    differ from those of the masks.
    """
    losses: Counter[tuple[str, str]] = Counter()
    kept_ids = {head: _unique(dataset, head) for head in ("boxes", "instances", "keypoints")}
    heads = [head for head in dataset.spaces if head in HOLDS]
    pages: dict[tuple[str, str], _Page] = {}
    panoptic = Segments(out, dataset.spaces) if "map" in heads else None
    for i, record in enumerate(dataset.records):
        part, truth = record.split or "", dataset.truth(i)
        folder = part or "images"
        path = pictures.put(i, folder)
        name = posixpath.relpath(path, folder) if pictures.how != "none" else path
        height, width = dataset.size(i)
        image = {"id": i + 1, "file_name": name, "height": height, "width": width, "license": 1}
        written = _objects_head(truth, losses)
        for head in [head for head in heads if truth.get(head) is not None]:
            if head == "boxes" and written != "boxes":
                continue
            page = pages.setdefault((_NAMES[head], part), _Page(_categories(head, dataset.spaces)))
            page.images.append(image)
            if panoptic is not None and head == "map":
                page.annotations.append(panoptic.write(i + 1, name, part, truth["map"], truth.get("instances")))
            else:
                page.annotations += _annotations(truth[head], i + 1, kept_ids.get(head, False), losses)
        if all(truth.get(head) is None for head in heads):
            pages.setdefault(("image_info_unlabelled", part), _Page([])).images.append(image)
    for (kind, part), page in pages.items():
        _write(out / "annotations" / (f"{kind}_{part}.json" if part else f"{kind}.json"), page, kind)
    return _problems(dataset, losses)


def _objects_head(truth: Mapping[str, Any], losses: Counter[tuple[str, str]]) -> str:
    """Which head the file of instances holds: the masks where there are some, with their boxes."""
    boxes, instances = truth.get("boxes"), truth.get("instances")
    if not isinstance(instances, Instances):
        return "boxes"
    if isinstance(boxes, Boxes):
        own = instances.boxes
        same = boxes.xyxy.shape == own.xyxy.shape and bool((boxes.xyxy == own.xyxy).all()) and bool((boxes.classes == own.classes).all())
        losses["boxes", "images whose boxes are not those of their masks, which are written"] += not same
    return "instances"


def _unique(dataset: ImageDataset, head: str) -> bool:
    """Whether all objects have numbers, none twice: the files keep them then."""
    seen: set[int] = set()
    for i, record in enumerate(dataset.records):
        target = record.targets.get(head)
        if target is None:
            continue
        target = dataset.truth(i)[head]
        boxes = target if isinstance(target, Boxes) else target.boxes
        if boxes.ids is None:
            if len(boxes):
                return False
            continue
        numbers = boxes.ids.tolist()
        if min(numbers, default=0) < 0 or len(set(numbers)) != len(numbers) or not seen.isdisjoint(numbers):
            return False
        seen.update(numbers)
    return True


def _categories(head: str, spaces: Mapping[str, LabelSpace]) -> list[dict[str, Any]]:
    if head == "caption":
        return []
    space = spaces[head]
    made: list[dict[str, Any]] = [{"id": i + 1, "name": name, "supercategory": ""} for i, name in enumerate(space.names)]
    for category in made:
        if head == "keypoints":
            category |= {"keypoints": list(space.keypoints), "skeleton": [[a + 1, b + 1] for a, b in space.skeleton]}
        if head == "map":
            category["isthing"] = int("instances" in spaces and category["name"] in spaces["instances"].names)
    return made


def _annotations(target: Any, image: int, keep: bool, losses: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """The annotations of one image; those of objects have an id of their own when `keep`, the others get one when the file is written."""
    if isinstance(target, Caption):
        losses["caption", "scores"] += target.scores is not None
        return [{"image_id": image, "caption": text} for text in target.texts]
    boxes = target if isinstance(target, Boxes) else target.boxes
    losses["objects", "scores: write a results file for predictions"] += len(boxes) if boxes.scores is not None else 0
    losses["objects", "numbers of objects that are not unique"] += len(boxes) if boxes.ids is not None and not keep else 0
    masks = _masks(target) if isinstance(target, Instances) else [None] * len(boxes)
    found = []
    for row, ((x1, y1, x2, y2), label) in enumerate(zip(boxes.xyxy.tolist(), boxes.classes.tolist(), strict=True)):
        mask, given = masks[row], float("nan") if boxes.areas is None else float(boxes.areas[row])
        crowd = boxes.crowd is not None and bool(boxes.crowd[row])
        made: dict[str, Any] = {"id": int(boxes.ids[row])} if keep and boxes.ids is not None else {}
        size = given if given == given else ((x2 - x1) * (y2 - y1) if mask is None else area(mask))
        made |= {"image_id": image, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": size, "iscrowd": int(crowd)}
        made["segmentation"] = [] if mask is None else _segmentation(mask, crowd)
        if isinstance(target, Keypoints):
            made |= _points(target, row)
        if boxes.difficult is not None and bool(boxes.difficult[row]):
            made["ignore"] = 1
        if boxes.attributes is not None and boxes.attributes[row]:
            made["attributes"] = dict(boxes.attributes[row])
        found.append(made)
    return found


def _masks(target: Instances) -> Sequence[Runs | Polygons | None]:
    if target.shapes is not None:
        return target.shapes
    ids = np.zeros(target.size, np.int32) if target.ids is None else target.ids.numpy()
    return [runs_from_mask(ids == row + 1) for row in range(len(target))]


def _segmentation(mask: Runs | Polygons, crowd: bool) -> Any:
    """Polygons as lists of numbers; run lengths as text, and as a list for crowds, as COCO's own files have them."""
    if isinstance(mask, Polygons):
        return [ring.ravel().tolist() for ring in mask.rings]
    return {"size": list(mask.size), "counts": mask.counts.tolist() if crowd else runs_to_text(mask)}


def _points(target: Keypoints, row: int) -> dict[str, Any]:
    visible = target.visible[row].tolist()
    flat = [value for (x, y), v in zip(target.xy[row].tolist(), visible, strict=True) for value in (x, y, v)]
    return {"keypoints": flat, "num_keypoints": sum(v > 0 for v in visible)}


def _write(path: Path, page: _Page, kind: str) -> None:
    """One file. Raises ResourceError RUN-DISK."""
    if kind != "panoptic":
        page.annotations = [{"id": row + 1, **made} for row, made in enumerate(page.annotations)]
    held: dict[str, Any] = {"info": {"description": "written by saccade"}, "licenses": [_LICENCE], "images": page.images, "annotations": page.annotations}
    held |= {"categories": page.categories} if page.categories else {}  # a file of captions has none, or pycocotools asks for their classes
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.atomic_write(path, json.dumps(held, allow_nan=False).encode())


def _problems(dataset: ImageDataset, losses: Counter[tuple[str, str]]) -> list[Problem]:
    """What was lost, by kind of label."""
    said: dict[str, list[str]] = defaultdict(list)
    for (head, what), n in losses.items():
        if n:
            said[head].append(f"{what} ({n:,})")
    for head, space in dataset.spaces.items():
        if head in HOLDS:
            lost = {"colours": bool(space.colours), "the background": space.background is not None, "pairs": space.pairs != mirrored_pairs(space.keypoints)}
            said[head] += [f"{name} of the classes" for name, is_lost in lost.items() if is_lost]
    if grouped := sum(record.group is not None for record in dataset.records):
        said["records"].append(f"groups ({grouped:,})")
    problems = [Problem("LOSS-HEAD", head, f"COCO cannot hold {head}") for head in dataset.spaces if head not in HOLDS]
    return problems + [Problem("LOSS-FIELD", head, "; ".join(texts)) for head, texts in said.items() if texts]
