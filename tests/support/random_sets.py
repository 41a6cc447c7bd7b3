"""Random data sets with every kind of object label, and the comparison of two of them: for round trips through the formats."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.ops.masks import Polygons, Runs, mask_from_runs, runs_from_mask, runs_of
from saccade.targets import Boxes, Caption, Instances, Keypoints, Label

NAMES = ("ape", "big cat", "crate", "dog", "élan", "fox")
JOINTS = ("nose", "left_hand", "right_hand", "left_foot", "right_foot")
SKELETON, PAIRS = ((0, 1), (0, 2), (1, 3), (2, 4)), ((1, 2), (3, 4))
WORDS = ("a", "dog", "sees", "the", "Ähre", 'and "jumps"', "over", "it.", "two, three", "; four")


def random_set(
    seed: int,
    root: Path,
    *,
    heads: Sequence[str] = ("boxes",),
    images: int = 4,
    splits: bool = True,
    extras: Collection[str] = (),
    runs: bool | None = None,
    whole: bool = False,
) -> ImageDataset:
    """A data set of tiny pictures under `root`, the same for the same seed.

    heads: among boxes, instances, keypoints, caption, label; the first three describe the same objects. splits: each image is in train, val
    or test, else in none. extras: among crowd, difficult, areas, ids, attributes. runs: masks as run lengths (True), polygons (False), or
    both. whole: coordinates are whole pixels. Every class occurs, names are in natural order, some images have no object.
    """
    g = np.random.default_rng(seed)
    names = NAMES[: int(g.integers(1, len(NAMES) + 1))]
    counts = [int(n) for n in g.integers(0, 5, images)]
    counts[0] = max(counts[0], len(names), 1)
    parts = [("train", "val", "test")[int(p)] for p in np.concatenate([[0], g.integers(0, 3, images - 1)])] if splits else [None] * images
    first_id, records = 1 + int(g.integers(0, 100)), []
    for number, count in enumerate(counts):
        size = int(g.integers(24, 64)), int(g.integers(24, 64))
        path = root / f"p{number // 3}" / f"img{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(g.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        classes = np.concatenate([np.arange(len(names)), g.integers(0, len(names), count)])[:count] if number == 0 else g.integers(0, len(names), count)
        targets = _targets(g, size, classes, heads, extras, runs, whole, first_id)
        first_id += count
        if "label" in heads:
            targets["label"] = Label(number % len(names))
        records.append(Record(path.relative_to(root).as_posix(), path, targets=targets, split=parts[number], size=size))
    space = LabelSpace(names)
    spaces = {head: space for head in heads}
    spaces |= {"keypoints": LabelSpace(names, keypoints=JOINTS, skeleton=SKELETON, pairs=PAIRS)} if "keypoints" in heads else {}
    spaces |= {"caption": LabelSpace(())} if "caption" in heads else {}
    return ImageDataset(f"random{seed}", root, "random", "made for a test", tuple(records), spaces)


def _targets(g: np.random.Generator, size, classes, heads, extras, runs, whole, first_id) -> dict[str, Any]:
    n, (h, w) = len(classes), size
    low = g.uniform(0, [w - 9, h - 9], (n, 2))
    xyxy = np.concatenate([low, low + g.uniform(4, 8.5, (n, 2))], 1) if n else np.zeros((0, 4))
    xyxy = np.round(xyxy) if whole else xyxy
    shapes: list[Runs | Polygons] = []
    if "instances" in heads:
        for i in range(n):
            as_runs = bool(g.integers(0, 2)) if runs is None else runs
            shapes.append(_runs(g, size, xyxy[i]) if as_runs else _polygons(g, size, xyxy[i], whole))
            xyxy[i] = _box(shapes[i])
    boxes = Boxes(torch.from_numpy(xyxy), torch.from_numpy(classes.astype(np.int64)), **_extras(g, n, extras, xyxy, first_id))
    targets: dict[str, Any] = {"boxes": boxes, "instances": Instances(boxes, size, tuple(shapes))}
    if "keypoints" in heads:
        visible = g.integers(0, 3, (n, len(JOINTS))).astype(np.uint8)
        visible[:, 0] |= visible.max(1) == 0  # at least one is labelled
        xy = xyxy[:, None, :2] + g.uniform(0, 1, (n, len(JOINTS), 2)) * (xyxy[:, None, 2:] - xyxy[:, None, :2])
        xy = np.where(visible[..., None] > 0, np.round(xy) if whole else xy, 0.0)
        targets["keypoints"] = Keypoints(torch.from_numpy(xy), torch.from_numpy(visible), boxes, pairs=PAIRS)
    if "caption" in heads:
        targets["caption"] = Caption(tuple(" ".join(g.choice(WORDS, int(g.integers(1, 7)))) for _ in range(int(g.integers(1, 6)))))
    return {head: target for head, target in targets.items() if head in heads}


def _extras(g: np.random.Generator, n: int, extras, xyxy: np.ndarray, first_id: int) -> dict[str, Any]:
    sides = xyxy[:, 2:] - xyxy[:, :2]
    made = {
        "crowd": torch.from_numpy(g.integers(0, 2, n).astype(bool)),
        "difficult": torch.from_numpy(g.integers(0, 2, n).astype(bool)),
        "areas": torch.from_numpy(sides.prod(1) * g.uniform(0.3, 1, n)),
        "ids": torch.arange(first_id, first_id + n),
        "attributes": tuple({"occluded": bool(g.integers(0, 2)), "pose": str(g.choice(["left", "up"]))} for _ in range(n)),
    }
    return {name: value for name, value in made.items() if name in extras}


def _polygons(g: np.random.Generator, size: tuple[int, int], box: np.ndarray, whole: bool) -> Polygons:
    """One ring or two inside the box, of three to eight points in order of their angle."""
    rings = []
    for _ in range(int(g.integers(1, 3))):
        angles = np.sort(g.uniform(0, 2 * np.pi, int(g.integers(3, 9))))
        points = (box[:2] + box[2:]) / 2 + np.stack([np.cos(angles), np.sin(angles)], 1) * (box[2:] - box[:2]) / 2
        points = np.round(points) if whole else points
        rings.append(points if np.ptp(points, axis=0).min() >= 1.5 else np.array([box[:2], [box[2], box[1]], box[2:]]))
    return Polygons(size, tuple(rings))


def _runs(g: np.random.Generator, size: tuple[int, int], box: np.ndarray) -> Runs:
    """Random pixels of the box."""
    mask, (x1, y1, x2, y2) = np.zeros(size, bool), np.round(box).astype(int)
    mask[y1:y2, x1:x2] = g.random((y2 - y1, x2 - x1)) < 0.7
    mask[y1, x1] = mask[y2 - 1, x2 - 1] = True
    return runs_from_mask(mask)


def _box(shape: Runs | Polygons) -> np.ndarray:
    if isinstance(shape, Polygons):
        points = np.concatenate(shape.rings)
        return np.concatenate([points.min(0), points.max(0)])
    rows, columns = np.nonzero(mask_from_runs(shape))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def equal_sets(a: ImageDataset, b: ImageDataset, tolerance: float = 1e-6, *, without: Collection[str] = (), heads: Sequence[str] | None = None) -> list[str]:
    """What differs, in words; empty when nothing does. Records meet by their file names without folder and suffix.

    Compared are the heads of `a` or those named: records, splits, label spaces, and every field of every truth but those in `without`
    ("ids", "areas", "split", "size"). Missing flags are False, missing areas the box's; masks as pixels unless both are polygons.
    """
    chosen = list(heads if heads is not None else a.spaces)
    said = [f"head {head} is missing" for head in chosen if head not in b.spaces]
    said += [f"{head}: {a.spaces[head]} became {b.spaces[head]}" for head in chosen if head in b.spaces and a.spaces[head] != b.spaces[head]]
    first, second = ({posixpath.splitext(posixpath.basename(r.id))[0]: r for r in data.records} for data in (a, b))
    if set(first) != set(second):
        return [*said, f"records {sorted(set(first) ^ set(second))} are only in one"]
    for key, record in first.items():
        other = second[key]
        if "split" not in without and record.split != other.split:
            said.append(f"{key}: split {record.split} became {other.split}")
        for head in chosen:
            if head in b.spaces:
                said += [f"{key}.{head}{text}" for text in _difference(_loaded(record, head), _loaded(other, head), tolerance, without)]
    return said


def _loaded(record: Record, head: str) -> Any:
    target = record.targets.get(head)
    return target.load() if hasattr(target, "load") else target


def _difference(a: Any, b: Any, tolerance: float, without: Collection[str]) -> list[str]:
    if type(a) is not type(b):
        return [f": {type(a).__name__} became {type(b).__name__}"]
    if isinstance(a, torch.Tensor):
        if a.shape != b.shape:
            return [f": shape {tuple(a.shape)} became {tuple(b.shape)}"]
        same = torch.allclose(a.double(), b.double(), rtol=0, atol=tolerance, equal_nan=True)
        return [] if same else [f": {a.tolist()} became {b.tolist()}"]
    if isinstance(a, Polygons | Runs):
        return []  # compared by their owner
    if a is None or not hasattr(a, "__dataclass_fields__"):
        return [] if a == b else [f": {a!r} became {b!r}"]
    said = []
    for f in fields(a):
        if f.name not in without:
            x, y = getattr(a, f.name), getattr(b, f.name)
            if isinstance(a, Boxes):
                x, y = (_filled(boxes, f.name, value) for boxes, value in ((a, x), (b, y)))
            if f.name == "shapes":
                said += _masks(a, b, tolerance)
            elif not (isinstance(a, Instances) and f.name == "ids"):
                said += [f".{f.name}{text}" for text in _difference(x, y, tolerance, without)]
    return said


def _filled(boxes: Boxes, name: str, value: Any) -> Any:
    """What a field that is not given stands for."""
    if value is None and name in ("crowd", "difficult"):
        return torch.zeros(len(boxes), dtype=torch.bool)
    if name == "areas":
        own = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(1)
        return own if value is None else torch.where(value.isnan(), own, value)
    return ({},) * len(boxes) if value is None and name == "attributes" else value


def _masks(a: Instances, b: Instances, tolerance: float) -> list[str]:
    said = []
    for i in range(min(len(a), len(b))):
        x, y = (_mask(instances, i) for instances in (a, b))
        if isinstance(x, Polygons) and isinstance(y, Polygons) and [len(r) for r in x.rings] == [len(r) for r in y.rings]:
            same = all(np.allclose(p, q, rtol=0, atol=tolerance) for p, q in zip(x.rings, y.rings, strict=True))
        else:
            p, q = (shape if isinstance(shape, np.ndarray) else mask_from_runs(runs_of(shape)) for shape in (x, y))
            same = np.array_equal(p, q)
        said += [] if same else [f".shapes[{i}]: another mask"]
    return said


def _mask(instances: Instances, i: int) -> Any:
    return instances.shapes[i] if instances.shapes is not None else instances.ids.numpy() == i + 1
