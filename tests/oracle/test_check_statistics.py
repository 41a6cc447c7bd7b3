"""The numbers of truths against slow definitions: tight boxes, agreement, histograms, positions, the contact sheet and the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.data.agreement import agree
from saccade.data.check import check
from saccade.data.check_maps import broken, disagree, extent
from saccade.data.contents import contents, contents_of, heads, main_head, tally
from saccade.data.formats.stored import Coding, MaskFile
from saccade.data.statistics import CELLS, histogram, statistics
from saccade.jobs.check import run_check
from saccade.ops.masks import Polygons, runs_from_mask
from saccade.report import data_report
from saccade.report.data_sheet import contact_sheet, spread_places
from saccade.targets import TARGETS, Caption, Keypoints, Number, Points, TagSequence
from tests.support.made_data import boxes, made, pictures, space
from tests.support.task_faults import SETUPS


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))
def test_the_extent_of_runs_is_that_of_the_drawn_mask(seed, h, w, rate):
    plane = np.random.default_rng(seed).random((h, w)) < rate
    shape = runs_from_mask(plane)
    assert not broken(shape, (h, w)) and broken(replace(shape, counts=np.append(shape.counts, 1)), (h, w))
    rows, columns = np.nonzero(plane)
    assert extent(shape) == ((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None)


def test_the_extent_of_outlines():
    ring = np.array([[3.0, 4], [9, 4], [5, 11]])
    assert extent(Polygons((20, 20), (ring, ring + 5))) == (3, 4, 14, 16) and extent(Polygons((20, 20), (ring + 90,))) == (93, 94, 99, 101)
    assert extent(Polygons((20, 20), ())) is None and extent(Polygons((20, 20), (np.array([[1.0, 1], [1, 2], [1, 3]]),))) is None
    assert "20 x 20" in broken(Polygons((20, 20), (ring,)), (30, 30))


def test_boxes_disagree_only_when_far_apart():
    given = np.array([[0, 0, 10, 10], [0, 0, 100, 100], [0, 0, 100, 100], [np.nan] * 4], float)
    other = np.array([[2, 2, 10, 10], [0, 0, 100, 95], [50, 0, 150, 100], [0, 0, 1, 1]], float)
    assert disagree(given, other).tolist() == [False, False, True, False]


def test_every_kind_of_truth_has_contents():
    held = {setup.head: contents(setup.truth(1)) for setup in SETUPS.values()}
    assert set(held) >= set(TARGETS) - {"normals", "flow"} and all(own.known for own in held.values()) and not contents(None).known
    assert held["map"].amounts.sum() == 48 * 64 and held["map"].present.tolist() == [0, 1, 2]
    assert held["labels"].present.tolist() == [0] and held["keypoints"].points.shape == (6, 2) and held["boxes"].objects == 2
    with pytest.raises(TypeError, match="no target"):
        contents("a cat")


def test_two_people_agree_within_two_pixels():
    first = boxes((0, 5, 5, 25, 25), (1, 30, 30, 60, 60), ids=torch.tensor([4, 5]))
    second = boxes((1, 31, 30, 60, 61), (0, 5, 6, 25, 25), ids=torch.tensor([9, 8]))
    assert agree(first, second) and agree(boxes(), boxes()) and not agree(first, boxes())
    assert not agree(first, boxes((1, 5, 5, 25, 25), (0, 30, 30, 60, 60))), "classes exchanged"
    assert not agree(first, boxes((0, 5, 5, 25, 25), (1, 30, 30, 60, 70)))
    dots = Points(torch.tensor([[1.0, 2], [8, 9]]), torch.tensor([0, 1]))
    assert agree(dots, Points(dots.xy.flip(0), dots.classes.flip(0))) and not agree(dots, Points(dots.xy, dots.classes.flip(0)))
    assert agree(Number(2.0), Number(2.0)) and not agree(Number(2.0), Number(3.0))
    setup = SETUPS["keypoints"]
    assert agree(setup.truth(1), setup.truth(1)) and not agree(setup.truth(1), setup.other(setup.truth(1)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-50, 400), min_size=1, max_size=60), st.booleans())
def test_histograms_count_every_value_once(values, whole):
    found = histogram(values, whole=whole)
    assert sum(found.counts) == len(values) and len(found.edges) == len(found.counts) + 1 <= 26
    assert found.quartiles == tuple(np.percentile(values, (0, 25, 50, 75, 100)))
    slow = [sum(a <= v < b or (b == found.edges[-1] and v == b) for v in values) for a, b in zip(found.edges[:-1], found.edges[1:], strict=True)]
    assert list(found.counts) == slow and histogram([]) is None


def test_statistics_of_boxes_against_loops():
    rng = np.random.default_rng(0)
    truths = []
    for _ in range(30):
        corners = rng.integers(0, 20, (rng.integers(0, 5), 2))
        truths.append({"boxes": boxes(*[(rng.integers(3), x, y, x + 4 + rng.integers(9), y + 8) for x, y in corners])})
    data = made(truths, {"boxes": space("a", "b", "c")}, splits=["train"] * 20 + ["test"] * 10)
    data = data.with_records([replace(r, size=(40, 50)) for r in data.records], stamps={r.id: (1, 1) for r in data.records})
    found = statistics(data)
    own = found.heads["boxes"]
    rows = [(i, int(k), box) for i, t in enumerate(truths) for k, box in zip(t["boxes"].classes, t["boxes"].xyxy.tolist(), strict=True)]
    assert own.total == own.boxes.n == len(rows) == sum(n * int(edge + 0.5) for n, edge in zip(own.per_image.counts, own.per_image.edges, strict=False))
    assert own.objects["test"] == {name: sum(i >= 20 and k == c for i, c, _ in rows) for k, name in enumerate("abc")}
    assert own.images["all"] == {name: len({i for i, c, _ in rows if c == k}) for k, name in enumerate("abc")} == tally(data, "boxes")
    cells = np.zeros((CELLS, CELLS), int)
    for _, _, (x1, y1, x2, y2) in rows:
        cells[int((y1 + y2) / 2 / 40 * CELLS), int((x1 + x2) / 2 / 50 * CELLS)] += 1
    assert (np.array(own.boxes.positions) == cells).all()
    assert own.boxes.width.quartiles[4] == max(x2 - x1 for _, _, (x1, _, x2, _) in rows)
    assert found.images == {"train": 20, "test": 10, "all": 30} and json.loads(json.dumps(found.to_dict()))["heads"]["boxes"]["boxes"]["n"] == len(rows)


def test_statistics_of_words_numbers_tags_and_key_points():
    texts = made([{"caption": Caption(("A dog runs.", "The dog, it's a DOG!"))}, {"caption": Caption(("one",))}], {})
    own = statistics(texts).heads["caption"].texts
    assert (own.sentences, own.words, own.vocabulary, own.common[0]) == (3, 9, 6, ("dog", 3))
    assert statistics(made([{"number": Number(float(v))} for v in range(5)], {})).heads["number"].values.quartiles == (0, 1, 2, 3, 4)
    tags = statistics(made([{"tags": TagSequence(torch.tensor([0, 1, -1]))}], {"tags": space("a", "b")})).heads["tags"]
    assert tags.steps.quartiles[2] == 3 and tags.objects["all"] == {"a": 1, "b": 1}
    person = Keypoints(torch.ones(2, 2, 2), torch.tensor([[0, 1], [2, 2]], dtype=torch.uint8), boxes((0, 0, 0, 3, 3), (0, 0, 0, 3, 3)))
    data = made([{"keypoints": person}], {"keypoints": space("p", keypoints=("nose", "tail"))})
    assert statistics(data).heads["keypoints"].visibility == {"nose": (1, 0, 1), "tail": (0, 1, 1)}


def test_masks_in_files_are_read_once(tmp_path, monkeypatch):
    pictures(tmp_path, 4)
    for i in range(4):
        Image.fromarray(np.repeat(np.repeat([[0, 1 + i % 2]], 24, 0), [20, 44], 1).astype(np.uint8).repeat(2, 0)).save(tmp_path / f"m{i}.png")
    data = made(
        [{"map": MaskFile(tmp_path / f"m{i}.png", Coding("index", (0, 1, 2), (0, 1, 2)))} for i in range(4)], {"map": space("a", "b", "c")}, root=tmp_path
    )
    loads, real = [], MaskFile.load
    monkeypatch.setattr(MaskFile, "load", lambda self: (loads.append(self.path.name), real(self))[1])
    report = check(data, threads=2)
    numbers = statistics(report.dataset)
    assert sorted(loads) == ["m0.png", "m1.png", "m2.png", "m3.png"] and not report.problems
    assert numbers.heads["map"].objects["all"] == {"a": 4 * 48 * 20, "b": 2 * 48 * 44, "c": 2 * 48 * 44}
    assert contents_of(report.dataset, report.dataset.records[0], "map").objects == 2 and len(report.dataset.subset([1]).contents) == 4


def test_the_main_head_and_the_words_of_a_report(tmp_path):
    pictures(tmp_path, 6)
    data = made([{"boxes": boxes((i % 2, 1, 1, 20, 20)), "caption": Caption((f"{i}",))} for i in range(6)], {"boxes": space("a", "b")}, root=tmp_path)
    assert heads(data) == ("boxes", "caption") and main_head(data) == "boxes"
    report = check(data)
    assert "6 images · 6 boxes · 2 classes · 6 captioned images" in report.text() and report.class_counts(objects=True) == {"all": {"a": 3, "b": 3}}
    assert report.to_dict()["heads"] == {"boxes": {"classes": ["a", "b"], "objects": 6}, "caption": {"classes": [], "objects": 6}}


class _Reader(HTMLParser):
    """Tags that may load something, and attributes that point outside."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.outside += [v for k, v in attributes if k in ("src", "href", "xlink:href") and not (v or "").startswith(("data:", "#"))]


