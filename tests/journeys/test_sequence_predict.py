"""`saccade predict MODEL SEQUENCES`: from the line that a training ends with to tags, segments, marginals and ribbons; what becomes of bad sequences."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from saccade import api, bundle
from saccade.bundle import Card
from saccade.core import Inputs, LabelSpace
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, UsageError
from saccade.inference.answers import tags_row
from saccade.inference.sequence_files import expand_sequences
from saccade.models.table import build
from saccade.targets import TagSequence
from tests.journeys.test_sequence_journey import written

SPACE = LabelSpace(("rest", "wave", "point"))


def model_file(path, task="sequence", name="cnf", channels=2, side=1, longest=64):
    """A network with its first weights: what it answers is arbitrary and always the same."""
    torch.manual_seed(0)
    inputs = Inputs(channels, (longest * side, side), (0.2,) * channels, (0.5,) * channels)
    head = "tags" if task == "sequence" else "label"
    arguments = {"units": [8]} if name == "cnf" else {"states": 3}
    model = build(task, name, inputs, SPACE, arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    preprocess = Preprocess(inputs.size, channels, "pad")
    bundle.write(path, model, Card(task, name, arguments, inputs, {head: SPACE}, preprocess.to_dict(), extra={"settings": {"precision": "fp32"}}))
    return path


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def table_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def frames(i, steps=None):
    chance = np.random.default_rng(i)
    return chance.normal(0, 1, (steps or 3 + i, 2)).astype(np.float32)


def test_the_line_that_a_training_ends_with_works(tmp_path, saccade):
    written(tmp_path / "data", "tags")
    options = ("--model", "ldcrf", "--epochs", "2", "--out", "run", "--threads", "1", "--no-selftest", "--set", "states=2")
    told = saccade("train", "data", *options, cwd=tmp_path, timeout=600)
    following = told.out.splitlines()[-1].removeprefix("next   saccade ").split()
    assert following == ["predict", str(tmp_path / "run" / "model.saccade"), "SEQUENCES"]
    done = saccade(*following[:-1], "data", "--overlay", "--probabilities", "--out", "answers", cwd=tmp_path, timeout=600)
    assert "20 of 20 answered" in done.out and "sequences/s" in done.out
    rows = {row["id"]: row for row in rows_of(tmp_path / "answers" / "predictions.jsonl")}
    evaluated = rows_of(tmp_path / "run" / "eval" / "predictions.jsonl")
    assert len(evaluated) == 4 and all(rows[row["id"]]["tags"] == row["tags"] for row in evaluated), "the same answers as evaluate's"
    for row in rows.values():
        assert len(row["p"]) == len(row["tags"]) == len(row["marginals"]["up"])
        assert all(abs(a + b - 1) < 1e-4 for a, b in zip(row["marginals"]["up"], row["marginals"]["down"], strict=True))
    assert sorted(path.name for path in (tmp_path / "answers" / "overlay").iterdir())[0] == "000000_s0.png"
    picture = cv2.imread(str(tmp_path / "answers" / "overlay" / "000000_s0.png"))
    assert picture.shape[1] > 200 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 5
    assert api.evaluate(tmp_path / "run", tmp_path / "data").text().startswith("4 sequences")


def test_every_form_of_input_gives_the_same_answer(tmp_path):
    model, data = model_file(tmp_path / "m.saccade"), tmp_path / "data"
    data.mkdir()
    values = frames(4)
    np.save(data / "a.npy", values)
    savemat(data / "b.mat", {"frames": values.astype(np.float64)})
    (data / "c.csv").write_text("x,y\n" + "\n".join(",".join(repr(float(v)) for v in row) for row in values))
    lines = [{"id": "numbers", "frames": values.astype(float).tolist(), "tags": ["walk"] * 7}, {"frames_path": "a.npy"}, {"frames_path": "b.mat", "label": "x"}]
    (tmp_path / "lines").mkdir()
    for name in ("a.npy", "b.mat"):
        (tmp_path / "lines" / name).write_bytes((data / name).read_bytes())
    text = "\n".join(["", json.dumps({"classes": {"tags": ["rest"]}}), *map(json.dumps, lines)])
    (tmp_path / "lines" / "s.jsonl").write_text("\ufeff" + text)
    first = rows_of(api.predict(model, data, out=tmp_path / "1.jsonl", threads=1).path)
    second = rows_of(api.predict(model, [tmp_path / "lines", data / "c.csv"], out=tmp_path / "2.jsonl", threads=1).path)
    assert [row["id"] for row in first] == ["a.npy", "b.mat", "c.csv"]
    assert [row["id"] for row in second] == ["numbers", f"{tmp_path}/lines/s.jsonl#4", f"{tmp_path}/lines/s.jsonl#5", str(data / "c.csv")]
    assert len({json.dumps(row["tags"]) + json.dumps(row["p"]) for row in (*first, *second)}) == 1 and len(first[0]["tags"]) == 7


def test_folders_of_pictures(tmp_path):
    model = model_file(tmp_path / "m.saccade", channels=1, side=12, longest=20)
    chance = np.random.default_rng(0)
    for clip, steps in (("walk", 3), ("run", 11)):
        (tmp_path / "clips" / clip).mkdir(parents=True)
        for t in range(steps):
            Image.fromarray(chance.integers(0, 255, (12, 12, 3), np.uint8)).save(tmp_path / "clips" / clip / f"{t}.png")
    found = api.predict(model, tmp_path / "clips", out=tmp_path / "out", overlay=True, threads=1)
    rows = rows_of(found.path)
    assert [(row["id"], len(row["tags"])) for row in rows] == [("run", 11), ("walk", 3)] and found.samples == "sequences"
    one = rows_of(api.predict(model, tmp_path / "clips" / "walk", out=tmp_path / "one.jsonl", threads=1).path)
    some = rows_of(api.predict(model, str(tmp_path / "clips" / "w*"), out=tmp_path / "some.jsonl", threads=1).path)
    assert one[0]["tags"] == some[0]["tags"] == rows[1]["tags"] and one[0]["id"] == "walk"
    assert cv2.imread(str(tmp_path / "out" / "overlay" / "000001_walk.png")).shape[0] > 12


def test_labels_of_sequences(tmp_path):
    model = model_file(tmp_path / "m.saccade", "sequence_label", "hcrf")
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", frames(i))
    found = api.predict(model, str(tmp_path / "*.npy"), out=tmp_path / "answers.csv", probabilities=True, overlay=True, threads=1)
    table = table_of(found.path)
    assert len(table) == 3 and all(row["answer"] in SPACE.names and abs(sum(float(row[f"p({name})"]) for name in SPACE.names) - 1) < 1e-4 for row in table)
    assert len(list((tmp_path / "answers.overlay").iterdir())) == 3
    with pytest.raises(UsageError, match="segments are of tags"):
        api.predict(model, str(tmp_path / "0.npy"), out=tmp_path / "x", as_="segments")


def test_bad_sequences_stop_no_job(tmp_path, monkeypatch):
    model, lines = model_file(tmp_path / "m.saccade", longest=64), []
    lines += [json.dumps({"id": f"good{i}", "frames": frames(i).astype(float).tolist()}) for i in range(5)]
    bad = {
        "wide": {"frames": [[1, 2, 3]]},
        "ragged": {"frames": [[1, 2], [3]]},
        "long": {"frames": [[0, 0]] * 65},
        "outside": {"frames_path": "../secret.npy"},
        "none": {},
        "pictures": {"frames": ["a.png"]},
    }
    lines[2:2] = ['{"id": "cut", "frames": [[1, 2', "[1, 2]", *(json.dumps({"id": name, **content}) for name, content in bad.items())]
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    (tmp_path / "a.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    found = api.predict(model, ["s.jsonl", "missing.npy", "a.png"], out="out", batch=4, threads=1)
    assert (found.n, found.ok, found.failed, found.exit) == (15, 5, 10, 7) and found.error().code == "PRED-FAILED"
    rows = rows_of(found.path)
    assert [row["id"] for row in rows if row["status"] == "ok"] == [f"good{i}" for i in range(5)]
    failed = {row["id"]: row for row in rows if row["status"] == "failed"}
    assert failed["wide"]["what"].endswith("3 numbers a frame; the model takes 2 numbers a frame") and failed["wide"]["where"] == "s.jsonl (wide)"
    assert "65 frames, at most 64" in failed["long"]["what"] and failed["s.jsonl#3"]["code"] == "ANN-JSON" and failed["s.jsonl#4"]["code"] == "ANN-FIELD"
    assert "leaves the data folder" in failed["outside"]["what"] and "single picture" in failed["a.png"]["what"]
    assert failed["missing.npy"]["code"] == "ANN-UNREADABLE" and "pictures" in failed["pictures"]["what"]
    with pytest.raises(DataError):
        api.predict(model, "s.jsonl", out="stop", on_error="stop", threads=1)


@pytest.mark.parametrize("done", [1, 4, 6, 7])
def test_where_it_goes_on_changes_no_byte(done, tmp_path):
    model, data = model_file(tmp_path / "m.saccade"), tmp_path / "s.jsonl"
    lines = [{"id": str(i), "frames": frames(i, 3 + 7 * (i % 3)).astype(float).tolist()} for i in range(11)]
    lines[4] = lines[5] = lines[6] = lines[7] = {"frames": []}
    data.write_text("\n".join(map(json.dumps, lines)))
    options = {"batch": 4, "as_": "segments"}
    whole = api.predict(model, data, out=tmp_path / "whole", threads=1, **options)
    again = tmp_path / "again"
    api.predict(model, data, out=again, threads=2, **options)
    text = (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    assert (again / "predictions.jsonl").read_bytes() == text, "threads change nothing"
    kept = text.splitlines(keepends=True)
    (again / "predictions.jsonl").write_bytes(b"".join(kept[:done]) + kept[done][:9])
    with pytest.raises(UsageError, match="RUN-EXISTS"):
        api.predict(model, data, out=again, **options)
    found = api.predict(model, data, out=again, resume=True, **options)
    assert (again / "predictions.jsonl").read_bytes() == text and found.failed == 4 and found.exit == 7
    table = table_of(found.path)
    assert found.path.read_bytes() == whole.path.read_bytes() and found.path.name == "predictions.segments.csv"
    row = rows_of(again / "predictions.jsonl")[2]
    own = [part for part in table if part["id"] == "2"]
    assert [part["tag"] for part in own for _ in range(int(part["frames"]))] == row["tags"] and own[0]["start"] == "0"
    assert float(own[0]["score"]) == pytest.approx(np.mean(row["p"][: int(own[0]["end"])]), abs=1e-5)
    data.write_text("\n".join(map(json.dumps, lines[::-1])))
    with pytest.raises(UsageError, match="RUN-CONFIG"):
        api.predict(model, data, out=again, resume=True, **options)


def test_what_is_asked_of_pictures_alone_is_refused(tmp_path):
    model = model_file(tmp_path / "m.saccade")
    np.save(tmp_path / "a.npy", frames(0))
    for option in ({"tile": 64}, {"views": "flip"}, {"as_": "coco"}, {"top": 2}, {"threshold": 0.5}):
        with pytest.raises(UsageError, match="USE-OPTION"):
            api.predict(model, tmp_path / "a.npy", out=tmp_path / "out", **option)
    together = api.predict(model, tmp_path / "a.npy", out=tmp_path / "both.jsonl", with_=(model,), threads=1, overlay=True)
    alone = api.predict(model, tmp_path / "a.npy", out=tmp_path / "one.jsonl", threads=1)
    assert rows_of(together.path)[0]["p"] == pytest.approx(rows_of(alone.path)[0]["p"], abs=1e-5)
    with pytest.raises(DataError, match="PRED-NONE"):
        (tmp_path / "empty").mkdir()
        expand_sequences(tmp_path / "empty")


def test_segments_are_runs_of_one_tag():
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.7, 0.3, 0.0], [0.0, 0.5, 0.5], [0.8, 0.1, 0.1]])
    row = tags_row(TagSequence(torch.tensor([0, 0, 2, 0]), scores), SPACE)
    assert row["segments"] == [
        {"tag": "rest", "start": 0, "end": 2, "score": 0.8},
        {"tag": "point", "start": 2, "end": 3, "score": 0.5},
        {"tag": "rest", "start": 3, "end": 4, "score": 0.8},
    ]
    assert tags_row(TagSequence.empty(), SPACE) == {"tags": [], "segments": []} and "p" not in tags_row(TagSequence(torch.tensor([-1])), SPACE)
