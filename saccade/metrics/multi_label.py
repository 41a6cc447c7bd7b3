"""The numbers of several yes-or-no answers an image: mean average precision, CF1 and OF1, each with its 95 % interval, and thresholds for each class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError, UsageError
from saccade.metrics import bootstrap, statistics
from saccade.metrics.thresholds import Thresholds, as_array
from saccade.targets.labels import Labels

Array = np.ndarray
USUAL = 0.5  # the threshold of a class that has none of its own


@dataclass
class MultiLabelScores:
    """Metric of Labels: mean_average_precision, cf1, of1, exact_match, overall and by class. Answers whose truth is unknown (-1) never enter.

    average precision: the mean precision over the yeses, best score first, each at the rank of the last answer of equal score; its mean is
    over the classes that have a yes. cf1: the harmonic mean of the mean precision (over the classes that are true or answered somewhere, 0 for
    one never answered) and the mean recall (over those that are true somewhere); of1: of all answers together (Wang et al. 2016, section 4.1).
    exact_match: the share of images whose known answers are all right. threshold: one for all classes or {class: p}, 0.5 where none is given; it
    does not touch average precision. resamples: of the percentile bootstrap over images, or over groups where `update` is given them.

    >>> import torch
    >>> metric = MultiLabelScores(LabelSpace(("cat", "dog")))
    >>> for scores, truth in (([0.9, 0.2], [1, 0]), ([0.3, 0.8], [1, -1]), ([0.4, 0.1], [0, 0])):
    ...     metric.update(Labels(torch.zeros(2, dtype=torch.int8), torch.tensor(scores)), Labels(torch.tensor(truth, dtype=torch.int8)))
    >>> round(metric.compute()["mean_average_precision"].value, 4)
    0.8333
    """

    space: LabelSpace
    threshold: Thresholds = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _truth: list[Array] = field(default_factory=list, repr=False)  # (K,) int8
    _scores: list[Array] = field(default_factory=list, repr=False)  # (K,) float32
    _groups: list[str | None] = field(default_factory=list, repr=False)
    worst = "high"

    def __post_init__(self) -> None:
        given = as_array(self.threshold, self.space)
        self._limits = np.where(given > 0, given, USUAL)

    def update(self, prediction: Labels, truth: Labels | None, group: str | None = None) -> None:
        """Takes one image in, where anything is known of it. Raises MODEL-CLASSES for another number of classes, MODEL-NAN for values that are no numbers."""
        if truth is None or not bool((truth.values >= 0).any()):
            return
        scores = _scores_of(prediction)
        if len(scores) != len(self.space) or len(truth) != len(self.space):
            raise ModelError("MODEL-CLASSES", f"{len(scores)} answers and {len(truth)} truths for {len(self.space)} classes")
        if not np.isfinite(scores).all():
            raise ModelError("MODEL-NAN", "a score is not finite")
        self._truth.append(truth.values.cpu().numpy().astype(np.int8))
        self._scores.append(scores)
        self._groups.append(group)

    def of_image(self, prediction: Labels, truth: Labels) -> dict[str, float]:
        """{cross_entropy (mean over the known answers), wrong (answers on the wrong side of their thresholds), known} of one image."""
        values, scores = truth.values.cpu().numpy(), _scores_of(prediction).astype(np.float64)
        known = values >= 0
        if not known.any():
            return {"cross_entropy": float("nan"), "wrong": 0.0, "known": 0.0}
        right = np.clip(np.where(values == 1, scores, 1 - scores)[known], 1e-7, 1)
        wrong = ((scores >= self._limits) != (values == 1))[known]
        return {"cross_entropy": float(-np.log(right).mean()), "wrong": float(wrong.sum()), "known": float(known.sum())}

    def __add__(self, other: Self) -> Self:
        if self.space != other.space or not np.array_equal(self._limits, other._limits):
            raise ValueError("only statistics of the same classes and thresholds can be added")
        total = type(self)(self.space, self.threshold, self.resamples, self.seed)
        total._truth, total._scores, total._groups = self._truth + other._truth, self._scores + other._scores, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._truth)

    @property
    def truth(self) -> Array:
        """(n, K) int8: 1 yes, 0 no, -1 unknown."""
        return np.asarray(self._truth, np.int8).reshape(len(self), len(self.space))

    @property
    def scores(self) -> Array:
        """(n, K) float64."""
        return np.asarray(self._scores, np.float64).reshape(len(self), len(self.space))

    @property
    def groups(self) -> Array | None:
        """Group ids (n,), or None when no image has a group."""
        return bootstrap.group_codes(self._groups)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def compute(self) -> dict[str, Value]:
        """{mean_average_precision, cf1, of1, exact_match, accuracy_QUESTION (of labels such as colour=red): Value}; nan with n = 0 for no images."""
        return self._resampled(self.resamples)

    def _resampled(self, resamples: int) -> dict[str, Value]:
        truth, scores = self.truth, self.scores
        counts = counted(truth, scores >= self._limits)
        right = (((scores >= self._limits) == (truth == 1)) | (truth < 0)).all(1)
        named: dict[str, bootstrap.Statistic] = {
            "mean_average_precision": lambda w: statistics.nan_mean(np.stack([ap(w) for ap in each], 1)) if each else np.full(w.shape[1], np.nan),
            "cf1": lambda w: class_f1(*counts(w)),
            "of1": lambda w: overall_f1(*counts(w)),
            "exact_match": statistics.mean(right),
        }
        named |= {f"accuracy_{name}": self._question(places) for name, places in self.space.questions.items() if len(places) > 1}
        if not len(truth):
            return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in named}
        each = [average_precision(truth[:, k], scores[:, k]) for k in range(len(self.space)) if (truth[:, k] == 1).any()]
        found = bootstrap.evaluate(named, len(truth), groups=self.groups, resamples=resamples, seed=self.seed)
        return {key: bootstrap.interval(float(value), drawn, self._units)._replace(n=len(self)) for key, (value, drawn) in found.items()}

    def _question(self, places: list[int]) -> bootstrap.Statistic:
        """The share of images whose answer to one question is right, among those that it is known of."""
        truth, scores = self.truth[:, places], self.scores[:, places]
        known = (truth >= 0).all(1) & (truth == 1).any(1)
        right = known & (scores.argmax(1) == truth.argmax(1)) if len(truth) else known
        return lambda w: (w * right[:, None]).sum(0) / np.maximum((w * known[:, None]).sum(0), 1e-12)

    @property
    def _units(self) -> int:
        return len(self) if self.groups is None else int(self.groups.max()) + 1

    def best_thresholds(self, precision: float | None = None) -> dict[str, float]:
        """For each class with a yes the threshold of highest F1 or, where a precision is asked for, the lowest that reaches it (1 where none does).

        Raises UsageError USE-VALUE for a precision outside (0, 1].
        """
        if precision is not None and not 0 < precision <= 1:
            raise UsageError("USE-VALUE", f"the precision to reach is {precision}, expected a share in (0, 1]")
        truth, scores = self.truth, self.scores
        return {
            name: best_threshold(truth[:, k][truth[:, k] >= 0] == 1, scores[:, k][truth[:, k] >= 0], precision)
            for k, name in enumerate(self.space.names)
            if (truth[:, k] == 1).any()
        }

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class: class, support (yeses), known, answered, then precision, recall, f1, average_precision each with _low and _high, auroc, threshold."""
        if not len(self):
            return []
        truth, scores = self.truth, self.scores
        answer, counts = scores >= self._limits, counted(truth, scores >= self._limits)
        each = [average_precision(truth[:, k], scores[:, k]) for k in range(len(self.space))]
        named: dict[str, bootstrap.Statistic] = {"": lambda w: rates(*counts(w)), "ap": lambda w: np.stack([ap(w) for ap in each], 1)}
        found = bootstrap.evaluate(named, len(self), groups=self.groups, resamples=self.resamples, seed=self.seed)
        rows = []
        for k, name in enumerate(self.space.names):
            known = truth[:, k] >= 0
            support, answered = int((truth[:, k] == 1).sum()), int((answer[:, k] & known).sum())
            row: dict[str, Any] = {"class": name, "support": support, "known": int(known.sum()), "answered": answered}
            columns = [(key, found[""][0][k, i], found[""][1][:, k, i]) for i, key in enumerate(("precision", "recall", "f1"))]
            for key, value, drawn in [*columns, ("average_precision", found["ap"][0][k], found["ap"][1][:, k])]:
                one = bootstrap.interval(float(value), drawn, max(1, answered if key == "precision" else support))
                row |= {key: one.value, f"{key}_low": one.low, f"{key}_high": one.high}
            area = float(statistics.auroc(truth[known, k] == 1, scores[known, k])(np.ones((int(known.sum()), 1)))[0])
            rows.append(row | {"auroc": area, "threshold": float(self._limits[k])})
        return rows


