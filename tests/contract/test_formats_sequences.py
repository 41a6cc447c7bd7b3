"""Sequences as JSON lines: features and tags, clips of pictures, every fault named by its line, and what is written reads the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from saccade.data.check import check
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from tests.support.data_files import folder, picture
from tests.support.random_answers import random_answers


def lines(root: Path, *contents, name: str = "train.jsonl") -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in contents))
    return root


def saved(dataset, out: Path):
    out.mkdir()
    losses = FORMATS["sequences"].save(dataset, out, Pictures(dataset, out))
    return open_dataset(out), losses


def test_features_tags_labels_splits_and_groups(tmp_path):
    root = lines(tmp_path, {"id": "a", "frames": [[1, 2], [3, 4.5], [5, 6]], "tags": ["walk", "run", None], "label": "trip", "group": 7})
    lines(root, {"frames": [[0.5, 0]], "tags": ["run"], "label": "rest"}, name="val.jsonl")
    lines(root, {"id": "c", "frames": [[1, 1]], "split": "test"}, name="more.ndjson")
    opened = open_dataset(root)
    assert (opened.format, opened.channels, opened.spaces["tags"].names, opened.spaces["label"].names) == ("sequences", 2, ("run", "walk"), ("rest", "trip"))
    assert {(r.id, r.split, r.group) for r in opened.records} == {("a", "train", "7"), ("val.jsonl#1", "val", None), ("c", "test", None)}
    first = next(i for i, r in enumerate(opened.records) if r.id == "a")
    assert opened.read(first).dtype == np.float32 and opened.read(first).tolist() == [[1, 2], [3, 4.5], [5, 6]] and opened.size(first) == (3, 2)
    assert opened.truth(first)["tags"].tags.tolist() == [1, 0, -1]
    assert len(check(opened).dataset) == 3 and len(opened.fingerprint) == 32


def test_faults_are_named_by_line(tmp_path):
    good = {"id": "a", "frames": [[1, 2]], "tags": ["x"]}
    faults = [
        {"id": "b", "frames": [[1, 2], [3]]},
        {"id": "c", "frames": [[1, 2]], "tags": ["x", "y"]},
        {"id": "d", "frames": []},
        {"id": "e", "frames": [[1, 2, 3]]},
        good,
        {"id": "f", "frames": [[1, "x"]]},
        {"id": "g", "frames": [[1, True]]},
        {"id": "h", "frames": [[1e300, 1]]},
        {"id": "i", "frames": [[1, 2]], "tags": [0.5]},
        {"id": "j", "frames": ["there/is/none.png"]},
        {"id": "k", "frames": [[1, 2]], "split": "fold3"},
        [1, 2],
    ]
    opened = open_dataset(lines(tmp_path, good, *faults))
    assert [r.id for r in opened.records] == ["a"]
    codes = ["ANN-SEQ"] * 10 + ["ANN-SPLIT", "ANN-FIELD"]
    assert [(p.code, p.where) for p in opened.problems if p.severity != "note"] == [(code, f"train.jsonl:{i + 2}") for i, code in enumerate(codes)]


@pytest.mark.parametrize("text", ['{"frames": [[NaN]]}', '{"frames": [[1]]} x', '{"frames": [[1]], "frames": 2}', '{"frames": [[1e999]]}', '{"frames"'])
def test_what_is_no_json_is_refused_with_its_line(tmp_path, text):
    with pytest.raises(DataError, match=r"ANN-JSON(.|\n)*train.jsonl:2"):
        open_dataset(lines(tmp_path, {"frames": [[1]]}, text), format="sequences")


def test_clips_of_pictures(tmp_path):
    for i in range(3):
        picture(tmp_path / "data" / "clip" / f"{i}.png", i)
    picture(tmp_path / "data" / "clip" / "big.png", size=20)
    root = lines(
        tmp_path / "data", {"id": "a", "frames": [f"clip/{i}.png" for i in range(3)], "label": "wave"}, {"id": "b", "frames": ["clip/0.png", "clip/big.png"]}
    )
    opened = open_dataset(root)
    assert opened.read(0).shape == (3, 12, 12, 1) and opened.size(0) == (12, 12) and opened.channels == 1
    with pytest.raises(DataError, match=r"ANN-SEQ(.|\n)*20 x 20"):
        opened.read(1)
    back, losses = saved(opened.subset([0]), tmp_path / "out")
    assert losses == [] and np.array_equal(back.read(0), opened.read(0)) and back.records[0].targets["label"].index == 0


def test_what_is_written_reads_the_same(tmp_path):
    for seed in range(12):
        g = np.random.default_rng(seed)
        width, tags = int(g.integers(1, 5)), ["b", "a", "Ä", "10"][: int(g.integers(1, 5))]
        contents = [{"classes": {"tags": tags, "label": ["z", "y"]}}]
        for number in range(int(g.integers(1, 6))):
            steps = int(g.integers(1, 9))
            frames = g.normal(0, 10, (steps, width)).astype(np.float32).tolist()
            content = {"id": f"s{number}", "frames": frames, "label": "zy"[number % 2], "split": ["train", "test"][number % 2], "group": f"g{number // 2}"}
            contents.append(content | ({"tags": [None if g.random() < 0.2 else tags[int(g.integers(len(tags)))] for _ in range(steps)]} if number % 3 else {}))
        first = open_dataset(lines(tmp_path / f"{seed}a", *contents))
        back, losses = saved(first, tmp_path / f"{seed}b")
        assert losses == [] and back.spaces == first.spaces and back.spaces["tags"].names == tuple(tags)
        assert [(r.id, r.split, r.group) for r in back.records] == [(r.id, r.split, r.group) for r in first.records]
        for i in range(len(first)):
            assert np.array_equal(first.read(i), back.read(i)) and first.truth(i)["label"] == back.truth(i)["label"]
            a, b = (data.truth(i)["tags"] for data in (first, back))
            assert (a is None and b is None) or a.tags.tolist() == b.tags.tolist()


def test_single_pictures_are_no_sequences(tmp_path):
    dataset = random_answers(0, tmp_path / "a", "label")
    with pytest.raises(UsageError, match="single pictures"):
        saved(dataset, tmp_path / "b")
    assert open_dataset(folder(tmp_path / "c", "x/1.png", "y/1.png")).format == "folder"
