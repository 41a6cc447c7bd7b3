"""How strange codes are beside others: by a density fitted to those, by how quickly random cuts part them, by how far their neighbours are."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.classic.density import Mixture

Array = np.ndarray[Any, Any]
NEIGHBOURS = 5


def by_density(usual: Array, asked: Array, *, seed: int = 0) -> Array:
    """(m,) -log p in nats of a mixture of Gaussians fitted to the usual codes (n, k), the number of its parts by the Bayesian information criterion."""
    found: Array = -Mixture(seed=seed).fit(usual).log_density(asked)
    return found


def by_forest(usual: Array, asked: Array, *, seed: int = 0) -> Array:
    """(m,) the score of an isolation forest, 0 to 1, about 0.5 for usual ones (Liu, Ting and Zhou 2008); scikit-learn's, 200 trees."""
    from sklearn.ensemble import IsolationForest

    found: Array = -IsolationForest(n_estimators=200, random_state=seed).fit(usual).score_samples(asked)
    return found


def by_neighbours(usual: Array, asked: Array, *, itself: bool) -> Array:
    """(m,) the distance to the fifth nearest usual code. itself: the asked ones are among the usual ones, each at distance 0 from itself."""
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS + itself, len(usual))
    distances = np.asarray(cKDTree(usual).query(asked, k=count)[0]).reshape(len(asked), count)
    found: Array = distances[:, -1]
    return found