def _scores_of(prediction: Labels) -> Array:
    """(K,) float32 probabilities; of a plain truth 1 and 0, and 0 for what it does not know."""
    given = prediction.scores if prediction.scores is not None else (prediction.values == 1)
    scores: Array = given.detach().float().cpu().numpy()
    return scores


def average_precision(truth: Array, scores: Array) -> bootstrap.Statistic:
    """weights (n, R) -> (R,) average precision of one class: sum over yeses of their weight times the precision at their score, over their weight.

    truth (n,): 1 yes, 0 no, -1 left out. Equal scores are answered together. nan without a yes.
    """
    known = np.flatnonzero(truth >= 0)
    order = known[np.argsort(-scores[known], kind="stable")]
    ranked, yes = scores[order], truth[order] == 1
    ends = np.searchsorted(-ranked, -ranked[yes], side="right") - 1  # the last of equal scores

    def statistic(w: Array) -> Array:
        drawn = w[order]
        given, right = np.cumsum(drawn, 0)[ends], np.cumsum(drawn * yes[:, None], 0)[ends]
        own = drawn[yes]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(given > 0, right / given, 0.0)
            value: Array = (own * precision).sum(0) / own.sum(0)
        return value

    return statistic


def counted(truth: Array, answer: Array):  # type: ignore[no-untyped-def]
    """weights (n, R) -> three (K, R): answers that are right, answers, yeses; of what is known alone."""
    known = truth >= 0
    right, given, support = ((a & known).astype(np.float64).T for a in (answer & (truth == 1), answer, truth == 1))
    return lambda w: (right @ w, given @ w, support @ w)


