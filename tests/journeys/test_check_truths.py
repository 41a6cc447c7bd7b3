"""Every fault planted into a set of every task is named with its place and severity, sound sets have none, and the gate refuses the fatal ones."""

from __future__ import annotations

import json

import pytest

from saccade.cli import main
from saccade.data.check import check
from saccade.data.open import open_dataset
from saccade.errors import CODES, DataError
from saccade.targets import TARGETS
from tests.support.faults import COMMON, IMAGES, TRAINED, Bench, Fault
from tests.support.made_data import pictures
from tests.support.task_faults import SETUPS


def planted(bench: Bench, faults: list[Fault]) -> list[tuple[Fault, str]]:
    """The faults with the places that must be named; each is planted into images of its own."""
    i, j, expected = 1, TRAINED, []
    for fault in faults:
        fault.plant(bench, i, j) if fault.pair else fault.plant(bench, i)
        expected.append((fault, fault.where.format(i=i, j=j, following=i + 1, root=bench.root)))
        i, j = i + (2 if fault.code == "DUP-EXACT" else 1), j + fault.pair
    assert i <= TRAINED and j < IMAGES, "more images are needed"
    return expected


def named(report, fault: Fault, where: str) -> bool:
    return any((p.code, p.severity, p.where) == (fault.code, fault.severity, where) and fault.says in p.got for p in report.problems)


def test_every_task_has_twenty_faults():
    for task, setup in SETUPS.items():
        assert len(COMMON) + len(setup.own) >= 20, task
    assert {setup.head for setup in SETUPS.values()} >= set(TARGETS) - {"normals", "flow"}, "a kind of truth has no faults"
    assert all(fault.code in CODES for setup in SETUPS.values() for fault in (*COMMON, *setup.own))


@pytest.mark.parametrize("task", SETUPS)
def test_a_sound_set_has_no_problem(task, tmp_path):
    report = check(SETUPS[task].bench(tmp_path).dataset(), threads=1)
    assert not report.problems and len(report.dataset) == report.total == IMAGES
    report.gate(0)
    assert {record.size for record in report.dataset.records} == {(48, 64)}
    assert all(len(line) <= 100 for line in report.text().splitlines()) and report.to_dict()["heads"]


@pytest.mark.parametrize("task", SETUPS)
def test_planted_faults_are_named(task, tmp_path):
    bench = SETUPS[task].bench(tmp_path)
    faults = [fault for fault in (*SETUPS[task].own, *COMMON) if not fault.alone]
    expected = planted(bench, faults)
    report = check(bench.dataset(), threads=1)
    unnamed = [f"{fault.name}: {fault.code} {fault.severity} {where}" for fault, where in expected if not named(report, fault, where)]
    assert not unnamed, "\n".join([*unnamed, *map(str, report.problems)])
    broken = {where.replace("mask", "") for fault, where in expected if fault.severity == "error"}
    assert not broken & {record.id for record in report.dataset.records}, "an image with an error is left out"
    fine = {f"{i}.png" for i in range(IMAGES)} - {p.where for p in report.problems} - {p.image for p in report.problems}
    assert fine <= {record.id for record in report.dataset.records}, "an image without a problem is kept"
    with pytest.raises(DataError):
        report.gate(1.0)


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        pytest.param(task, fault, id=f"{task}: {fault.name}")
        for task, setup in SETUPS.items()
        for fault in setup.own
        if fault.alone or fault.severity == "fatal"
    ],
)
def test_fatal_faults_and_those_of_a_whole_set_alone(task, fault, tmp_path):
    bench = SETUPS[task].bench(tmp_path)
    ((_, where),) = planted(bench, [fault])
    report = check(bench.dataset(), threads=1, deep=False)
    assert named(report, fault, where), report.problems
    if fault.severity == "fatal":
        with pytest.raises(DataError, match=fault.code):
            report.gate(1.0)
    else:
        report.gate(1.0)


@pytest.mark.parametrize("fault", [fault for fault in COMMON if fault.severity == "fatal"], ids=lambda fault: fault.name)
def test_leaks_are_refused_unless_allowed(fault, tmp_path):
    bench = SETUPS["boxes"].bench(tmp_path)
    planted(bench, [fault])
    report = check(bench.dataset(), threads=1)
    with pytest.raises(DataError, match=fault.code):
        report.gate()
    report.gate(allow_leak=True)


def test_labels_without_images_are_told_as_a_ratio(tmp_path):
    pictures(tmp_path, 4)
    images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(6)]
    objects = [{"id": i, "image_id": i, "category_id": 1, "bbox": [4, 4, 20, 20], "iscrowd": 0, "area": 400} for i in range(6)]
    (tmp_path / "cells.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}))
    report = check(open_dataset(tmp_path))
    told = [p for p in report.problems if p.code == "LABEL-ALONE"]
    assert [p.got for p in told] == ["2 of 6 labelled images are not there: 33%"] and report.counts()["IMG-MISSING"].n == 2


def test_boxes_are_checked_split_and_reported_by_the_commands(tmp_path, capsys):
    data = tmp_path / "data"
    pictures(data, 20)
    images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(20)]
    images[4] |= {"width": 48, "height": 64}
    objects = [{"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [4, 4, 20 + i % 3, 20], "iscrowd": 0, "area": 400} for i in range(20)]
    classes = [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}]
    (data / "cells.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": classes}))
    assert main(["check", str(data), "--out", str(tmp_path / "out"), "--max-bad", "0.1"]) == 0
    assert "ANN-SIZE" in capsys.readouterr().out and (tmp_path / "out" / "data_report.html").is_file()
    assert main(["split", str(data), "--out", str(tmp_path / "split.csv"), "--test", "0.2", "--max-bad", "0.1"]) == 0
    assert "cell" in capsys.readouterr().out
    rows = (tmp_path / "split.csv").read_text().splitlines()
    assert rows[0] == "path,split" and len(rows) == 20 and sum(row.endswith(",test") for row in rows) == 4
    assert main(["check", str(data), "--max-bad", "0"]) == 3
