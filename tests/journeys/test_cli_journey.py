"""From a folder of images to answers, as a user goes: check, split, train, evaluate, predict, compare, report, runs; and Ctrl-C on the way."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.journey

QUICK = ("--threads", "1", "--workers", "0", "--no-selftest", "--no-floors")


@pytest.fixture(scope="module")
def few(digits_folder, tmp_path_factory) -> Path:
    """Three classes of the digits: enough for every verb, and seconds to train on."""
    root = tmp_path_factory.mktemp("journey") / "few"
    for label in "013":
        (root / label).mkdir(parents=True)
        for file in sorted((digits_folder / label).iterdir()):
            (root / label / file.name).write_bytes(file.read_bytes())
    return root


@pytest.fixture(scope="module")
def table(saccade, few) -> Path:
    """A split of the images: 72 to train and to choose by, 18 aside."""
    saccade("split", few, "--test", "0.2", "--out", few.parent / "split.csv")
    return few.parent / "split.csv"


@pytest.fixture(scope="module")
def trained(saccade, few, table):
    """A finished run and what the command told."""
    out = few.parent / "run"
    return out, saccade("train", few, "--epochs", "4", "--split", table, "--out", out, *QUICK, "--json")


@pytest.fixture(scope="module")
def second(saccade, few, table):
    """Another run on the same split, with other first weights."""
    out = few.parent / "second"
    saccade("train", few, "--epochs", "1", "--split", table, "--seed", "1", "--out", out, *QUICK)
    return out


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_check_tells_what_is_there_and_writes_nothing(saccade, few):
    before = contents(few)
    told = saccade("check", few, "--json")
    assert told.event("check")["images"] == 90 and told.event("check")["classes"] == ["0", "1", "3"]
    assert "90" in told.err and contents(few) == before
    assert told.event("done")["next"] == shlex.join(["saccade", "train", str(few)])


def test_check_refuses_bad_data_with_exit_three(saccade, few, tmp_path):
    for label in "01":
        (tmp_path / label).mkdir()
        (tmp_path / label / "good.png").write_bytes((few / label / "000.png").read_bytes())
    (tmp_path / "0" / "bad.png").write_bytes(b"<html>")
    told = saccade("check", tmp_path, "--json", code=3)
    assert told.event("error")["code"] == "DATA-BAD" and "bad.png" in told.event("error")["what"]
    assert [event["code"] for event in told.events if event["event"] == "problem" and "bad.png" in event["where"]]
    assert saccade("check", tmp_path / "absent", code=3).err.startswith("error DATA-MISSING")


def test_split_writes_one_table_and_never_replaces_it(saccade, few, tmp_path):
    file = tmp_path / "split.csv"
    told = saccade("split", few, "--test", "0.2", "--out", file)
    assert f"saved  {file}" in told.out and told.out.splitlines()[-1] == f"next   {shlex.join(['saccade', 'train', str(few), '--split', str(file)])}"
    assert len(file.read_text().splitlines()) == 91
    assert "RUN-EXISTS" in saccade("split", few, "--out", file, code=2).err


def test_train_leaves_the_run_folder_of_the_documentation(trained, few):
    out, told = trained
    assert [event["event"] for event in told.events if event["event"] == "epoch"] == ["epoch"] * 4
    assert all(event["v"] == 1 for event in told.events)
    assert {p.name for p in out.iterdir()} >= {"run.json", "config.toml", "data.json", "data_problems.csv", "metrics.jsonl", "events.jsonl", "log.txt"}
    assert {p.name for p in out.iterdir()} >= {"checkpoints", "model.saccade", "eval", "report.html"}
    run = json.loads((out / "run.json").read_text())
    assert (run["status"], run["exit"], run["task"]) == ("done", 0, "classify")
    assert told.event("result")["metrics"]["accuracy"]["n"] == 18
    done = told.event("done")
    assert done["path"] == str(out) and done["next"] == f"saccade predict {out / 'model.saccade'} IMAGES"
    assert told.err.splitlines()[-2:] == [f"saved  {out}", f"next   {done['next']}"]


def test_train_refuses_a_folder_in_use(saccade, few, trained):
    assert "RUN-EXISTS" in saccade("train", few, "--out", trained[0], code=2).err


def test_evaluate_gives_the_numbers_of_the_training(saccade, few, trained, tmp_path):
    told = saccade("evaluate", trained[0] / "model.saccade", few, "--split", "all", "--out", tmp_path / "eval", "--json")
    value = told.event("result")["metrics"]["accuracy"]
    assert value["n"] == 90 and value["low"] <= value["value"] <= value["high"]
    assert told.event("done")["path"] == str(tmp_path / "eval")
    stored = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert stored["accuracy"]["value"] == value["value"]


def test_evaluate_writes_into_no_folder_that_holds_anything(saccade, few, trained):
    before = sorted(few.iterdir())
    assert "RUN-EXISTS" in saccade("evaluate", trained[0] / "model.saccade", few, "--out", few, code=2).err
    assert sorted(few.iterdir()) == before


def test_a_gate_that_is_not_met_is_exit_eight(saccade, few, trained, tmp_path):
    words = ("val", trained[0] / "model.saccade", few, "--split", "all", "--out", tmp_path / "eval")
    assert "GATE-FAILED" in saccade(*words, "--gate", "accuracy>=1.01", code=8).err


def test_evaluate_refuses_classes_that_the_model_does_not_know(saccade, few, trained, tmp_path):
    for label in ("0", "seven"):
        (tmp_path / label).mkdir()
        for file in sorted((few / ("0" if label == "0" else "1")).iterdir())[:5]:
            (tmp_path / label / file.name).write_bytes(file.read_bytes())
    err = saccade("evaluate", trained[0], tmp_path, code=3).err
    assert err.startswith("error CLS-MODEL") and "seven; the model knows 0, 1, 3" in err


def test_a_gate_that_cannot_be_read_is_refused_before_the_work(saccade, tmp_path):
    assert "a gate such as" in saccade("evaluate", tmp_path / "absent", tmp_path, "--gate", "good", code=2).err


def test_a_pickle_is_no_model(saccade, few, tmp_path):
    canary = tmp_path / "canary"
    (tmp_path / "model.pt").write_bytes(f"cos\nsystem\n(S'touch {canary}'\ntR.".encode())
    assert "MODEL-" in saccade("predict", tmp_path / "model.pt", few, code=4).err
    assert not canary.exists()


def test_predict_gives_one_answer_an_input_and_lists_failures(saccade, few, trained, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "good.png").write_bytes((few / "0" / "000.png").read_bytes())
    (tmp_path / "new" / "bad.png").write_bytes(b"not an image")
    out = tmp_path / "answers.jsonl"
    told = saccade("predict", trained[0] / "model.saccade", tmp_path / "new", "--out", out, "--json", code=7)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 2
    assert told.event("error")["code"] == "PRED-FAILED"


def test_compare_pairs_the_same_images(saccade, trained, second):
    told = saccade("runs", "compare", trained[0], second, "--json")
    found = told.event("compare")
    assert found["n"] == 18 and found["metrics"]["accuracy"]["low"] <= found["metrics"]["accuracy"]["difference"] <= found["metrics"]["accuracy"]["high"]
    assert found["settings"]["seed"] == [0, 1]
    assert "18 images in both" in told.err


def test_compare_refuses_other_images(saccade, few, trained, tmp_path):
    saccade("evaluate", trained[0], few, "--split", "all", "--out", tmp_path / "eval")
    assert saccade("compare", trained[0], tmp_path / "eval", code=3).err.startswith("error COMPARE-SET")


def test_resume_refuses_other_settings_and_a_run_in_use(saccade, trained, tmp_path):
    out, _ = trained
    assert saccade("train", "--resume", out, "--epochs", "+1", "--lr", "0.5", code=2).err.startswith("error RUN-CONFIG")
    (tmp_path / "run").mkdir()
    run = json.loads((out / "run.json").read_text()) | {"status": "running", "pid": os.getpid()}
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    assert saccade("train", "--resume", tmp_path / "run", code=2).err.startswith("error RUN-ACTIVE")
    assert saccade("train", "--resume", tmp_path, code=2).err.startswith("error RUN-MISSING")


def test_report_is_written_again_and_opens_offline(saccade, trained):
    out, _ = trained
    (out / "report.html").unlink()
    told = saccade("report", out)
    text = (out / "report.html").read_text()
    assert str(out / "report.html") in told.out
    assert not re.search(r"""(?:src|href)=["']https?:""", text)


def test_runs_lists_them_all(saccade, trained, second):
    told = saccade("runs", trained[0].parent, "--json")
    assert {Path(event["path"]).name: event["status"] for event in told.events} == {"run": "done", "second": "done"}


def test_ctrl_c_saves_and_tells_how_to_go_on(saccade, saccade_environment, few, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "saccade", "train", str(few), "--epochs", "20", "--out", str(out), *QUICK, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=saccade_environment(), cwd=tmp_path) as child:
        for line in child.stdout:
            if json.loads(line)["event"] == "epoch":
                child.send_signal(signal.SIGINT)
                break
        rest, err = child.communicate(timeout=60)
    error = json.loads(rest.splitlines()[-1])
    assert child.returncode == 130 and error["code"] == "RUN-INTERRUPTED" and error["exit"] == 130
    assert "Traceback" not in err and f"saccade train --resume {out}" in err
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    assert f"go on  saccade train --resume {out}" in saccade("runs", out).out
    saccade(*shlex.split(error["fix"])[1:])
    rows = [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(range(1, 21)) and json.loads((out / "run.json").read_text())["status"] == "done"
