"""The metric of localization against counting pixels and images by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saccade.core import LabelSpace
from saccade.errors import ModelError, UsageError
from saccade.metrics.localization import Localization
from saccade.targets import Boxes

SPACE, SIZE = LabelSpace(("cat", "dog")), (40, 60)


def boxes(*rows: tuple[int, int, int, int, int], scores: list[float] | None = None) -> Boxes:
    corners = torch.tensor([row[:4] for row in rows], dtype=torch.float64).reshape(-1, 4)
    return Boxes(corners, torch.tensor([row[4] for row in rows], dtype=torch.int64), None if scores is None else torch.tensor(scores))


def scene(seed: int, n: int = 40) -> list[tuple[Boxes, Boxes]]:
    rng, pairs = np.random.default_rng(seed), []
    for _ in range(n):
        x, y, w, h = rng.integers(0, 30), rng.integers(0, 20), rng.integers(5, 30), rng.integers(5, 20)
        box, k = np.array([x, y, x + w, y + h]), int(rng.integers(2))
        truth = boxes((*box.tolist(), k)) if rng.random() < 0.7 else boxes()
        moved = np.clip(box + rng.integers(-4, 5, 4), 0, [60, 40, 60, 40])
        moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
        answer = boxes((*moved.tolist(), k if rng.random() < 0.8 else 1 - k), scores=[float(rng.random())]) if rng.random() < 0.8 else boxes()
        pairs.append((answer, truth))
    return pairs


def told(pairs: list[tuple[Boxes, Boxes]], **options: object) -> Localization:
    metric = Localization(SPACE, plane=float(SIZE[0] * SIZE[1]), **options)  # type: ignore[arg-type]
    for answer, truth in pairs:
        metric.update(answer, truth)
    return metric


def painted(target: Boxes) -> np.ndarray:
    plane = np.zeros(SIZE, bool)
    for x1, y1, x2, y2 in target.xyxy.int().tolist():
        plane[y1:y2, x1:x2] = True
    return plane


@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_those_counted_by_hand(seed: int) -> None:
    pairs, limit = scene(seed), 0.4
    own = told(pairs, threshold=limit).points()
    hits = negatives = silent = answers = objects = named = 0
    overlaps, tp, fp, fn, tn = 0.0, 0, 0, 0, 0
    for answer, truth in pairs:
        kept = answer.select(answer.scores >= limit) if len(answer) else answer
        gold, found = painted(truth), painted(kept)
        tp, fp, fn, tn = (a + int(b.sum()) for a, b in zip((tp, fp, fn, tn), (gold & found, ~gold & found, gold & ~found, ~gold & ~found), strict=True))
        answers += len(kept)
        named += kept.classes.tolist() == truth.classes.tolist()
        if not len(truth):
            negatives, silent = negatives + 1, silent + (len(kept) == 0)
            continue
        objects += 1
        shared = (gold & found).sum() / (gold | found).sum()
        overlaps += shared
        hits += bool(len(kept)) and kept.classes.tolist() == truth.classes.tolist() and shared >= 0.5
    expected = {"iou": overlaps / objects, "tpr": hits / objects, "tnr": silent / negatives, "ppv": hits / answers, "accuracy": named / len(pairs)}
    expected |= {"pixel_iou": tp / (tp + fp + fn), "pixel_tpr": tp / (tp + fn), "pixel_tnr": tn / (tn + fp), "pixel_ppv": tp / (tp + fp)}
    assert own == pytest.approx(expected)


def test_classes_intervals_and_merging() -> None:
    pairs = scene(2)
    metric = told(pairs, resamples=200)
    for key, value in metric.compute().items():
        assert value.low <= value.value <= value.high and value.n == len(pairs), key
    rows = metric.per_class()
    assert sum(row["truths"] for row in rows) == sum(len(truth) for _, truth in pairs)
    assert (told(pairs[:10]) + told(pairs[10:])).points() == metric.points()
    with pytest.raises(ValueError, match="same classes"):
        told([]) + told([], threshold=0.9)
    assert np.isnan(told([]).points()["iou"]) and np.isnan(Localization(SPACE).points()["pixel_tnr"])


def test_the_largest_object_is_meant_and_what_does_not_count_is_left_out() -> None:
    truth = boxes((0, 0, 5, 5, 1), (10, 10, 30, 30, 0))
    assert told([(boxes((10, 10, 30, 30, 0), scores=[0.9]), truth)]).points()["tpr"] == 1
    crowd = Boxes(truth.xyxy, truth.classes, crowd=torch.tensor([True, True]))
    assert len(told([(boxes(), crowd), (boxes(), Boxes(truth.xyxy, torch.tensor([-1, -1])))])) == 0
    assert Localization(SPACE).of_image(boxes(), crowd) == {}


def test_facts_of_an_image() -> None:
    metric, truth = Localization(SPACE), boxes((0, 0, 10, 10, 0))
    for answer, gold, value in [
        (boxes((0, 0, 10, 8, 0), scores=[0.9]), truth, 0.8),
        (boxes((0, 0, 10, 8, 1), scores=[0.9]), truth, 0.0),
        (boxes((0, 0, 10, 8, 0), scores=[0.1]), truth, 0.0),
        (boxes(), boxes(), 1.0),
        (boxes((0, 0, 10, 8, 0), scores=[0.9]), boxes(), 0.0),
    ]:
        assert metric.of_image(answer, gold)["iou"] == pytest.approx(value)


def test_thresholds_and_refusals() -> None:
    pairs = scene(3, 60)
    best = told(pairs).best_thresholds()

    def f1(name: str, threshold: float) -> float:
        row = next(r for r in told(pairs, threshold={name: threshold}).per_class() if r["class"] == name)
        return 2 * row["tpr"] * row["truths"] / (row["truths"] + row["answered"])

    for name in SPACE.names:
        assert f1(name, best[name]) >= max(f1(name, t) for t in np.linspace(0, 1, 41)) - 1e-9
    for name, value in told(pairs).best_thresholds(0.9).items():
        row = next(r for r in told(pairs, threshold={name: value}).per_class() if r["class"] == name)
        assert value == 1.0 or row["ppv"] >= 0.9
    with pytest.raises(UsageError, match="precision to reach"):
        told(pairs).best_thresholds(0)
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        told([(boxes((0, 0, 1, 1, 2), scores=[0.5]), boxes())])
