"""`train` with the training tricks: each option reaches the run, with its origin; what cannot be is refused in words."""

import json
import tomllib

import pytest
import torch

from saccade import bundle, storage
from saccade.errors import DataError, UsageError
from saccade.jobs import trials
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train
from saccade.jobs.tricks import PRESETS, with_preset
from saccade.training.fit import Loop
from saccade.training.probes import RateCurve
from tests.journeys.test_train_jobs import Killed, train, weights


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def config(run):
    """{name: value}, {name: origin} of config.toml."""
    text = (run / "config.toml").read_text()
    origins = {line.split(" = ")[0].lstrip("# "): line.rpartition("  # ")[2] for line in text.splitlines() if "  # " in line}
    return tomllib.loads(text), origins


def test_the_tricks_are_in_the_run_with_their_origins(digits_folder, tmp_path, monkeypatch):
    """Balanced, weighted, penalised by layer, averaged over the last epochs, from He's weights, by a heavy ball at Bottou's rate."""
    run = tmp_path / "run"
    monkeypatch.setattr(trials, "search_rate", lambda *given, **named: RateCurve([0.01, 0.02, 0.04], [2.0, 1.0, 3.0], 0.02))
    given = {"optimiser": "heavy_ball", "lr": "search", "average": "swa", "init": "he_normal", "l1": ("1e-5",), "l2": ("1e-4", "heads.*=0.01")}
    train(digits_folder, run, **given, class_weights="auto", sampling="balanced", epochs="2")
    assert (run / "lr_finder.csv").read_text() == "rate,loss\n0.01,2\n0.02,1\n0.04,3\n"
    values, origins = config(run)
    found = {name: values[name] for name in ("optimiser", "momentum", "weight_decay", "schedule", "init", "sampling", "ema", "swa", "l1", "l2")}
    assert found == {
        "optimiser": "heavy_ball",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "hold",
        "init": "he_normal",
        "sampling": "balanced",
        "ema": 0.0,
        "swa": 0.75,
        "l1": [["", 1e-5]],
        "l2": [["", 1e-4], ["heads.*", 0.01]],
    }
    assert len(values["network"]["class_weights"]) == 10
    said = {name: origins[name] for name in ("optimiser", "l1", "weight_decay", "swa", "schedule", "lr", "network.class_weights", "momentum")}
    assert said["optimiser"] == said["l1"] == "user" and said["weight_decay"] == "auto: --l2 stands for it" and said["swa"] == "user: --average"
    assert said["lr"].startswith("auto: Bottou's search") and said["network.class_weights"].startswith("user: auto") and "heavy_ball" in said["momentum"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["penalty_l1"] > 0 and rows[-1]["penalty_l2"] > 0
    assert storage.read_json(run / "run.json")["plan"]["sampling"] == "balanced"


def test_a_run_from_lsuv_that_is_killed_ends_in_the_same_bytes(digits_folder, tmp_path, monkeypatch):
    whole, torn, real = tmp_path / "whole", tmp_path / "torn", Loop.step
    options = {"init": "lsuv", "average": "swa", "sampling": "balanced", "epochs": "1", "val": 0.2}
    train(digits_folder, whole, **options)
    done = {"n": 0}

    def dying(self, stage, batches):
        done["n"] += 1
        if done["n"] == 5:
            raise Killed
        real(self, stage, batches)

    monkeypatch.setattr(Loop, "step", dying)
    with pytest.raises(Killed):
        train(digits_folder, torn, **options)
    monkeypatch.setattr(Loop, "step", real)
    run_train(make_options(resume=torn))
    assert weights(torn) == weights(whole)


def test_a_preset_fills_in_what_is_not_said(digits_folder, tmp_path):
    run = tmp_path / "run"
    train(digits_folder, run, preset="alexnet2012", model="small", epochs="1", batch=64)
    values, origins = config(run)
    said = {name: values[name] for name in ("lr", "optimiser", "momentum", "weight_decay", "schedule", "warmup", "init", "ema")}
    assert said == {
        "lr": 0.01,
        "optimiser": "heavy_ball",
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "plateau",
        "warmup": 0.0,
        "init": "alexnet2012",
        "ema": 0.0,
    }
    assert {origins[name] for name in ("lr", "optimiser", "schedule", "init", "warmup")} == {"preset alexnet2012"}
    assert (
        origins["model"] == origins["batch"] == "user" and origins["augment.lighting"].startswith("preset alexnet2012") and values["augment"]["lighting"] == 0.1
    )
    weight = bundle.read(run / "model.saccade").model.state_dict()
    assert any(abs(v.float().std().item() - 0.01) < 0.01 for k, v in weight.items() if k.endswith("weight") and v.ndim == 4)


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ({"init": "he"}, "USE-VALUE", "he_normal"),
        ({"optimiser": "sdg"}, "USE-VALUE", "sgd"),
        ({"optimiser": "adam", "momentum": 0.5}, "USE-OPTION", "--momentum"),
        ({"average": "swa", "ema": 0.9}, "USE-OPTION", "--average"),
        ({"l1": ("much",)}, "USE-VALUE", "--l1"),
        ({"l2": ("nosuch=0.1",)}, "USE-VALUE", "no layer"),
        ({"class_weights": "0=2,x=1"}, "USE-OPTION", "class x"),
        ({"preset": "alexnet"}, "USE-VALUE", "alexnet2012"),
        ({"schedule": "plateau", "val": 0.0}, "USE-VALUE", "plateau"),
    ],
)
def test_what_cannot_be_is_refused(digits_folder, tmp_path, given, code, text):
    with pytest.raises((UsageError, DataError)) as refused:
        train(digits_folder, tmp_path / "run", **given)
    assert refused.value.code == code and text in str(refused.value)


def test_presets_are_options_that_there_are():
    for name in PRESETS:
        options, taken = with_preset(make_options(data="x", preset=name, lr="0.1"))
        assert options.lr == "0.1" and "lr" not in taken and taken == set(PRESETS[name]) - {"lr"}
        make_options(data="x", **PRESETS[name])
    assert "epochs" not in with_preset(make_options(data="x", preset="alexnet2012", budget="1m"))[1]
