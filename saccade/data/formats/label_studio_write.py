"""Label Studio's JSON tasks written, with the labelling configuration that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Item, Losses, items, moved
from saccade.data.formats.label_studio_rle import encode
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem
from saccade.ops.masks import Runs, mask_from_runs

HOLDS = frozenset({"boxes", "instances", "keypoints", "points", "label", "labels", "number", "caption", "regions"})
_PLAIN = (str, int, float, bool, type(None))


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `tasks.json` and `label_config.xml`, the pictures into `images/`, by split. What it cannot hold: skeletons, key points that no object has,
    scores, areas, numbers of objects, boxes that are not tight around their mask, labels that are not known."""
    losses = Losses()
    tasks = []
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i)
        path = pictures.put(i, "images" + (f"/{record.split}" if record.split else ""))
        height, width = dataset.size(i)
        task: dict[str, Any] = {"id": i + 1, "data": {"image": path}, "annotations": [], "predictions": []}
        if any(truth.get(head) is not None for head in HOLDS):
            frame = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image", "origin": "manual"}
            results = [frame | result for result in _results(truth, dataset, (height, width), losses)]
            task["annotations"] = [{"id": i + 1, "was_cancelled": False, "ground_truth": False, "result": results}]
        tasks.append(task)
    (out / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False, indent=1), encoding="utf-8")
    (out / "label_config.xml").write_text(_configuration(dataset), encoding="utf-8")
    return losses.problems() + _space_losses(dataset)


def _space_losses(dataset: ImageDataset) -> list[Problem]:
    return [
        Problem("LOSS-FIELD", head, f"{', '.join(lost)} of the classes")
        for head, space in dataset.spaces.items()
        if (lost := [name for name in ("skeleton", "pairs", "colours") if getattr(space, name)])
    ]


def _configuration(dataset: ImageDataset) -> str:
    """A labelling configuration: the controls that the heads need, and their names in order."""
    spaces = dataset.spaces
    classes = tuple(dict.fromkeys(n for head in ("boxes", "instances", "keypoints") if head in spaces for n in spaces[head].names))
    dots = spaces["points"].names if "points" in spaces else ()
    joints = spaces["keypoints"].keypoints if "keypoints" in spaces else ()
    controls = [(tag, tag[:-6].lower(), classes) for tag in ("RectangleLabels", "PolygonLabels", "BrushLabels") if classes]
    lines = ['<View>\n  <Image name="image" value="$image"/>']
    for tag, control, names in [*controls, *([("KeyPointLabels", "keypoint", (*dots, *joints))] if dots or joints else [])]:
        lines += [f'  <{tag} name="{control}" toName="image">', *(f"    <Label value={quoteattr(n)}/>" for n in dict.fromkeys(names)), f"  </{tag}>"]
    for head, choice in (("label", "single"), ("labels", "multiple")):
        if head in spaces:
            lines += [f'  <Choices name="{head}" toName="image" choice="{choice}">', *(f"    <Choice value={quoteattr(n)}/>" for n in spaces[head].names)]
            lines.append("  </Choices>")
    lines += ['  <TextArea name="caption" toName="image" maxSubmissions="0"/>'] if "caption" in spaces else []
    lines += ['  <TextArea name="region" toName="image" perRegion="true"/>', '  <Rectangle name="box" toName="image"/>'] if "regions" in spaces else []
    lines += ['  <Number name="number" toName="image"/>'] if "number" in spaces else []
    return "\n".join([*lines, "</View>\n"])


def _results(truth: dict[str, Any], dataset: ImageDataset, size: tuple[int, int], losses: Losses) -> list[dict[str, Any]]:
    spaces, scale = dataset.spaces, np.array([100 / size[1], 100 / size[0]])
    results = [r for i, item in enumerate(items(truth, spaces, losses)) for r in _object(item, f"object{i}", spaces, scale, losses)]
    if (points := truth.get("points")) is not None:
        rows = zip(points.xy.numpy() * scale, points.classes.tolist(), strict=True)
        results += [_point(spaces["points"].names[k], xy, f"point{i}", None, {}) for i, (xy, k) in enumerate(rows)]
    if (regions := truth.get("regions")) is not None:
        for i, (box, text) in enumerate(zip(regions.xyxy.numpy(), regions.texts, strict=True)):
            value = {**_rectangle(box, scale), "text": [text]}
            results.append({"id": f"region{i}", "from_name": "region", "type": "textarea", "value": value})
    said: dict[str, Callable[[Any], tuple[str, str, Any]]] = {
        "label": lambda t: ("choices", "choices", [spaces["label"].names[t.index]] if t.known else []),
        "labels": lambda t: ("choices", "choices", [n for n, v in zip(spaces["labels"].names, t.values.tolist(), strict=True) if v == 1]),
        "caption": lambda t: ("textarea", "text", list(t.texts)),
        "number": lambda t: ("number", "number", t.value),
    }
    for head, tell in said.items():
        if (target := truth.get(head)) is not None:
            kind, key, value = tell(target)
            results.append({"id": head, "from_name": head, "type": kind, "value": {key: value}})
    if (labels := truth.get("labels")) is not None:
        losses.add("labels", "unknown answers, written as no,", int((labels.values < 0).sum()))
    return results


def _rectangle(box: Any, scale: np.ndarray) -> dict[str, float]:
    (x, y), (w, h) = np.asarray(box[:2]) * scale, (np.asarray(box[2:]) - np.asarray(box[:2])) * scale
    return {"x": float(x), "y": float(y), "width": float(w), "height": float(h), "rotation": 0}


def _region(kind: str, name: str, value: dict[str, Any], own: str, parent: str | None, flags: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = {"id": own, "from_name": kind, "type": f"{kind}labels", "value": {**value, f"{kind}labels": [name]}}
    if parent is not None:
        held["parentID"] = parent
    if flags:
        held["meta"] = {"attributes": flags}
    return held


def _point(name: str, xy: np.ndarray, own: str, parent: str | None, flags: dict[str, Any]) -> dict[str, Any]:
    return _region("keypoint", name, {"x": float(xy[0]), "y": float(xy[1]), "width": 0.5}, own, parent, flags)


def _object(item: Item, own: str, spaces: Any, scale: np.ndarray, losses: Losses) -> list[dict[str, Any]]:
    """A rectangle, polygons or a brush, then its key points as its children."""
    flags = {str(key): value for key, value in item.flags.items() if isinstance(value, _PLAIN)}
    losses.add("boxes", "attributes that are no plain values", len(item.flags) - len(flags))
    losses.add("instances", "boxes that are not tight around their masks", int(moved(item)))
    if item.shape is None:
        parts = [_region("rectangle", item.name, _rectangle(item.box, scale), own, None, flags)]
    elif isinstance(item.shape, Runs):
        parts = [_region("brush", item.name, {"format": "rle", "rle": encode(mask_from_runs(item.shape))}, own, None, flags)]
    else:
        rings = [(ring * scale).tolist() for ring in item.shape.rings]
        parts = [
            _region("polygon", item.name, {"points": ring, "closed": True}, f"{own}.{k}" if k else own, own if k else None, flags)
            for k, ring in enumerate(rings)
        ]
    if item.points is not None:
        losses.add("keypoints", "objects without a labelled point", int(not item.points[:, 2].any()))
        for k, (joint, (x, y, visible)) in enumerate(zip(spaces["keypoints"].keypoints, item.points.tolist(), strict=True)):
            if visible:
                parts.append(_point(joint, np.array([x, y]) * scale, f"{own}.p{k}", own, {"hidden": True} if visible == 1 else {}))
    return parts
