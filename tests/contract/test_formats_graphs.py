"""Scene graphs, captions of regions and captions as JSON lines: read, written, and every fault named by its line."""

from __future__ import annotations

import json

import pytest

from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from tests.support.data_files import folder
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets


@pytest.mark.parametrize("head", ["graph", "regions", "caption"])
def test_what_lines_say_reads_the_same(tmp_path, head):
    for seed in range(9):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS["graphs"].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert back.format == "graphs" and {p.code for p in losses} <= {"LOSS-FIELD"}, (seed, back.reason)
        kept = dataset.subset([i for i, r in enumerate(dataset.records) if r.targets[head] is not None])
        assert equal_sets(kept, back) == [], seed


def lines(root, *contents, name="graphs.jsonl"):
    (root / name).write_text("\n".join(json.dumps(each) for each in contents))
    return root


def test_visual_genome_lists_and_relations_by_number(tmp_path):
    folder(tmp_path, "1.png", "2.png")
    objects = [
        {"object_id": 50, "names": ["man"], "x": 1, "y": 1, "w": 4, "h": 5, "attributes": ["tall"]},
        {"object_id": 9, "names": ["hat"], "x": 2, "y": 0, "w": 2, "h": 2},
    ]
    graph = {"image_id": 1, "objects": objects, "relationships": [{"subject_id": 50, "predicate": "wears", "object_id": 9}]}
    (tmp_path / "scene_graphs.json").write_text(json.dumps([graph]))
    regions = [{"x": 0, "y": 0, "width": 5, "height": 5, "phrase": "a man"}, {"x": 0, "y": 0, "width": 5, "height": 5, "phrase": "a hat"}]
    (tmp_path / "region_descriptions.json").write_text(json.dumps([{"id": 1, "regions": regions}]))
    opened = open_dataset(tmp_path)
    truth = opened.truth(0)
    assert opened.format == "graphs" and opened.spaces["graph"].names == ("hat", "man") and opened.spaces["graph"].relations == ("wears",)
    assert truth["graph"].relations.tolist() == [[0, 0, 1]] and truth["graph"].attributes == (("tall",), ()) and truth["boxes"].classes.tolist() == [1, 0]
    assert truth["regions"].texts == ("a man", "a hat") and truth["regions"].xyxy.tolist() == [[0, 0, 5, 5]] * 2


def test_an_object_that_is_left_out_takes_its_relations_along(tmp_path):
    folder(tmp_path, "1.png")
    objects = [{"name": "a", "bbox": [1, 1, 4, 4]}, {"name": "b", "bbox": [1, 1, 0.2, 4]}, {"name": "c", "bbox": [5, 5, 4, 4]}]
    lines(tmp_path, {"image": "1.png", "objects": objects, "relations": [[0, "on", 1], [2, "by", 0]]})
    opened = open_dataset(tmp_path)
    assert [p.code for p in opened.problems] == ["ANN-BOX-SMALL"]
    assert opened.truth(0)["graph"].relations.tolist() == [[1, opened.spaces["graph"].relations.index("by"), 0]]


def test_faults_are_named_by_line(tmp_path):
    folder(tmp_path, *(f"{i}.png" for i in range(9)))
    box = {"name": "a", "bbox": [1, 1, 4, 4]}
    contents = [
        {"image": "0.png", "objects": [box], "relations": []},
        {"image": "1.png", "objects": [box], "relations": [[0, "on", 5]]},
        {"image": "2.png", "objects": [{"bbox": [1, 1, 4, 4]}]},
        {"image": "3.png", "objects": [{"name": "a", "bbox": [1, 2, 3]}]},
        {"image": "4.png", "regions": [{"bbox": [1, 1, 3, 3]}]},
        {"image": "5.png", "objects": [{"name": "a", "bbox": [1, 1, "x", 4]}]},
        {"image": "nowhere.png", "objects": [box]},
        {"objects": [box]},
        {"image": "0.png", "objects": [box]},
        {"image": "6.png", "captions": ["a", 3]},
        {"image": "../../x.png", "objects": [box]},
    ]
    opened = open_dataset(lines(tmp_path, *contents))
    met = {(p.code, p.where.split(".objects")[0]) for p in opened.problems if p.severity == "error"}
    expected = {("ANN-FIELD", f"graphs.jsonl:{n}") for n in (2, 3, 4, 5, 8, 10)}
    assert met == expected | {
        ("ANN-NUMBER", "graphs.jsonl:6"),
        ("IMG-MISSING", "nowhere.png"),
        ("ANN-CONFLICT", "graphs.jsonl:9"),
        ("ANN-PATH", "graphs.jsonl:11"),
    }
    assert opened.records == ()


def test_metadata_lines_are_captions(tmp_path):
    folder(tmp_path, "train/a.png", "train/b.png")
    lines(tmp_path / "train", {"file_name": "a.png", "text": "a dog"}, {"file_name": "b.png", "text": "a cat"}, name="metadata.jsonl")
    opened = open_dataset(tmp_path)
    assert opened.format == "graphs" and [t.texts for t in opened.targets("caption")] == [("a dog",), ("a cat",)]


def test_shared_scene_graphs_open(shared_data):
    opened = open_dataset(shared_data / "language/nlvr_dev", format="graphs")
    assert len(opened) == 1978 and len(opened.spaces["graph"]) == 9 and set(opened.spaces["graph"].relations) == {"above", "below", "left of", "right of"}
