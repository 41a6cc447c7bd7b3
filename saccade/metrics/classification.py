"""The numbers of a classifier, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError
from saccade.metrics import bootstrap, statistics
from saccade.metrics.thresholds import Thresholds, as_array, decide
from saccade.targets.label import Label

Array = np.ndarray


@dataclass
class Classification:
    """Metric of Label: accuracy, top-5, AUROC, calibration error and macro F1, overall and by class.

    space: the classes. threshold: one for all classes or {class: p}; a most probable class below its own is an
    "unknown" answer, which is wrong for accuracy and a miss for recall. resamples: of the percentile bootstrap over
    samples, or over groups where `update` is given them; the seed is fixed, so the same samples give the same interval.
    Truths that are None or -1 never enter. AUROC, top-5 and calibration use the probabilities, not the thresholds.

    >>> import torch
    >>> metric = Classification(LabelSpace(("cat", "dog")))
    >>> for truth in (0, 0, 0, 1):
    ...     metric.update(Label(0, torch.tensor([0.8, 0.2])), Label(truth))
    >>> metric.compute()["accuracy"].value
    0.75
    """

    space: LabelSpace
    threshold: Thresholds = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _truth: list[int] = field(default_factory=list, repr=False)
    _rows: list[Array] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._limits = as_array(self.threshold, self.space)

    def update(self, prediction: Label, truth: Label | None, group: str | None = None) -> None:
        """Takes one sample in; raises MODEL-CLASSES for another number of classes and MODEL-NAN for values that are no probabilities."""
        if truth is None or not truth.known:
            return
        if prediction.probabilities is None:
            row = np.eye(len(self.space), dtype=np.float32)[prediction.index] if prediction.known else np.zeros(len(self.space), np.float32)
        else:
            row = prediction.probabilities.detach().float().cpu().numpy()
        self.add(np.asarray([truth.index]), row[None], [group])

    def add(self, truth: Array, probabilities: Array, groups: Sequence[str | None] | None = None) -> None:
        """Takes many samples in: truth (n,) ids, probabilities (n, K) float32; samples with truth -1 are left out."""
        if probabilities.shape[1:] != (len(self.space),):
            raise ModelError("MODEL-CLASSES", f"{probabilities.shape[-1]} probabilities for {len(self.space)} classes")
        if not np.isfinite(probabilities).all():
            raise ModelError("MODEL-NAN", "a probability is not finite")
        keep = np.flatnonzero(np.asarray(truth) >= 0).tolist()
        self._truth += [int(truth[i]) for i in keep]
        self._rows += [probabilities[i] for i in keep]
        self._groups += [None if groups is None else groups[i] for i in keep]

    def __add__(self, other: Self) -> Self:
        if self.space != other.space or not np.array_equal(self._limits, other._limits):
            raise ValueError("only statistics of the same classes and thresholds can be added")
        total = type(self)(self.space, self.threshold, self.resamples, self.seed)
        total._truth, total._rows, total._groups = self._truth + other._truth, self._rows + other._rows, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._truth)

    @property
    def truth(self) -> Array:
        """The true ids (n,)."""
        return np.asarray(self._truth, np.int64)

    @property
    def probabilities(self) -> Array:
        """The answers (n, K) float64."""
        return np.asarray(self._rows, np.float64).reshape(len(self), len(self.space))

    @property
    def groups(self) -> Array | None:
        """Group ids (n,), or None when no sample has a group."""
        return bootstrap.group_codes(self._groups)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def compute(self) -> dict[str, Value]:
        """{accuracy, accuracy_top5 (above five classes), accuracy_coarse (of names such as dog/beagle), auroc, ece, f1, coverage (with
        thresholds): Value}; nan with n = 0 for no samples."""
        return self._resampled(self.resamples)

    def _resampled(self, resamples: int) -> dict[str, Value]:
        truth, p, limits = self.truth, self.probabilities, self._limits
        answer = decide(p, limits)
        named: dict[str, bootstrap.Statistic] = {"accuracy": statistics.mean(answer == truth)}
        if len(self.space) > 5:
            named["accuracy_top5"] = statistics.mean(statistics.top_correct(truth, p, 5))
        if any("/" in name for name in self.space.names):  # classes that form a tree: right at its first fork
            forks = [name.split("/")[0] for name in self.space.names]
            coarse = np.array([*(forks.index(fork) for fork in forks), -1])
            named["accuracy_coarse"] = statistics.mean(coarse[answer] == coarse[truth])
        named["auroc"] = statistics.macro_auroc(truth, p, resamples)
        named["ece"] = statistics.calibration_error(p.max(1, initial=0), p.argmax(1) == truth)
        named["f1"] = statistics.macro_f1(truth, answer, len(self.space))
        if limits.any():
            named["coverage"] = statistics.mean(answer >= 0)
        if not len(truth):
            return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in named}
        found = bootstrap.evaluate(named, len(truth), groups=self.groups, resamples=resamples, seed=self.seed)
        return {key: self._value(key, float(value), drawn) for key, (value, drawn) in found.items()}

    def _value(self, key: str, value: float, drawn: Array) -> Value:
        units = len(self) if self.groups is None else int(self.groups.max()) + 1
        counts = np.bincount(self.truth, minlength=len(self.space))
        behind = min(units, int(counts[counts > 0].min())) if key == "auroc" else units
        return bootstrap.interval(value, drawn, behind)._replace(n=len(self))

    def confusion(self) -> Array:
        """Counts (K, K + 1): rows the truth, columns the answer, the last one "unknown"."""
        answer = decide(self.probabilities, self._limits)
        counts = np.zeros((len(self.space), len(self.space) + 1), np.int64)
        np.add.at(counts, (self.truth, np.where(answer < 0, len(self.space), answer)), 1)
        return counts

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class at the stated threshold, agreeing with the confusion matrix.

        class, support, answered, then precision, recall, f1 each with _low and _high, then auroc (one-vs-rest), threshold.
        """
        if not len(self):
            return []
        truth, p, counts = self.truth, self.probabilities, self.confusion()
        statistic = statistics.precision_recall_f1(truth, decide(p, self._limits), len(self.space))
        value, drawn = bootstrap.evaluate({"": statistic}, len(self), groups=self.groups, resamples=self.resamples, seed=self.seed)[""]
        rows = []
        for k, name in enumerate(self.space.names):
            support, answered = int(counts[k].sum()), int(counts[:, k].sum())
            row: dict[str, Any] = {"class": name, "support": support, "answered": answered}
            for place, (key, behind) in enumerate((("precision", answered), ("recall", support), ("f1", max(support, 1)))):
                found = bootstrap.interval(float(value[k, place]), drawn[:, k, place], behind)
                row |= {key: found.value, f"{key}_low": found.low, f"{key}_high": found.high}
            area = float(statistics.auroc(truth == k, p[:, k])(np.ones((len(truth), 1)))[0])
            rows.append(row | {"auroc": area, "threshold": float(self._limits[k])})
        return rows
