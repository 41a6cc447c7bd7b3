"""The preview sheet: what a network will really see of a data set, with the truths where they will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from saccade.core import Batch, Dataset, LabelSpace
from saccade.data.augment import Policy
from saccade.data.degrade import Degrade
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError
from saccade.ops.geometry import Geometry
from saccade.ops.resample import resized

MOST = 400  # pixels of the longer side of a tile: larger ones are reduced, once the truths are drawn
VERSIONS = 3  # changed ones, beside the one that is evaluated on
SIDE, GAP = 256, 4  # pixels of the longer side of a tile, and between tiles
SHEET_COLUMNS = 10
FIRST = {"map": 0, "depth": 0}  # heads that cover the whole picture are drawn first
EMPTY_SPACE = LabelSpace(())


def preview(
    dataset: Dataset, preprocess: Preprocess, policy: Policy | None = None, *, degrade: Degrade | None = None, n: int = 16, seed: int = 0
) -> np.ndarray:
    """(H, W, 3) uint8: n images of the data set, evenly chosen; of each the input as it is evaluated, and three as they are trained on.

    All truths are drawn where the network's loss will see them. Inputs of other than three channels show their mean, or the
    first; whitened ones are stretched to their own extremes, and the picture before whitening stands before them.
    Images that cannot be read are left out. Raises DataError when none can be.
    """
    places = sorted({int(place) for place in np.linspace(0, len(dataset) - 1, min(n, len(dataset)))})
    part = dataset.subset(places)
    rows: dict[str, list[np.ndarray]] = {}
    plain = preprocess if preprocess.whitening is None else Preprocess(preprocess.size, preprocess.channels, preprocess.mode, preprocess.fill)
    views: list[tuple[Preprocess, Policy | None, int]] = [(preprocess, None, 0)]
    views = ([(plain, None, 0)] if plain is not preprocess else []) + views + [(preprocess, policy, epoch) for epoch in range(VERSIONS if policy else 0)]
    for fit, changes, epoch in views:
        loader = Loader(part, fit, batch_size=1, policy=changes, degrade=degrade, seed=seed, threads=0, cache_bytes=0)
        for batch in loader.epoch(epoch):
            rows.setdefault(batch.meta[0].id, []).append(tile(batch, 0, dataset.spaces))
    if not rows:
        raise DataError("DATA-BAD", f"none of {len(part)} images can be read", where=part.records[0].id if len(part) else "")
    return sheet([row for row in rows.values() if len(row) == len(views)])


def tile(batch: Batch, i: int, spaces: Any) -> np.ndarray:
    """(h, w, 3) uint8 of a sample of a batch, at least SIDE along its longer side, with its truths drawn."""
    pixels = shown(batch.inputs[i].permute(1, 2, 0).float().numpy())
    scale = max(1, -(-SIDE // max(pixels.shape[:2])))  # a whole factor, so that pixels stay squares; truths are drawn before it
    targets = {head: given[i] for head, given in batch.targets.items() if given[i] is not None}
    if (answer := targets.pop("image", None)) is not None:
        pixels = _beside(pixels, shown(answer.pixels.permute(1, 2, 0).numpy()))
    if scale > 1:
        pixels, targets = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), _enlarged(targets, batch.inputs.shape[-2:], scale)
    pixels = drawn(pixels, targets, spaces)
    less = MOST / max(pixels.shape[:2])
    return pixels if less >= 1 else resized(pixels, (round(pixels.shape[0] * less), round(pixels.shape[1] * less)))


def drawn(pixels: np.ndarray, targets: Mapping[str, Any], spaces: Mapping[str, LabelSpace]) -> np.ndarray:
    """The picture (h, w, 3) uint8 with all truths, and below it the lines that some of them write.

    Boxes that come with masks or key points are drawn by these.
    """
    height, below = len(pixels), []
    twice = {"boxes"} if {"instances", "keypoints"} & set(targets) else set()
    for head in sorted(set(targets) - twice, key=lambda head: (FIRST.get(head, 1), head)):
        whole = targets[head].draw(pixels, spaces.get(head, EMPTY_SPACE))
        pixels, lines = whole[:height], whole[height:]
        below.append(lines)
    return np.concatenate([pixels, *below])


def shown(pixels: np.ndarray) -> np.ndarray:
    """(h, w, C) values as (h, w, 3) uint8: [0, 1] as it is, what goes beyond stretched to its extremes (0.1 % cut at both ends)."""
    depth = pixels.shape[2]
    three = pixels if depth == 3 else np.repeat(pixels[..., :1] if depth < 3 else pixels.mean(2, keepdims=True), 3, axis=2)
    three = np.nan_to_num(three)
    if three.min() < -1e-3 or three.max() > 1 + 1e-3:
        low, high = np.quantile(three, [0.001, 0.999])
        three = (three - low) / max(high - low, 1e-9)
    eight: np.ndarray = np.round(three.clip(0, 1) * 255).astype(np.uint8)
    return eight


def _enlarged(targets: dict[str, Any], size: Sequence[int], scale: int) -> dict[str, Any]:
    whole = Geometry.resize((size[0], size[1]), (size[0] * scale, size[1] * scale))
    return {head: target.warp(whole) for head, target in targets.items()}


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures side by side, the smaller one enlarged to the height of the other."""
    height = max(left.shape[0], right.shape[0])
    fitted = [cv2.resize(p, (round(p.shape[1] * height / p.shape[0]), height), interpolation=cv2.INTER_NEAREST) for p in (left, right)]
    return np.concatenate([fitted[0], np.full((height, GAP, 3), 255, np.uint8), fitted[1]], axis=1)


def sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The tiles of each row side by side, as many rows beside each other as fit into ten columns; white between them."""
    beside = max(1, SHEET_COLUMNS // len(rows[0]))
    height, width = (max(t.shape[axis] for row in rows for t in row) + GAP for axis in (0, 1))
    lines = []
    for first in range(0, len(rows), beside):
        line = [t for row in rows[first : first + beside] for t in row]
        canvas = np.full((height, width * beside * len(rows[0]), 3), 255, np.uint8)
        for k, t in enumerate(line):
            canvas[: t.shape[0], k * width : k * width + t.shape[1]] = t
        lines.append(canvas)
    return np.concatenate(lines)
