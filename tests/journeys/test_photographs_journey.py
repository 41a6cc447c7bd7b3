"""Pictures as answers and counts from dots, from the command line: photographs without labels learnt from, measured, answered as files."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from saccade import bundle
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, UsageError
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.jobs.train import run_train

SIDE = 48


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twelve pieces of real photographs, of three sizes, in one plain folder."""
    from sklearn.datasets import load_sample_images

    folder = tmp_path_factory.mktemp("photographs")
    for i in range(12):
        picture, (y, x) = load_sample_images().images[i % 2], (20 * i, 40 * i)
        h, w = ((70, 61), (SIDE, SIDE), (40, 90))[i % 3]
        cv2.imwrite(str(folder / f"{i:02d}.png"), picture[y : y + h, x : x + w, ::-1])
    return folder


def train(data, out, task, *arguments, **options):
    given = {"data": str(data), "out": out, "task": task, "epochs": "1", "test": 0.25, "threads": 1, "set": arguments, **options}
    return run_train(make_options(**given))


@pytest.fixture(scope="module")
def upscaled(photographs, tmp_path_factory):
    out = tmp_path_factory.mktemp("upscaled") / "run"
    return train(photographs, out, "upscale", "blocks=1", "width=8", "factor=3", tile=SIDE)


def metrics(folder):
    return json.loads((folder / "eval" / "metrics.json").read_text())


def test_a_plain_folder_of_photographs_is_learnt_from(upscaled):
    found = metrics(upscaled.path)
    assert found["psnr"]["n"] == 3 and found["psnr_unchanged"]["value"] > 15
    assert found["psnr_gain"]["value"] == pytest.approx(found["psnr"]["value"] - found["psnr_unchanged"]["value"])
    assert found["psnr"]["value"] > 20  # it begins at bicubic interpolation, and has made a step or two
    page = (upscaled.path / "report.html").read_text()
    assert "Beside bicubic interpolation" in page and "dB above bicubic interpolation" in page and "picture, truth, answer" in page
    sheet = cv2.imread(str(next((upscaled.path / "eval" / "pictures").glob("worst_*.jpg"))))
    assert sheet.shape[1] > 3 * 36  # three pictures side by side, each of the answer's size
    card = bundle.read_card(upscaled.path / "model.saccade")
    assert card.preprocess["mode"] == "keep" and card.preprocess["tiling"]["size"] == [SIDE, SIDE] and card.spaces["image"].names == ()


def test_answers_are_files_three_times_as_large_and_windows_leave_no_seam(upscaled, photographs, tmp_path):
    summary = run_predict(upscaled.path, [photographs], PredictOptions(), out=tmp_path / "answers")
    assert summary.ok == 12 and summary.failed == 0
    rows = [json.loads(line) for line in (tmp_path / "answers" / "predictions.jsonl").read_text().splitlines()]
    for row in rows:
        source = cv2.imread(row["path"])
        answer = cv2.imread(str(tmp_path / "answers" / row["file"]))
        assert list(answer.shape[:2]) == row["size"] == [3 * side for side in source.shape[:2]]
    whole = run_predict(upscaled.path, [photographs / "00.png"], PredictOptions(tile=96), out=tmp_path / "whole")
    again = json.loads((tmp_path / "whole" / "predictions.jsonl").read_text().splitlines()[0])
    pair = [cv2.imread(str(folder / row["file"])).astype(int) for folder, row in ((tmp_path / "answers", rows[0]), (tmp_path / "whole", again))]
    assert whole.ok == 1 and np.abs(pair[0] - pair[1]).max() <= 1
    with pytest.raises(UsageError, match="pixel for pixel") as refused:
        run_predict(upscaled.path, [photographs / "00.png"], PredictOptions(tile=0), out=tmp_path / "refused")
    assert refused.value.code == "USE-VALUE"


def test_a_stored_model_is_measured_on_other_photographs(upscaled, photographs):
    found = run_evaluate(upscaled.path, photographs, EvaluateOptions(split="all")).evaluation
    assert len(found) == 12 and found.values["psnr"].n == 12 and {"psnr", "ssim", "psnr_rgb"} == set(found.rows[0]["facts"])


@pytest.mark.parametrize(
    ("task", "arguments", "key"),
    [
        ("denoise", ("blocks=1", "width=8", "sigma=[20,30]", "mask=0.1", "jpeg=50", "blur=1.0"), "psnr"),
        ("colorize", ("width=0.125", "global_width=8"), "delta_e"),
    ],
)
def test_other_tasks_learn_from_photographs_too(photographs, tmp_path, task, arguments, key):
    result = train(photographs, tmp_path / "run", task, *arguments, tile=SIDE)
    found = metrics(result.path)
    assert found[key]["n"] == 3 and np.isfinite(found[f"{key}_unchanged"]["value"])
    run_predict(result.path, [photographs / "02.png"], PredictOptions(), out=tmp_path / "answers")
    (answer,) = (tmp_path / "answers").rglob("*.png")
    assert cv2.imread(str(answer)).shape == (40, 90, 3)


def test_sizes_are_refused_where_nothing_is_scaled(photographs, tmp_path):
    with pytest.raises(UsageError, match="not scaled"):
        train(photographs, tmp_path / "a", "upscale", size="64")
    with pytest.raises(UsageError, match="pixel for pixel"):
        train(photographs, tmp_path / "b", "upscale", tile=0)
    with pytest.raises(DataError, match="layout was not recognised"):
        run_train(make_options(data=str(photographs), out=tmp_path / "c", task="classify"))
    stored = Preprocess((SIDE, SIDE), 3, mode="keep")
    assert Preprocess.from_dict(replace(stored, fill=0.5).to_dict()) == replace(stored, fill=0.5)


def test_dots_in_a_table_are_counted(tmp_path):
    chance, rows = np.random.default_rng(0), []
    for i in range(16):
        picture = np.full((64, 80, 3), 30, np.uint8)
        for place in chance.permutation(20)[: chance.integers(2, 9)]:
            y, x = 8 + 16 * (place // 5), 8 + 16 * (place % 5)
            cv2.circle(picture, (int(x), int(y)), 4, (200, 220, 240), -1)
            rows.append([f"{i:02d}.png", x + 0.5, y + 0.5, "disc"])
        cv2.imwrite(str(tmp_path / f"{i:02d}.png"), picture)
    with open(tmp_path / "dots.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["path", "x", "y", "class"], *rows])
    result = train(tmp_path, tmp_path / "run", "count", "widths=[4,8,16]", label="points:x,y,class", augment="none", tile=64)
    found = metrics(result.path)
    assert {"mae", "rmse", "mae_share", "bias", "game1"} <= set(found) and found["mae"]["n"] == 4
    with open(result.path / "plots" / "counts.csv", newline="") as stream:
        drawn = list(csv.DictReader(stream))
    errors = [abs(float(row["true"]) - float(row["answered"])) for row in drawn]
    assert np.mean(errors) == pytest.approx(found["mae"]["value"]) and "Counted worst" in (result.path / "report.html").read_text()
    run_predict(result.path, [tmp_path / "03.png"], PredictOptions(), out=tmp_path / "answers")
    (row,) = [json.loads(line) for line in (tmp_path / "answers" / "predictions.jsonl").read_text().splitlines()]
    assert row["status"] == "ok" and row["count"] == len(row["points"]) == row["counts"]["disc"]
