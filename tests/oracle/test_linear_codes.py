"""Principal-component regression and partial least squares against their definitions and scikit-learn's own."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from saccade.classic.linear_codes import PartialLeastSquares, PrincipalRegression

CHANCE = np.random.default_rng(0)
ROWS = CHANCE.normal(size=(60, 7)) @ CHANCE.normal(size=(7, 7)) + 3
TRUTH = ROWS @ CHANCE.normal(size=(7, 2)) + CHANCE.normal(size=(60, 2))
NEW = CHANCE.normal(size=(9, 7))


def test_principal_regression_is_least_squares_on_the_components():
    found = PrincipalRegression(3).fit(ROWS, TRUTH)
    peer = PCA(3).fit(ROWS)
    expected = LinearRegression().fit(peer.transform(ROWS), TRUTH).predict(peer.transform(NEW))
    np.testing.assert_allclose(found.predict(NEW), expected, atol=1e-9)
    np.testing.assert_allclose(np.abs(found.transform(NEW)), np.abs(peer.transform(NEW)), atol=1e-9)
    whole = PrincipalRegression(7).fit(ROWS, TRUTH)
    np.testing.assert_allclose(whole.predict(NEW), LinearRegression().fit(ROWS, TRUTH).predict(NEW), atol=1e-8)  # all components: plain regression


def test_partial_least_squares_is_the_definition_and_scikit_learns():
    for truth in (TRUTH, TRUTH[:, 0]):
        found, peer = PartialLeastSquares(3).fit(ROWS, truth), PLSRegression(3, scale=False, max_iter=5000, tol=1e-10).fit(ROWS, truth)
        np.testing.assert_allclose(found.predict(NEW), peer.predict(NEW), atol=1e-4)
    centred, answers = ROWS - ROWS.mean(0), TRUTH[:, 0] - TRUTH[:, 0].mean()
    left, codes = centred.copy(), []
    for _ in range(3):  # by hand: the direction of largest covariance, and what it explains is taken out of the rows
        weight = left.T @ answers
        code = left @ (weight / np.linalg.norm(weight))
        codes.append(code)
        left = left - np.outer(code, code @ left / (code @ code))
    own = PartialLeastSquares(3).fit(ROWS, TRUTH[:, 0])
    np.testing.assert_allclose(np.abs(own.transform(ROWS)), np.abs(np.stack(codes, 1)), atol=1e-6)
    first = np.linalg.svd(centred.T @ (TRUTH - TRUTH.mean(0)))[0][:, 0]  # of several answers: the first singular vector of the covariances
    direction = PartialLeastSquares(1).fit(ROWS, TRUTH).transform(np.eye(7)) - PartialLeastSquares(1).fit(ROWS, TRUTH).transform(np.zeros((1, 7)))
    assert abs(float(direction[:, 0] @ first)) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(PartialLeastSquares(7).fit(ROWS, TRUTH).predict(NEW), LinearRegression().fit(ROWS, TRUTH).predict(NEW), atol=1e-6)


@pytest.mark.parametrize("kind", [PrincipalRegression, PartialLeastSquares])
def test_classes_units_and_digits(kind):
    labels = (ROWS[:, 0] > ROWS[:, 1]).astype(np.int64) * 4
    found = kind(5, standardise=True).fit(ROWS, labels)
    scaled = kind(5, standardise=True).fit(ROWS * [1, 100, 1, 1, 0.01, 1, 1], labels)
    np.testing.assert_allclose(scaled.decision(ROWS * [1, 100, 1, 1, 0.01, 1, 1]), found.decision(ROWS), atol=1e-6)
    assert set(found.predict(ROWS)) <= {0, 4} and (found.predict(ROWS) == labels).mean() > 0.8
    np.testing.assert_allclose(found.decision(ROWS).sum(1), 1.0, atol=1e-6)  # the indicators of one row add up to one
    values, digits = load_digits(return_X_y=True)
    assert (kind(15).fit(values[:900], digits[:900]).predict(values[900:]) == digits[900:]).mean() > 0.8


def test_the_truth_chooses_the_directions():
    values, digits = load_digits(return_X_y=True)
    accuracy = [(kind(5).fit(values[:900], digits[:900]).predict(values[900:]) == digits[900:]).mean() for kind in (PrincipalRegression, PartialLeastSquares)]
    assert accuracy[1] > accuracy[0] + 0.02


@pytest.mark.parametrize("kind", [PrincipalRegression, PartialLeastSquares])
def test_what_cannot_be_fitted_is_refused(kind):
    with pytest.raises(ValueError, match="1 or more"):
        kind(0)
    for rows, truth, text in ((ROWS, TRUTH[:3], "a truth each"), (ROWS[:4], TRUTH[:4], "5 components of 4 rows"), (ROWS * np.nan, TRUTH, "finite")):
        with pytest.raises(ValueError, match=text):
            kind(5).fit(rows, truth)
    with pytest.raises(ValueError, match="the same"):
        PartialLeastSquares(1).fit(ROWS, np.ones(60))
