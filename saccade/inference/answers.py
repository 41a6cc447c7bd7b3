"""Answers as JSON values, as rows of a table and as files: one function a kind of target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from saccade import storage
from saccade.core import LabelSpace
from saccade.ops.components import measured
from saccade.ops.masks import runs_from_mask, runs_to_text
from saccade.targets import Boxes, ImageTarget, Instances, Keypoints, Label, Labels, Number, Points, SegmentationMap, TagSequence

Row = dict[str, Any]
DIGITS = 6  # of a probability
PIXEL_DIGITS = 2  # of a coordinate
LARGEST_LISTED = 1 << 25  # pixels of a map whose objects are listed
SPOT = 5  # pixels from which on a connected spot of a map is an object


def row_of(answer: Any, space: LabelSpace, *, top: int = 5, probabilities: bool = False) -> Row:
    """What an answer says, as JSON values; `top` is of classes, `probabilities` of classes and tags. Raises TypeError for a kind that has no row."""
    if isinstance(answer, Label):
        return label_row(answer, space, top=top, probabilities=probabilities)
    if isinstance(answer, TagSequence):
        return tags_row(answer, space, probabilities=probabilities)
    if type(answer) not in ROWS:
        raise TypeError(f"{type(answer).__name__} is no answer; expected one of {', '.join(sorted(kind.__name__ for kind in ROWS))}")
    return ROWS[type(answer)](answer, space)


def label_row(label: Label, space: LabelSpace, *, top: int, probabilities: bool) -> Row:
    """{"answer", "score", "top": [[name, p], ...]}, with `probabilities` also {name: p}; "unknown" with score 0 below the threshold."""
    row: Row = {"answer": space.names[label.index] if label.known else "unknown", "score": round(label.score, DIGITS)}
    row["top"] = [[space.names[index], round(p, DIGITS)] for index, p in label.top(top)]
    if probabilities and label.probabilities is not None:
        row["probabilities"] = {name: round(p, DIGITS) for name, p in zip(space.names, label.probabilities.tolist(), strict=True)}
    return row


def labels_row(labels: Labels, space: LabelSpace) -> Row:
    """{"answers": names of the classes that are there, "scores": {name: p}}."""
    row: Row = {"answers": [name for name, value in zip(space.names, labels.values.tolist(), strict=True) if value == 1]}
    if labels.scores is not None:
        row["scores"] = {name: round(p, DIGITS) for name, p in zip(space.names, labels.scores.tolist(), strict=True)}
    return row


def boxes_row(boxes: Boxes, space: LabelSpace) -> Row:
    """{"objects": [{"class", "score", "box": [x1, y1, x2, y2]}, ...]}, in pixels of the image."""
    scores = [None] * len(boxes) if boxes.scores is None else [round(p, DIGITS) for p in boxes.scores.tolist()]
    named = zip(boxes.classes.tolist(), scores, boxes.xyxy.tolist(), strict=True)
    return {"objects": [{"class": space.names[k], "score": p, "box": [round(v, PIXEL_DIGITS) for v in box]} for k, p, box in named]}


def instances_row(instances: Instances, space: LabelSpace) -> Row:
    """As boxes, each object also with its area in pixels and its mask: COCO's compressed run lengths {"size": [h, w], "counts": text}."""
    row = boxes_row(instances.boxes, space)
    for place, found in enumerate(row["objects"]):
        mask = instances.mask(place)
        found |= {"area": int(mask.sum()), "mask": {"size": list(instances.size), "counts": runs_to_text(runs_from_mask(mask))}}
    return row


def keypoints_row(keypoints: Keypoints, space: LabelSpace) -> Row:
    """As boxes, each object also with {"points": {name: [x, y, score]}}; the score is None where there is none."""
    row = boxes_row(keypoints.boxes, space)
    names = space.keypoints or tuple(str(k) for k in range(keypoints.xy.shape[1]))
    for place, found in enumerate(row["objects"]):
        scores = [None] * len(names) if keypoints.scores is None else [round(p, DIGITS) for p in keypoints.scores[place].tolist()]
        there = zip(names, keypoints.xy[place].tolist(), keypoints.visible[place].tolist(), scores, strict=True)
        found["points"] = {name: [round(x, PIXEL_DIGITS), round(y, PIXEL_DIGITS), p] for name, (x, y), seen, p in there if seen}
    return row


