"""The GP-LVM: its objective against the density by definition, its slopes against finite differences, a curve found again."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from saccade.classic.gp_lvm import GPLVM, JITTER, objective, squares

pytestmark = pytest.mark.oracle


def problem(n=7, d=5, q=2):
    chance = np.random.default_rng(0)
    return chance.normal(size=(n, q)), np.array([0.3, -0.2, -1.0]), chance.normal(size=(n, d))


def test_the_objective_is_the_density_of_the_columns():
    latent, logs, rows = problem()
    signal, length, noise = np.exp(logs)
    k = signal * np.exp(-0.5 * squares(latent, latent) / length**2) + (noise + JITTER * signal) * np.eye(7)
    density = sum(multivariate_normal.logpdf(column, cov=k) for column in rows.T)
    assert objective(latent, logs, rows).value == pytest.approx(-density + 0.5 * (latent**2).sum())


def test_slopes_are_those_of_finite_differences():
    latent, logs, rows = problem()
    found = objective(latent, logs, rows)
    by_latent = approx_fprime(latent.ravel(), lambda x: objective(x.reshape(latent.shape), logs, rows).value, 1e-6)
    by_logs = approx_fprime(logs, lambda x: objective(latent, x, rows).value, 1e-6)
    assert np.allclose(found.latent.ravel(), by_latent, atol=1e-3, rtol=1e-4) and np.allclose(found.logs, by_logs, atol=1e-3, rtol=1e-4)


@pytest.fixture(scope="module")
def curve():
    t = np.linspace(-1, 1, 40)
    chance = np.random.default_rng(1)
    return t, np.stack([np.sin(2 * t), np.cos(3 * t), t, t**2], 1) + chance.normal(0, 0.02, (40, 4))


def test_one_coordinate_follows_a_curve_that_is_no_line(curve):
    t, rows = curve
    model = GPLVM(1).fit(rows)
    from scipy.stats import spearmanr

    assert abs(spearmanr(model.latent_[:, 0], t).statistic) > 0.99
    assert np.sqrt(((model.inverse_transform(model.latent_) - rows) ** 2).mean()) < 0.03
    found = model.transform(rows[5:8] + 0.005)
    assert np.allclose(found, model.latent_[5:8], atol=0.1)
    _, spread = model.inverse_transform(np.array([[model.latent_[20, 0]], [50.0]]), spread=True)
    assert spread[1] > 5 * spread[0] and spread[0] < 0.1  # it knows where it knows nothing


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="at least one coordinate"):
        GPLVM(0)
    with pytest.raises(ValueError, match="n from 2"):
        GPLVM(1).fit(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="finite"):
        GPLVM(1).fit(np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="at most"):
        GPLVM(5).fit(np.random.default_rng(0).normal(size=(4, 3)))
    model = GPLVM(1, steps=2).fit(np.random.default_rng(0).normal(size=(4, 3)))
    with pytest.raises(ValueError, match="latent points are"):
        model.inverse_transform(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="rows are"):
        model.transform(np.zeros((1, 2)))
