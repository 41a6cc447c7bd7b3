"""`train` from Python: the same weights whatever the loader threads, resumed, extended, cross-validated, and warned in plain words."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade import bundle, storage
from saccade.errors import DataError, UsageError
from saccade.jobs import train as jobs
from saccade.jobs import trials
from saccade.jobs.options import make_options, memory, seconds
from saccade.jobs.train import run_train
from saccade.training.probes import PARTS, Overfit, Speed

FEW = {"epochs": "2", "floors": False, "selftest": False, "size": "12", "set": ("widths=[8,16]", "blocks=[1,1]"), "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def alerts(run: Path) -> dict[str, str]:
    events = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    return {event["code"]: event["text"] for event in events if event["event"] == "alert"}


def weights(run: Path) -> str:
    return bundle.read_card(run / "model.saccade").sha256


def train(data: Path, out: Path, **options):
    return run_train(make_options(**{"data": str(data), "out": out, **FEW, **options}))


@pytest.fixture(scope="module")
def reference(digits_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "run"
    train(digits_folder, out, test=0.2)
    return out


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_threads_change_no_weight(digits_folder, reference, tmp_path, workers):
    train(digits_folder, tmp_path / "run", test=0.2, workers=workers)
    assert weights(tmp_path / "run") == weights(reference)


def test_another_seed_gives_other_weights_and_the_same_test_images_stay_unseen(digits_folder, reference, tmp_path):
    train(digits_folder, tmp_path / "run", test=0.2, seed=1)
    assert weights(tmp_path / "run") != weights(reference)
    parts = storage.read_json(reference / "data.json")["split"]
    assert not set(parts["test"]) & (set(parts["train"]) | set(parts["val"])) and len(parts["test"]) == 60


def test_the_run_folder_explains_itself(reference):
    import tomllib

    run = storage.read_json(reference / "run.json")
    assert run["status"] == "done" and run["exit"] == 0 and run["evaluated"] == "test" and run["pid"] is None
    assert run["command"].startswith("saccade train") and run["versions"]["torch"]
    config = tomllib.loads((reference / "config.toml").read_text())
    assert config["epochs"] == 2 and config["size"] == [12, 12] and config["network"]["widths"] == [8, 16]
    origins = (reference / "config.toml").read_text()
    assert "epochs = 2  # user" in origins and "# auto: 255 training images" not in origins and "batch = 32  # auto" in origins
    metrics = storage.read_json(reference / "eval" / "metrics.json")
    assert set(metrics["accuracy"]) == {"value", "low", "high", "n"} and metrics["accuracy"]["n"] == 60


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("step, workers", [(3, 0), (9, 2)])
def test_a_killed_run_resumes_to_the_same_bytes(digits_folder, reference, tmp_path, monkeypatch, step, workers):
    from saccade.training.fit import Loop

    done, real = {"n": 0}, Loop.step

    def dying(self, stage, batches):
        done["n"] += 1
        if done["n"] == step:
            raise Killed
        real(self, stage, batches)

    monkeypatch.setattr(Loop, "step", dying)
    with pytest.raises(Killed):
        train(digits_folder, tmp_path / "run", test=0.2, workers=workers)
    monkeypatch.setattr(Loop, "step", real)
    run_train(make_options(resume=tmp_path / "run", workers=2 - workers))
    assert weights(tmp_path / "run") == weights(reference)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]


def test_what_a_resumed_run_may_be_told_anew_is_used(reference):
    from saccade.jobs.plan import Plan
    from saccade.jobs.resume import adjusted

    plan = Plan.from_dict(storage.read_json(reference / "run.json")["plan"])
    told = adjusted(plan, make_options(resume=reference, workers=0, cache="1MB", save_every=5, device="cpu"))
    assert (told.workers, told.cache_bytes, told.settings.save_every_s, told.device) == (0, 1_000_000, 5.0, "cpu")
    assert adjusted(plan, make_options(resume=reference)) == plan


def test_a_finished_run_is_extended(reference, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    run_train(make_options(resume=run, epochs="+1"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3] and rows[-1]["stage"] == "extension 1"
    assert weights(run) != weights(reference)


def test_changed_data_and_other_threads_are_told(digits_folder, tmp_path):
    data, run = tmp_path / "digits", tmp_path / "run"
    shutil.copytree(digits_folder, data)
    train(data, run)
    (data / "3" / "000.png").unlink()
    with pytest.raises(DataError) as refused:
        run_train(make_options(resume=run, epochs="+1"))
    assert refused.value.code == "DATA-CHANGED" and storage.read_json(run / "run.json")["status"] == "failed"
    run_train(make_options(resume=run, epochs="+1", data_changed_ok=True, threads=2))
    torch.set_num_threads(1)
    assert {"DATA-CHANGED", "RUN-THREADS"} <= set(alerts(run))


def test_folds_predict_every_image_once(digits_folder, tmp_path):
    result = train(digits_folder, tmp_path / "run", folds=2, epochs="1", floors=True)
    found = storage.read_json(tmp_path / "run" / "cv.json")
    assert result.metrics["accuracy"]["n"] == 300 and len(found["folds"]) == 2 and result.model == tmp_path / "run" / "folds" / "0" / "model.saccade"
    assert result.model.exists(), "what the last line names can be predicted with"
    ids = [json.loads(line)["id"] for i in (0, 1) for line in (tmp_path / "run" / "folds" / str(i) / "eval" / "predictions.jsonl").read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 300
    mean = np.mean([fold["metrics"]["accuracy"]["value"] for fold in found["folds"]])
    assert found["means"]["accuracy"]["mean"] == pytest.approx(mean, abs=1e-5)
    assert "logistic.accuracy" in found["paired"] and found["floors"]["majority"]["accuracy"]["mean"] == pytest.approx(0.1)
    assert "Cross-validation" in (tmp_path / "run" / "report.html").read_text()


def test_a_stopped_cross_validation_goes_on_where_it_was(digits_folder, tmp_path, monkeypatch):
    from saccade.jobs import folds

    real, begun = folds.train_prepared, []

    def dying(options, prepared, run, *, began):
        begun.append(run.path.name)
        if run.path.name == "1" and len(begun) == 2:
            raise Killed
        return real(options, prepared, run, began=began)

    monkeypatch.setattr(folds, "train_prepared", dying)
    with pytest.raises(Killed):
        train(digits_folder, tmp_path / "run", folds=2, epochs="1")
    with pytest.raises(UsageError, match="not extended"):
        run_train(make_options(resume=tmp_path / "run", epochs="+1"))
    stored = storage.read_json(tmp_path / "run" / "run.json")
    storage.write_json(tmp_path / "run" / "run.json", {**stored, "fingerprint": "0" * 32})
    with pytest.raises(DataError, match="DATA-CHANGED"):
        run_train(make_options(resume=tmp_path / "run"))
    storage.write_json(tmp_path / "run" / "run.json", stored)
    result = run_train(make_options(resume=tmp_path / "run"))
    assert begun == ["0", "1", "1"] and result.metrics["accuracy"]["n"] == 300
    assert storage.read_json(tmp_path / "run" / "run.json")["status"] == "done"


def test_thresholds_for_a_precision_are_stored_and_make_unknowns(digits_folder, tmp_path):
    result = train(digits_folder, tmp_path / "run", min_precision=0.9, val=0.3)
    card = bundle.read_card(tmp_path / "run" / "model.saccade")
    assert set(card.postprocess["thresholds"]) <= set("0123456789") and any(card.postprocess["thresholds"].values())
    assert result.metrics["coverage"]["value"] < 1
    with pytest.raises(DataError, match="to choose thresholds by"):
        train(digits_folder, tmp_path / "none", min_precision=0.9, val=0)


def test_a_split_made_by_hand_may_not_divide_a_group(digits_folder, tmp_path):
    rows = ["path,label,split"] + [f"{k}/{i:03d}.png,{k},{'test' if i % 2 else 'train'}" for k in range(10) for i in range(30)]
    (tmp_path / "split.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError) as refused:
        train(digits_folder, tmp_path / "run", split=tmp_path / "split.csv", group=r"/(\d\d)")
    assert refused.value.code == "LEAK-GROUP" and "test and train" in refused.value.got
    train(digits_folder, tmp_path / "forced", split=tmp_path / "split.csv", group=r"/(\d\d)", allow_leak=True, epochs="1")
    assert (tmp_path / "forced" / "samples" / "train_batch.png").stat().st_size > 1000


def test_the_models_named_in_the_help_are_those_there_are():
    from saccade.jobs.options import TrainOptions
    from saccade.models.table import MODELS

    described = TrainOptions.model_fields["model"].description
    named = set(described.partition(": ")[2].partition(" or ")[0].split(", "))
    assert len(named) > 4 and named <= set(MODELS["classify"])


def test_bad_files_are_skipped_counted_and_above_the_limit_refused(digits_folder, tmp_path):
    data = tmp_path / "digits"
    shutil.copytree(digits_folder, data)
    (data / "0" / "000.png").write_bytes(b"")
    (data / "1" / "001.png").write_bytes((data / "1" / "001.png").read_bytes()[:60])
    train(data, tmp_path / "run", epochs="1")
    problems = (tmp_path / "run" / "data_problems.csv").read_text()
    assert "IMG-EMPTY" in problems and "1/001.png" in problems
    assert sum(len(ids) for ids in storage.read_json(tmp_path / "run" / "data.json")["split"].values()) == 298
    with pytest.raises(DataError) as refused:
        train(data, tmp_path / "refused", max_bad=0.001)
    assert refused.value.code == "DATA-BAD"


def test_without_validation_images_the_last_epoch_is_kept(digits_folder, tmp_path):
    train(digits_folder, tmp_path / "run", val=0, epochs="1")
    assert storage.read_json(tmp_path / "run" / "run.json")["evaluated"] == "train"
    assert "trained on" in (tmp_path / "run" / "report.html").read_text()


def test_crowded_cores_and_a_small_budget_are_told(digits_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "measure_speed", lambda *a, **k: Speed(*((1.0, 1.0, 1.0) if torch.get_num_threads() == 2 else (0.4, 0.4, 0.4))))
    for module in (jobs, trials):
        monkeypatch.setattr(module, "set_threads", lambda n: torch.set_num_threads(n or 2) or torch.get_num_threads())
    train(digits_folder, tmp_path / "run", epochs=None, budget="30s", threads=None)
    told = alerts(tmp_path / "run")
    assert "one is used" in told["RUN-CROWDED"] and "are left of 30s" in told["RUN-BUDGET"]
    stored = storage.read_json(tmp_path / "run" / "run.json")
    assert stored["threads"] == 1 and stored["plan"]["epoch_images"] == 32 and stored["plan"]["settings"]["epochs"] == PARTS
    assert [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()] == [2, 4, 6, 8]
    torch.set_num_threads(1)


def test_a_network_that_cannot_fit_eight_images_is_told(digits_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "overfits", lambda *a, **k: Overfit(False, 2.3, 2.2, 80))
    train(digits_folder, tmp_path / "run", epochs="1", selftest=True)
    assert "from 2.3 to 2.2" in alerts(tmp_path / "run")["RUN-SELFTEST"]


def test_a_self_test_without_time_gives_no_verdict(digits_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("saccade.jobs.train.SELFTEST_SHARE", 0.0)
    train(digits_folder, tmp_path / "run", epochs=None, budget="30s", selftest=True)
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    told = next(event for event in events if event["event"] == "selftest")
    assert told["passed"] is None and told["steps"] == 1 and "RUN-SELFTEST" not in alerts(tmp_path / "run")


def test_the_range_test_finds_a_rate_and_keeps_its_curve(digits_folder, tmp_path):
    train(digits_folder, tmp_path / "run", epochs="1", lr="find")
    rate = storage.read_json(tmp_path / "run" / "run.json")["plan"]["settings"]["rate"]
    assert 1e-5 < rate < 1 and (tmp_path / "run" / "lr_finder.csv").read_text().startswith("rate,loss\n")


@pytest.mark.parametrize(
    "given, text",
    [
        ({"epoch": "3"}, "did you mean epochs"),
        ({"imgsz": "64"}, "did you mean size"),
        ({"epochs": "none"}, "epochs is a number"),
        ({"budget": "soon"}, "a time such as"),
        ({"epochs": "+3"}, "name it with --resume"),
        ({"folds": 1}, "no cross-validation"),
        ({"folds": 5, "test": 0.2}, "--test would do nothing"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"data": ""}, "DATA is needed"),
    ],
)
def test_options_are_refused_in_words(given, text):
    with pytest.raises(UsageError, match=text):
        make_options(**{"data": "x", **given})


@pytest.mark.parametrize(
    "given, text",
    [({"size": "big"}, "height,width"), ({"lr": "fast"}, "or find"), ({"set": ("dropout",)}, "name=value"), ({"model": "resnt18"}, "resnet18")],
)
def test_values_are_refused_before_training(digits_folder, tmp_path, given, text):
    with pytest.raises(UsageError, match=text):
        train(digits_folder, tmp_path / "run", **{**given})


@pytest.mark.parametrize("given", [{"data": "nowhere"}, {"model": "resnt18"}, {"task": "clasify"}])
def test_a_misspelt_word_leaves_no_run_folder(digits_folder, tmp_path, given):
    with pytest.raises((UsageError, DataError)):
        train(tmp_path / given.pop("data") if "data" in given else digits_folder, tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_times_and_amounts():
    assert seconds("2m") == 120 and memory("1.5GB") == 1_500_000_000
    with pytest.raises(ValueError):
        memory("much")
