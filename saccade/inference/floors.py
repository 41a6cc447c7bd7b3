"""The floors of a data set beside a network's evaluation, with paired tests on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.classic.floors import LARGEST, SIDE, Clock, Floor, floors
from saccade.core import Dataset, LabelSpace
from saccade.errors import DataError
from saccade.inference.classified import Classified
from saccade.metrics import bootstrap, paired
from saccade.metrics.classification import Classification
from saccade.ops.resample import resized

READING = 0.3  # share of the time that reading the training images may take, and again the others


def run_floors(
    dataset: Dataset, train: Sequence[int], test: Sequence[int], *, space: LabelSpace, evaluation: Classified, budget_s: float = 20.0
) -> dict[str, Any]:
    """{floor: {key: {value, low, high, n}, "p", "paired", "trained_on", "seconds", "note"}}, or {floor: {"unfinished": why}}.

    Trained on at most 5,000 images and asked at most 5,000 of the evaluated ones (each drawn evenly), as pictures of at
    most 32 px; fewer where reading takes more than 30 % of the time, which `trained_on` and n then say. "p" is of the
    paired test of the accuracies, "paired" holds every test with its difference, network minus floor: the accuracy by
    McNemar's exact test, the AUROC of two classes by DeLong's; over groups where the images have them.
    """
    clock = Clock(budget_s)
    place = {name: i for i, name in enumerate(evaluation.ids)}
    size = _size(dataset, train)
    x, truth, groups, _ = _small(dataset, train, size, Clock(READING * budget_s))
    y, _, _, ids = _small(dataset, [i for i in test if dataset.records[i].id in place], size, Clock(READING * budget_s))
    if not len(x) or not len(y):
        return {"majority": {"unfinished": f"{len(x)} labelled images to learn from and {len(y)} to be asked"}}
    rows = np.array([place[name] for name in ids], np.int64)
    found = floors(x, truth, y, len(space), groups=groups if any(groups) else None, clock=clock)
    return {name: _entry(floor, rows, evaluation, trained_on=len(x)) for name, floor in found.items()}


def _entry(floor: Floor, rows: np.ndarray, evaluation: Classified, *, trained_on: int) -> dict[str, Any]:
    """One floor's lines of floors.json; `rows` are the places of its answers in the evaluation."""
    if floor.probabilities is None:
        return {"unfinished": floor.note, "seconds": round(floor.seconds, 3)}
    truth, own, p = evaluation.truth[rows], evaluation.probabilities[rows], floor.probabilities
    groups = [evaluation.groups[i] for i in rows]
    codes = bootstrap.group_codes(groups)
    metric = Classification(evaluation.space)
    metric.add(truth, p, groups)
    tests = {"accuracy": paired.mcnemar(own.argmax(1) == truth, p.argmax(1) == truth, groups=codes)}
    if len(evaluation.space) == 2 and len(set(truth.tolist())) == 2:
        tests["auroc"] = paired.delong(truth == 1, own[:, 1], p[:, 1], groups=codes)
    entry: dict[str, Any] = {key: value._asdict() for key, value in metric.compute().items()}
    entry |= {"p": tests["accuracy"].p} | {f"p_{key}": test.p for key, test in tests.items() if key != "accuracy"}
    return entry | {"paired": {k: t.to_dict() for k, t in tests.items()}, "trained_on": trained_on, "seconds": round(floor.seconds, 3), "note": floor.note}


def _size(dataset: Dataset, places: Sequence[int]) -> tuple[int, int]:
    """32 x 32, or the pictures' own size where that is smaller."""
    for i in places:
        try:
            h, w = dataset.read(i, (SIDE, SIDE)).shape[:2]
        except DataError:
            continue
        return min(h, SIDE), min(w, SIDE)
    return SIDE, SIDE


def _small(dataset: Dataset, places: Sequence[int], size: tuple[int, int], clock: Clock) -> tuple[np.ndarray, np.ndarray, list[str | None], list[str]]:
    """Labelled pictures as rows of pixels in [0, 1], their classes, groups and ids, at most 5,000; unreadable ones are left out.

    They are read in a shuffled order, so that those read when the time is over are an even choice too.
    """
    rows: list[np.ndarray] = []
    truth, groups, ids = [], [], []
    labelled = [i for i in places if (target := dataset.records[i].targets.get("label")) is not None and target.known]
    even = [labelled[i] for i in np.linspace(0, len(labelled) - 1, min(LARGEST, len(labelled))).astype(int)]
    for i in np.random.default_rng(0).permutation(even):
        if clock.over and rows:
            break
        try:
            pixels = resized(dataset.read(int(i), size), size)
        except DataError:
            continue
        rows.append((pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)).ravel())
        record = dataset.records[int(i)]
        truth.append(record.targets["label"].index)
        groups.append(record.group)
        ids.append(record.id)
    return np.stack(rows) if rows else np.zeros((0, 1), np.float32), np.array(truth, np.int64), groups, ids
