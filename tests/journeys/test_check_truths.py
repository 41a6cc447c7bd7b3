"""Every fault planted into a set of every task is named with its place and severity, sound sets have none, and the gate refuses the fatal ones."""

from __future__ import annotations

import pytest

from saccade.data.check import check
from saccade.errors import CODES, DataError
from saccade.targets import TARGETS
from tests.support.faults import COMMON, IMAGES, TRAINED, Bench, Fault
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
    assert {setup.head for setup in SETUPS.values()} >= set(TARGETS), "a kind of truth has no faults"
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
