"""`saccade doctor` and the data of `saccade demo`."""

from __future__ import annotations

import errno
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from saccade.cli import main, output, progress, words
from saccade.data.open import open_dataset
from saccade.errors import CODES, ResourceError, UsageError
from saccade.jobs import demo, doctor
from saccade.models.table import UNNAMED
from saccade.tasks import TASKS

pytestmark = pytest.mark.journey


def test_doctor_finds_this_machine_fit(tmp_path):
    report = doctor.run_doctor(tmp_path)
    found = {finding.name: finding for finding in report.findings}
    assert report.healthy
    assert found["torch"].value.split(".")[0] == "2" and found["self-test"].value.startswith("loss ")
    assert {"python", "device", "threads", "processor", "precision", "memory", "disk", "write"} <= set(found)
    assert list(tmp_path.iterdir()) == []  # what the disk was tried with is gone


def test_doctor_names_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    report = doctor.run_doctor(tmp_path)
    bad = {finding.name: finding.value for finding in report.findings if finding.state == "error"}
    assert bad == {"no-such-package": "not installed", "write": "Read-only file system: runs need --out elsewhere"}
    assert not report.healthy and report.to_dict()["healthy"] is False


def test_doctor_on_the_command_line(saccade, tmp_path):
    told = saccade("doctor", "--folder", tmp_path, "--json")
    assert told.event("doctor")["healthy"] is True and {"name", "value", "state"} == set(told.event("doctor")["findings"][0])
    assert "self-test" in told.err and told.err.rstrip().endswith("all is well")  # the text for people, beside the JSON lines


def test_explain_tells_one_code_or_all(saccade):
    assert saccade("doctor", "--explain", "img-trunc").out == f"error IMG-TRUNC\n  {CODES['IMG-TRUNC'].text}\n  fix: {CODES['IMG-TRUNC'].fix}\n"
    assert [event["code"] for event in saccade("doctor", "--explain", "all", "--json").events] == list(CODES)
    with pytest.raises(UsageError, match="USE-CODE"):
        doctor.explain("IMG")


def test_the_digits_are_written_once_and_exactly(tmp_path):
    root = demo.write_digits(tmp_path / "digits")
    files = sorted(root.rglob("*.png"))
    digits = load_digits()
    assert len(files) == 1797 and sorted(p.name for p in root.iterdir()) == list("0123456789")
    for file in files[::300]:
        place = int(file.stem)
        assert file.parent.name == str(digits.target[place])
        assert np.array_equal(np.asarray(Image.open(file)), np.round(digits.images[place] * 255 / 16).astype(np.uint8))
    before = files[0].stat().st_mtime_ns
    assert demo.write_digits(tmp_path / "digits") == root and files[0].stat().st_mtime_ns == before


def test_a_full_disk_is_a_coded_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(demo.Path, "write_bytes", full)
    with pytest.raises(ResourceError, match="RUN-DISK"):
        demo.write_digits(tmp_path / "digits")