def map_row(found: SegmentationMap, space: LabelSpace) -> Row:
    """{"size": [h, w], "shares": {name: share of the pixels}, "counts": {name: objects}, "objects": [...]}; the map itself is a file.

    Maps of more than `LARGEST_LISTED` pixels have no counts and no objects. Objects are the connected pixels of each class but the background, of
    `SPOT` pixels, pulled apart where the network has learnt to, each as {"class", "box", "area", "length", "width", "perimeter", "x", "y"}:
    measures in pixels (see `ops.components.Measured`), x and y of its centre.
    """
    ids = found.ids.cpu().numpy()
    blocks = [np.bincount(ids[top : top + 256].ravel(), minlength=256) for top in range(0, len(ids), 256)]  # counting makes wide numbers of bytes
    shares = np.sum(blocks, 0)[: len(space)] / max(1, ids.size) if blocks else np.zeros(len(space))
    told = {name: round(float(share), DIGITS) for name, share in zip(space.names, shares, strict=True)}
    if ids.size > LARGEST_LISTED:
        return {"size": list(ids.shape), "shares": told}
    numbers = found.numbered(space.background, least=SPOT)
    sizes, objects = measured(numbers), list[Row]()
    first = np.zeros(len(sizes.area) + 1, np.uint8)
    first[numbers.ravel()] = ids.ravel()
    for i, k in enumerate(first[1:].tolist()):
        row: Row = {"class": space.names[k], "box": [round(v, PIXEL_DIGITS) for v in sizes.box[i].tolist()], "area": int(sizes.area[i])}
        row |= {name: round(float(getattr(sizes, name)[i]), PIXEL_DIGITS) for name in ("length", "width", "perimeter")}
        objects.append(row | {name: round(float(v), PIXEL_DIGITS) for name, v in zip("xy", sizes.centre[i], strict=True)})
    counts = {name: sum(row["class"] == name for row in objects) for k, name in enumerate(space.names) if k != space.background}
    return {"size": list(ids.shape), "shares": told, "counts": counts, "objects": objects}


def points_row(points: Points, space: LabelSpace) -> Row:
    """{"count": of all, "counts": {name: n}, "points": [[x, y, name, score], ...]}."""
    classes = points.classes.tolist()
    scores = [None] * len(classes) if points.scores is None else [round(p, DIGITS) for p in points.scores.tolist()]
    listed = [[round(x, PIXEL_DIGITS), round(y, PIXEL_DIGITS), space.names[k], p] for (x, y), k, p in zip(points.xy.tolist(), classes, scores, strict=True)]
    return {"count": len(classes), "counts": {name: classes.count(k) for k, name in enumerate(space.names)}, "points": listed}


def number_row(number: Number, space: LabelSpace) -> Row:
    """{"value", "deviation"}."""
    return {"value": float(number.value), "deviation": number.deviation}


def image_row(image: ImageTarget, space: LabelSpace) -> Row:
    """{"size": [h, w]}; the picture itself is a file."""
    return {"size": list(image.pixels.shape[-2:])}


def tags_row(tags: TagSequence, space: LabelSpace, *, probabilities: bool = False) -> Row:
    """{"tags": the name of every step, "?" where there is none, "p": the probability of each, "segments": [{"tag", "start", "end", "score"}, ...]}.

    A segment is a run of one tag: frames start to end - 1, counted from 0, and the mean of their probabilities. probabilities: also "marginals", {name: one
    number a step}. "p", "score" and "marginals" are only where the answer has marginals.
    """
    ids = tags.tags.tolist()
    names = [space.names[k] if 0 <= k < len(space) else "?" for k in ids]
    row: Row = {"tags": names}
    own = None
    if tags.scores is not None:
        own = [float(tags.scores[t, k]) if k >= 0 else 0.0 for t, k in enumerate(ids)]
        row["p"] = [round(p, DIGITS) for p in own]
    bounds = [t for t in range(len(ids)) if t == 0 or ids[t] != ids[t - 1]]
    row["segments"] = [{"tag": names[a], "start": a, "end": b} for a, b in zip(bounds, [*bounds[1:], len(ids)], strict=True)] if ids else []
    for part in row["segments"] if own is not None else ():
        part["score"] = round(sum(own[part["start"] : part["end"]]) / (part["end"] - part["start"]), DIGITS)  # type: ignore[index]
    if probabilities and tags.scores is not None:
        row["marginals"] = {name: [round(p, DIGITS) for p in tags.scores[:, k].tolist()] for k, name in enumerate(space.names)}
    return row


