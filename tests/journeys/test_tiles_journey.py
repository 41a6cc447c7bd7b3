"""Windows from the command line: trained on, evaluated by the image, predicted, kept on resume, and refused in plain words.

The class of a picture is told by the colour of a small patch somewhere; pictures are 96x96 (one is wider), windows 48x48.
"""

import json
import tomllib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from saccade import bundle, storage
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling
from saccade.errors import DataError, ModelError, UsageError
from saccade.inference.predict import Predictor, predict
from saccade.inference.sources import expand
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.jobs.train import run_train
from saccade.training.fit import Loop

FEW = {"epochs": "2", "floors": False, "set": ("widths=[8,16]", "blocks=[1,1]"), "threads": 1, "size": "24"}
TILING = Tiling((48, 48), 12)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Twelve pictures in two classes: eight to train on, two to watch by, two to test."""
    folder, chance = tmp_path_factory.mktemp("patches"), np.random.default_rng(5)
    for i in range(12):
        name, part = ("blue", "red")[i % 2], ("train", "val", "test")[max(0, i // 2 - 3)]
        pixels = chance.integers(90, 140, (96, 130 if i == 11 else 96, 3), np.uint8)
        y, x = chance.integers(0, 80, 2)
        pixels[y : y + 16, x : x + 16] = (0, 0, 0)
        pixels[y : y + 16, x : x + 16, 2 * (i % 2)] = 250  # OpenCV's order: blue first
        (folder / part / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / part / name / f"{i:02d}.png"), pixels)
    return folder


def train(data, out, **options):
    return run_train(make_options(**{"data": str(data), "out": out, **FEW, **options}))


@pytest.fixture(scope="module")
def tiled(patches, tmp_path_factory):
    out = tmp_path_factory.mktemp("tiled") / "run"
    train(patches, out, tile=48, tile_overlap=12)
    return out


def rows(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_run_is_of_windows_and_its_numbers_are_of_images(tiled, patches):
    run, data = storage.read_json(tiled / "run.json"), storage.read_json(tiled / "data.json")
    assert run["status"] == "done" and run["evaluated"] == "test"
    test = data["split"]["test"]
    assert [row["id"] for row in rows(tiled / "eval" / "predictions.jsonl")] == test and len(test) < 12
    assert storage.read_json(tiled / "eval" / "metrics.json")["accuracy"]["n"] == len(test)
    config = (tiled / "config.toml").read_text()
    values = tomllib.loads(config)
    assert values["tile"] == [48, 48] and values["tile_overlap"] == 12 and "tile = [48, 48]  # user" in config
    windows = sum(len(TILING.windows((96, 130 if "11" in name else 96))) for name in data["split"]["train"])
    assert f"{windows} training windows" in config and windows > 4 * len(data["split"]["train"])
    assert "windows are typically 48x48" not in config  # the size was given
    card = bundle.read_card(tiled / "model.saccade")
    assert Preprocess.from_dict(card.preprocess).tiling == TILING


def test_the_size_is_chosen_from_the_windows(patches, tmp_path):
    train(patches, tmp_path / "run", tile=32, size=None, epochs="1", selftest=False)
    config = (tmp_path / "run" / "config.toml").read_text()
    assert tomllib.loads(config)["size"] == [32, 32] and "windows are typically 32x32" in config
    assert tomllib.loads(config)["tile_overlap"] == 8 and "a quarter of the window" in config


def answers(read, pictures, **options):
    """Name of the file -> probabilities, by the model's own windows."""
    predictor = Predictor(read)
    found = [result for results in predict(predictor, expand([str(pictures)]).items, **options) for result in results]
    assert all(result.error is None for result in found)
    return {result.input.path.name: result.answer.probabilities.numpy() for result in found}


