"""The numbers of finding one object in an image, or none: for objects and for pixels, each with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError, UsageError
from saccade.metrics import bootstrap
from saccade.metrics.detection import STATED, curve_threshold
from saccade.metrics.thresholds import Thresholds, as_array
from saccade.ops.boxes import area, intersection, iou
from saccade.targets import Boxes
from saccade.targets.rows import array

Array = np.ndarray
KEYS = ("iou", "tpr", "tnr", "ppv", "accuracy", "pixel_iou", "pixel_tpr", "pixel_tnr", "pixel_ppv")
SAME = 0.5


class _Seen(NamedTuple):
    """One image: the class of its largest object and of its answer (-1 for none), the score, the overlap, and the square pixels shared, of the
    object's box and of the answer's."""

    truth: int
    answer: int
    score: float
    overlap: float
    shared: float
    truth_area: float
    answer_area: float


@dataclass
class Localization:
    """Metric of Boxes with one object an image at most.

    For objects: an answer counts from the threshold on and is right where the image has an object, of its class, that it overlaps by 0.5 at least.
    tpr: right answers among images with an object; tnr: images without an answer among those without an object; ppv: right ones among all answers;
    iou: mean overlap over images with an object, 0 where nothing is answered; accuracy: images whose class, or its absence, is right. For pixels, those of
    all images together: in the object's box or not, against in the answered box or not. Of several objects the largest is meant; images of
    nothing but crowds, difficult objects and objects without a class are left out.

    threshold: of the score, one for all or {class: score}, None is 0.3. plane: the mean square pixels of the images, which pixel_tnr needs; nan without.

    >>> import torch
    >>> metric = Localization(LabelSpace(("cat",)))
    >>> truth = Boxes(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([0]))
    >>> metric.update(Boxes(torch.tensor([[0.0, 0, 10, 8]]), torch.tensor([0]), torch.tensor([0.9])), truth)
    >>> metric.update(Boxes.empty(), Boxes.empty())
    >>> [round(metric.points()[key], 2) for key in ("iou", "tpr", "tnr", "ppv")]
    [0.8, 1.0, 1.0, 1.0]
    """

    worst: ClassVar[str] = "low"

    space: LabelSpace
    threshold: Thresholds = None
    plane: float | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _images: list[_Seen] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._limits = as_array(STATED if self.threshold is None else self.threshold, self.space)

    def update(self, prediction: Boxes, truth: Boxes | None, group: str | None = None) -> None:
        """Takes one image in; raises MODEL-CLASSES for an id that is no class."""
        if truth is None:
            return
        seen = self._look(prediction, truth)
        if seen is not None:
            self._images.append(seen)
            self._groups.append(group)

    def _look(self, prediction: Boxes, truth: Boxes) -> _Seen | None:
        if len(prediction) and not 0 <= int(prediction.classes.min()) <= int(prediction.classes.max()) < len(self.space):
            raise ModelError("MODEL-CLASSES", f"class {int(prediction.classes.max())} of {len(self.space)} classes")
        counted = (truth.classes >= 0).numpy().copy()
        for flags in (truth.crowd, truth.difficult):
            counted &= True if flags is None else ~flags.numpy()
        if len(truth) and not counted.any():
            return None
        boxes, found = array(truth.xyxy)[counted], array(prediction.xyxy)
        scores = np.ones(len(prediction)) if prediction.scores is None else array(prediction.scores)
        t, a = int(area(boxes).argmax()) if len(boxes) else -1, int(scores.argmax()) if len(scores) else -1
        gold, own = (boxes[t : t + 1] if t >= 0 else np.zeros((1, 4))), (found[a : a + 1] if a >= 0 else np.zeros((1, 4)))
        overlap, shared = float(iou(own, gold)[0, 0]), float(intersection(own, gold)[0, 0])
        ids = int(truth.classes.numpy()[counted][t]) if t >= 0 else -1, int(prediction.classes[a]) if a >= 0 else -1
        return _Seen(*ids, float(scores[a]) if a >= 0 else 0.0, overlap, shared, float(area(gold)[0]), float(area(own)[0]))

    def __add__(self, other: Self) -> Self:
        if self.space != other.space or not np.array_equal(self._limits, other._limits):
            raise ValueError("only statistics of the same classes and thresholds can be added")
        total = type(self)(self.space, self.threshold, self.plane, self.resamples, self.seed)
        total._images, total._groups = self._images + other._images, self._groups + other._groups
        return total

    def __len__(self) -> int:
        return len(self._images)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def compute(self) -> dict[str, Value]:
        """{iou, tpr, tnr, ppv, accuracy, pixel_iou, pixel_tpr, pixel_tnr, pixel_ppv: Value}; nan where there is nothing to say."""
        return self._resampled(self.resamples)

    def _resampled(self, resamples: int) -> dict[str, Value]:
        n = len(self)
        if not n:
            return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in KEYS}
        groups = bootstrap.group_codes(self._groups)
        columns = self._columns()

        def statistic(weights: Array) -> Array:
            sums = {name: column @ weights for name, column in columns.items()}
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.stack([sums[f"{key} of"] / sums[f"{key} in"] for key in KEYS], 1)

        value, drawn = bootstrap.evaluate({"": statistic}, n, groups=groups, resamples=resamples, seed=self.seed)[""]
        units = n if groups is None else int(groups.max()) + 1
        return {key: bootstrap.interval(float(v), drawn[:, i], units)._replace(n=n) for i, (key, v) in enumerate(zip(KEYS, value, strict=True))}

    def _columns(self) -> dict[str, Array]:
        """For each key what is counted in each image (n,), and out of how much."""
        truth, answer, score, overlap, shared, gold, own = (np.array(column, dtype=np.float64) for column in zip(*self._images, strict=True))
        given = (answer >= 0) & (score >= self._limits[answer.astype(int).clip(0)])
        there = truth >= 0
        right = given & there & (answer == truth) & (overlap >= SAME)
        shared, own = np.where(given, shared, 0.0), np.where(given, own, 0.0)
        named = np.where(given, answer, -1.0) == truth
        plane = np.full(len(truth), np.nan if self.plane is None else self.plane)
        of = {"iou": overlap * given * there, "tpr": right, "tnr": ~given & ~there, "ppv": right, "accuracy": named}
        out = {"iou": there, "tpr": there, "tnr": ~there, "ppv": given, "accuracy": np.ones(len(truth))}
        of |= {"pixel_iou": shared, "pixel_tpr": shared, "pixel_tnr": plane - gold - own + shared, "pixel_ppv": shared}
        out |= {"pixel_iou": gold + own - shared, "pixel_tpr": gold, "pixel_tnr": plane - gold, "pixel_ppv": own}
        return {f"{key} of": np.asarray(v, float) for key, v in of.items()} | {f"{key} in": np.asarray(v, float) for key, v in out.items()}

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class: class, truths, answered, iou, tpr, ppv, threshold."""
        rows = []
        for k, name in enumerate(self.space.names) if self._images else ():
            own = type(self)(self.space, self.threshold, self.plane, 0, self.seed)
            own._images = [seen if seen.truth == k else seen._replace(truth=-1) for seen in self._images if k in (seen.truth, seen.answer)]
            own._images = [seen if seen.answer == k else seen._replace(answer=-1) for seen in own._images]
            own._groups = [None] * len(own)
            values = own.points()
            given = sum(seen.answer == k and seen.score >= self._limits[k] for seen in own._images)
            row = {"class": name, "truths": sum(seen.truth == k for seen in own._images), "answered": given}
            rows.append(row | {key: values[key] for key in ("iou", "tpr", "ppv")} | {"threshold": float(self._limits[k])})
        return rows

    def of_image(self, prediction: Boxes, truth: Boxes) -> dict[str, float]:
        """{iou, score} of one image: 1 for an image without an object and without an answer, 0 for an answer of another class or to nothing."""
        seen = self._look(prediction, truth)
        if seen is None:
            return {}
        given = seen.answer >= 0 and seen.score >= self._limits[seen.answer]
        if seen.truth < 0 or not given:
            return {"iou": float(seen.truth < 0 and not given), "score": seen.score}
        return {"iou": seen.overlap if seen.answer == seen.truth else 0.0, "score": seen.score}

    def best_thresholds(self, precision: float | None = None) -> dict[str, float]:
        """Of each class the score with the best F1 of right answers or, where a precision is asked for, the lowest that reaches it. For validation.

        Raises UsageError USE-VALUE for a precision outside of (0, 1].
        """
        if precision is not None and not 0 < precision <= 1:
            raise UsageError("USE-VALUE", f"the precision to reach is {precision}, expected a share in (0, 1]")
        found = {}
        for k, name in enumerate(self.space.names):
            own = sorted((seen for seen in self._images if seen.answer == k), key=lambda seen: -seen.score)
            hits = np.cumsum([seen.truth == k and seen.overlap >= SAME for seen in own])
            total = max(1, sum(seen.truth == k for seen in self._images))
            curve = np.array([seen.score for seen in own]), hits / np.arange(1, len(own) + 1), hits / total
            found[name] = curve_threshold(curve, precision, float(self._limits[k]))
        return found
