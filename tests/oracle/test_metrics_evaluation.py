"""One pass over a data set, the files it leaves, and two of them compared."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from saccade.core import Inputs, LabelSpace
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, UsageError
from saccade.inference.classified import Classified, classify_all
from saccade.models.table import MODELS


def made(n: int = 60, classes: tuple[str, ...] = ("cat", "=dog", "unknown"), seed: int = 0, **options: object) -> Classified:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(len(classes)), n).astype(np.float32)
    truth = rng.integers(0, len(classes), n)
    ids = tuple(f"{i:02d}.png" for i in range(n))
    return Classified(LabelSpace(classes), ids, ids, truth, p, tuple(f"p{i // 2}" for i in range(n)), **options)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    first = made(thresholds={"cat": 0.6, "=dog": 0.5, "unknown": 0.0})
    first.write(tmp_path)
    again = Classified.read(tmp_path)
    assert (again.space, again.ids, again.paths, again.groups) == (first.space, first.ids, first.paths, first.groups)
    assert (again.truth == first.truth).all()
    assert (again.probabilities.astype(np.float32) == first.probabilities).all()
    assert again.thresholds == first.thresholds
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert {key: value["value"] for key, value in stored.items()} == pytest.approx({key: value.value for key, value in again.values.items()})
    assert set(stored["accuracy"]) == {"value", "low", "high", "n"}


def test_the_files_agree_with_each_other(tmp_path: Path) -> None:
    first = made(thresholds=0.5)
    first.write(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    wrong = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert len(wrong) == sum(row["correct"] is False for row in rows)
    losses = [row["loss"] for row in wrong]
    assert losses == sorted(losses, reverse=True)
    assert rows[0]["loss"] == pytest.approx(-np.log(first.probabilities[0, first.truth[0]]), abs=1e-5)
    counts = table(tmp_path / "confusion.csv")
    assert list(counts[0]) == ["truth", "cat", "'=dog", "unknown", "unknown (below its threshold)"]
    assert [row["truth"] for row in counts] == ["cat", "'=dog", "unknown"]
    accuracy = json.loads((tmp_path / "metrics.json").read_text())["accuracy"]["value"]
    assert accuracy == pytest.approx(sum(int(row[name]) for row, name in zip(counts, ("cat", "'=dog", "unknown"), strict=True)) / 60)
    assert accuracy == pytest.approx(np.mean([row["correct"] for row in rows]))
    for row, per in zip(counts, table(tmp_path / "per_class.csv"), strict=True):
        assert per["class"] == row["truth"]
        assert sum(int(v) for k, v in row.items() if k != "truth") == int(per["support"])
        assert float(per["recall"]) == pytest.approx(int(row[row["truth"]]) / int(per["support"]))
    assert sum(int(row["n"]) for row in table(tmp_path / "calibration.csv")) == 60


def test_a_class_called_unknown_is_not_an_open_answer() -> None:
    p = np.array([[0.4, 0.6], [0.45, 0.55]])
    rows = Classified(LabelSpace(("a", "unknown")), ("0", "1"), ("0", "1"), np.array([1, 1]), p, (None, None), 0.58).rows
    assert [row["answer"] for row in rows] == ["unknown", "unknown"]
    assert [row["correct"] for row in rows] == [True, False]


def test_unlabelled_images_have_an_answer_and_no_loss(tmp_path: Path) -> None:
    p = np.array([[0.4, 0.6], [0.9, 0.1]])
    found = Classified(LabelSpace(("a", "b")), ("0", "1"), ("0", "1"), np.array([-1, 0]), p, (None, None))
    assert (found.rows[0]["truth"], found.rows[0]["loss"], found.rows[0]["correct"]) == (None, None, None)
    assert found.values["accuracy"].n == 1
    found.write(tmp_path)
    assert Classified.read(tmp_path).truth.tolist() == [-1, 0]


STRANGE = '{"id":"a","path":"a","truth":"z","answer":"a","group":null,"probabilities":{"a":1.0}}\n'


@pytest.mark.parametrize("content", ["{", '{"id": "a"}\n', STRANGE, "[]\n", "\xff\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "predictions.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"predictions\.jsonl is damaged"):
        Classified.read(tmp_path)


def test_evaluate_is_the_model_on_every_image_in_order(digits_folder: Path) -> None:
    dataset = open_dataset(digits_folder).subset(list(range(0, 300, 7)))
    preprocess = Preprocess((8, 8), 1)
    torch.manual_seed(0)
    model = MODELS["classify"]["small"](Inputs(1, (8, 8), (0.3,), (0.3,)), dataset.spaces["label"])
    model.train()
    seen: list[tuple[int, int]] = []
    loader = Loader(dataset, preprocess, batch_size=16)
    found = classify_all(model, loader, space=dataset.spaces["label"], temperature=2.0, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (43, 43)
    assert found.ids == tuple(record.id for record in dataset.records)
    assert found.paths == found.ids
    assert not any(Path(path).is_absolute() for path in found.paths)
    logits: list[Tensor] = []
    with torch.no_grad():
        for batch in Loader(dataset, preprocess, batch_size=5).epoch(0):
            outs = model.eval().outputs(batch.inputs, batch.sizes)["label"]
            logits.append(outs.logits)
    expected = torch.cat(logits).double().div(2).softmax(1).numpy()
    assert found.probabilities == pytest.approx(expected, abs=1e-5)
    assert (found.truth == [record.targets["label"].index for record in dataset.records]).all()


def test_an_image_that_cannot_be_read_is_in_no_row(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((8, 8), 40 * i + (10 if name == "a" else 0), np.uint8)).save(tmp_path / name / f"{i}.png")
    dataset = open_dataset(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"no image")
    model = MODELS["classify"]["small"](Inputs(1, (8, 8), (0.3,), (0.3,)), dataset.spaces["label"])
    loader = Loader(dataset, Preprocess((8, 8), 1), batch_size=4)
    found = classify_all(model, loader, space=dataset.spaces["label"])
    assert found.ids == ("a/0.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png")
    assert [Path(problem.where).name for problem in loader.problems] == ["1.png"]


def test_compare_is_b_minus_a_on_the_same_images_in_any_order(tmp_path: Path) -> None:
    from dataclasses import replace

    from saccade.jobs.compare import run_compare

    a = made(120, ("no", "yes"))
    better = np.where(np.arange(120)[:, None] % 4 == 0, a.probabilities, 0.2 + 0.6 * np.eye(2)[a.truth])
    order = np.random.default_rng(0).permutation(120)
    b = replace(a, probabilities=better)
    shuffled = Classified(b.space, *(tuple(x[i] for i in order) for x in (b.ids, b.paths)), b.truth[order], better[order], tuple(b.groups[i] for i in order))
    a.write(tmp_path / "a")
    shuffled.write(tmp_path / "b" / "eval")
    found = run_compare(tmp_path / "a", tmp_path / "b")
    assert found.n == 120
    assert found.metrics["accuracy"].difference == pytest.approx(b.values["accuracy"].value - a.values["accuracy"].value)
    assert found.metrics["auroc"].difference == pytest.approx(b.values["auroc"].value - a.values["auroc"].value)
    assert found.metrics["accuracy"].test.endswith("over groups")
    assert found.metrics["accuracy"].p < 0.05
    backwards = run_compare(tmp_path / "b", tmp_path / "a")
    assert backwards.metrics["auroc"].difference == pytest.approx(-found.metrics["auroc"].difference)
    assert "120 images in both" in found.text()
    for row in found.classes:
        own = a.truth == a.space.index(row["class"])
        assert row["a"] == pytest.approx((a.probabilities.argmax(1) == a.truth)[own].mean())


def test_compare_refuses_other_images_and_folders_without_answers(tmp_path: Path) -> None:
    from saccade.jobs.compare import run_compare

    made(10).write(tmp_path / "a")
    made(12).write(tmp_path / "b")
    with pytest.raises(DataError, match="10 and 12 images, 10 in both") as caught:
        run_compare(tmp_path / "a", tmp_path / "b")
    assert caught.value.code == "COMPARE-SET"
    with pytest.raises(UsageError) as missing:
        run_compare(tmp_path / "a", tmp_path / "c")
    assert missing.value.code == "RUN-MISSING"
    relabelled = made(10)
    relabelled.truth[3] = (relabelled.truth[3] + 1) % 3
    relabelled.write(tmp_path / "b")
    with pytest.raises(DataError, match="1 images have another true class"):
        run_compare(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "predictions.jsonl").write_text("{")
    with pytest.raises(DataError, match="is damaged") as damaged:
        run_compare(tmp_path / "a", tmp_path / "b")
    assert damaged.value.code == "COMPARE-SET"


def test_gates_hold_or_exit_with_eight() -> None:
    from saccade.errors import GateError
    from saccade.jobs.evaluate import held

    found = made(40)
    held(found, ("accuracy>=0.0", "ece < 1"))
    with pytest.raises(GateError, match=r"the gate is >= 0\.99") as caught:
        held(found, ("accuracy>=0.99",))
    assert (caught.value.code, caught.value.exit) == ("GATE-FAILED", 8)
    with pytest.raises(UsageError, match="the metrics are accuracy"):
        held(found, ("accurracy>=0.9",))