@pytest.mark.parametrize("task", SETUPS)
def test_pages_of_every_task_stand_alone(task, tmp_path):
    bench = SETUPS[task].bench(tmp_path / "data")
    bench.path(3).write_bytes(b"")
    name = '<img onerror="x">'
    if bench.spaces:
        bench.spaces = {head: replace(own, names=(name, *own.names[1:])) for head, own in bench.spaces.items()}
    data = bench.dataset()
    report = check(data.subset(range(3, 72, 6)), threads=1)
    page = data_report.write(report, tmp_path / "out").read_text(encoding="utf-8")
    reader = _Reader()
    reader.feed(page)
    assert not reader.outside and "script" not in reader.tags and name not in page and str(tmp_path) not in page
    assert page.count("data:image/jpeg") >= 11 and "cannot be read" not in page.split('id="sheet"')[1].split("</section>")[0]
    assert "IMG-EMPTY" in page and (not bench.spaces or "&lt;img onerror=&quot;" in page)
    assert len(re.findall(r"<section", page)) >= 4
    with Image.open(tmp_path / "out" / "contact_sheet.jpg") as sheet:
        assert sheet.width > 1500


def test_the_contact_sheet_shows_every_class_with_its_drawing(tmp_path):
    pictures(tmp_path, 30)
    data = made([{"boxes": boxes((2 if i == 17 else i % 2, 4, 4, 60, 44))} for i in range(30)], {"boxes": space("a", "b", "rare")}, root=tmp_path)
    places = spread_places(data, 6)
    assert 17 in places and len(set(places)) == 6 and {i % 2 for i in places} == {0, 1}
    drawn, bare = (
        contact_sheet(data, places, side=96, columns=3),
        contact_sheet(data.with_records([replace(r, targets={}) for r in data.records]), places, side=96, columns=3),
    )
    assert drawn.dtype == np.uint8 and drawn.shape[1] == 3 * 102 + 6 and (drawn[: bare.shape[0] // 3] != bare[: bare.shape[0] // 3]).any()
    (tmp_path / "17.png").unlink()
    assert (contact_sheet(data, [17], side=96)[6:102, 6:102] == 128).all()
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet(data, [])


def test_check_writes_its_report(tmp_path):
    for i, label in enumerate("ab" * 4):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(tmp_path / "data" / label / f"{i}.png")
    run_check(tmp_path / "data", out=tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "check.json",
        "data_problems.csv",
        "statistics.json",
        "data_report.html",
        "contact_sheet.jpg",
        "plots",
    }
    stored = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert stored["heads"]["label"]["images"]["all"] == {"a": 4, "b": 4}