def test_train_evaluate_and_predict_give_the_same_answers(tiled, patches, tmp_path):
    result = run_evaluate(tiled, patches, EvaluateOptions(split="all", batch=7), out=tmp_path / "eval")
    assert len(result.evaluation) == 12 and "windows of 48x48 that overlap by 12" in result.text()
    evaluated = {row["id"].rpartition("/")[2]: list(row["probabilities"].values()) for row in rows(tmp_path / "eval" / "predictions.jsonl")}
    for row in rows(tiled / "eval" / "predictions.jsonl"):
        np.testing.assert_allclose(list(row["probabilities"].values()), evaluated[row["id"].rpartition("/")[2]], atol=1e-6)
    for batch in (5, 32):
        predicted = answers(bundle.read(tiled / "model.saccade"), patches, batch=batch)
        assert set(predicted) == set(evaluated)
        for name, probabilities in predicted.items():
            np.testing.assert_allclose(probabilities, evaluated[name], atol=1e-6)


def test_the_answer_is_the_mean_over_the_windows_and_not_that_of_the_whole(tiled, patches):
    """Each window cut out and answered as a picture of its own, then averaged and scaled, by hand."""
    read, temperature = bundle.read(tiled / "model.saccade"), 2.0
    preprocess = Preprocess.from_dict(read.card.preprocess)
    picture = next(patches.rglob("11.png"))
    pixels = cv2.imread(str(picture))[..., ::-1]
    parts = [np.ascontiguousarray(pixels[w.y : w.y + 48, w.x : w.x + 48]) for w in TILING.windows((96, 130))]
    inputs = torch.stack([preprocess.apply(part, preprocess.geometry((48, 48))) for part in parts])
    with torch.inference_mode():
        logits = read.model.outputs(inputs, torch.full((len(parts), 2), 24))["label"]
        p = torch.softmax(torch.as_tensor(logits[0] if isinstance(logits, tuple) else logits), 1).mean(0).double().numpy()
    expected = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    warm = replace(read, card=replace(read.card, postprocess={"temperature": temperature}))
    np.testing.assert_allclose(answers(warm, picture)["11.png"], expected, atol=1e-5)


def test_windows_may_be_set_and_turned_off_where_a_model_is_used(tiled, patches, tmp_path):
    def told(name, **options):
        run_predict(tiled, [str(patches)], PredictOptions(probabilities=True, **options), out=tmp_path / f"{name}.jsonl")
        return [row["probabilities"]["red"] for row in rows(tmp_path / f"{name}.jsonl")]

    own, off, large, same = told("own"), told("off", tile=0), told("large", tile=500), told("same", tile=48, tile_overlap=12)
    assert own == same and off == large and own != off
    assert "tiling" in storage.read_json(tmp_path / "own.plan.json")["preprocess"]
    with pytest.raises(UsageError, match="RUN-CONFIG"):
        run_predict(tiled, [str(patches)], PredictOptions(probabilities=True, resume=True, tile=0), out=tmp_path / "own.jsonl")
    by = {tile: run_evaluate(tiled, patches, EvaluateOptions(split="all", tile=tile)).evaluation.probabilities for tile in (0, 500, 48)}
    assert (by[0] == by[500]).all() and (by[0] != by[48]).any()


def test_windows_larger_than_every_image_change_nothing(patches, tmp_path):
    sums = []
    for name, options in (("plain", {}), ("large", {"tile": 200})):
        train(patches, tmp_path / name, selftest=False, size=None, **options)
        evaluation = [{key: row[key] for key in ("id", "probabilities")} for row in rows(tmp_path / name / "eval" / "predictions.jsonl")]
        sums.append((bundle.read_card(tmp_path / name / "model.saccade").sha256, evaluation))
    assert sums[0] == sums[1]
    assert "tiling" not in bundle.read_card(tmp_path / "plain" / "model.saccade").preprocess


class Killed(BaseException):
    """The process is gone."""


def test_a_resumed_run_keeps_its_windows_and_ends_in_the_same_weights(tiled, patches, tmp_path, monkeypatch):
    steps, real = [], Loop.step

    def dying(self, *args):
        steps.append(1)
        if len(steps) == 2:
            raise Killed
        real(self, *args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Loop, "step", dying)
        train(patches, tmp_path / "run", tile=48, tile_overlap=12)
    with pytest.raises(UsageError, match=r"(?s)RUN-CONFIG.*tile"):
        run_train(make_options(resume=tmp_path / "run", tile=64))
    run_train(make_options(resume=tmp_path / "run"))
    cards = [bundle.read_card(run / "model.saccade") for run in (tmp_path / "run", tiled)]
    assert cards[0].sha256 == cards[1].sha256 and cards[0].preprocess == cards[1].preprocess


