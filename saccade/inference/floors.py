"""The floors of a data set beside a network's evaluation, with paired tests on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.classic.floors import LARGEST, SIDE, floors
from saccade.core import Dataset, LabelSpace
from saccade.data.preprocess import resized
from saccade.errors import DataError
from saccade.inference.evaluate import Evaluation
from saccade.metrics import paired
from saccade.metrics.classification import Classification


def run_floors(
    dataset: Dataset, train: Sequence[int], test: Sequence[int], *, space: LabelSpace, evaluation: Evaluation, budget_s: float = 20.0
) -> dict[str, Any]:
    """{floor: {key: {value, low, high, n}, "p": of the paired test against the network}}, or {floor: {"unfinished": why}}.

    At most 5,000 training images (evenly chosen) and pictures of at most 32 px. Accuracy is compared by McNemar's exact test, and in
    "p_auroc" the AUROC of two classes by DeLong's.
    """
    chosen = [train[i] for i in np.linspace(0, len(train) - 1, min(LARGEST, len(train))).astype(int)]
    answered = set(evaluation.ids)
    size = _size(dataset, chosen)
    x, truth, groups, _ = _small(dataset, chosen, size)
    y, _, _, ids = _small(dataset, [i for i in test if dataset.records[i].id in answered], size)
    place = {name: i for i, name in enumerate(evaluation.ids)}
    rows = np.array([place[name] for name in ids], np.int64)
    expected, own = evaluation.truth[rows], evaluation.probabilities[rows]
    shared = [evaluation.groups[i] for i in rows]
    found: dict[str, Any] = {}
    for name, p in floors(x, truth, y, len(space), groups=groups if any(groups) else None, budget_s=budget_s).items():
        if isinstance(p, str):
            found[name] = {"unfinished": p}
            continue
        metric = Classification(space)
        metric.add(expected, p, shared)
        found[name] = {key: value._asdict() for key, value in metric.compute().items()}
        found[name]["p"] = paired.mcnemar(own.argmax(1) == expected, p.argmax(1) == expected).p
        if len(space) == 2 and len(set(expected.tolist())) == 2:
            found[name]["p_auroc"] = paired.delong(expected == 1, own[:, 1], p[:, 1]).p
    return found


def _size(dataset: Dataset, places: Sequence[int]) -> tuple[int, int]:
    """32 x 32, or the pictures' own size where that is smaller."""
    for i in places:
        try:
            h, w = dataset.read(i, (SIDE, SIDE)).shape[:2]
        except DataError:
            continue
        return min(h, SIDE), min(w, SIDE)
    return SIDE, SIDE


def _small(dataset: Dataset, places: Sequence[int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[str | None], list[str]]:
    """Labelled pictures as rows of pixels in [0, 1], their classes, groups and ids; unreadable ones are left out."""
    rows, truth, groups, ids = [], [], [], []
    for i in places:
        record = dataset.records[i]
        target = record.targets.get("label")
        if target is None or not target.known:
            continue
        try:
            pixels = resized(dataset.read(i, size), size)
        except DataError:
            continue
        rows.append((pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)).ravel())
        truth.append(target.index)
        groups.append(record.group)
        ids.append(record.id)
    return np.stack(rows), np.array(truth), groups, ids
