"""Key points from files to a report and to answers: objects cut out by given or detected boxes, and images that are one object's whole."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saccade import bundle, storage
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from saccade.jobs.compare import run_compare
from saccade.jobs.convert import ConvertOptions, run_convert
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.jobs.train import run_train
from saccade.tasks import TASKS
from saccade.tasks.keypoints import suggests

FEW: dict[str, Any] = {"floors": False, "selftest": False, "threads": 1, "seed": 0}
NARROW = ("widths=[8,8,16,16,16]", "blocks=[1,1,1,1]")
MAPS = (*NARROW, "decoder=[8,8,8,8]")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of figures, as a COCO folder."""
    folder = tmp_path_factory.mktemp("people") / "coco"
    run_convert("world:gestures?n=24&size=64&labels=keypoints&clutter=0&difficulty=easy", folder, ConvertOptions(to="coco"))
    return folder


@pytest.fixture(scope="module")
def pose(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pose") / "run"
    run_train(make_options(data=str(people), task="keypoints", out=out, epochs="2", val=6, set=MAPS, **FEW))
    return out


def test_a_run_cuts_objects_out_and_tells_of_every_point(pose: Path) -> None:
    card = bundle.read_card(pose / "model.saccade")
    assert card.arguments["view"] == "objects" and card.preprocess["crops"] == {"context": 1.25} and card.preprocess["mode"] == "letterbox"
    assert card.postprocess["point"] == 0.1 and len(card.spaces["keypoints"].keypoints) == 14
    values = storage.read_json(pose / "eval" / "metrics.json")
    assert {"error", "rmse", "pck", "pck05", "pck20", "pck_torso", "pck_head", "found", "keypoint_map", "keypoint_map50"} <= set(values)
    assert values["found"]["value"] == 1.0 and 0 < values["error"]["value"] < 64
    with (pose / "eval" / "joints.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["point"] for row in rows] == list(card.spaces["keypoints"].keypoints) and all(float(row["error"]) > 0 for row in rows)
    page = (pose / "report.html").read_text()
    for words in ("Key points", "left elbow", "How many points are right at which distance", "Images: picture, truth, answer"):
        assert words in page
    assert (pose / "plots" / "joint_errors.svg").is_file() and (pose / "plots" / "pck_box.csv").is_file()


def test_points_of_data_are_matched_with_the_models_by_name(pose: Path, people: Path, tmp_path: Path) -> None:
    document = next(path for path in sorted(people.rglob("*.json")))
    held = json.loads(document.read_text())
    for category in held["categories"]:
        category["keypoints"] = category.get("keypoints", [])[::-1]
        category["skeleton"] = []
    for entry in held["annotations"]:
        flat = np.array(entry["keypoints"]).reshape(-1, 3)
        entry["keypoints"] = flat[::-1].ravel().tolist()
    folder = tmp_path / "turned"
    shutil.copytree(people, folder)
    (folder / document.relative_to(people)).write_text(json.dumps(held))
    plain, turned = (run_evaluate(pose, str(path), EvaluateOptions(split="all", threads=1)).metrics for path in (people, folder))
    assert turned["error"] == plain["error"] and turned["keypoint_map"] == plain["keypoint_map"]
    held["categories"][0]["keypoints"][0] = "antler"
    (folder / document.relative_to(people)).write_text(json.dumps(held))
    with pytest.raises(DataError, match="antler"):
        run_evaluate(pose, str(folder), EvaluateOptions(split="all", threads=1))


def pictures_of(people: Path) -> Path:
    return next(path for path in sorted(people.rglob("*.png"))).parent


def test_answers_need_boxes_and_say_where_from(pose: Path, people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        run_predict(pose, pictures_of(people), PredictOptions(threads=1), out=tmp_path / "none")
    assert caught.value.code == "USE-MISSING" and "--detector" in str(caught.value)
    document = next(path for path in sorted(people.rglob("*.json")))
    summary = run_predict(pose, pictures_of(people), PredictOptions(threads=1, boxes=str(document), threshold=0.0, as_="coco"), out=tmp_path / "given")
    held = storage.read_json(summary.path)
    truths = {entry["image_id"]: entry["bbox"] for entry in storage.read_json(document)["annotations"]}
    assert summary.ok == 24 and len(held["annotations"]) == len(truths) and len(held["categories"][0]["keypoints"]) == 14
    names = {entry["id"]: entry["file_name"].rsplit("/", 1)[-1] for entry in storage.read_json(document)["images"]}
    own = {entry["id"]: entry["file_name"].rsplit("/", 1)[-1] for entry in held["images"]}
    boxes = {names[image]: box for image, box in truths.items()}
    for entry in held["annotations"]:
        assert entry["bbox"] == pytest.approx(boxes[own[entry["image_id"]]], abs=0.02)
        assert all(0 <= value <= 64 for value in entry["keypoints"])
    with pytest.raises(UsageError, match="leave one of them out"):
        run_predict(pose, pictures_of(people), PredictOptions(boxes="whole", detector=pose), out=tmp_path / "both")
    with pytest.raises(UsageError, match="single objects"):
        run_predict(pose, pictures_of(people), PredictOptions(detector=pose), out=tmp_path / "itself")


def test_images_that_the_file_does_not_name_have_no_answer(pose: Path, people: Path, tmp_path: Path) -> None:
    first = sorted(pictures_of(people).glob("*.png"))[0]
    (tmp_path / "boxes.jsonl").write_text(json.dumps({"id": first.name, "objects": [{"class": "person", "score": 0.5, "box": [10, 10, 50, 60]}]}) + "\n")
    summary = run_predict(pose, pictures_of(people), PredictOptions(boxes=str(tmp_path / "boxes.jsonl"), threshold=0.0, threads=1), out=tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert summary.failed == 23 and rows[0]["status"] == "ok" and len(rows[0]["objects"]) == 1 and {row["code"] for row in rows[1:]} == {"PRED-BOXES"}
    again = run_predict(
        pose, pictures_of(people), PredictOptions(boxes=str(tmp_path / "boxes.jsonl"), threshold=0.0, threads=1, resume=True), out=tmp_path / "out"
    )
    assert again.n == 24


@pytest.fixture(scope="module")
def detector(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("detector") / "run"
    small = ("widths=[8,16,16,24,32]", "blocks=[1,1,1,1]", "neck=[16,24,32]", "head=16", "detections=3")
    run_train(make_options(data=str(people), task="detect", out=out, epochs="1", val=0, set=small, **FEW))
    return out


def test_a_detector_finds_the_objects_first(pose: Path, detector: Path, people: Path, tmp_path: Path) -> None:
    summary = run_predict(pose, pictures_of(people), PredictOptions(detector=detector, threads=1, overlay=True), out=tmp_path / "out")
    assert summary.ok == 24 and len((tmp_path / "out" / "boxes.jsonl").read_text().splitlines()) == 24
    assert len(list((tmp_path / "out" / "overlay").iterdir())) == 24
    by_detector = run_evaluate(pose, str(people), EvaluateOptions(split="all", detector=detector, threads=1))
    by_truth = run_evaluate(pose, str(people), EvaluateOptions(split="all", threads=1), out=tmp_path / "eval")
    assert len(by_detector.evaluation) == len(by_truth.evaluation) == 24
    mirrored = run_evaluate(pose, str(people), EvaluateOptions(split="all", threads=1, views="flip"))
    assert mirrored.metrics["error"]["value"] != by_truth.metrics["error"]["value"] and len(mirrored.evaluation) == 24
    compared = run_compare(tmp_path / "eval", tmp_path / "eval")
    assert compared.n == 24 and compared.metrics["error"].difference == 0.0
    assert (
        by_truth.metrics["found"]["value"] == 1.0
        and "person" in by_truth.text()
        and "left elbow" in by_truth.text()
        and (tmp_path / "eval" / "joints.csv").is_file()
    )
    with pytest.raises(UsageError, match="takes whole images"):
        run_predict(detector, pictures_of(people), PredictOptions(boxes="whole"), out=tmp_path / "other")


def test_an_animal_that_is_alone_is_answered_whole(tmp_path: Path) -> None:
    """DeepLabCut's own layout: no boxes, one animal; its answers in DeepLabCut's form are data again."""
    import cv2

    folder = tmp_path / "labeled-data" / "m1"
    folder.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), [["scorer", *["me"] * 4], ["bodyparts", "snout", "snout", "tail", "tail"], ["coords", "x", "y", "x", "y"]]
    for i in range(16):
        picture = np.full((48, 64, 3), 220, np.uint8)
        one, two = rng.uniform(8, 40, 2), rng.uniform(8, 40, 2)
        cv2.line(picture, tuple(map(int, one)), tuple(map(int, two)), (20, 20, 20), 3)
        cv2.imwrite(str(folder / f"img{i:03d}.png"), picture)
        lines.append([f"labeled-data/m1/img{i:03d}.png", *(f"{v:.2f}" for v in (*one, *two))] if i else [f"labeled-data/m1/img{i:03d}.png", "12", "13", "", ""])
    (folder / "CollectedData_me.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    data = open_dataset(tmp_path)
    assert suggests(data, "regression") == {"view": "whole", "absent": True} and suggests(data, "keypoint_rcnn") == {}
    run_train(make_options(data=str(tmp_path), out=tmp_path / "run", model="regression", epochs="1", val=4, set=NARROW, **FEW))
    card = bundle.read_card(tmp_path / "run" / "model.saccade")
    assert card.task == "keypoints" and "crops" not in card.preprocess and card.arguments["absent"] is True
    summary = run_predict(tmp_path / "run", folder, PredictOptions(as_="deeplabcut", threshold=0.0, threads=1), out=tmp_path / "out")
    rows = list(csv.reader(summary.path.read_text().splitlines()))
    assert rows[1] == ["bodyparts", *["snout"] * 3, *["tail"] * 3] and rows[2][1:4] == ["x", "y", "likelihood"] and len(rows) == 3 + 16


@pytest.mark.parametrize("model", ["heat_maps", "regression", "keypoint_rcnn"])
def test_every_model_learns_from_pictures_of_several_animals(model: str, tmp_path: Path) -> None:
    narrow = {
        "heat_maps": MAPS,
        "regression": NARROW,
        "keypoint_rcnn": ("width=0.25", "channels=16", "hidden=16", "point_width=16", "point_layers=1", "samples=8"),
    }
    data = "world:wildlife?n=8&size=64&labels=keypoints&objects=1-3&difficulty=easy"
    run_train(make_options(data=data, task="keypoints", model=model, out=tmp_path / "run", epochs="1", val=2, test=2, set=narrow[model], size="64", **FEW))
    values = storage.read_json(tmp_path / "run" / "eval" / "metrics.json")
    assert "pck" in values and "pck_head" not in values and values["keypoint_map"]["n"] == 2


def test_the_example_holds_what_the_task_learns() -> None:
    data = TASKS["keypoints"].example()
    truth = data.truth(0)["keypoints"]
    assert len(data) > 20 and truth.xy.shape == (1, 14, 2) and len(truth.pairs) == 6
    assert suggests(data, "heat_maps") == {"view": "objects"}