def rates(right: Array, given: Array, support: Array) -> Array:
    """(R, K, 3) precision, recall and F1 of each class; nan where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.stack([right / given, right / support, 2 * right / (given + support)]).transpose(2, 1, 0)
    return found


def class_f1(right: Array, given: Array, support: Array) -> Array:
    """(R,) harmonic mean of the classes' mean precision and mean recall; nan without a yes."""
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = statistics.nan_mean(np.where(given + support > 0, np.where(given > 0, right / given, 0.0), np.nan).T)
        recall = statistics.nan_mean((right / support).T)
        found: Array = np.where(precision + recall > 0, 2 * precision * recall / (precision + recall), recall * 0.0)
    return found


def overall_f1(right: Array, given: Array, support: Array) -> Array:
    """(R,) F1 of all answers together; nan where there is neither a yes nor an answer."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = 2 * right.sum(0) / (given.sum(0) + support.sum(0))
    return found


def best_threshold(yes: Array, scores: Array, precision: float | None) -> float:
    """The threshold of highest F1 (the highest of equals), or the lowest that reaches a precision, half-way between two scores seen; 1 where none does.

    yes (n,) bool, scores (n,).

    >>> best_threshold(np.array([True, True, False]), np.array([0.9, 0.6, 0.2]), None)
    0.4
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), np.cumsum(yes[order])
    given = np.arange(1, len(ranked) + 1)
    cut = np.append(ranked[1:] < ranked[:-1], True)  # only below the last of equal scores
    if precision is None:
        place = int(np.where(cut, 2 * hits / (given + yes.sum()), -1).argmax())
    else:
        reached = np.flatnonzero(cut & (hits / given >= precision))
        if not len(reached):
            return 1.0
        place = int(reached[-1])
    below = ranked[place + 1] if place + 1 < len(ranked) else 0.0
    middle = round(float(ranked[place] + below) / 2, 6)
    return middle if below < middle <= ranked[place] else max(float(ranked[place]), 1e-9)
