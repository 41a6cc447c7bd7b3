"""What a code keeps: the reconstruction error with its interval, and how well a map keeps who is near whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from saccade.metrics.restoration import PictureFacts
from saccade.targets.image_target import ImageTarget

Array = np.ndarray[Any, Any]
BLOCK = 512  # rows whose distances to all others are held at once


@dataclass
class Reconstruction(PictureFacts):
    """Metric of ImageTarget: reconstruction_error, the squared difference to the input, the mean over all values and images, in squared units of the input.

    Values that are not known (nan) in the truth or the answer never enter. Raises ValueError for an answer of another shape.

    >>> import torch
    >>> metric = Reconstruction()
    >>> metric.update(ImageTarget(torch.zeros(1, 2, 2)), ImageTarget(torch.full((1, 2, 2), 0.5)))
    >>> metric.compute()["reconstruction_error"].value
    0.25
    """

    always: ClassVar[tuple[str, ...]] = ("reconstruction_error",)
    worst: ClassVar[str] = "high"

    def of_image(self, prediction: ImageTarget, truth: ImageTarget) -> dict[str, float]:
        """{reconstruction_error} of one input; none where nothing is known."""
        if prediction.pixels.shape != truth.pixels.shape:
            raise ValueError(f"a reconstruction of shape {tuple(prediction.pixels.shape)} is compared with an input of {tuple(truth.pixels.shape)}")
        difference = prediction.pixels.double() - truth.pixels.double()
        known = ~difference.isnan()
        if not known.any():
            return {}
        return {"reconstruction_error": float(difference[known].square().mean())}


def trustworthiness(rows: Array, points: Array, neighbours: int = 5) -> float:
    """How far the neighbours on a map are neighbours in truth: 1 at best, about 0.5 by chance (Venna and Kaski 2001).

    1 - 2 / (n k (2 n - 3 k - 1)) times the sum, over every point and each of its k nearest on the map, of by how much its rank by distance among
    the rows exceeds k. rows: (n, d), points: (n, q). Raises ValueError unless k is below n / 2. Costs n^2 distances.
    """
    return _kept(rows, points, neighbours)


def continuity(rows: Array, points: Array, neighbours: int = 5) -> float:
    """How far true neighbours stay neighbours on the map: `trustworthiness` with rows and points exchanged (Venna and Kaski 2001)."""
    return _kept(points, rows, neighbours)


def _kept(truth: Array, seen: Array, k: int) -> float:
    """1 less the penalty of those near in `seen` that are not near in `truth`."""
    n = len(truth)
    if len(seen) != n or not 1 <= k < n / 2:
        raise ValueError(f"neighbours are from 1 to below half of the points, got {k} of {n} rows and {len(seen)} points")
    truth, seen = (np.asarray(values, np.float64).reshape(n, -1) for values in (truth, seen))
    total = 0.0
    for start in range(0, n, BLOCK):
        places = np.arange(start, min(start + BLOCK, n))
        near = np.argpartition(_apart(seen, places), k, axis=1)[:, :k]
        apart = _apart(truth, places)
        ranks = np.empty(apart.shape, np.int64)
        np.put_along_axis(ranks, np.argsort(apart, axis=1, kind="stable"), np.arange(1, n + 1)[None], axis=1)
        total += np.clip(np.take_along_axis(ranks, near, axis=1) - k, 0, None).sum()
    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total)


def _apart(rows: Array, places: Array) -> Array:
    """(m, n) squared distances of the rows at these places to all; to themselves infinite."""
    squares = (rows**2).sum(1)
    found: Array = squares[places, None] + squares[None] - 2 * rows[places] @ rows.T
    found[np.arange(len(places)), places] = np.inf
    return found
