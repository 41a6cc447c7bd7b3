"""PCA against scikit-learn's, in memory, in parts and by chance; whitening by its definition."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA as Sklearn

from saccade.classic.pca import PCA
from saccade.data.whiten import Whitener
from saccade.ops.principal import Moments, moments

pytestmark = pytest.mark.oracle
DIGITS = load_digits().data


def rows(n, d, seed=0):
    chance = np.random.default_rng(seed)
    return chance.normal(size=(n, d)) @ chance.normal(size=(d, d)) + 5


@pytest.mark.parametrize(("n", "d"), [(300, 20), (15, 40), (20, 20), (2, 3)])
@pytest.mark.parametrize("components", [None, 2, 0.9])
def test_exact_is_scikit_learns(n, d, components):
    x = rows(n, d)
    ours, theirs = PCA(components).fit(x), Sklearn(components, svd_solver="full").fit(x)
    assert ours.n_components_ == theirs.n_components_
    k = min(ours.n_components_, min(n - 1, d))  # the axis without variance is anyone's
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_, atol=1e-8)
    assert np.allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, atol=1e-10)
    signs = np.sign((ours.components_[:k] * theirs.components_[:k]).sum(1))[:, None]
    assert np.allclose(ours.components_[:k], signs * theirs.components_[:k], atol=1e-6)
    assert np.allclose(np.abs(ours.transform(x)), np.abs(theirs.transform(x)), atol=1e-5)
    assert np.allclose(ours.inverse_transform(ours.transform(x)), theirs.inverse_transform(theirs.transform(x)), atol=1e-6)


def test_the_largest_value_of_every_axis_is_positive():
    axes = PCA(10).fit(DIGITS).components_
    assert (axes[np.arange(10), np.abs(axes).argmax(1)] > 0).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_parts_of_any_size_give_the_same_as_the_whole(kind, monkeypatch):
    monkeypatch.setattr("saccade.classic.pca.PART", 100)
    monkeypatch.setattr("saccade.ops.principal.ROWS", 37)
    whole, theirs, stream = PCA(8).fit(DIGITS.astype(kind)), Sklearn(8, svd_solver="full").fit(DIGITS), PCA(8)
    for start, stop in ((0, 1), (1, 700), (700, 1797)):
        stream.partial_fit(DIGITS[start:stop].astype(kind))
    for found in (whole, stream):
        assert np.allclose(found.explained_variance_, theirs.explained_variance_, rtol=1e-5)
        assert np.allclose(np.abs((found.components_ * theirs.components_).sum(1)), 1, atol=1e-5)


def test_a_large_mean_loses_nothing():
    x = rows(5000, 4).astype(np.float64) * 1e-2 + 1e6
    found = moments([x[:100], x[100:]])
    assert np.allclose(found.scatter / 4999, np.cov(x.T), rtol=1e-6) and np.allclose(found.mean, x.mean(0))
    assert np.allclose(moments([x.astype(np.float32)]).scatter, np.cov(x.astype(np.float32).astype(np.float64).T) * 4999, rtol=1e-3)


@pytest.mark.parametrize("method", ["randomised", "incremental"])
def test_few_axes_by_chance_and_by_parts_are_near(method):
    found, theirs = PCA(5, method=method).fit(DIGITS), Sklearn(5, svd_solver="full").fit(DIGITS)
    assert np.allclose(found.explained_variance_, theirs.explained_variance_, rtol=0.02)
    assert (np.linalg.svd(found.components_ @ theirs.components_.T)[1] > 0.98).all()
    again = PCA(5, method=method).fit(DIGITS)
    assert np.array_equal(found.components_, again.components_)


def test_wide_rows_need_no_covariances():
    x = np.random.default_rng(0).normal(size=(30, 5000)).astype(np.float32)
    ours, theirs = PCA(3).fit(x), Sklearn(3, svd_solver="full").fit(x.astype(np.float64))
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-6)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_whitened_rows_have_unit_covariance_and_come_back(kind):
    x = rows(400, 6)
    found = PCA(whiten=kind).fit(x)
    white = found.transform(x)
    assert np.allclose(np.cov(white.T), np.eye(6), atol=1e-8) and np.allclose(found.inverse_transform(white), x, atol=1e-8)
    assert np.allclose(white, Whitener.fit(x, kind=kind, epsilon=0.0).transform(x), atol=1e-6)
    if kind == "pca":
        assert np.allclose(np.abs(white), np.abs(Sklearn(whiten=True, svd_solver="full").fit_transform(x)), atol=1e-8)
    else:  # of all whitenings the one nearest to the rows: its matrix is symmetric
        matrix = found.whitener().matrix
        assert np.allclose(matrix, matrix.T)


def test_what_was_learnt_can_be_stored():
    found = PCA(3, whiten="pca").fit(DIGITS)
    other = PCA(3, whiten="pca").load_state(found.state())
    assert np.array_equal(other.transform(DIGITS), found.transform(DIGITS))


def test_values_out_of_range_are_refused():
    for wrong in (dict(components=0), dict(components=1.5), dict(method="fast"), dict(whiten="none"), dict(epsilon=-1.0), dict(method="randomised")):
        with pytest.raises(ValueError, match="got"):
            PCA(**wrong)
    with pytest.raises(ValueError, match="at most 2"):
        PCA(3).fit(rows(2, 5))
    with pytest.raises(ValueError, match="two rows"):
        PCA().fit(rows(1, 5))
    with pytest.raises(ValueError, match="not finite"):
        PCA().fit(np.array([[1.0, np.nan], [0.0, 1.0], [3.0, 2.0]]))
    with pytest.raises(ValueError, match="numbers"):
        PCA().fit(np.array([["a"]]))
    with pytest.raises(ValueError, match="sees all rows at once"):
        PCA(2, method="randomised").partial_fit(DIGITS)
    with pytest.raises(ValueError, match="too much memory"):
        PCA(method="exact").fit(np.broadcast_to(np.float32(0), (5000, 5000)))
    with pytest.raises(ValueError, match="no rows"):
        moments([])
    with pytest.raises(ValueError, match="two rows"):
        Moments(3).add(np.ones((1, 3))).axes()
