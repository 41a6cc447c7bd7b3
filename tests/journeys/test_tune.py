"""`tune`: a study of short trainings that never looks at the test images, is gone on with, and ends in a command."""

import csv
import json
import sys

import pytest
import torch

from saccade import storage
from saccade.errors import DataError, DivergedError, InterruptedRun, UsageError
from saccade.jobs import tune as jobs
from saccade.jobs.train import RunResult
from saccade.jobs.tune import run_tune
from saccade.jobs.tune_options import make_tune_options
from saccade.training.tuning import Study

SMALL = ("--set", "widths=[8,16]", "--set", "blocks=[1,1]", "--size", "12", "--threads", "1", "--test", "0.2", "--epochs", "1")
GIVEN = {"set": ("widths=[8,16]", "blocks=[1,1]"), "size": "12", "threads": 1, "epochs": "1", "budget": "5m"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tune(data, out, **options):
    return run_tune(make_tune_options(**{"data": str(data), "out": out, **GIVEN, **options}))


@pytest.fixture
def quick(monkeypatch):
    """Trainings that take no time: the score is how near the rate is to 0.02; what they were given is kept."""
    given = []

    def train_prepared(options, prepared, run, *, began):
        given.append((options, prepared))
        value = 1 - abs(float(options.lr) - 0.02)
        run.end("done", 0)
        return RunResult(run.path, {"accuracy": {"value": value, "low": value, "high": value, "n": 1}}, "val")

    monkeypatch.setattr(jobs, "train_prepared", train_prepared)
    return given


def test_a_search_from_the_command_line(saccade, digits_folder, tmp_path):
    study = tmp_path / "study"
    words = ["tune", digits_folder, "--out", study, "--trials", "2", "--search", "lr=1e-3..1e-1", "--search", "augment=none,symbols", *SMALL]
    told = saccade(*words, "--json", timeout=200)
    result = told.event("result")
    assert result["trials"] == 2 and set(result["best"]) == {"lr", "augment"} and 0 <= result["score"] <= 1
    assert result["command"].startswith("saccade train ") and "--lr" in result["command"] and "--test 0.2" in result["command"]
    rows = list(csv.DictReader((study / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["done", "done"] and max(float(row["accuracy"]) for row in rows) == pytest.approx(result["score"], abs=1e-6)
    page = (study / "report.html").read_text()
    assert "too good" in page and "accuracy by lr" in page and (study / "plots" / "by_lr.svg").exists()
    unseen = set()
    for trial in (study / "trials").iterdir():
        parts = storage.read_json(trial / "data.json")["split"]
        assert parts["test"] == [] and len(parts["train"]) + len(parts["val"]) == 240
        unseen |= set(parts["train"]) | set(parts["val"])
        assert storage.read_json(trial / "run.json")["evaluated"] == "val"
    assert len(unseen) == 240
    assert not list((study / "trials").glob("*/checkpoints"))


def test_the_same_command_goes_on_with_a_study(digits_folder, tmp_path, quick):
    given = {"trials": 3, "search": ("lr=0.001..0.1",)}
    first = tune(digits_folder, tmp_path / "study", **given)
    assert len(quick) == 3 and first.best.score == max(t.score for t in first.trials)
    assert tune(digits_folder, tmp_path / "study", **given).best == first.best and len(quick) == 3
    with pytest.raises(UsageError) as other:
        tune(digits_folder, tmp_path / "study", **{**given, "size": "10"})
    assert other.value.code == "RUN-CONFIG"


def test_halving_with_folds_of_what_is_not_the_test(digits_folder, tmp_path, quick):
    found = tune(digits_folder, tmp_path / "study", method="halving", trials=3, search=("lr=0.001,0.02,0.05",), epochs="9", folds=2, test=0.4)
    assert {t.rung for t in found.trials} == {0, 1} and found.best.rung == 1 and len(found.trials) == 4
    assert [t.epochs for t in found.trials] == [1, 1, 1, 3] and len(quick) == 8
    parts = [prepared.split for _, prepared in quick[:2]]
    assert not set(parts[0].val) & set(parts[1].val) and set(parts[0].val) | set(parts[1].val) == set(parts[0].train) | set(parts[0].val)
    assert all(p.split.test == () and len(p.dataset) == 180 for _, p in quick)


def test_what_fails_is_noted_and_nothing_but_failures_is_an_error(digits_folder, tmp_path, monkeypatch):
    def diverged(*given, **named):
        raise DivergedError("RUN-DIVERGED", "at step 3")

    monkeypatch.setattr(jobs, "train_prepared", diverged)
    with pytest.raises(DataError) as failed:
        tune(digits_folder, tmp_path / "study", trials=2, search=("lr=1,2",))
    assert failed.value.code == "TUNE-NONE" and "RUN-DIVERGED" in str(failed.value)
    assert {t.state for t in Study.stored(tmp_path / "study").trials()} == {"failed"}
    assert storage.read_json(tmp_path / "study" / "run.json")["status"] == "failed"


def test_a_search_that_is_stopped_gives_its_trial_back(digits_folder, tmp_path, quick, monkeypatch):
    def stopped(*given, **named):
        raise InterruptedRun("RUN-INTERRUPTED", "epoch 1, step 1")

    real = jobs.train_prepared
    monkeypatch.setattr(jobs, "train_prepared", stopped)
    with pytest.raises(InterruptedRun) as told:
        tune(digits_folder, tmp_path / "study", trials=1, search=("lr=0.01,0.02",))
    assert "saccade tune" in told.value.fix and [t.state for t in Study.stored(tmp_path / "study").trials()] == ["lost"]
    monkeypatch.setattr(jobs, "train_prepared", real)
    found = tune(digits_folder, tmp_path / "study", trials=1, search=("lr=0.01,0.02",))
    assert [t.state for t in found.trials] == ["lost", "done"] and found.trials[0].values == found.trials[1].values


def test_a_spent_budget_ends_a_search(digits_folder, tmp_path, quick, monkeypatch):
    """The clock of the job jumps by a minute at every look."""
    clock = {"now": 0.0}

    def monotonic():
        clock["now"] += 60
        return clock["now"]

    monkeypatch.setattr(jobs.time, "monotonic", monotonic)
    told = []
    options = make_tune_options(**{"data": str(digits_folder), "out": tmp_path / "study", **GIVEN, "search": ("lr=0.01,0.02",), "trials": 50, "budget": "9m"})
    run_tune(options, listeners=(told.append,))
    spent = next(e for e in told if e["event"] == "budget_spent")
    assert 1 <= spent["done"] < 50


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ({"search": ("nosuch=1,2",)}, "USE-OPTION", "nosuch"),
        ({"search": ("out=a,b",)}, "USE-OPTION", "cannot be searched"),
        ({"search": ("lr=0.1,0.2",), "lr": "0.3"}, "USE-OPTION", "both settled and searched"),
        ({"search": ("batch=0,0",)}, "USE-VALUE", "batch"),
        ({"search": ("network.widths=[8],[9]",)}, "USE-OPTION", "widths"),
        ({"val": 0.0, "search": ("lr=0.1,0.2",)}, "DATA-SMALL", "no validation images"),
        ({"epochs": "+3"}, "USE-VALUE", "same --out"),
        ({"methods": "random"}, "USE-OPTION", "did you mean method"),
        ({"monitor": "nosuch", "search": ("lr=0.01,0.02",), "trials": 1}, "TUNE-NONE", "nosuch"),
    ],
)
def test_what_cannot_be_searched_is_refused(digits_folder, tmp_path, quick, given, code, text):
    with pytest.raises((UsageError, DataError)) as refused:
        tune(digits_folder, tmp_path / "study", **given)
    assert refused.value.code == code and text in str(refused.value)


STEPLESS = {"model": "naive_bayes", "size": "12", "threads": 1, "test": 0.3, "budget": "5m", "trials": 2}


def test_a_model_without_epochs_is_searched_without_them(digits_folder, tmp_path):
    given = {"data": str(digits_folder), "out": tmp_path / "study", **STEPLESS, "search": ("network.a=0.1,1", "network.threshold=0.2,0.5")}
    found = run_tune(make_tune_options(**given))
    assert found.best.score > 0.5 and "--epochs" not in found.command and "--model naive_bayes" in found.command
    assert "epochs" not in storage.read_json(found.path / "trials" / "0" / "run.json")["options"]
    assert run_tune(make_tune_options(**given)).best == found.best  # joined


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"epochs": "2", "search": ("network.a=0.1,1",)}, "--epochs says nothing"),
        ({}, "lr, weight_decay would change nothing"),
        ({"method": "halving", "search": ("network.a=0.1,1",)}, "halving is of trainings of different length"),
    ],
)
def test_a_search_among_steps_is_refused_by_a_model_without_them(digits_folder, tmp_path, given, text):
    with pytest.raises(UsageError) as refused:
        run_tune(make_tune_options(data=str(digits_folder), out=tmp_path / "study", **STEPLESS, **given))
    assert refused.value.code == "USE-OPTION" and text in str(refused.value)


def test_the_default_search_and_a_missing_optuna(digits_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError) as missing:
        tune(digits_folder, tmp_path / "study", method="optuna", trials=2)
    assert missing.value.code == "USE-MISSING" and "saccade[hpo]" in missing.value.fix
    facts = Study.stored(tmp_path / "study").facts
    assert [d.split("=")[0] for d in facts.search] == ["lr", "weight_decay", "network.dropout", "network.label_smoothing"]
    assert json.loads(json.dumps(dict(facts.settled)))["options"]["size"] == "12"