ROWS: Mapping[type, Callable[[Any, LabelSpace], Row]] = {
    Labels: labels_row,
    Boxes: boxes_row,
    Instances: instances_row,
    Keypoints: keypoints_row,
    SegmentationMap: map_row,
    Points: points_row,
    Number: number_row,
    ImageTarget: image_row,
    TagSequence: tags_row,
}


def map_file(found: SegmentationMap, stem: Path) -> Path:
    """The class ids as an 8-bit PNG."""
    return _png(stem, found.ids.cpu().numpy().astype(np.uint8))


def instances_file(found: Instances, stem: Path) -> Path:
    """The objects as a 16-bit PNG: 0 for none, i + 1 where object i is."""
    return _png(stem, found.id_map().astype(np.uint16))


def image_file(found: ImageTarget, stem: Path) -> Path:
    """The picture as an 8-bit PNG."""
    pixels = (found.pixels.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return _png(stem, pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, ::-1])


FILES: Mapping[type, Callable[[Any, Path], Path]] = {SegmentationMap: map_file, Instances: instances_file, ImageTarget: image_file}


def file_of(answer: Any, stem: Path) -> Path | None:
    """Writes what of an answer is a picture, as stem.png; None where nothing is. Raises ResourceError RUN-DISK."""
    write = FILES.get(type(answer))
    return None if write is None else write(answer, stem)


def cells_of(row: Mapping[str, Any]) -> list[Row]:
    """The lines of a table for an answer's row: one an object, point or frame, else one; nested values get a column each, masks none.

    >>> cells_of({"objects": [{"class": "cat", "score": 0.9, "box": [1, 2, 3, 4]}]})
    [{'class': 'cat', 'score': 0.9, 'x1': 1, 'y1': 2, 'x2': 3, 'y2': 4}]
    >>> cells_of({"size": [2, 3], "shares": {"sky": 0.5}})
    [{'size': '2x3', 'shares.sky': 0.5}]
    """
    if "objects" in row:
        return [_object_cells(found) for found in row["objects"]]
    if "tags" in row:
        return [_frame_cells(row, t) for t in range(len(row["tags"]))]
    if "points" in row:
        return [dict(zip(("x", "y", "class", "score"), point, strict=True)) for point in row["points"]]
    flat: Row = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        elif isinstance(value, list | tuple):
            flat[key] = "x".join(map(str, value)) if key == "size" else " ".join(map(str, value))
        else:
            flat[key] = value
    return [flat]


def _frame_cells(row: Mapping[str, Any], t: int) -> Row:
    cells: Row = {"frame": t, "tag": row["tags"][t]} | ({"p": row["p"][t]} if "p" in row else {})
    return cells | {f"p({name})": values[t] for name, values in row.get("marginals", {}).items()}


def _object_cells(found: Mapping[str, Any]) -> Row:
    cells: Row = {key: found[key] for key in ("class", "score") if key in found}
    cells |= dict(zip(("x1", "y1", "x2", "y2"), found["box"], strict=True))
    cells |= {key: found[key] for key in ("area", "length", "width", "perimeter", "x", "y") if key in found}
    for name, (x, y, p) in found.get("points", {}).items():
        cells |= {f"{name}.x": x, f"{name}.y": y, f"{name}.score": p}
    return cells


def _png(stem: Path, pixels: np.ndarray) -> Path:
    path = stem.with_name(f"{stem.name}.png")
    storage.atomic_write(path, cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())
    return path