def test_a_killed_prediction_goes_on_inside_of_a_batch_of_windows(tiled, patches, tmp_path):
    (tmp_path / "pictures").mkdir()
    for path in patches.rglob("*.png"):
        (tmp_path / "pictures" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pictures" / "05.png").write_bytes((tmp_path / "pictures" / "05.png").read_bytes()[:2000])
    (tmp_path / "pictures" / "07.png").write_bytes(b"no picture")
    options = {"probabilities": True, "batch": 4}
    summary = run_predict(tiled, [str(tmp_path / "pictures")], PredictOptions(**options), out=tmp_path / "whole.jsonl")
    assert (summary.n, summary.failed) == (12, 2)
    whole = (tmp_path / "whole.jsonl").read_bytes()
    for kept in (1, 6, 9):
        lines = whole.splitlines(keepends=True)
        (tmp_path / "part.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][:9])
        (tmp_path / "part.plan.json").write_bytes((tmp_path / "whole.plan.json").read_bytes())
        run_predict(tiled, [str(tmp_path / "pictures")], PredictOptions(resume=True, **options), out=tmp_path / "part.jsonl")
        assert (tmp_path / "part.jsonl").read_bytes() == whole


def test_an_image_is_decoded_once_and_a_damaged_one_tried_once(tiled, patches, monkeypatch):
    from saccade.inference import predict as module

    tried, real = [], module.read_image

    def counting(path, **options):
        tried.append(path.name)
        if path.name == "03.png":
            raise DataError("IMG-CORRUPT", "made so", where=str(path))
        return real(path, **options)

    monkeypatch.setattr(module, "read_image", counting)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    predictor = Predictor(bundle.read(tiled / "model.saccade"))
    items = expand([str(patches)]).items
    found = [result for results in predict(predictor, items, workers=1) for result in results]
    assert sorted(tried) == sorted(item.path.name for item in items)
    assert [result.input for result in found] == list(items) and sum(result.error is not None for result in found) == 1


@pytest.mark.parametrize(
    "options, where",
    [
        ({"tile": 8}, "--tile"),
        ({"tile": -1}, "--tile"),
        ({"tile": 10_000}, "--tile"),
        ({"tile": 48, "tile_overlap": 25}, "--tile-overlap"),
        ({"tile": 48, "tile_overlap": -1}, "--tile-overlap"),
        ({"tile_overlap": 8}, "--tile-overlap"),
        ({"tile": 0, "tile_overlap": 8}, "--tile-overlap"),
    ],
)
@pytest.mark.parametrize("options_of", [lambda **given: make_options(data="x", **given), EvaluateOptions, PredictOptions])
def test_windows_that_cannot_be_are_refused_with_what_can(options_of, options, where):
    with pytest.raises(UsageError, match=r"expected|there is no --tile") as told:
        options_of(**options)
    assert told.value.code == "USE-VALUE" and told.value.where == where


@pytest.mark.parametrize(
    "tiling", [7, {}, {"size": [4, 4]}, {"size": [48, 48], "overlap": 40}, {"size": [48]}, {"size": [48, 48], "shape": 1}, {"size": ["a", 1]}]
)
def test_a_model_file_with_windows_that_cannot_be_is_refused(tiling):
    with pytest.raises(ModelError, match=r"(?s)MODEL-ARGS.*tiling"):
        Preprocess.from_dict({"size": [24, 24], "channels": 3, "tiling": tiling})


def test_the_command_line_says_it_too(saccade, tiled, patches, tmp_path):
    assert "windows of 64x64 that overlap by 16" in saccade("evaluate", tiled, patches, "--tile", "64").out
    saccade("predict", tiled, patches, "--tile", "64", "--tile-overlap", "0", "--out", tmp_path / "out.jsonl")
    assert storage.read_json(tmp_path / "out.plan.json")["preprocess"]["tiling"]["size"] == [64, 64]
    refused = saccade("train", patches, "--tile", "5", "--out", tmp_path / "none", code=2)
    assert "USE-VALUE" in refused.err and "16 to 8192" in refused.err and not (tmp_path / "none").exists()
