"""Statistics of classified samples as functions of resampling weights: accuracy, counts, F1, calibration error, AUROC.

Each maker takes the samples once and returns a function weights (n, R) -> (R,) or (R, K); a column of ones gives the
plain value.
"""

from __future__ import annotations

import numpy as np

from saccade.metrics.bootstrap import Array, Statistic

BINS = 15  # of equal width over the confidence [0, 1]


def mean(values: Array) -> Statistic:
    """The weighted mean of per-sample values (n,): accuracy, when they say right or wrong."""
    values = np.asarray(values, np.float64)
    return lambda w: values @ w / w.sum(0)


def top_correct(truth: Array, probabilities: Array, k: int) -> Array:
    """Whether the truth is among the k most probable classes (n,); of equally probable classes the lower id comes first."""
    own = probabilities[np.arange(len(truth)), truth][:, None]
    above = (probabilities > own).sum(1) + ((probabilities == own) & (np.arange(probabilities.shape[1]) < truth[:, None])).sum(1)
    return above < k


def indicator(ids: Array, classes: int, values: Array | None = None):  # type: ignore[no-untyped-def]
    """Sparse (classes, n): row k has `values` (ones) at the samples with id k; ids outside 0..K-1 have no row."""
    from scipy.sparse import csr_array

    inside = np.flatnonzero((ids >= 0) & (ids < classes))
    data = np.ones(len(ids)) if values is None else np.asarray(values, np.float64)
    return csr_array((data[inside], (ids[inside], inside)), shape=(classes, len(ids)))


def precision_recall_f1(truth: Array, answer: Array, classes: int) -> Statistic:
    """Per class: weights -> (R, K, 3) precision, recall, F1; nan where the denominator is 0. An open answer is -1."""
    right = indicator(np.where(truth == answer, truth, -1), classes)
    true, answered = indicator(truth, classes), indicator(answer, classes)

    def statistic(w: Array) -> Array:
        hits, support, given = right @ w, true @ w, answered @ w
        with np.errstate(invalid="ignore", divide="ignore"):
            stacked = np.stack([hits / given, hits / support, 2 * hits / (support + given)])  # (3, K, R)
        return stacked.transpose(2, 1, 0)

    return statistic


def macro_f1(truth: Array, answer: Array, classes: int) -> Statistic:
    """The mean F1 over the classes that are either true or answered in the sample."""
    each = precision_recall_f1(truth, answer, classes)
    return lambda w: nan_mean(each(w)[:, :, 2])


def nan_mean(values: Array) -> Array:
    """Row means (R,) of (R, K) over what is not nan; nan for a row without any value."""
    known = np.isfinite(values)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, values, 0).sum(1) / np.maximum(count, 1), np.nan)


def bin_of(confidence: Array, bins: int = BINS) -> Array:
    """The bin (n,) of each confidence: bin b covers (b/B, (b+1)/B], and 0 is in the first."""
    return np.clip(np.ceil(np.asarray(confidence, np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)


def calibration_error(confidence: Array, correct: Array, bins: int = BINS) -> Statistic:
    """Expected calibration error: sum over bins of their share times |mean confidence - accuracy| (Guo et al. 2017, eq. 3).

    15 bins of equal width; confidence is the highest probability, correct says whether that class is the true one.
    """
    gaps = indicator(bin_of(confidence, bins), bins, np.asarray(confidence, np.float64) - correct)
    return lambda w: np.abs(gaps @ w).sum(0) / w.sum(0)


def auroc(positive: Array, score: Array) -> Statistic:
    """Area under the ROC curve: the share of (positive, negative) pairs in order, ties counting half (Mann-Whitney).

    positive (n,) bool, score (n,). The weights' cumulative sums in order of the score give every positive the weight
    below it; the pairs among positives, which sum to P^2 / 2, are taken out again. nan without both kinds.
    """
    positive = np.asarray(positive, bool)
    order = np.argsort(score, kind="stable")
    ranked = np.asarray(score, np.float64)[order]
    places = np.flatnonzero(positive[order])
    below, through = (np.searchsorted(ranked, ranked[places], side) for side in ("left", "right"))

    def statistic(w: Array) -> Array:
        cumulative = np.concatenate([np.zeros((1, w.shape[1])), np.cumsum(w[order], 0)])
        own = w[order[places]]
        p = own.sum(0)
        n = cumulative[-1] - p
        pairs = (own * (cumulative[below] + cumulative[through])).sum(0) / 2 - p * p / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return pairs / (p * n)

    return statistic


def components(positive: Array, score: Array) -> tuple[Array, float]:
    """DeLong's structural components (n,) and the AUROC: how much each sample moves the AUROC, summing to 0.

    For a positive (V10 - A) / P, for a negative (V01 - A) / N, V being the share of the other kind that it is in order
    with (DeLong, DeLong & Clarke-Pearson 1988). The AUROC of a resample is A + components @ weights to first order.
    """
    positive, score = np.asarray(positive, bool), np.asarray(score, np.float64)
    up, down = np.sort(score[positive]), np.sort(score[~positive])
    if not len(up) or not len(down):
        return np.full(len(score), np.nan), float("nan")
    won = (np.searchsorted(down, score, "left") + np.searchsorted(down, score, "right")) / (2 * len(down))
    lost = 1 - (np.searchsorted(up, score, "left") + np.searchsorted(up, score, "right")) / (2 * len(up))
    area = float(won[positive].mean())
    return np.where(positive, (won - area) / len(up), (lost - area) / len(down)), area


WORK = 250_000_000  # weights that the AUROC of all classes may touch


def macro_auroc(truth: Array, probabilities: Array, resamples: int) -> Statistic:
    """The AUROC: of the second class for two, else the mean over the classes one-vs-rest that have both kinds.

    Resampled exactly while n x K x resamples stays below 250 million, else to first order by DeLong's components.
    """
    classes = probabilities.shape[1]
    ids = [1] if classes == 2 else [k for k in range(classes) if 0 < (truth == k).sum() < len(truth)]
    if len(truth) * len(ids) * resamples <= WORK:
        each = [auroc(truth == k, probabilities[:, k]) for k in ids]
        return lambda w: nan_mean(np.stack([area(w) for area in each], 1)) if each else np.full(w.shape[1], np.nan)
    parts = [components(truth == k, probabilities[:, k]) for k in ids]
    moves, area = np.mean([p[0] for p in parts], 0), float(np.mean([p[1] for p in parts]))
    return lambda w: area + moves @ w
