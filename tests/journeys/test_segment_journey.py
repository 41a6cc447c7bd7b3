"""Segmentation as a user does it: masks of objects, or dots alone, trained on, evaluated, predicted as maps, drawings and a table of objects, reported."""

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from saccade.data.preprocess import Preprocess
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.jobs.train import run_train
from saccade.jobs.trials import FLOOR_PIXEL_S, floors_time

FEW = {"task": "segment", "floors": False, "selftest": False, "threads": 1, "seed": 1, "workers": 1}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def discs(chance, size=(48, 64)):
    """A grey picture with bright discs that may touch, and the mask of each."""
    y, x = np.mgrid[: size[0], : size[1]]
    masks = []
    for _ in range(4):
        cy, cx, r = chance.uniform(8, size[0] - 8), chance.uniform(8, size[1] - 8), chance.uniform(5, 8)
        own = (y - cy) ** 2 + (x - cx) ** 2 < r**2
        if not any((own & m).any() for m in masks):
            masks.append(own)
    pixels = chance.normal(60, 8, size)
    for mask in masks:
        pixels[mask] += 120
    return np.clip(pixels, 0, 255).astype(np.uint8), masks


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Twenty pictures in the layout of the Data Science Bowl 2018: name/images, name/masks."""
    folder, chance = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for i in range(20):
        pixels, masks = discs(chance)
        for kind in ("images", "masks"):
            (folder / f"{i:02d}" / kind).mkdir(parents=True)
        cv2.imwrite(str(folder / f"{i:02d}" / "images" / f"{i:02d}.png"), pixels)
        for k, mask in enumerate(masks):
            cv2.imwrite(str(folder / f"{i:02d}" / "masks" / f"{k}.png"), mask.astype(np.uint8) * 255)
    return folder


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("segment") / "run"
    run_train(make_options(data=str(cells), out=out, test=0.2, epochs="12", lr="0.01", set=("widths=[8,16]",), **FEW))
    return out


def test_training_finds_the_objects_and_tells_so(trained):
    metrics = json.loads((trained / "eval" / "metrics.json").read_text())
    assert {"mean_iou", "foreground_iou", "boundary_iou", "object_f1", "tpr", "tnr", "ppv"} <= set(metrics)
    assert metrics["foreground_iou"]["value"] > 0.8 and metrics["object_f1"]["value"] > 0.5 and metrics["mean_iou"]["n"] == 4
    plan = json.loads((trained / "run.json").read_text())["plan"]
    assert plan["arguments"]["edges"] is True and plan["preprocess"]["mode"] == "keep"
    rows = list(csv.DictReader((trained / "eval" / "per_class.csv").read_text().splitlines()))
    assert [row["class"] for row in rows] == ["background", "object"]
    confusion = list(csv.reader((trained / "eval" / "confusion.csv").read_text().splitlines()))
    assert len(confusion) == 3 and sum(int(v) for row in confusion[1:] for v in row[1:]) == 4 * 48 * 64
    page = (trained / "report.html").read_text()
    assert "mean IoU" in page and "boundary IoU" in page and "Which class is taken for which" in page and "Objects" in page


def test_evaluating_again_gives_the_same_numbers(trained, cells):
    stored = json.loads((trained / "eval" / "metrics.json").read_text())
    found = run_evaluate(trained, cells, EvaluateOptions(split="all"))
    assert len(found.evaluation) == 20
    assert found.evaluation.values["mean_iou"].value == pytest.approx(stored["mean_iou"]["value"], abs=0.15)


def test_predictions_are_maps_drawings_and_a_table_of_objects(trained, tmp_path):
    pixels, masks = discs(np.random.default_rng(7), (70, 90))  # of another size
    cv2.imwrite(str(tmp_path / "new.png"), pixels)
    run_predict(trained / "model.saccade", tmp_path / "new.png", PredictOptions(as_="csv", overlay=True), out=tmp_path / "out")
    found = cv2.imread(str(next((tmp_path / "out" / "answers").iterdir())), cv2.IMREAD_UNCHANGED)
    assert found.shape == (70, 90) and set(np.unique(found)) <= {0, 1}
    front = np.any(masks, axis=0)
    assert (found[front] == 1).mean() > 0.7 and (found[~front] == 0).mean() > 0.9
    rows = [row for row in csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()) if int(row["area"]) > 30]
    assert len(rows) >= len(masks) - 1 and all(float(row["length"]) >= float(row["width"]) > 0 for row in rows)
    assert next((tmp_path / "out" / "overlay").iterdir()).stat().st_size > 0
    told = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    assert told["size"] == [70, 90] and told["counts"]["object"] == len(told["objects"])


def test_dots_alone_teach(cells, tmp_path):
    """One dot an object and as many on the background, as a table."""
    data, chance, lines = tmp_path / "dots", np.random.default_rng(3), ["image,x,y,class"]
    data.mkdir()
    for folder in sorted(cells.iterdir()):
        pixels = cv2.imread(str(folder / "images" / f"{folder.name}.png"))
        cv2.imwrite(str(data / f"{folder.name}.png"), pixels)
        masks = [cv2.imread(str(path), 0) > 0 for path in (folder / "masks").iterdir()]
        ground = np.argwhere(~np.any(masks, axis=0))
        places = [(np.argwhere(m)[chance.integers(m.sum())], "cell") for m in masks]
        places += [(ground[chance.integers(len(ground))], "background") for _ in masks]
        lines += [f"{folder.name}.png,{x + 0.5},{y + 0.5},{name}" for (y, x), name in places]
    (data / "points.csv").write_text("\n".join(lines) + "\n")
    run_train(make_options(data=str(data), out=tmp_path / "run", test=0.2, epochs="12", lr="0.01", set=("widths=[8,16]",), **FEW))
    picture = cells / "19" / "images" / "19.png"
    run_predict(tmp_path / "run", picture, out=tmp_path / "out")
    found = cv2.imread(str(next((tmp_path / "out" / "answers").iterdir())), 0)
    truth = np.any([cv2.imread(str(path), 0) > 0 for path in (cells / "19" / "masks").iterdir()], axis=0)
    names = json.loads((tmp_path / "run" / "data.json").read_text())["classes"]
    answer = found == names.index("cell")
    assert (answer & truth).sum() / (answer | truth).sum() > 0.5


@pytest.fixture(scope="module")
def floor(cells, tmp_path_factory):
    """The floor itself as the model, with the floors beside it."""
    out = tmp_path_factory.mktemp("floor") / "run"
    own = {"test": 0.3, "val": 0.0, "model": "superpixels", "set": ("step=4",)}
    run_train(make_options(data=str(cells), out=out, **own, **{**FEW, "floors": True}))
    return out


def test_superpixels_are_a_model_without_epochs_and_a_floor(floor):
    told = json.loads((floor / "run.json").read_text())
    assert told["parameters"] == 2 * (48 + 1) and told["plan"]["origins"]["epochs"] == "auto: it learns without epochs"
    values, floors = (json.loads((floor / "eval" / name).read_text()) for name in ("metrics.json", "floors.json"))
    assert values["foreground_iou"]["value"] > 0.7
    assert set(floors) == {"majority", "superpixels"} and all(set(values) < set(one) for one in floors.values())
    assert floors["majority"]["foreground_iou"]["value"] == 0 and floors["majority"]["tnr"]["value"] == 1
    assert floors["superpixels"]["foreground_iou"]["value"] > 0.5 and floors["superpixels"]["trained_on"] == 14
    assert all(one["mean_iou"]["n"] == one["paired"]["image_iou"]["n"] == 6 for one in floors.values())
    gain = values["image_iou"]["value"] - floors["majority"]["image_iou"]["value"]
    assert floors["majority"]["paired"]["image_iou"]["difference"] == pytest.approx(gain, abs=1e-5) and floors["majority"]["p"] < 0.01
    page = (floor / "report.html").read_text()
    assert "Beside it: superpixels" in page and "learned from 14 images" in page and "this network minus it on the same 6 images" in page


def test_superpixels_answer_like_any_model(floor, cells, tmp_path):
    stored = json.loads((floor / "eval" / "metrics.json").read_text())
    again = run_evaluate(floor, cells, EvaluateOptions(split="all")).evaluation
    assert len(again) == 20 and again.values["mean_iou"].value == pytest.approx(stored["mean_iou"]["value"], abs=0.1)
    run_predict(floor / "model.saccade", cells / "19" / "images" / "19.png", out=tmp_path / "out")
    assert cv2.imread(str(next((tmp_path / "out" / "answers").iterdir())), 0).shape == (48, 64)


def test_scribbles_alone_teach(cells, tmp_path):
    """A stroke through each object and one on the background, as maps that are 255 elsewhere."""
    data = tmp_path / "scribbles"
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
    for folder in sorted(cells.iterdir())[:12]:
        masks = [cv2.imread(str(path), 0) > 0 for path in (folder / "masks").iterdir()]
        told, front = np.full(masks[0].shape, 255, np.uint8), np.any(masks, axis=0)
        for mask in masks:
            row = int(np.nonzero(mask)[0].mean())
            told[row, mask[row]] = 1
        told[5, ~front[5]] = 0
        told[:, 40][~front[:, 40]] = 0
        cv2.imwrite(str(data / "masks" / f"{folder.name}.png"), told)
        cv2.imwrite(str(data / "images" / f"{folder.name}.png"), cv2.imread(str(folder / "images" / f"{folder.name}.png")))
    (data / "classes.txt").write_text("background\nobject\n")
    run_train(make_options(data=str(data), out=tmp_path / "run", val=0.0, model="superpixels", set=("step=4",), **FEW))
    counts = json.loads((tmp_path / "run" / "data.json").read_text())
    assert counts["classes"] == ["background", "object"]
    found = run_evaluate(tmp_path / "run", cells, EvaluateOptions(split="all")).evaluation.values
    assert found["foreground_iou"].value > 0.6 and found["foreground_iou"].n == 20


def test_a_budget_keeps_the_time_that_floors_take():
    options = SimpleNamespace(floors_s=20.0)
    plan = SimpleNamespace(task="segment", preprocess=Preprocess((64, 64), 3, mode="keep").to_dict())
    assert floors_time(plan, options, 100, 120) == pytest.approx(120 * 64 * 64 * FLOOR_PIXEL_S)
    assert floors_time(plan, options, 10**6, 10**6) == 20
    plan.task = "classify"
    assert floors_time(plan, options, 500, 10**6) == 5
