"""Classification metrics against scikit-learn, torchmetrics and slow definitions."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import LabelSpace
from saccade.metrics import statistics
from saccade.metrics.calibration import expected_calibration_error, reliability
from saccade.metrics.classification import Classification
from saccade.targets.label import Label


def sample(n: int = 300, classes: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.4), n).astype(np.float32)
    return np.array([rng.choice(classes, p=row / row.sum()) for row in p.astype(np.float64)]), p


def filled(truth: np.ndarray, p: np.ndarray, **options: object) -> Classification:
    metric = Classification(LabelSpace(tuple(f"c{k}" for k in range(p.shape[1]))), **options)
    metric.add(truth, p)
    return metric


def test_every_value_is_that_of_the_other_libraries() -> None:
    from sklearn.metrics import f1_score, roc_auc_score, top_k_accuracy_score
    from torchmetrics.functional.classification import multiclass_calibration_error

    truth, p = sample()
    found = {key: value.value for key, value in filled(truth, p, resamples=0).compute().items()}
    assert found["accuracy"] == pytest.approx((p.argmax(1) == truth).mean())
    assert found["accuracy_top5"] == pytest.approx(top_k_accuracy_score(truth, p, k=5))
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, p.astype(np.float64) / p.astype(np.float64).sum(1, keepdims=True), multi_class="ovr"), abs=1e-9)
    assert found["f1"] == pytest.approx(f1_score(truth, p.argmax(1), average="macro"))
    other = multiclass_calibration_error(torch.tensor(p), torch.tensor(truth), num_classes=7, n_bins=15, norm="l1")
    assert found["ece"] == pytest.approx(float(other), abs=1e-5)


def test_two_classes_give_the_auroc_of_the_second_and_no_top5() -> None:
    from sklearn.metrics import roc_auc_score

    truth, p = sample(classes=2)
    found = filled(truth, p, resamples=0).points()
    assert set(found) == {"accuracy", "auroc", "ece", "f1"}
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, p[:, 1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=14))
def test_auroc_is_the_share_of_pairs_in_order_for_any_ties_and_weights(rows: list[tuple[bool, int, int]]) -> None:
    positive, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    won = total = 0.0
    for i, j in itertools.product(range(len(rows)), repeat=2):
        if positive[i] and not positive[j]:
            pair = float(weight[i] * weight[j])
            total += pair
            won += pair * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    found = float(statistics.auroc(positive, score)(weight[:, None].astype(np.float64))[0])
    assert np.isnan(found) if total == 0 else found == pytest.approx(won / total)


def test_the_first_order_auroc_is_close_to_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, p = sample(400, 3)
    exact = filled(truth, p).compute()["auroc"]
    monkeypatch.setattr(statistics, "WORK", 0)
    linear = filled(truth, p).compute()["auroc"]
    assert linear.value == pytest.approx(exact.value, abs=1e-12)
    assert (linear.low, linear.high) == pytest.approx((exact.low, exact.high), abs=4e-3)


def test_top_k_counts_the_lower_id_first_among_equals() -> None:
    p = np.full((3, 4), 0.25)
    assert statistics.top_correct(np.array([0, 1, 3]), p, 2).tolist() == [True, True, False]


@pytest.mark.parametrize("threshold", [None, 0.5, {"c0": 0.9, "c3": 0.4}])
def test_per_class_rows_agree_with_the_confusion_matrix_at_the_threshold(threshold: object) -> None:
    truth, p = sample(200)
    metric = filled(truth, p, threshold=threshold)
    counts, rows = metric.confusion(), metric.per_class()
    assert counts.shape == (7, 8)
    assert counts.sum() == 200
    for k, row in enumerate(rows):
        hits, support, answered = counts[k, k], counts[k].sum(), counts[:, k].sum()
        assert (row["support"], row["answered"]) == (support, answered)
        assert row["precision"] == pytest.approx(hits / answered if answered else np.nan, nan_ok=True)
        assert row["recall"] == hits / support
        assert row["f1"] == 2 * hits / (support + answered)
    values = metric.points()
    assert values["accuracy"] == pytest.approx(np.trace(counts[:, :7]) / 200)
    assert values["f1"] == pytest.approx(np.mean([row["f1"] for row in rows]))
    assert ("coverage" in values) == (threshold is not None)
    if threshold is not None:
        assert values["coverage"] == pytest.approx(1 - counts[:, 7].sum() / 200)
        assert counts[:, 7].sum() > 0


def test_per_class_numbers_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    truth, p = sample()
    rows = filled(truth, p).per_class()
    precision, recall, f1, support = precision_recall_fscore_support(truth, p.argmax(1))
    for k, row in enumerate(rows):
        assert (row["precision"], row["recall"], row["f1"], row["support"]) == pytest.approx((precision[k], recall[k], f1[k], support[k]))
        assert row["auroc"] == pytest.approx(roc_auc_score(truth == k, p[:, k]))
        assert row["recall_low"] <= row["recall"] <= row["recall_high"]


def test_bins_hold_their_upper_edge_and_the_table_sums_to_the_error() -> None:
    truth, p = sample(150)
    rows = reliability(p, truth)
    assert sum(row.n for row in rows) == 150
    by_hand = sum(row.n / 150 * abs(row.confidence - row.accuracy) for row in rows if row.n)
    assert by_hand == pytest.approx(expected_calibration_error(p, truth))
    assert statistics.bin_of(np.array([0.0, 1 / 15, 0.0667, 1.0])).tolist() == [0, 0, 1, 14]


def test_update_is_add_and_ignored_truths_never_enter() -> None:
    truth, p = sample(50)
    one_by_one = Classification(LabelSpace(tuple(f"c{k}" for k in range(7))))
    for t, row in zip(truth, p, strict=True):
        one_by_one.update(Label(int(row.argmax()), torch.tensor(row)), Label(int(t)))
    before = one_by_one.compute()
    one_by_one.update(Label(0, torch.tensor(p[0])), None)
    one_by_one.update(Label(0, torch.tensor(p[0])), Label(-1))
    assert one_by_one.compute() == before == filled(truth, p).compute()
    assert before["accuracy"].n == 50


def test_sum_of_parts_is_the_whole() -> None:
    truth, p = sample(90)
    assert (filled(truth[:40], p[:40]) + filled(truth[40:], p[40:])).compute() == filled(truth, p).compute()
    with pytest.raises(ValueError, match="same classes and thresholds"):
        filled(truth, p) + filled(truth, p, threshold=0.5)


def test_an_answer_without_a_distribution_counts_as_certain_or_unknown() -> None:
    metric = Classification(LabelSpace(("a", "b")), 0.5)
    metric.update(Label(1), Label(1))
    metric.update(Label(-1), Label(1))
    assert metric.confusion().tolist() == [[0, 0, 0], [0, 1, 1]]


def test_no_samples_give_no_numbers_rather_than_an_error() -> None:
    metric = Classification(LabelSpace(("a", "b")))
    assert {value.n for value in metric.compute().values()} == {0}
    assert all(np.isnan(value.value) for value in metric.compute().values())
    assert metric.per_class() == []


def test_classes_that_the_sample_lacks_are_left_out_of_the_means() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32)
    found = filled(np.array([0, 1, 0]), p).compute()
    assert found["f1"].value == found["auroc"].value == 1
    only_one = filled(np.array([0, 0, 0]), p).compute()
    assert np.isnan(only_one["auroc"].value)
