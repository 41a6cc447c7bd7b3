"""Detection and localization from simulated pictures to a report and to answers in the forms of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from saccade import bundle, storage
from saccade.data.loader_inputs import Inputs
from saccade.data.open import open_dataset
from saccade.errors import UsageError
from saccade.jobs.options import make_options
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.jobs.train import run_train
from saccade.tasks import TASKS
from saccade.training.fit import Loop

FEW: dict[str, Any] = {"floors": False, "selftest": False, "threads": 1, "seed": 0}
NANO = ("widths=[8,16,16,24,32]", "blocks=[1,1,1,1]", "neck=[16,24,32]", "head=16")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("detect") / "run"
    data = "world:shapes?n=40&size=64&labels=boxes&objects=1-3&difficulty=easy"
    run_train(make_options(data=data, task="detect", out=out, epochs="3", val=24, set=NANO, **FEW))
    return out


def test_a_run_holds_everything_of_a_detector(detector: Path) -> None:
    values = storage.read_json(detector / "eval" / "metrics.json")
    assert {"map", "map50", "map75", "map_small", "mar", "precision", "recall", "f1"} <= set(values)
    for name in ("per_class.csv", "confusion.csv", "curves.csv", "sizes.csv", "predictions.jsonl", "errors.jsonl", "pictures.json"):
        assert (detector / "eval" / name).is_file(), name
    first = json.loads((detector / "eval" / "errors.jsonl").read_text().splitlines()[0])
    assert next(iter(first["facts"])) == "errors" and first["badness"] >= 0
    card = bundle.read_card(detector / "model.saccade")
    assert card.task == "detect" and card.preprocess["mode"] == "letterbox" and set(card.postprocess["thresholds"]) <= set(card.spaces["boxes"].names)


def test_the_report_has_curves_errors_and_sizes(detector: Path) -> None:
    page = (detector / "report.html").read_text()
    for words in ("Precision and recall", "Kinds of errors", "Sizes of objects", "at this input size (64x64", "nothing is there"):
        assert words in page
    assert (detector / "plots" / "precision_recall.svg").is_file() and (detector / "plots" / "error_kinds.csv").is_file()


class Killed(BaseException):
    """The process is gone."""


def test_four_in_one_ends_before_the_run_and_a_resumed_run_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"data": "world:shapes?n=20&size=64&labels=boxes&difficulty=easy", "task": "detect", "epochs": "4", "val": 4, "set": NANO, **FEW}
    shares, epoch = [], Inputs.batch

    def seen(self: Inputs, samples: Any, number: int, others: Any) -> Any:
        shares.append((number, self._mosaics(number)))
        return epoch(self, samples, number, others)

    with monkeypatch.context() as patch:
        patch.setattr(Inputs, "batch", seen)
        run_train(make_options(out=tmp_path / "whole", mosaic_off=0.5, **options))
    assert {pair for pair in shares if pair[1]} == {(0, 0.7), (1, 0.7)} and {number for number, share in shares if not share} >= {2, 3}
    config = (tmp_path / "whole" / "config.toml").read_text()
    assert "mosaic_off = 0.5  # user" in config and "mosaic = 0.7  # auto" in config
    steps, real = [], Loop.step

    def dying(self: Loop, *arguments: Any) -> None:
        steps.append(1)
        if len(steps) == 6:  # the second batch of the first epoch without
            raise Killed
        real(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Loop, "step", dying)
        run_train(make_options(out=tmp_path / "killed", mosaic_off=0.5, save_every=0, **options))
    run_train(make_options(resume=tmp_path / "killed"))
    weights = {name: bundle.read_card(tmp_path / name / "model.saccade").sha256 for name in ("whole", "killed")}
    assert weights["whole"] == weights["killed"]
    with pytest.raises(UsageError, match=r"(?s)RUN-CONFIG.*mosaic_off"):
        run_train(make_options(resume=tmp_path / "killed", mosaic_off=0.0))
    with pytest.raises(UsageError, match="no input is made of four images"):
        run_train(make_options(out=tmp_path / "none", augment="objects", mosaic_off=0.5, **options))


@pytest.mark.parametrize("form", ["coco", "yolo", "crops"])
def test_answers_in_the_forms_of_other_tools(detector: Path, form: Any, tmp_path: Path) -> None:
    import cv2

    data = open_dataset("world:shapes?n=4&size=64&labels=boxes&seed=3")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), data.read(i)[..., ::-1])
    summary = run_predict(detector, folder, PredictOptions(as_=form, threshold=0.01, threads=1), out=tmp_path / "out")
    assert summary.ok == 4 and summary.path.exists()
    if form == "coco":
        assert len(storage.read_json(summary.path)["images"]) == 4
    if form == "yolo":
        assert sorted(path.name for path in summary.path.iterdir()) == [f"{i}.txt" for i in range(4)]


def test_a_localizer_learns_gates_and_reports(tmp_path: Path) -> None:
    data = "world:shapes?n=40&size=64&labels=boxes&objects=0-1&difficulty=easy"
    run_train(make_options(data=data, task="localize", out=tmp_path / "run", epochs="2", val=12, set=("widths=[8,16]", "blocks=[1,1]", "units=16"), **FEW))
    values = storage.read_json(tmp_path / "run" / "eval" / "metrics.json")
    assert set(values) == {"iou", "tpr", "tnr", "ppv", "accuracy", "pixel_iou", "pixel_tpr", "pixel_tnr", "pixel_ppv"}
    assert 0 <= values["pixel_tnr"]["value"] <= 1
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("name", ["detect", "localize"])
def test_examples_hold_what_their_task_learns(name: str) -> None:
    task = TASKS[name]
    data = task.example()
    counts = [len(data.truth(i)["boxes"]) for i in range(8)]
    assert task.head in data.spaces and len(data) > 20
    assert min(counts) >= 2 if name == "detect" else set(counts) <= {0, 1}
