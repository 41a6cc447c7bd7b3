"""The numbers of a detector: COCO's average precision, what is right and wrong at the stated threshold, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError, UsageError
from saccade.metrics import bootstrap
from saccade.metrics.average_precision import LIMITS, Ranked, average_precision, curve, mean_over, ranked, recall
from saccade.metrics.coco_matching import RANGES, THRESHOLDS, Matched, match
from saccade.metrics.detection_errors import Judged, judge
from saccade.metrics.similarity import Kind, boxes_of, objects, similarity
from saccade.metrics.thresholds import Thresholds, as_array
from saccade.targets import Boxes, Instances, Keypoints

Array = np.ndarray
Found = Boxes | Instances | Keypoints
PREFIX: dict[Kind, str] = {"boxes": "", "masks": "mask_", "keypoints": "keypoint_"}
LIMIT: dict[Kind, int] = {"boxes": 100, "masks": 100, "keypoints": 20}  # COCO's own
STATED = 0.3
WORK = 60_000_000  # answers times resamples; above this there are fewer resamples, but never below 100
SHARES = ("precision", "recall", "f1")


@dataclass
class Detection:
    """Metric of Boxes, Instances (by their masks) or Keypoints: AP and AR as COCO defines them, precision, recall and F1 at a threshold.

    space: the classes. kind: what is compared; masks take Instances, key points Keypoints, boxes any of the three.
    threshold: of the score, one for all or {class: score}, None is 0.3; an answer counts from there on for precision, recall, F1, confusion and errors,
    not for AP and AR. limit: answers of a class in an image that are looked at; None is COCO's 100 (20 for key points), and where an image shows more
    objects of a class as many as those, for they could not all be found otherwise. spread: (K,) of key points.
    scale: pixels of the input for each pixel of an image, where that is known: sizes are then told in both.
    resamples: of the bootstrap over images, or over groups where `update` is given them; fewer where there are very many answers.
    Crowds, difficult objects and objects without a class are neither found nor missed. Truths that are None never enter.

    >>> import torch
    >>> metric = Detection(LabelSpace(("cell",)))
    >>> truth = Boxes(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([0]))
    >>> metric.update(Boxes(torch.tensor([[0.0, 0, 10, 8]]), torch.tensor([0]), torch.tensor([0.9])), truth)
    >>> round(metric.points()["map"], 3), round(metric.points()["map50"], 3)
    (0.7, 1.0)
    """

    worst: ClassVar[str] = "high"  # the more errors, the worse an image

    space: LabelSpace
    kind: Kind = "boxes"
    threshold: Thresholds = None
    limit: int | None = None
    spread: tuple[float, ...] | None = None
    scale: float | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _images: list[Matched] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._limits = as_array(STATED if self.threshold is None else self.threshold, self.space)

    def update(self, prediction: Found, truth: Found | None, group: str | None = None) -> None:
        """Takes one image in; raises MODEL-CLASSES for an id that is no class and MODEL-NAN for a score or box that is not finite."""
        if truth is not None:
            self._images.append(self.matched(prediction, truth))
            self._groups.append(group)

    def matched(self, prediction: Found, truth: Found) -> Matched:
        """One image's answers against its truths. Raises as `update` does."""
        boxes = boxes_of(prediction)
        if len(boxes) and not 0 <= int(boxes.classes.min()) <= int(boxes.classes.max()) < len(self.space):
            raise ModelError("MODEL-CLASSES", f"class {int(boxes.classes.max())} of {len(self.space)} classes")
        if not bool(boxes.xyxy.isfinite().all()) or (boxes.scores is not None and not bool(boxes.scores.isfinite().all())):
            raise ModelError("MODEL-NAN", "a box or a score is not finite")
        answers, truths = objects(prediction, self.kind), objects(truth, self.kind)
        spread = None if self.spread is None else np.asarray(self.spread)
        limit = self.limit or max(LIMIT[self.kind], int(np.bincount(truths.classes[truths.classes >= 0], minlength=1).max()))
        return match(answers, truths, similarity(prediction, truth, truths.loose, self.kind, spread), len(self.space), limit=limit)

    def __add__(self, other: Self) -> Self:
        own, its = (self.space, self.kind, self.limit, self._limits.tolist()), (other.space, other.kind, other.limit, other._limits.tolist())
        if own != its:
            raise ValueError("only statistics of the same classes, kind, limit and thresholds can be added")
        total = type(self)(self.space, self.kind, self.threshold, self.limit, self.spread, self.scale, self.resamples, self.seed)
        total._images, total._groups = self._images + other._images, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._images)

    @property
    def thresholds(self) -> dict[str, float]:
        """The stated threshold of each class."""
        return dict(zip(self.space.names, self._limits.tolist(), strict=True))

    def at(self, threshold: Thresholds) -> Self:
        """The same images at other thresholds; nothing is matched again."""
        other = type(self)(self.space, self.kind, threshold, self.limit, self.spread, self.scale, self.resamples, self.seed)
        other._images, other._groups = self._images, self._groups
        return other

    # -- numbers ---------------------------------------------------------------------------------------------------

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0)[0].items()}

    def compute(self) -> dict[str, Value]:
        """{map, map50, map75, map_small, map_medium, map_large, mar1, mar10, mar, precision, recall, f1: Value}; nan where there is nothing to say.

        Masks have mask_map and so on, key points keypoint_map and no small ones. mar: recall by at most `limit` answers a class, averaged over
        overlaps of 0.5 to 0.95 and classes; precision, recall and f1 at the threshold and an overlap of 0.5, all classes together.
        """
        return self._resampled(self.resamples)[0]

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class: class, truths, answered, then map, map50, precision, recall, f1 each with _low and _high, threshold, error_KIND for each kind."""
        return self._resampled(self.resamples)[1] if self._images else []

    def _resampled(self, resamples: int) -> tuple[dict[str, Value], list[dict[str, Any]]]:
        lists, judged, prefix = ranked(self._images, len(self.space)), self.judged(), PREFIX[self.kind]
        keys = _keys(self.kind)
        if not self._images:
            return {prefix + key: Value(float("nan"), float("nan"), float("nan"), 0) for key in keys}, []
        work = sum(len(one.image) for one in lists)
        count = 0 if not resamples else min(resamples, max(100, WORK // max(1, work)))
        n, groups = len(self), bootstrap.group_codes(self._groups)
        statistic = _Statistic(lists, judged, self.kind)
        value, drawn = bootstrap.evaluate({"": statistic}, n, groups=groups, resamples=count, seed=self.seed)[""]
        units = n if groups is None else int(groups.max()) + 1
        found = [bootstrap.interval(float(v), drawn[:, i], units)._replace(n=n) for i, v in enumerate(value)]
        overall = {prefix + key: one for key, one in zip(keys, found, strict=False)}
        return overall, self._rows(lists, judged, found[len(keys) :])

    def _rows(self, lists: Sequence[Ranked], judged: Judged, found: Sequence[Value]) -> list[dict[str, Any]]:
        columns = ("map", "map50", *SHARES)
        rows = []
        for k, name in enumerate(self.space.names):
            row: dict[str, Any] = {"class": name, "truths": int(lists[k].counts[:, 0].sum()), "answered": int((judged.right + judged.wrong)[:, k].sum())}
            for i, column in enumerate(columns):
                one = found[k * len(columns) + i]
                row |= {column: one.value, f"{column}_low": one.low, f"{column}_high": one.high}
            rows.append(row | {"threshold": float(self._limits[k])} | {f"error_{kind}": int(counts[k]) for kind, counts in judged.kinds.items()})
        return rows

    # -- at the threshold ------------------------------------------------------------------------------------------

    def judged(self) -> Judged:
        """What is right and wrong at the thresholds: counts by image and class, confusion, kinds of errors."""
        return judge(self._images, self._limits)

    def confusion(self) -> Array:
        """Counts (K + 1, K + 1): rows the truth, the last one background; columns the answer, the last one missed. The diagonal holds the hits."""
        return self.judged().confusion

    def of_image(self, prediction: Found, truth: Found) -> dict[str, float]:
        """{errors, found, missed, wrong, truths, answered} of one image at the thresholds."""
        one = judge([self.matched(prediction, truth)], self._limits)
        right, wrong, there = (float(v.sum()) for v in (one.right, one.wrong, one.truths))
        return {"errors": wrong + there - right, "found": right, "missed": there - right, "wrong": wrong, "truths": there, "answered": right + wrong}

    def curves(self, threshold: int = 0) -> dict[str, tuple[Array, Array, Array]]:
        """Of each class the scores, precision and recall behind every answer, best first, at an overlap of THRESHOLDS[threshold]."""
        return {name: curve(one, threshold) for name, one in zip(self.space.names, ranked(self._images, len(self.space)), strict=True)}

    def best_thresholds(self, precision: float | None = None) -> dict[str, float]:
        """Of each class the score with the best F1 at an overlap of 0.5 or, where a precision is asked for, the lowest that reaches it.

        For validation, never for the test part. A threshold lies half-way to the next score below. A class without truths or hits keeps its stated
        one; where no score reaches the precision it is 1. Raises UsageError USE-VALUE for a precision outside of (0, 1].
        """
        if precision is not None and not 0 < precision <= 1:
            raise UsageError("USE-VALUE", f"the precision to reach is {precision}, expected a share in (0, 1]")
        stated = self.thresholds
        return {name: curve_threshold(found, precision, stated[name]) for name, found in self.curves().items()}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """{confusion, curves, sizes}: rows for files and the report; see `metrics.detection_tables`."""
        from saccade.metrics import detection_tables

        judged = self.judged()
        return {
            "confusion": detection_tables.confusion(judged.confusion, self.space),
            "curves": detection_tables.curves(self.curves()),
            "sizes": detection_tables.sizes(self._images, self._limits, self.scale),
        }


def curve_threshold(found: tuple[Array, Array, Array], precision: float | None, stated: float) -> float:
    """The threshold of one class by its curve (scores, precision, recall)."""
    scores, exact, reached = found
    last = np.append(scores[1:] < scores[:-1], True)[: len(scores)]  # a cut is possible only below the last of equal scores
    if not len(scores) or not np.nanmax(reached, initial=0.0) > 0:
        return stated
    if precision is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            place = int(np.where(last, np.nan_to_num(2 * exact * reached / (exact + reached)), -1.0).argmax())
    else:
        enough = np.flatnonzero(last & (exact >= precision))
        if not len(enough):
            return 1.0
        place = int(enough[-1])
    below = scores[place + 1] if place + 1 < len(scores) else scores[place]
    return float((scores[place] + below) / 2)


def _keys(kind: Kind) -> list[str]:
    sizes = [name for name in RANGES if name != "all" and (kind, name) != ("keypoints", "small")]
    return ["map", "map50", "map75", *(f"map_{name}" for name in sizes), *(f"mar{limit}" for limit in LIMITS), "mar", *SHARES]


class _Statistic:
    """Weights (n, R) -> (R, values): those of `_keys`, then five of each class."""

    def __init__(self, lists: Sequence[Ranked], judged: Judged, kind: Kind) -> None:
        self.lists, self.judged, self.kind = lists, judged, kind

    def __call__(self, weights: Array) -> Array:
        every = range(len(THRESHOLDS))
        tables = [[average_precision(one, weights, t, 0) for t in every] for one in self.lists]
        columns = [mean_over([ap for table in tables for ap in table]), *(mean_over([table[t] for table in tables]) for t in (0, 5))]
        for area, name in enumerate(RANGES):
            if area and (self.kind, name) != ("keypoints", "small"):
                columns.append(mean_over([average_precision(one, weights, t, area) for one in self.lists for t in every]))
        for limit in (*LIMITS, None):
            columns.append(mean_over([recall(one, weights, t, 0, limit) for one in self.lists for t in every]))
        right, wrong, truths = (counts.astype(float) for counts in (self.judged.right, self.judged.wrong, self.judged.truths))
        columns += _shares(right.sum(1) @ weights, wrong.sum(1) @ weights, truths.sum(1) @ weights)
        for k, table in enumerate(tables):
            columns += [mean_over(table), table[0], *_shares(right[:, k] @ weights, wrong[:, k] @ weights, truths[:, k] @ weights)]
        return np.stack(columns, 1)


def _shares(right: Array, wrong: Array, truths: Array) -> list[Array]:
    """Precision (nan where nothing is answered), recall (nan without truths) and F1 of counts (R,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return [right / (right + wrong), right / truths, 2 * right / (right + wrong + truths)]
