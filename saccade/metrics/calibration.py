"""How far probabilities can be believed: temperature scaling and the reliability table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saccade.metrics.statistics import BINS, Array, bin_of, calibration_error

TINY = 1e-30  # below it a probability's logarithm is cut
RANGE = (0.05, 20.0)  # temperatures that are considered


class Bin(NamedTuple):
    """One row of the reliability table: n samples with a confidence in (low, high]; means are nan when there are none."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def scale(probabilities: Array, temperature: float) -> Array:
    """The probabilities (n, K) at a temperature: softmax(log p / T); above 1 they become more even, the order stays.

    >>> scale(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    if temperature == 1:
        return probabilities
    return _softmax(_logits(probabilities) / temperature)


def _logits(probabilities: Array) -> Array:
    return np.log(np.maximum(np.asarray(probabilities, np.float64), TINY))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def fit_temperature(probabilities: Array, truth: Array) -> float:
    """The temperature of least negative log-likelihood on validation samples (Guo et al. 2017, section 4.2), in [0.05, 20].

    The loss is convex in s = 1 / T, with derivative mean(E[z] - z_truth) and curvature mean(Var[z]) over z = log p; its
    root is found by Newton steps inside a bracket that is halved whenever a step leaves it. Samples with truth -1 are
    left out; without any, or when all are of the most probable class, there is nothing to learn from and 1.0 is given.

    >>> fit_temperature(np.array([[0.99, 0.01]] * 10), np.array([0] * 8 + [1] * 2)).__round__(3)
    3.315
    """
    known = truth >= 0
    z, ids = _logits(probabilities[known]), truth[known]
    if not len(ids) or bool((z.argmax(1) == ids).all()):
        return 1.0
    z = z - z.max(1, keepdims=True)
    target = z[np.arange(len(ids)), ids].mean()
    low, high = 1 / RANGE[1], 1 / RANGE[0]
    s = 1.0
    for _ in range(100):
        p = _softmax(s * z)
        expected = (p * z).sum(1)
        slope = expected.mean() - target
        low, high = (s, high) if slope < 0 else (low, s)
        curvature = ((p * z * z).sum(1) - expected**2).mean()
        step = s - slope / curvature if curvature > 0 else low
        new = step if low < step < high else (low + high) / 2
        if abs(new - s) < 1e-9 * s:
            break
        s = new
    return float(1 / s)


def negative_log_likelihood(probabilities: Array, truth: Array) -> Array:
    """Per sample (n,) in nats: -log of the truth's probability; nan where the truth is -1."""
    own = probabilities[np.arange(len(truth)), np.maximum(truth, 0)]
    return np.where(truth >= 0, -np.log(np.maximum(np.asarray(own, np.float64), TINY)), np.nan)


def reliability(probabilities: Array, truth: Array, bins: int = BINS) -> list[Bin]:
    """The reliability table: `bins` rows of equal width over the confidence, the highest probability."""
    known = truth >= 0
    confidence, right = probabilities[known].max(1, initial=0), probabilities[known].argmax(1) == truth[known]
    place = bin_of(confidence, bins)
    rows = []
    for b in range(bins):
        inside = place == b
        n = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if n else (float("nan"), float("nan"))
        rows.append(Bin(b / bins, (b + 1) / bins, n, *means))
    return rows


def expected_calibration_error(probabilities: Array, truth: Array, bins: int = BINS) -> float:
    """The expected calibration error with bins of equal width; see `statistics.calibration_error`."""
    known = truth >= 0
    p, ids = probabilities[known], truth[known]
    return float(calibration_error(p.max(1), p.argmax(1) == ids, bins)(np.ones((len(ids), 1)))[0])