def test_a_second_demo_gets_a_folder_of_its_own(tmp_path):
    assert demo.free_folder(tmp_path / "run") == tmp_path / "run"
    for name in ("run", "run_2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    assert demo.free_folder(tmp_path / "run") == tmp_path / "run_3"


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_demonstration_with_its_labels(task, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "write_gestures", lambda folder: WRITE_GESTURES(folder, 3))
    shown = demo.find_demo(task)
    data = open_dataset(shown.data if isinstance(shown.data, str) else shown.data(tmp_path))
    assert len(data) >= 3 and shown.text and shown.budget in ("60s", "2m")
    if TASKS[task].degrade is None and task not in UNNAMED:
        truth = data.truth(0)[TASKS[task].head]
        assert isinstance(truth, TASKS[task].target)
    else:
        assert data.read(0).std() > 2


WRITE_GESTURES = demo.write_gestures


def test_every_kind_of_truth_that_a_world_has_can_be_shown():
    from saccade.data.world.labels import HEADS

    assert set(HEADS) - {"label", "full_boxes"} <= set(demo.BY_HEAD)
    for head, shown in demo.BY_HEAD.items():
        assert head in open_dataset(shown.data).spaces
    with pytest.raises(UsageError, match="did you mean segment"):
        demo.find_demo("segmnt")


def test_gestures_are_written_once_with_a_tag_a_frame(tmp_path):
    root = demo.write_gestures(tmp_path / "g", 3)
    data = open_dataset(root)
    assert len(data) == 3 and set(data.spaces) == {"tags", "label"} and data.read(0).shape == (24, 28)
    assert all(len(data.truth(i)["tags"].tags) == 24 for i in range(3)) and np.abs(data.read(1)).max() < 3
    before = (root / "sequences.jsonl").stat().st_mtime_ns
    assert demo.write_gestures(root, 3) == root and (root / "sequences.jsonl").stat().st_mtime_ns == before


def test_the_report_is_opened_where_somebody_can_look(monkeypatch, tmp_path, capsys):
    opened, result = [], SimpleNamespace(path=tmp_path, evaluated="test", metrics={}, report=tmp_path / "report.html", model=tmp_path / "m", samples="images")
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("saccade.jobs.demo.run_demo", lambda *a, **k: result)
    assert main(["demo", "detect"]) == 0 and opened == []  # no terminal
    assert main(["demo", "detect", "--open"]) == 0 and opened == [(tmp_path / "report.html").as_uri()]
    monkeypatch.setattr("saccade.cli.demo.at_desktop", lambda: True)
    for line, times in ((["demo", "detect"], 2), (["demo", "detect", "--no-open"], 2), (["demo"], 2)):
        assert main(line) == 0 and len(opened) == times
    capsys.readouterr()


def test_demo_lists_what_it_can_show(saccade):
    assert saccade("demo", "--list").out.startswith("classify    1,797 handwritten digits")
    listed = [event["task"] for event in saccade("demo", "--list", "--json", "--quiet").events if event["event"] == "demo"]
    assert listed[0] == "classify" and set(listed) == set(demo.demos())


EVENTS = [
    (
        {"event": "start", "versions": {"saccade": "0.1.0", "torch": "2.13.0"}, "threads": 2, "seed": 0, "path": "/r"},
        "saccade 0.1.0  torch 2.13.0  2 threads  seed 0",
    ),
    (
        {"event": "opened", "name": "d", "format": "folder", "reason": "a folder a class", "images": 9, "task": "classify"},
        "data   d: 9 images, folder (a folder a class)",
    ),
    ({"event": "check", "images": 9, "classes": 3, "problems": {"IMG-EXT": 2}}, "check  9 images of 3 classes are usable; IMG-EXT 2"),
    ({"event": "check", "images": 9, "classes": 3, "problems": {}}, "check  9 images of 3 classes are usable; no problems"),
    ({"event": "split", "train": 6, "val": 2, "test": 1, "reason": "stratified"}, "split  train 6  val 2  test 1  (stratified)"),
    (
        {"event": "selftest", "passed": False, "first": 2.3, "last": 2.2, "steps": 50},
        "test   the network CANNOT fit eight images (loss 2.3 to 2.2 in 50 steps)",
    ),
    ({"event": "speed", "images_per_s": 812.4, "budget": "10m", "epochs": 30, "most": 99}, "speed  812 images/s: 30 epochs fit 10m, at most 99 help"),
    ({"event": "alert", "code": "RUN-FLAT", "text": "the loss\x1b[2J"}, "alert  RUN-FLAT  the loss\\x1b[2J"),
]


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_events_in_words(event, line, capsys):
    progress.Progress(output.Output())(event)
    assert capsys.readouterr().out.splitlines()[0] == line


def test_the_plan_shows_what_was_chosen_and_leaves_out_the_defaults():
    told = {
        "values": {"model": "small", "lr": 0.002, "size": [32, 32], "seed": 0},
        "origins": {"lr": "auto: by size", "size": "user", "seed": "default"},
        "parameters": 420_000,
    }
    assert words.WORDS["plan"](told) == [
        "plan   small, 0.42 M parameters; every value with its origin is in config.toml",
        "       lr                     0.002      auto: by size",
        "       size                   32x32      user",
    ]


def test_many_values_of_one_origin_are_counted_and_long_reasons_are_cut():
    values = {"model": "small", **{f"augment.{i}": i for i in range(9)}, "keep": "last"}
    told = {"values": values, "origins": {**{f"augment.{i}": "auto: recipe" for i in range(9)}, "keep": "auto: " + "why " * 40}, "parameters": 1}
    lines = words.WORDS["plan"](told)
    assert len(lines) == 3 and lines[1].split() == ["9", "values", "auto:", "recipe"]
    assert len(lines[2]) == 100 and lines[2].endswith("…")


def test_steps_are_shown_on_a_terminal_alone_and_written_over(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(output.sys, "stdout", shown)
    watch = progress.Progress(output.Output())
    watch({"event": "step", "n": 5, "total": 10, "loss": 0.5})
    assert shown.getvalue() == ""
    monkeypatch.setattr(shown, "isatty", lambda: True)
    watch = progress.Progress(output.Output(colour=False))
    watch({"event": "step", "n": 5, "total": 10, "loss": 0.5})
    watch({"event": "epoch", "epoch": 1, "epochs": 2, "train_loss": 0.4, "best": True})
    assert shown.getvalue() == "\r\x1b[K##########..........  50%  step 5  loss 0.500\r\x1b[Kepoch  1/2  train_loss 0.400  best\n"


def test_tables_are_cut_at_a_hundred_columns(capsys):
    output.Output().table(("a", "b"), [("x" * 50, "y" * 80), ("z", "bad\udcff\n")])
    head, long, short = capsys.readouterr().out.splitlines()
    assert len(long) == 100 and long.endswith("…") and head.startswith("a")
    assert short.endswith("bad\\xff\\n")


def test_the_live_line_tells_the_rate_and_the_time_left(monkeypatch):
    shown, clock = io.StringIO(), iter([100.0, 102.0, 200.0])
    monkeypatch.setattr(output.sys, "stdout", shown)
    monkeypatch.setattr(shown, "isatty", lambda: True)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    watch = progress.Progress(output.Output(colour=False))
    watch({"event": "step", "n": 10, "total": 400, "loss": 0.5})
    watch({"event": "step", "n": 20, "total": 400, "loss": 0.4})
    assert shown.getvalue().endswith("step 20  loss 0.400  5.0/s  1m16s left")
    watch({"event": "step", "phase": "check", "n": 1, "total": 4})  # another phase has a pace of its own
    assert shown.getvalue().endswith("check 1")
