"""Objects that are too small at an input's size are told of before the training, with options that help, which is tried."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from saccade.data.check import check
from saccade.data.dataset import ImageDataset
from saccade.data.object_sizes import SMALL, WANTED, sides, warning
from saccade.data.preprocess import Preprocess
from saccade.data.split import Split
from saccade.jobs.object_alerts import tell_objects
from saccade.jobs.options import make_options
from saccade.jobs.plan import make_plan
from saccade.jobs.prepare import Prepared
from saccade.metrics.detection_tables import sizes as size_rows
from saccade.report import detection
from saccade.tasks import TASKS
from tests.support.made_data import boxes, made, pictures, space

NANO = ("widths=[8,16,16,24,32]", "blocks=[1,1,1,1]", "neck=[16,24,32]", "head=16")


class Alerts(list[tuple[str, str]]):
    """A run that notes what it is told."""

    def alert(self, code: str, text: str) -> None:
        self.append((code, text))


def squares(side: float, n: int = 3) -> Any:
    return boxes(*[(0, 60 * k + 3, 50, 60 * k + 3 + side, 50 + side) for k in range(n)])


def dataset(root: Path, small: float, size: tuple[int, int] = (480, 640)) -> ImageDataset:
    """Four pictures: a third of the objects are squares of a side, the others of 50 px."""
    truths = [{"boxes": squares(small if i == 1 else 50.0, 4 if i == 1 else 2)} for i in range(4)]
    pictures(root, 4, size)
    return made(truths, {"boxes": space("thing")}, root=root)


def alerts(data: ImageDataset, **options: Any) -> tuple[Alerts, Preprocess]:
    report = check(data, near=False, threads=1)
    prepared = Prepared(TASKS["detect"], report.dataset, Split((0, 1, 2), (3,), (), "made"), report)
    plan = make_plan(make_options(**{"data": "made", "task": "detect", "set": NANO} | options), prepared)
    told = Alerts()
    tell_objects(plan, prepared, told)  # type: ignore[arg-type]
    return told, Preprocess.from_dict(plan.preprocess)


@pytest.mark.parametrize("size, small", [((360, 640), 9.0), ((240, 320), 6.0)])
def test_small_objects_are_told_and_what_is_advised_makes_them_seen(size: tuple[int, int], small: float, tmp_path: Path) -> None:
    data = dataset(tmp_path, small, size)
    told, preprocess = alerts(data)
    assert [code for code, _ in told] == ["BOX-TINY"]
    at_input = small * min(1.0, 320 / max(size))
    assert f"below {at_input:.0f} px at this input size ({preprocess.size[0]}x320)" in told[0][1]
    found = re.search(r"; --tile (\d+)( --size \d+)? or --size (\d+,\d+) shows them at 16 px$", told[0][1])
    assert found is not None, told
    by_windows: dict[str, Any] = {"tile": int(found[1])} | ({"size": found[2].split()[1]} if found[2] else {})
    for options in (by_windows, {"size": found[3]}):
        again, advised = alerts(data, **options)
        shown = advised.tiling.windows(size)[0].size if advised.tiling is not None else size
        seen = small * np.sqrt(np.linalg.det(advised.geometry(shown).matrix[:, :2]))
        assert not again and WANTED - 0.01 <= seen < 1.6 * WANTED, (options, seen)


@pytest.mark.parametrize(
    "model, arguments, said",
    [
        ("nano", (*NANO, "detections=20"), "an image shows 24 objects, the model has detections=20: --set detections=100"),
        ("faster_rcnn", ("proposals=23", "detections=24"), "an image shows 24 objects, the model has proposals=23: --set proposals=100"),
        ("nano", NANO, None),
    ],
)
def test_more_objects_than_answers_are_told(model: str, arguments: tuple[str, ...], said: str | None, tmp_path: Path) -> None:
    pictures(tmp_path, 4, (240, 320))
    many = boxes(*[(0, 50 * (k % 6), 50 * (k // 6), 50 * (k % 6) + 40, 50 * (k // 6) + 40) for k in range(24)])
    data = made([{"boxes": many}] * 4, {"boxes": space("thing")}, root=tmp_path)
    assert alerts(data, model=model, set=arguments)[0] == ([("BOX-MANY", said)] if said else [])
    assert alerts(data, model=model, set=arguments, tile=160)[0] == []


def test_objects_that_are_seen_are_not_spoken_of(tmp_path: Path) -> None:
    assert alerts(dataset(tmp_path, 22.0))[0] == []
    assert warning(np.zeros(0), 1.0, (64, 64)) == "" and warning(np.full(9, SMALL), 1.0, (64, 64)) == ""
    assert sides(np.array([[0.0, 0, 4, 9], [5, 5, 5, 9]])).tolist() == [6.0, 0.0]


def test_the_check_says_so_of_the_usual_input(tmp_path: Path) -> None:
    small = [p for p in check(dataset(tmp_path / "a", 14.0), near=False, threads=1).problems if p.code == "BOX-TINY"]
    assert len(small) == 1 and small[0].severity == "warn"
    assert small[0].got.startswith("a quarter of your objects are below 7 px at this input size (240x320); --tile 256 --size 320 or --size ")
    fine = check(dataset(tmp_path / "b", 22.0), near=False, threads=1).problems
    assert not [p for p in fine if p.code == "BOX-TINY"]


@pytest.mark.parametrize("side, said", [(7.0, "A quarter of your objects are below 7 px at this input size (64x96)"), (12.0, "2 of 2 are below 16 px")])
def test_the_report_says_so_too(side: float, said: str) -> None:
    none = np.zeros(0)
    image = SimpleNamespace(
        skipped=np.zeros(2, bool), truths=np.zeros(2, int), classes=none.astype(int), scores=none, finds=none.astype(int), areas=np.full(2, (2 * side) ** 2)
    )
    rows = size_rows([image], np.zeros(1), 0.5)  # type: ignore[list-item]
    assert rows[-1]["quartile_input"] == side and rows[-1]["median"] == 2 * side
    written = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    facts = SimpleNamespace(table=lambda name: written, data={"preprocess": {"size": [64, 96]}})
    section = detection.sizes(facts)  # type: ignore[arg-type]
    assert section is not None and said in section[2]
