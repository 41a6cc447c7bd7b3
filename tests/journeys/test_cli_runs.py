"""`saccade runs`: read from the folders alone, honest about what died."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from saccade.cli.runs import duration
from saccade.errors import UsageError
from saccade.jobs.runs import read_run, run_runs

pytestmark = pytest.mark.journey


def make(folder, *, metrics=None, checkpoints=True, **info):
    """A run's folder with what the list reads of it."""
    (folder / "eval").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"task": "classify", "model": "small", "monitor": "accuracy", **info}))
    (folder / "data.json").write_text('{"name": "digits"}')
    if metrics is not None:
        (folder / "eval" / "metrics.json").write_text(json.dumps(metrics))
    if checkpoints:
        (folder / "checkpoints").mkdir()
    return folder


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


ACCURACY = {"ece": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 9}, "accuracy": {"value": 0.95, "low": 0.9, "high": 0.99, "n": 9}}


def test_a_finished_run_shows_its_monitored_metric_with_the_interval(tmp_path):
    run = read_run(make(tmp_path / "a", status="done", metrics=ACCURACY, started=1000.0, seconds=61.0, exit=0))
    assert (run.status, run.task, run.model, run.data) == ("done", "classify", "small", "digits")
    assert (run.metric, run.value, run.low, run.high) == ("accuracy", 0.95, 0.9, 0.99)
    assert run.resume is None and (run.started, run.seconds) == (1000.0, 61.0)


@pytest.mark.parametrize("status", ["interrupted", "failed", "stopped"])
def test_a_run_that_ended_early_tells_how_to_go_on(tmp_path, status):
    run = read_run(make(tmp_path / "a b", status=status, best={"epoch": 2, "value": 0.5}))
    assert run.status == status and run.resume == f"saccade train --resume '{tmp_path / 'a b'}'"
    assert (run.metric, run.value, run.low) == ("accuracy", 0.5, None)
    assert read_run(make(tmp_path / "b", status=status, checkpoints=False)).resume is None


def test_a_running_run_without_a_process_is_interrupted(tmp_path):
    assert read_run(make(tmp_path / "dead", status="running", pid=dead_pid())).status == "interrupted"
    assert read_run(make(tmp_path / "none", status="running")).status == "interrupted"
    alive = read_run(make(tmp_path / "alive", status="running", pid=os.getpid()))
    assert alive.status == "running" and alive.resume is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "running", "pid": "x"}'])
def test_a_damaged_run_is_listed_as_such(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert read_run(tmp_path).status == "damaged"


def test_runs_are_sorted_by_their_start_and_links_are_left_out(tmp_path):
    make(tmp_path / "young", status="done", started=30.0)
    make(tmp_path / "old", status="done", started=10.0)
    (tmp_path / "latest").symlink_to("young")
    (tmp_path / "other").mkdir()
    assert [run.path.name for run in run_runs(tmp_path)] == ["old", "young"]
    assert [run.path.name for run in run_runs(tmp_path / "old")] == ["old"]


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="RUN-MISSING"):
        run_runs(tmp_path)


def test_the_table_and_the_json_lines(saccade, tmp_path):
    make(tmp_path / "runs" / "good", status="done", metrics=ACCURACY, started=10.0, seconds=3905.0)
    make(tmp_path / "runs" / "torn", status="running", pid=dead_pid(), started=20.0)
    told = saccade("runs", cwd=tmp_path)
    lines = told.out.splitlines()
    assert lines[0].split() == ["run", "status", "task", "model", "data", "result", "when", "took"]
    assert lines[1].startswith("good  done") and "accuracy 0.950 [0.900-0.990]" in lines[1] and lines[1].endswith("1h05m")
    assert lines[2].startswith("torn  interrupted")
    assert lines[3] == "go on  saccade train --resume runs/torn"
    assert all(len(line) <= 100 for line in lines[:3])
    events = saccade("runs", "ls", "--json", cwd=tmp_path).events
    assert [(e["v"], e["event"], e["status"]) for e in events] == [(1, "run", "done"), (1, "run", "interrupted")]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (249, "4m09s"), (3599.9, "1h00m"), (7500, "2h05m")])
def test_durations(seconds, text):
    assert duration(seconds) == text
