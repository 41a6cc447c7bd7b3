"""Random data sets whose labels are masks, dots, depth, second pictures, numbers, lists, captions, sequences, graphs: for round trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.ops.masks import runs_from_mask
from saccade.targets import (
    Boxes,
    Caption,
    DepthMap,
    ImageTarget,
    Instances,
    Label,
    Labels,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
)
from tests.support.random_sets import NAMES, WORDS

TRICKY = ("=sum(1)", "-5", "@home", "'quoted", "a,b", 'say "x"', "+", "ünïcode", "two words")


def random_answers(seed: int, root: Path, head: str, images: int = 5, same_size: bool = False) -> ImageDataset:
    """A data set of tiny pictures with one head, the same for the same seed; the last image has no truth where `blank` allows it."""
    g = np.random.default_rng(seed)
    k = int(g.integers(1, 6))
    space = _space(g, seed, head, k)
    size = int(g.integers(24, 64)), int(g.integers(24, 64))
    records = []
    for number in range(images):
        h, w = size if same_size else (int(g.integers(24, 64)), int(g.integers(24, 64)))
        path = root / f"p{number // 3}" / f"img{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(g.integers(0, 256, (h, w, 3), dtype=np.uint8)).save(path)
        split = ("train", "val", "test")[int(g.integers(0, 3))] if seed % 2 else None
        target = _TARGETS[head](g, (h, w), len(space), number)
        records.append(Record(path.relative_to(root).as_posix(), path, targets={head: target}, split=split, size=(h, w)))
    return ImageDataset(f"answers{seed}", root, "random", "made for a test", tuple(records), {head: space})


def _space(g: np.random.Generator, seed: int, head: str, k: int) -> LabelSpace:
    if head in ("depth", "image", "caption", "number", "regions"):
        return LabelSpace(())
    if head == "map":
        colours = tuple(f"#{int(c):06x}" for c in g.choice(1 << 24, k + 1, replace=False)) if seed % 2 else ()
        return LabelSpace(NAMES[: k + 1], background=(None, 0, k)[seed % 3], colours=colours)
    if head == "labels":
        return LabelSpace(tuple(g.permutation(TRICKY)[:k]))
    if head == "graph":
        return LabelSpace(NAMES[:k], relations=("above", "left of"))
    return LabelSpace(NAMES[:k])


def _map(g, size, k, number):
    ids = g.integers(0, k, size).astype(np.uint8)
    ids[g.random(size) < 0.1] = 255
    return SegmentationMap(torch.from_numpy(ids)) if number < 4 else None


def _points(g, size, k, number):
    h, w = size
    cells = g.choice((h // 3) * (w // 3), int(g.integers(0, 6)) + k * (number == 0), replace=False)
    xy = np.stack([cells % (w // 3) * 3 + 1.5, cells // (w // 3) * 3 + 1.5], 1).astype(float)
    xy = xy[np.lexsort((xy[:, 0], xy[:, 1]))].reshape(-1, 2)
    classes = np.arange(len(xy)) % k if number == 0 else g.integers(0, k, len(xy))
    return Points(torch.from_numpy(xy), torch.from_numpy(classes.astype(np.int64)))


def _depth(g, size, k, number):
    metres = np.round(g.uniform(0.001, 60, size), 3).astype(np.float32)
    metres[g.random(size) < 0.1] = np.nan
    return DepthMap(torch.from_numpy(metres)) if number < 4 else None


def _image(g, size, k, number):
    deep = bool(number % 2)
    channels, top = (1, 3)[number % 3 > 0], 65535 if deep else 255
    pixels = g.integers(0, top + 1, (channels, 2 * size[0], 2 * size[1])) / top
    return ImageTarget(torch.from_numpy(pixels.astype(np.float32))) if number < 4 else None


def _instances(g, size, k, number):
    h, w = size
    shapes, boxes = [], []
    for column in range(0, w - 8, 8)[: int(g.integers(0, 4)) + k * (number == 0)]:
        mask, y = np.zeros(size, bool), int(g.integers(0, h - 6))
        mask[y : y + 5, column : column + 6] = g.random((5, 6)) < 0.8
        mask[y, column] = mask[y + 4, column + 5] = True
        shapes.append(runs_from_mask(mask))
        boxes.append((column, y, column + 6, y + 5))
    classes = np.sort(np.arange(len(boxes)) % k if number == 0 else g.integers(0, k, len(boxes)))
    held = Boxes(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.from_numpy(classes.astype(np.int64)))
    return Instances(held, size, tuple(shapes)) if number < 4 else None


def _labels(g, size, k, number):
    values = g.integers(0 if k == 1 else -1, 2, k).astype(np.int8)
    values[0] = max(values[0], 0)
    if number == 0:
        values = np.ones(k, np.int8)
    return Labels(torch.from_numpy(values)) if number < 4 else None


def _number(g, size, k, number):
    return Number(float(np.round(g.normal(0, 100), int(g.integers(0, 8))))) if number < 4 else None


def _caption(g, size, k, number):
    words = (*WORDS, "=1+1", "-x", "line\nbreak")
    texts = tuple(dict.fromkeys(" ".join(g.choice(words, int(g.integers(3, 9)))).strip() for _ in range(int(g.integers(1, 5)))))
    return Caption(texts) if number < 4 else None


def _boxes(g, size, k, number) -> Boxes:
    h, w = size
    n = int(g.integers(0, 5)) + k * (number == 0)
    low = g.uniform(0, [w - 9, h - 9], (n, 2))
    classes = np.arange(n) % k if number == 0 else g.integers(0, k, n)
    return Boxes(torch.from_numpy(np.concatenate([low, low + g.uniform(4, 8.5, (n, 2))], 1)), torch.from_numpy(classes.astype(np.int64)))


def _graph(g, size, k, number):
    boxes = _boxes(g, size, k, number)
    n = len(boxes)
    pairs = [(a, int(g.integers(0, 2)), b) for a in range(n) for b in range(n) if a != b and g.random() < 0.5]
    attributes = tuple(tuple(str(v) for v in np.unique(g.choice(WORDS, int(g.integers(0, 3))))) for _ in range(n))
    if number == 0 and n > 1:
        pairs = [(0, 0, 1), (1, 1, 0), *pairs[2:]]
    return SceneGraph(boxes, attributes, torch.tensor(pairs, dtype=torch.int64).reshape(-1, 3))


def _regions(g, size, k, number):
    boxes = _boxes(g, size, 1, number)
    return RegionCaptions(boxes.xyxy, tuple(" ".join(g.choice(WORDS, 4)) for _ in range(len(boxes))))


def _label(g, size, k, number):
    return Label(number % k)


_TARGETS: dict[str, Any] = {
    "map": _map, "points": _points, "depth": _depth, "image": _image, "instances": _instances, "labels": _labels, "number": _number,
    "caption": _caption, "boxes": _boxes, "graph": _graph, "regions": _regions, "label": _label,
}  # fmt: skip
