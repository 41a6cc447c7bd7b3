"""The metrics of detection against pycocotools, faster-coco-eval and the published mAP reference set."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade.core import LabelSpace
from saccade.errors import ModelError, UsageError
from saccade.metrics.average_precision import average_precision, ranked
from saccade.metrics.detection import Detection
from saccade.metrics.voc import voc_ap
from saccade.ops.masks import runs_of, runs_to_text
from saccade.targets import Boxes, Instances, Keypoints

SPACE = LabelSpace(("a", "b", "c"))
COCO_KEYS = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "mar1", "mar10", "mar")
POINT_KEYS = {"map": 0, "map50": 1, "map75": 2, "map_medium": 3, "map_large": 4, "mar": 5}
Pair = tuple[Any, Any]


def boxes(rng: np.random.Generator, n: int, side: float, scored: bool, classes: int = 3) -> Boxes:
    corner, size = rng.uniform(0, side, (n, 2)), rng.uniform(2, side / 2, (n, 2))
    scores = torch.from_numpy(rng.integers(1, 40, n) / 40.0) if scored else None  # many equal scores
    return Boxes(torch.from_numpy(np.concatenate([corner, corner + size], 1).round(1)), torch.from_numpy(rng.integers(0, classes, n)), scores)


def shaken(truth: Boxes, rng: np.random.Generator, more: int, side: float) -> Boxes:
    """Answers near the truths, some twice, some of another class, and some anywhere."""
    rows = rng.integers(0, max(1, len(truth)), len(truth) * 2 if len(truth) else 0)
    near = truth.xyxy[rows] + torch.from_numpy(rng.normal(0, 1, (len(rows), 4)) * rng.uniform(0, side / 20, (len(rows), 1)))
    near = torch.cat([torch.minimum(near[:, :2], near[:, 2:] - 1), near[:, 2:]], 1)
    classes = torch.where(torch.from_numpy(rng.random(len(rows)) < 0.15), torch.from_numpy(rng.integers(0, 3, len(rows))), truth.classes[rows])
    return Boxes.joined([Boxes(near, classes, torch.from_numpy(rng.integers(1, 40, len(rows)) / 40.0)), boxes(rng, more, side, True)])


def scene(seed: int, images: int = 25, crowds: bool = True) -> list[Pair]:
    rng, pairs = np.random.default_rng(seed), []
    for number in range(images):
        side = float(rng.choice([40, 120, 400]))
        truth = boxes(rng, int(rng.integers(0, 12)) if number else 0, side, False)
        crowd = torch.from_numpy(rng.random(len(truth)) < 0.15) if crowds else None
        truth = Boxes(truth.xyxy, truth.classes, None, crowd, None, torch.from_numpy(rng.uniform(50, 20_000, len(truth))))
        pairs.append((shaken(truth, rng, int(rng.integers(0, 5)), side), truth))
    return pairs


def xywh(box: Sequence[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def coded(runs: Any) -> dict[str, Any]:
    return {"size": list(runs.size), "counts": runs_to_text(runs)}


def coco_stats(pairs: Sequence[Pair], space: LabelSpace, kind: str, library: str, sigmas: Any = None) -> Any:
    """The evaluation object of a library after all three steps."""
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Evaluation
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Evaluation
    gold: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": i + 1, "name": n} for i, n in enumerate(space.names)]}
    found: list[dict[str, Any]] = []
    for i, (prediction, truth) in enumerate(pairs, 1):
        gold["images"].append({"id": i, "height": 1000, "width": 1000})
        for target, goal in ((truth, gold["annotations"]), (prediction, found)):
            own = target if isinstance(target, Boxes) else target.boxes
            for row in range(len(own)):
                entry: dict[str, Any] = {"image_id": i, "category_id": int(own.classes[row]) + 1, "bbox": xywh(own.xyxy[row].tolist())}
                if kind == "segm":
                    entry["segmentation"] = coded(runs_of(target.shapes[row]))
                    entry["area"] = float(runs_of(target.shapes[row]).counts[1::2].sum())
                if kind == "keypoints":
                    flags = target.visible[row].tolist()
                    entry["keypoints"] = [v for point, flag in zip(target.xy[row].tolist(), flags, strict=True) for v in (*point, flag)]
                    entry["num_keypoints"] = sum(flag > 0 for flag in flags)
                if own.scores is not None:
                    entry = {key: value for key, value in entry.items() if (kind, key) != ("keypoints", "bbox")}  # the area is then that of the points
                    found.append(entry | {"score": float(own.scores[row])})
                    continue
                crowd = 0 if own.crowd is None else int(own.crowd[row])
                area = entry.get("area", entry["bbox"][2] * entry["bbox"][3]) if own.areas is None else float(own.areas[row])
                goal.append(entry | {"id": len(goal) + 1, "iscrowd": crowd, "area": area})
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = gold
        api.createIndex()
        quiet: dict[str, Any] = {} if library == "pycocotools" else {"print_function": lambda *_: None}
        run = Evaluation(api, api.loadRes(found), kind, **quiet)
        if sigmas is not None:
            run.params.kpt_oks_sigmas = np.asarray(sigmas)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def told(pairs: Sequence[Pair], space: LabelSpace, **options: Any) -> Detection:
    metric = Detection(space, **options)
    for prediction, truth in pairs:
        metric.update(prediction, truth)
    return metric


def agree(own: float, theirs: float) -> bool:
    return bool(np.isnan(own)) if theirs == -1 else own == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("library", ["pycocotools", "faster-coco-eval"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_boxes_agree_with_coco(seed: int, library: str) -> None:
    pairs = scene(seed)
    theirs, own = coco_stats(pairs, SPACE, "bbox", library), told(pairs, SPACE).points()
    assert all(agree(own[key], theirs.stats[i]) for i, key in enumerate(COCO_KEYS)), (own, theirs.stats)


def test_each_class_and_overlap_agrees_with_coco() -> None:
    pairs = scene(3, crowds=False)
    theirs, metric = coco_stats(pairs, SPACE, "bbox", "pycocotools").eval["precision"], told(pairs, SPACE)
    lists, ones = ranked(metric._images, 3), np.ones((len(pairs), 1))
    for k in range(3):
        for t in range(10):
            assert average_precision(lists[k], ones, t, 0)[0] == pytest.approx(theirs[t, :, k, 0, 2].mean(), abs=1e-9)


@pytest.mark.parametrize("seed", [4, 5])
def test_masks_agree_with_coco(seed: int) -> None:
    rng, pairs = np.random.default_rng(seed), []
    for _ in range(12):
        masks = [disc(rng) for _ in range(int(rng.integers(1, 8)))]
        truth = Instances.from_masks(masks, rng.integers(0, 3, len(masks)).tolist())
        near = [np.roll(m, tuple(rng.integers(-4, 5, 2)), (0, 1)) for m in masks] + [disc(rng) for _ in range(3)]
        classes = torch.cat([truth.boxes.classes, torch.from_numpy(rng.integers(0, 3, 3))])
        pairs.append((Instances.from_masks(near, classes.tolist(), torch.from_numpy(rng.random(len(near)))), truth))
    theirs, own = coco_stats(pairs, SPACE, "segm", "pycocotools"), told(pairs, SPACE, kind="masks").points()
    assert all(agree(own[f"mask_{key}"], theirs.stats[i]) for i, key in enumerate(COCO_KEYS)), (own, theirs.stats)


def disc(rng: np.random.Generator, size: int = 96) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    middle, radius = rng.uniform(15, size - 15, 2), rng.uniform(4, 15)
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2


def test_an_id_map_has_the_masks_that_it_shows() -> None:
    rng = np.random.default_rng(6)
    truth = Instances.from_masks([disc(rng) for _ in range(4)], [0, 1, 2, 0])
    flat = Instances(truth.boxes, truth.size, None, torch.from_numpy(truth.id_map()))
    from saccade.metrics.similarity import runs_of as all_runs

    for row, runs in enumerate(all_runs(flat)):
        assert runs_of(runs) == runs
        assert np.array_equal(np.asarray(runs_of(runs).counts), np.asarray(all_runs(Instances.from_masks([flat.mask(row)], [0]))[0].counts))


@pytest.mark.parametrize("points", [17, 5])
def test_key_points_agree_with_coco(points: int) -> None:
    rng, pairs = np.random.default_rng(7), []
    space, sigmas = LabelSpace(("person",)), None if points == 17 else tuple(rng.uniform(0.02, 0.1, points).tolist())
    for _ in range(30):
        truth = boxes(rng, int(rng.integers(0, 6)), 300, False, 1)
        inside = truth.xyxy[:, None, :2] + torch.from_numpy(rng.random((len(truth), points, 2))) * (truth.xyxy[:, None, 2:] - truth.xyxy[:, None, :2])
        visible = torch.from_numpy(rng.integers(0, 3, (len(truth), points)).astype(np.uint8))
        visible[rng.random(len(truth)) < 0.2] = 0
        labelled = torch.where(visible[..., None] > 0, inside, 0.0)
        guess = inside + torch.from_numpy(rng.normal(0, 6, tuple(inside.shape)))
        answer = Boxes(truth.xyxy, truth.classes, torch.from_numpy(rng.random(len(truth))))
        pairs.append((Keypoints(guess, torch.full_like(visible, 2), answer), Keypoints(labelled, visible, truth)))
    theirs = coco_stats(pairs, space, "keypoints", "pycocotools", sigmas)
    own = told(pairs, space, kind="keypoints", spread=sigmas).points()
    assert all(agree(own[f"keypoint_{key}"], theirs.stats[i]) for key, i in POINT_KEYS.items()), (own, theirs.stats)
    assert "keypoint_map_small" not in own


@pytest.fixture
def reference(shared_data: Path) -> Path:
    return shared_data / "detection" / "map_reference"


def read_reference(folder: Path) -> tuple[list[tuple[Boxes, Boxes]], LabelSpace]:
    files = sorted((folder / "ground-truth").glob("*.txt"))
    names = sorted({line.split()[0] for file in files for line in file.read_text().splitlines() if line.strip()})
    others = sorted({line.split()[0] for f in (folder / "detection-results").glob("*.txt") for line in f.read_text().splitlines()} - set(names))
    space, pairs = LabelSpace((*names, *others)), []
    for file in files:
        truth = [line.split() for line in file.read_text().splitlines() if line.strip()]
        found = [line.split() for line in (folder / "detection-results" / file.name).read_text().splitlines() if line.strip()]
        ids = [torch.tensor([space.names.index(row[0]) for row in rows], dtype=torch.int64) for rows in (truth, found)]
        gold = torch.tensor([[float(v) for v in row[1:5]] for row in truth], dtype=torch.float64).reshape(-1, 4)
        own = torch.tensor([[float(v) for v in row[2:6]] for row in found], dtype=torch.float64).reshape(-1, 4)
        hard = torch.tensor([row[-1] == "difficult" for row in truth], dtype=torch.bool)
        pairs.append((Boxes(own, ids[1], torch.tensor([float(row[1]) for row in found], dtype=torch.float64)), Boxes(gold, ids[0], difficult=hard)))
    return pairs, space


def test_the_reference_set_gives_its_published_values(reference: Path) -> None:
    pairs, space = read_reference(reference)
    published = {name: float(value) for value, name in re.findall(r"([\d.]+)% = (\S+) AP", (reference / "expected_AP.txt").read_text())}
    assert len(published) == 30
    found = voc_ap(pairs, space, whole_pixels=True)
    assert {name: round(100 * value, 2) for name, value in found.ap.items()} == pytest.approx(published, abs=0.0051)
    assert round(100 * found.mean, 2) == 31.05


def test_the_reference_set_agrees_with_coco(reference: Path) -> None:
    pairs, space = read_reference(reference)
    theirs, own = coco_stats(pairs, space, "bbox", "pycocotools"), told(pairs, space).points()
    assert all(agree(own[key], theirs.stats[i]) for i, key in enumerate(COCO_KEYS)), (own, theirs.stats)


def test_resampled_values_are_those_of_the_drawn_images() -> None:
    pairs = scene(8, images=8)
    metric = told(pairs, SPACE)
    lists = ranked(metric._images, 3)
    drawn = np.array([0, 2, 1, 0, 3, 1, 1, 0])
    weights = drawn.astype(float)[:, None]
    again = told([pair for pair, count in zip(pairs, drawn, strict=True) for _ in range(count)], SPACE)
    for k, one in enumerate(ranked(again._images, 3)):
        distinct = len(np.unique(one.score)) == len(one.score)
        value = average_precision(one, np.ones((8, 1)), 0, 0)[0]
        assert average_precision(lists[k], weights, 0, 0)[0] == pytest.approx(value, abs=1e-9 if distinct else 0.08)


def test_intervals_hold_the_value_and_shrink_with_more_images() -> None:
    small, large = (told(scene(9, images=n), SPACE, resamples=200).compute()["map50"] for n in (10, 80))
    assert small.low <= small.value <= small.high and small.n == 10
    assert large.high - large.low < small.high - small.low


def test_numbers_at_the_threshold_are_a_point_of_the_curve_and_add_up() -> None:
    metric = told(scene(10), SPACE, threshold={"a": 0.5, "b": 0.3, "c": 0.1})
    judged, curves = metric.judged(), metric.curves()
    for k, row in enumerate(metric.per_class()):
        scores, precision, reached = curves[row["class"]]
        place = int((scores >= row["threshold"]).sum()) - 1
        assert row["precision"] == pytest.approx(precision[place]) and row["recall"] == pytest.approx(reached[place])
        assert judged.confusion[k, k] == judged.right[:, k].sum()
        assert judged.confusion[k].sum() == row["truths"] and judged.confusion[:, k].sum() == row["answered"]
        wrong = sum(row[f"error_{kind}"] for kind in ("class", "location", "both", "duplicate", "background"))
        assert wrong == row["answered"] - judged.right[:, k].sum()
        assert row["error_missed"] <= row["truths"] - judged.right[:, k].sum()
    micro = metric.points()
    assert micro["precision"] == pytest.approx(judged.right.sum() / (judged.right.sum() + judged.wrong.sum()))


def one_box(box: Sequence[float], k: int, score: float | None = None, **flags: Any) -> Boxes:
    return Boxes(torch.tensor([box], dtype=torch.float64), torch.tensor([k]), None if score is None else torch.tensor([score]), **flags)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("location", one_box([0, 0, 10, 3], 0, 0.9)),
        ("class", one_box([0, 0, 10, 10], 1, 0.9)),
        ("both", one_box([0, 0, 10, 3], 1, 0.9)),
        ("background", one_box([50, 50, 60, 60], 0, 0.9)),
        ("duplicate", Boxes.joined([one_box([0, 0, 10, 10], 0, 0.9), one_box([0, 0, 10, 9], 0, 0.8)])),
        ("missed", Boxes.joined([one_box([0, 0, 10, 10], 0, 0.1)])),
    ],
)
def test_kinds_of_errors(kind: str, answer: Boxes) -> None:
    judged = told([(answer, one_box([0, 0, 10, 10], 0))], SPACE).judged()
    expected = {kind: 1} | ({"missed": 1} if kind in ("both", "background") else {})  # nothing says then what was meant
    assert {name: int(n.sum()) for name, n in judged.kinds.items() if n.sum()} == expected


@pytest.mark.parametrize("flags", [{"crowd": torch.tensor([True])}, {"difficult": torch.tensor([True])}])
def test_what_does_not_count_is_neither_found_nor_missed(flags: dict[str, Any]) -> None:
    truth = Boxes.joined([one_box([0, 0, 10, 10], 0), one_box([20, 20, 40, 40], 0, **flags)])
    found = Boxes.joined([one_box([0, 0, 10, 10], 0, 0.9), one_box([20, 20, 40, 40], 0, 0.95)])
    for answers in (found, one_box([0, 0, 10, 10], 0, 0.9)):
        values = told([(answers, truth)], SPACE).points()
        assert values["map"] == pytest.approx(1) and values["precision"] == 1 and values["recall"] == 1


def test_an_object_without_a_class_takes_answers_of_every_class() -> None:
    truth = Boxes.joined([one_box([0, 0, 10, 10], 0), one_box([20, 20, 40, 40], -1)])
    found = Boxes.joined([one_box([0, 0, 10, 10], 0, 0.9), one_box([22, 22, 30, 30], 1, 0.95), one_box([22, 22, 38, 38], 2, 0.95)])
    values = told([(found, truth)], SPACE).points()
    assert values["map"] == pytest.approx(1) and values["precision"] == 1


def test_empty_sets_and_merging() -> None:
    assert np.isnan(told([], SPACE).compute()["map"].value) and told([], SPACE).per_class() == []
    nothing = told([(Boxes.empty(), Boxes.empty())], SPACE).points()
    assert np.isnan(nothing["map"]) and np.isnan(nothing["recall"])
    pairs = scene(11)
    assert (told(pairs[:9], SPACE) + told(pairs[9:], SPACE)).points() == told(pairs, SPACE).points()
    with pytest.raises(ValueError, match="same classes"):
        told([], SPACE) + told([], SPACE, threshold=0.9)


def test_best_thresholds_reach_the_best_f1_of_all_scores() -> None:
    metric = told(scene(12), SPACE)
    best = metric.best_thresholds()
    for name, row in zip(best, metric.at(best).per_class(), strict=True):
        values = [metric.at({name: s}).judged() for s in np.arange(0.0125, 1, 0.025)]
        k = SPACE.names.index(name)
        f1 = [2 * j.right[:, k].sum() / (j.right[:, k].sum() + j.wrong[:, k].sum() + j.truths[:, k].sum()) for j in values]
        assert row["f1"] == pytest.approx(max(f1))


def test_answers_that_are_none_are_refused() -> None:
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        told([(one_box([0, 0, 1, 1], 3, 0.5), Boxes.empty())], SPACE)
    with pytest.raises(ModelError, match="MODEL-NAN"):
        told([(one_box([0, 0, float("nan"), 1], 0, 0.5), Boxes.empty())], SPACE)


def test_facts_of_one_image_are_sorted_by_errors() -> None:
    truth = Boxes.joined([one_box([0, 0, 10, 10], 0), one_box([20, 20, 40, 40], 1)])
    facts = Detection(SPACE).of_image(Boxes.joined([one_box([0, 0, 10, 10], 0, 0.9), one_box([50, 50, 60, 60], 2, 0.9)]), truth)
    assert next(iter(facts)) == "errors"
    assert facts == {"errors": 2, "found": 1, "missed": 1, "wrong": 1, "truths": 2, "answered": 2}


def test_thresholds_that_reach_a_precision() -> None:
    metric = told(scene(13), SPACE)
    for name, value in metric.best_thresholds(0.6).items():
        row = next(row for row in metric.at({name: value}).per_class() if row["class"] == name)
        assert value == 1.0 or row["precision"] >= 0.6
    assert set(metric.best_thresholds(1.0).values()) == {1.0}
    with pytest.raises(UsageError, match="precision to reach"):
        metric.best_thresholds(1.5)


def test_tables_agree_with_the_counts() -> None:
    metric = told(scene(14), SPACE, scale=0.5)
    tables, judged = metric.tables(), metric.judged()
    assert [list(row.values())[1:] for row in tables["confusion"]] == judged.confusion.tolist()
    whole = tables["sizes"][-1]
    assert whole["truths"] == judged.truths.sum() == sum(row["truths"] for row in tables["sizes"][:-1])
    assert whole["found"] == judged.right.sum() == sum(row["found"] for row in tables["sizes"][:-1])
    assert whole["median_input"] == pytest.approx(whole["median"] / 2, abs=0.011)
    scores, precision, reached = metric.curves()["a"]
    ends = [row for row in tables["curves"] if row["class"] == "a"]
    assert (ends[-1]["score"], ends[-1]["precision"], ends[-1]["recall"]) == pytest.approx((scores[-1], precision[-1], reached[-1]), abs=1e-6)
    assert told([], SPACE).tables()["sizes"][-1]["truths"] == 0


def test_crowded_images_are_not_cut_at_a_hundred_answers() -> None:
    corners = torch.tensor([[30.0 * (i % 20), 30.0 * (i // 20)] for i in range(150)])
    truth = Boxes(torch.cat([corners, corners + 20], 1), torch.zeros(150, dtype=torch.int64))
    answer = Boxes(truth.xyxy, truth.classes, torch.linspace(1, 0.5, 150))
    every, coco = Detection(SPACE), Detection(SPACE, limit=100)
    for metric in (every, coco):
        metric.update(answer, truth)
    assert (every.points()["map"], every.points()["recall"]) == (1.0, 1.0)
    assert coco.points()["map"] == pytest.approx(67 / 101) and coco.points()["mar"] == pytest.approx(100 / 150)
    with pytest.raises(ValueError, match="same classes, kind, limit"):
        _ = every + coco
