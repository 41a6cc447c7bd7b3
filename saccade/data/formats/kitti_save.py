"""KITTI's object files written: training/image_2, label_2 and calib, ImageSets, and classes.txt for the order of the classes."""

from __future__ import annotations

import math
import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.kitti import REGION
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem
from saccade.targets import Boxes, Boxes3D

HOLDS = frozenset({"boxes", "boxes3d"})
_ATTRIBUTES = {"truncated": (0.0, 1.0), "occluded": (0.0, 3.0), "alpha": (-2 * math.pi, 2 * math.pi)}
_UNKNOWN = {"truncated": "-1", "occluded": "-1", "alpha": "-10"}


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes a row for each box, with its box in space where it has one.

    What it cannot hold: the class of crowds (they become DontCare), difficult, areas, numbers of objects, scores, attributes other than
    truncated, occluded and alpha, boxes in space that have none in the image (it is computed).
    """
    losses, splits = Losses(), defaultdict[str, list[str]](list)
    names = list(dict.fromkeys(name for head in ("boxes", "boxes3d") if head in dataset.spaces for name in dataset.spaces[head].names))
    _write(out / "classes.txt", names)
    base = out / "training"
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i)
        path = pictures.put(i, "training/image_2")
        stem = posixpath.splitext(posixpath.basename(path))[0]
        splits[record.split or ""].append(stem)
        boxes, space = truth.get("boxes"), truth.get("boxes3d")
        if boxes is None and space is None:
            continue
        if space is not None:
            numbers = " ".join(f"{v:.15g}" for v in space.camera.double().ravel().tolist())
            _write(base / "calib" / f"{stem}.txt", [*(f"P{k}: {numbers}" for k in range(4)), "R0_rect: 1 0 0 0 1 0 0 0 1"])
        elif "boxes3d" in dataset.spaces:
            losses.add("boxes3d", "images without a camera, which cannot be read again")
        _write(base / "label_2" / f"{stem}.txt", _rows(boxes, space, dataset, dataset.size(i), losses))
    for split, stems in splits.items():
        if split:
            _write(out / "ImageSets" / f"{split}.txt", stems)
    if "boxes" not in dataset.spaces:
        losses.add("boxes3d", "boxes in the image alone, which are read as boxes too", sum(map(len, splits.values())))
    return losses.problems()


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _rows(boxes: Boxes | None, space: Boxes3D | None, dataset: ImageDataset, size: tuple[int, int], losses: Losses) -> list[str]:
    """The rows of one image: the boxes in their order, each with its box in space, then boxes in space that none of them is."""
    own = _own_boxes(space, size, losses) if space is not None else None
    left = list(range(len(own))) if own is not None else []
    rows = []
    if boxes is not None:
        for name in ("difficult", "areas", "ids", "scores"):
            column = getattr(boxes, name)
            losses.add("boxes", name, 0 if column is None else int(column.sum()) if name == "difficult" else len(boxes))
        for i in range(len(boxes)):
            match = next((k for k in left if own is not None and _same(boxes, i, own, k)), None)
            if match is not None:
                left.remove(match)
            rows.append(_row(boxes, i, dataset.spaces["boxes"].names, space, match, losses))
    if own is not None:
        rows += [_row(own, k, dataset.spaces["boxes3d"].names, space, k, losses) for k in left]
        losses.add("boxes3d", "objects that are not among the boxes, which become boxes too", len(left) if boxes is not None else 0)
    return rows


def _same(boxes: Boxes, i: int, own: Boxes, k: int) -> bool:
    return int(boxes.classes[i]) == int(own.classes[k]) and bool(np.allclose(boxes.xyxy[i].numpy(), own.xyxy[k].numpy(), rtol=0, atol=1e-6))


def _own_boxes(space: Boxes3D, size: tuple[int, int], losses: Losses) -> Boxes:
    """The boxes in the image of boxes in space: as given, else around their projected corners."""
    if space.boxes is not None:
        return space.boxes
    losses.add("boxes3d", "boxes in the image, computed from the corners in space", len(space))
    found = np.nan_to_num(space.around().numpy(), nan=0.0)
    low = np.clip(found[:, :2], 0, [size[1] - 1, size[0] - 1])
    high = np.maximum(np.clip(found[:, 2:], 0, [size[1], size[0]]), low + 1)
    return Boxes(torch.from_numpy(np.concatenate([low, high], 1)), space.classes)


def _row(boxes: Boxes, i: int, names: Sequence[str], space: Boxes3D | None, k: int | None, losses: Losses) -> str:
    given: Mapping[str, Any] = boxes.attributes[i] if boxes.attributes is not None else {}
    region = boxes.crowd is not None and bool(boxes.crowd[i])
    label = int(boxes.classes[i])
    losses.add("boxes", "the class of crowds", int(region and label >= 0))
    kept = {name: v for name, v in given.items() if name in _ATTRIBUTES and type(v) in (int, float) and _ATTRIBUTES[name][0] <= v <= _ATTRIBUTES[name][1]}
    losses.add("boxes", "attributes", len(given) - len(kept))
    cells = [REGION if region else names[label].replace(" ", "_")]
    cells += [_number(kept[name]) if name in kept else _UNKNOWN[name] for name in _ATTRIBUTES]
    cells += map(_number, boxes.xyxy[i].tolist())
    if space is None or k is None or region:
        return " ".join([*cells, "-1 -1 -1 -1000 -1000 -1000 -10"])
    length, height, width = space.size[k].tolist()
    x, y, z = space.centre[k].tolist()
    return " ".join([*cells, *map(_number, (height, width, length, x, y + height / 2, z, float(space.yaw[k])))])


def _number(value: float) -> str:
    return f"{value:.12g}"
