"""Support vector machines, hard negative mining, ridge regression and probabilities: against scikit-learn, closed forms, and all examples at once."""

from __future__ import annotations

import numpy as np
import pytest

from saccade.classic.linear_svm import calibrated, fit_svm, mined_svm, ridge

pytestmark = pytest.mark.oracle


def examples(n=300, d=12, seed=0, share=0.3):
    chance = np.random.default_rng(seed)
    positive = chance.random(n) < share
    x = chance.normal(size=(n, d)) + positive[:, None] * chance.normal(0.5, 0.3, d)
    return x, positive


def objective(machine, x, positive, cost, weight, bias=10.0):
    y = np.where(positive, 1.0, -1.0)
    violated = np.maximum(0, 1 - y * machine(x))
    return (machine.weight @ machine.weight + (machine.bias / bias) ** 2) / 2 + cost * (np.where(positive, weight, 1.0) * violated**2).sum()


@pytest.mark.parametrize("cost", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_the_machine_is_that_of_scikit_learn(cost, weight):
    svm = pytest.importorskip("sklearn.svm")
    x, positive = examples()
    got = fit_svm(x, positive, cost=cost, positive_cost=weight)
    peer = svm.LinearSVC(loss="squared_hinge", dual=False, C=cost, class_weight={True: weight, False: 1.0}, intercept_scaling=10.0, tol=1e-10, max_iter=100_000)
    peer.fit(x, positive)
    np.testing.assert_allclose(got.weight, peer.coef_[0], atol=1e-5)
    assert got.bias == pytest.approx(peer.intercept_[0], abs=1e-5)


def test_no_other_machine_nearby_is_better():
    x, positive = examples(seed=2)
    got = fit_svm(x, positive, cost=0.05)
    chance, best = np.random.default_rng(1), objective(got, x, positive, 0.05, 2.0)
    for _ in range(50):
        other = got._replace(weight=got.weight + chance.normal(0, 1e-3, len(got.weight)), bias=got.bias + chance.normal(0, 1e-3))
        assert objective(other, x, positive, 0.05, 2.0) > best
    for refused in (positive | True, positive & False):
        with pytest.raises(ValueError, match="both kinds"):
            fit_svm(x, refused)


def test_mining_finds_the_machine_of_all_negatives():
    x, positive = examples(4000, 10, seed=3, share=0.05)
    positives, negatives = x[positive], x[~positive]
    every = fit_svm(x, positive, cost=0.01)
    seen = []

    def chunks():
        for part in np.array_split(negatives, 40):
            seen.append(len(part))
            yield part

    got = mined_svm(positives, chunks, cost=0.01, each=200, passes=3)
    assert len(seen) == 120
    np.testing.assert_allclose(got.weight, every.weight, atol=0.02)
    assert objective(got, x, positive, 0.01, 2.0) < 1.01 * objective(every, x, positive, 0.01, 2.0)
    few = mined_svm(positives, chunks, cost=0.01, each=200, most=300)
    assert (few(positives) > 0).mean() > (few(negatives) > 0).mean() + 0.3
    with pytest.raises(ValueError, match="both kinds"):
        mined_svm(positives, lambda: [])


@pytest.mark.parametrize("n", [8, 30, 200])
def test_ridge_is_the_closed_form(n):
    chance = np.random.default_rng(n)
    x, y = chance.normal(size=(n, 30)) + 3, chance.normal(size=(n, 4)) - 1
    got, penalty = ridge(x, y, 2.5), 2.5
    wide = np.concatenate([x, np.ones((n, 1))], 1)
    free = np.diag([penalty] * 30 + [0.0])
    theirs = np.linalg.solve(wide.T @ wide + free, wide.T @ y)
    np.testing.assert_allclose(got.weight, theirs[:-1].T, atol=1e-8)
    np.testing.assert_allclose(got.bias, theirs[-1], atol=1e-7)
    np.testing.assert_allclose(got(x), wide @ theirs, atol=1e-7)
    linear = pytest.importorskip("sklearn.linear_model")
    np.testing.assert_allclose(got.weight, linear.Ridge(alpha=penalty).fit(x, y).coef_, atol=1e-6)
    for bad in ((x[:0], y[:0], 1.0), (x, y, 0.0)):
        with pytest.raises(ValueError, match="a penalty above 0"):
            ridge(*bad)


def test_scores_become_the_most_likely_probabilities():
    chance = np.random.default_rng(0)
    scores = chance.normal(0, 2, 5000)
    positive = chance.random(5000) < 1 / (1 + np.exp(-(1.5 * scores - 2)))
    slope, offset = calibrated(scores, positive)
    assert slope == pytest.approx(1.5, abs=0.12) and offset == pytest.approx(-2, abs=0.12)
    goal = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2))
    p = 1 / (1 + np.exp(-(slope * scores + offset)))
    assert abs((p - goal).sum()) < 1e-4 and abs(((p - goal) * scores).sum()) < 1e-4  # the gradient
    assert calibrated(-scores, positive)[0] == 1e-3
    slope, offset = calibrated(scores, scores > 0)  # separable: the targets keep it finite
    assert np.isfinite([slope, offset]).all() and slope > 1
    assert all(np.isfinite(calibrated(scores, np.full(5000, answer))).all() for answer in (True, False))
