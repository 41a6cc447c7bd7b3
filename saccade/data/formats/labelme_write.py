"""LabelMe's JSON files written: one beside each image, and the names in `labels.txt` and `flags.txt`."""

from __future__ import annotations

import base64
import io
import json
import posixpath
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Item, Losses, items, listing, moved
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem
from saccade.ops.masks import Runs, mask_from_runs, tight_box

HOLDS = frozenset({"boxes", "instances", "keypoints", "points", "labels"})
VERSION = "5.5.0"  # of LabelMe's layout


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes a JSON file beside each labelled image, in the folder of its split. What it cannot hold: skeletons, key points that no object has,
    scores, areas, numbers of objects, attributes that are not true or false, boxes that are not tight around their mask."""
    losses = Losses()
    (out / "labels.txt").write_text("".join(f"{name}\n" for name in listing(dataset)), encoding="utf-8")
    if "labels" in dataset.spaces:
        (out / "flags.txt").write_text("".join(f"{name}\n" for name in dataset.spaces["labels"].names), encoding="utf-8")
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i)
        path = pictures.put(i, record.split or "")
        if all(truth.get(head) is None for head in HOLDS):
            continue
        height, width = dataset.size(i)
        shapes = [part for number, item in enumerate(items(truth, dataset.spaces, losses)) for part in _shapes(item, number, dataset.spaces, losses)]
        shapes += _dots(truth.get("points"), dataset.spaces)
        page = {
            "version": VERSION,
            "flags": _flags(truth.get("labels"), dataset.spaces),
            "shapes": shapes,
            "imagePath": posixpath.basename(path),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        name = Path(path).with_suffix(".json") if pictures.how != "none" else Path(f"{i:06d}.json")
        page["imagePath"] = posixpath.basename(path) if pictures.how != "none" else path
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(json.dumps(page, ensure_ascii=False, indent=1), encoding="utf-8")
    return losses.problems() + _space_losses(dataset)


def _space_losses(dataset: ImageDataset) -> list[Problem]:
    problems = []
    for head, space in dataset.spaces.items():
        lost = [name for name in ("skeleton", "pairs", "colours") if getattr(space, name)]
        if lost:
            problems.append(Problem("LOSS-FIELD", head, f"{', '.join(lost)} of the classes"))
    return problems


def _shape(name: str, kind: str, points: Any, group: int | None, flags: dict[str, bool], mask: str | None = None) -> dict[str, Any]:
    held = {"label": name, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": flags}
    return held if mask is None else {**held, "mask": mask}


def _shapes(item: Item, number: int, spaces: Any, losses: Losses) -> list[dict[str, Any]]:
    """A rectangle, its outlines or its mask, then its key points; joined by a group where there is more than one."""
    flags = {key: value for key, value in item.flags.items() if isinstance(value, bool)}
    losses.add("boxes", "attributes that are not true or false", len(item.flags) - len(flags))
    x1, y1, x2, y2 = item.box
    if item.shape is None:
        parts = [_shape(item.name, "rectangle", [[x1, y1], [x2, y2]], None, flags)]
    elif isinstance(item.shape, Runs):
        parts = [_mask(item, flags)]
    else:
        parts = [_shape(item.name, "polygon", ring.tolist(), None, flags) for ring in item.shape.rings]
    if moved(item):
        losses.add("instances", "boxes that are not tight around their masks")
    if item.points is not None:
        losses.add("keypoints", "objects without a labelled point", int(not item.points[:, 2].any()))
        for name, (x, y, visible) in zip(spaces["keypoints"].keypoints, item.points.tolist(), strict=True):
            if visible:
                parts.append(_shape(name, "point", [[x, y]], None, {"hidden": True} if visible == 1 else {}))
    for part in parts if len(parts) > 1 else ():
        part["group_id"] = number
    return parts


def _mask(item: Item, flags: dict[str, bool]) -> dict[str, Any]:
    from PIL import Image

    assert isinstance(item.shape, Runs)
    x1, y1, x2, y2 = tight_box(item.shape) or (0, 0, 1, 1)
    part = mask_from_runs(item.shape)[y1:y2, x1:x2]
    stream = io.BytesIO()
    Image.fromarray(part.astype(np.uint8) * 255).save(stream, format="PNG")
    coded = base64.b64encode(stream.getvalue()).decode("ascii")
    return _shape(item.name, "mask", [[x1, y1], [x2 - 1, y2 - 1]], None, flags, coded)


def _dots(points: Any, spaces: Any) -> list[dict[str, Any]]:
    if points is None:
        return []
    rows = zip(points.xy.tolist(), points.classes.tolist(), strict=True)
    return [_shape(spaces["points"].names[k], "point", [xy], None, {}) for xy, k in rows]


def _flags(labels: Any, spaces: Any) -> dict[str, bool]:
    if labels is None:
        return {}
    return {name: bool(v) for name, v in zip(spaces["labels"].names, labels.values.tolist(), strict=True) if v >= 0}
