"""Sequences from JSON lines to a report, as a user goes: tags of frames, labels of the whole, frames that are pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from saccade import api
from saccade.data.columns import columns, longest
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.tasks import task_of
from saccade.tasks.sequence import example


def written(root, head, pictures=False, count=20):
    """Sequences of two classes that follow one another, as sequences.jsonl."""
    rng, lines = np.random.default_rng(0), []
    root.mkdir()
    for i in range(count):
        tags = np.repeat([i % 2, 1 - i % 2], rng.integers(3, 6, 2)) if head == "tags" else np.full(int(rng.integers(4, 9)), i % 2)
        if pictures:
            frames = []
            for t, tag in enumerate(tags):
                pixels = (rng.integers(0, 90, (12, 12)) + 150 * (np.arange(12) < 6) * tag).astype(np.uint8)
                Image.fromarray(pixels).save(root / f"{i:02d}_{t}.png")
                frames.append(f"{i:02d}_{t}.png")
        else:
            frames = [[float(tag) + float(v) for v in rng.normal(0, 0.3, 2)] for tag in tags]
        truth = {"tags": ["up" if tag else "down" for tag in tags]} if head == "tags" else {"label": "up" if tags[0] else "down"}
        lines.append(json.dumps({"id": f"s{i}", "frames": frames, "split": "test" if i % 5 == 0 else "train"} | truth))
    (root / "sequences.jsonl").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize(("model", "head", "pictures"), [("ldcrf", "tags", False), ("cnf", "tags", True), ("hcrf", "label", False), ("hmm", "label", False)])
def test_train_and_evaluate(tmp_path, model, head, pictures):
    data = written(tmp_path / "data", head, pictures)
    task = "sequence" if head == "tags" else "sequence_label"
    long = {} if model == "hmm" else {"epochs": "8"}
    run = api.train(data, model=model, task=task, **long, batch=4, out=tmp_path / "run", threads=1, selftest=False)
    assert run.metrics["accuracy"]["value"] > 0.8 and run.evaluated == "test"
    again = api.evaluate(run.path, data)
    assert again.metrics["accuracy"] == run.metrics["accuracy"]
    rows = [json.loads(line) for line in (run.path / "eval" / "predictions.jsonl").read_text().splitlines()]
    if head == "tags":
        assert len(rows) == 4 and all(set(row["tags"]) <= {"up", "down"} for row in rows) and {"segment_f1", "edit", "f1"} <= set(run.metrics)
        assert list((run.path / "eval" / "pictures").glob("*.jpg")) and "picture" in run.report.read_text()


def test_the_labels_say_which_of_the_tasks_it_is(tmp_path):
    from saccade.jobs.options import TrainOptions
    from saccade.jobs.prepare import chosen_task

    for head, name in (("tags", "sequence"), ("label", "sequence_label")):
        path = written(tmp_path / head, head, count=4)
        assert chosen_task(TrainOptions(data=str(path)), open_dataset(path)).name == name
    assert task_of(["label"]).name == "classify" and task_of(["tags"]).name == "sequence"


def test_columns(tmp_path):
    numbers = columns(open_dataset(written(tmp_path / "n", "tags", count=3)))
    assert numbers.read(0).shape[1:] == (1, 2) and numbers.size(0) == (len(numbers.truth(0)["tags"]), 1)
    pictures = columns(open_dataset(written(tmp_path / "p", "tags", pictures=True, count=3)))
    steps = len(pictures.truth(0)["tags"])
    assert pictures.read(0).shape == (12 * steps, 12, 1) and pictures.size(0) == (12 * steps, 12) and len(pictures.fingerprint) == 32
    with pytest.raises(DataError, match=r"ANN-SEQ(.|\n)*at most 2 are taken"):
        columns(open_dataset(tmp_path / "n"), limit=2)
    assert columns(example(2)).read(0).shape == (24, 1, 15) and longest(24) < longest(5000)
