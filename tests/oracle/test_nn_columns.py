"""Several questions of an image with one answer each: read from a table's columns, learnt by a softmax each, answered with one class each."""

import csv

import numpy as np
import pytest
import torch

import saccade
from saccade.core import Features, LabelSpace, Level
from saccade.data.open import open_dataset
from saccade.inference.postprocess import Thresholded
from saccade.metrics.multi_label import MultiLabelScores
from saccade.nn.heads.columns import Columns
from saccade.targets import Boxes, Labels

NAMES = ("colour=blue", "colour=red", "shape=disc", "shape=ring", "shape=square", "wet")


def truths(*rows: tuple[int, ...]) -> list[Labels]:
    return [Labels(torch.tensor(row, dtype=torch.int8)) for row in rows]


def test_the_loss_is_a_cross_entropy_a_question_and_unknown_ones_cost_nothing():
    torch.manual_seed(0)
    head = Columns(Level(4, 2), NAMES).double()
    maps = torch.randn(3, 4, 2, 2, dtype=torch.float64)
    out = head(Features([torch.zeros(3, 1, 4, 4), maps], torch.tensor([[4, 4]] * 3)))
    found = head.loss(out, truths((1, 0, 0, 0, 1, 1), (-1, -1, 0, 1, 0, -1), (0, 1, -1, -1, -1, 0)))
    z = out.logits.detach()
    cross = lambda rows, places, right: float(np.mean([torch.logsumexp(z[i, places], 0) - z[i, k] for i, k in zip(rows, right, strict=True)]))  # noqa: E731
    wet = float(torch.nn.functional.binary_cross_entropy_with_logits(z[[0, 2], 5], torch.tensor([1.0, 0.0], dtype=torch.float64)))
    expected = {"colour": cross([0, 2], [0, 1], [0, 1]), "shape": cross([0, 1], [2, 3, 4], [4, 3]), "wet": wet}
    assert set(found) == set(expected) and all(float(found[k].detach()) == pytest.approx(v) for k, v in expected.items())
    assert float(head.loss(out, truths((-1,) * 6))["cross_entropy"].detach()) == 0
    for answer in head.decode(out, []):
        assert answer.values[:2].sum() == 1 and answer.values[2:5].sum() == 1
        assert float(answer.scores[:2].sum()) == pytest.approx(1) and float(answer.scores[2:5].sum()) == pytest.approx(1)


def test_users_get_one_answer_a_question_whatever_the_thresholds():
    space = LabelSpace(NAMES)
    answer = Labels(torch.zeros(6, dtype=torch.int8), torch.tensor([0.3, 0.7, 0.3, 0.36, 0.34, 0.6]))
    (done,) = Thresholded({"colour=red": 0.9, "wet": 0.7}).apply([answer], space)
    assert done.values.tolist() == [0, 1, 0, 1, 0, 0]


def test_the_accuracy_of_each_question_is_of_those_that_know():
    metric = MultiLabelScores(LabelSpace(NAMES))
    for scores, truth in (((0.9, 0.1, 0.5, 0.3, 0.2, 0.5), (1, 0, 0, 1, 0, 1)), ((0.2, 0.8, 0.1, 0.2, 0.7, 0.5), (-1, -1, 0, 0, 1, 0))):
        metric.update(Labels(torch.zeros(6, dtype=torch.int8), torch.tensor(scores)), truths(truth)[0])
    found = metric.compute()
    assert (found["accuracy_colour"].value, found["accuracy_shape"].value) == (1.0, 0.5) and "accuracy_wet" not in found


def test_columns_of_a_table_are_questions_and_are_learnt(tmp_path):
    import cv2

    rng, rows = np.random.default_rng(0), [("file", "colour", "shape")]
    for i in range(60):
        red, square = bool(i % 2), bool(i // 2 % 2)
        image = rng.integers(0, 40, (16, 16, 3), np.uint8)
        image[4:12, 4:12] = (30, 30, 220) if red else (220, 30, 30)
        if not square:
            image[6:10, 6:10] = 0
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        rows.append((f"{i}.png", "red" if red else "blue", "" if i % 7 == 0 else "square" if square else "ring"))
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    opened = open_dataset(tmp_path / "table.csv", label="colour,shape")
    assert opened.spaces["labels"].names == ("colour=blue", "colour=red", "shape=ring", "shape=square")
    assert opened.records[0].targets["labels"].values.tolist() == [1, 0, -1, -1] and opened.records[1].targets["labels"].values.tolist() == [0, 1, 1, 0]
    options = {"label": "colour,shape", "model": "columns", "epochs": "15", "floors": False, "selftest": False, "workers": 0, "augment": "none"}
    run = saccade.train(tmp_path / "table.csv", out=tmp_path / "run", test=0.3, **options)
    assert run.metrics["accuracy_colour"]["value"] > 0.9 and run.metrics["accuracy_shape"]["value"] > 0.7


def test_a_threshold_of_zero_is_one():
    boxes = Boxes(torch.tensor([[0.0, 0, 4, 4], [5, 5, 9, 9]]), torch.tensor([0, 1]), torch.tensor([0.1, 0.9]))
    space = LabelSpace(("a", "b"))
    assert len(Thresholded().apply([boxes], space)[0]) == 1  # nothing was said: 0.3
    assert len(Thresholded().with_thresholds(0.0, space).apply([boxes], space)[0]) == 2
    assert len(Thresholded({"b": 0.5}).apply([boxes], space)[0]) == 2
