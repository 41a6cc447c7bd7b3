"""From a network's numbers to an answer: what is chosen on validation images and stored in the model file, one class a kind of answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.errors import ModelError, UsageError, nearest
from saccade.metrics.calibration import RANGE, fit_temperature, scale
from saccade.metrics.detection import STATED
from saccade.metrics.thresholds import Thresholds, as_array, choose, decide
from saccade.nn.heads.columns import exclusive
from saccade.targets import Boxes, Label, Labels

UNSEEN = 0.1
"""The score of a key point below which it is taken to be out of sight, when nothing is said."""


class Postprocess(Protocol):
    """How answers are finished. `measured` is what metrics see (calibrated, nothing left out), `apply` what users see."""

    def measured(self, answer: Any, space: LabelSpace) -> Any: ...
    def apply(self, answers: list[Any], space: LabelSpace) -> list[Any]: ...
    def stated(self) -> dict[str, Any]:
        """Keywords of the metric: the thresholds that its precision and recall are of."""
        ...

    def with_thresholds(self, thresholds: Thresholds, space: LabelSpace) -> Self: ...
    @classmethod
    def fit(cls, found: Any, space: LabelSpace, precision: float | None) -> Self:
        """Chosen by an evaluation of validation images."""
        ...

    def told(self) -> dict[str, Any]:
        """What was chosen, for the event of the evaluation."""
        ...

    def to_dict(self) -> dict[str, Any]: ...
    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self: ...


@dataclass(frozen=True)
class Calibrated:
    """Of one class an image. temperature: of the probabilities, 0.05 to 20, 1 changes nothing (Guo et al. 2017, section 4.2).
    thresholds: class name -> the probability below which the answer is "unknown", 0 where none is given.

    >>> space = LabelSpace(("a", "b"))
    >>> Calibrated(2.0, {"a": 0.7}).apply([Label(0, torch.tensor([0.8, 0.2]))], space)[0].index
    -1
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def measured(self, answer: Label, space: LabelSpace) -> Label:
        return self.apply([answer], space)[0]

    def apply(self, answers: list[Label], space: LabelSpace) -> list[Label]:
        """The same labels at the temperature, unknown (-1, with their distribution) where the best class is below its threshold."""
        given = [label.probabilities for label in answers if label.probabilities is not None]
        if not given:
            return answers
        probabilities = scale(torch.stack(given).double().numpy(), self.temperature)
        chosen = decide(probabilities, as_array(self.thresholds, space))
        return [Label(int(answer), torch.from_numpy(row.astype(np.float32))) for answer, row in zip(chosen, probabilities, strict=True)]

    def stated(self) -> dict[str, Any]:
        return {"threshold": dict(self.thresholds) or None}

    def with_thresholds(self, thresholds: Thresholds, space: LabelSpace) -> Self:
        """The same with other thresholds: one for all classes, or by name. Raises UsageError USE-VALUE or USE-OPTION."""
        return replace(self, thresholds=_named(thresholds, space))

    @classmethod
    def fit(cls, found: Any, space: LabelSpace, precision: float | None) -> Self:
        """The temperature of lowest negative log-likelihood and, where a precision is asked for, the thresholds that reach it."""
        p, truth = found.metric.probabilities, found.metric.truth
        temperature = fit_temperature(p, truth)
        return cls(temperature, {} if precision is None else choose(scale(p, temperature), truth, space, precision=precision))

    def told(self) -> dict[str, Any]:
        return {"temperature": round(self.temperature, 4)}

    def to_dict(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self:
        """Of a model file's card. Raises ModelError MODEL-ARGS for an unknown name or a value out of range."""
        _known(stored, ("temperature", "thresholds"), where)
        temperature = stored.get("temperature", 1.0)
        if type(temperature) not in (int, float) or not RANGE[0] <= temperature <= RANGE[1]:
            raise ModelError("MODEL-ARGS", f"temperature is {str(temperature)[:40]}; expected {RANGE[0]} to {RANGE[1]}", where=where)
        return cls(float(temperature), _stored_thresholds(stored, space, where))


@dataclass(frozen=True)
class Thresholded:
    """Of objects and of several labels an image: thresholds by class name; what scores less is not answered. 0 where some are given and none of the class."""

    thresholds: Mapping[str, float] = field(default_factory=dict)

    def measured(self, answer: Any, space: LabelSpace) -> Any:
        return answer

    def apply(self, answers: list[Any], space: LabelSpace) -> list[Any]:
        """Objects below their class's threshold are left out (0.3 where no class has one); a label is there from its threshold on (0.5 where it has none).

        Of labels that answer one question (colour=red, colour=blue) the most probable one is there, whatever the thresholds.
        """
        limits, questions = as_array(self.thresholds, space), space.questions
        return [self._labels(answer, limits, questions) if isinstance(answer, Labels) else self._one(answer, limits) for answer in answers]

    def _labels(self, answer: Labels, limits: np.ndarray, questions: dict[str, list[int]]) -> Labels:
        if answer.scores is None:
            return answer
        values = (answer.scores.double() >= torch.from_numpy(np.where(limits > 0, limits, 0.5))).to(torch.int8)
        for places in questions.values():
            if len(places) > 1:
                values[places] = exclusive(answer.scores, {"": places})[places]
        return Labels(values, answer.scores)

    def _one(self, answer: Any, limits: np.ndarray) -> Any:
        boxes: Any = answer if isinstance(answer, Boxes) else getattr(answer, "boxes", answer)
        if boxes.scores is None:
            return answer
        if not self.thresholds:  # the threshold that the metrics of objects state then
            limits = np.full(len(limits), STATED)
        return answer.select(boxes.scores.double().numpy() >= limits[boxes.classes.numpy()])

    def stated(self) -> dict[str, Any]:
        return {"threshold": dict(self.thresholds) or None}

    def with_thresholds(self, thresholds: Thresholds, space: LabelSpace) -> Self:
        """The same with other thresholds: one for all classes, or by name. Raises UsageError USE-VALUE or USE-OPTION."""
        return replace(self, thresholds={name: float(value) for name, value in zip(space.names, as_array(thresholds, space), strict=True)})

    @classmethod
    def fit(cls, found: Any, space: LabelSpace, precision: float | None) -> Self:
        """The thresholds of highest F1 of each class or, where a precision is asked for, the lowest that reach it: the metric's `best_thresholds`."""
        return cls(dict(found.metric.best_thresholds(precision)))

    def told(self) -> dict[str, Any]:
        return {"thresholds": {name: round(value, 4) for name, value in self.thresholds.items()}}

    def to_dict(self) -> dict[str, Any]:
        return {"thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self:
        """Of a model file's card. Raises ModelError MODEL-ARGS for an unknown name or a value out of range."""
        _known(stored, ("thresholds",), where)
        return cls(_stored_thresholds(stored, space, where))


@dataclass(frozen=True)
class Posed(Thresholded):
    """Of objects with key points: thresholds of the objects as above, and of the points, whose score below `point` says that they are not to be seen.

    >>> from saccade.targets import Keypoints
    >>> box, scores = Boxes(torch.ones(1, 4), torch.zeros(1, dtype=torch.int64)), torch.tensor([[0.9, 0.01]])
    >>> held = Keypoints(torch.ones(1, 2, 2), torch.full((1, 2), 2, dtype=torch.uint8), box, scores)
    >>> Posed(point=0.1).apply([held], LabelSpace(("fly",)))[0].visible.tolist()
    [[2, 0]]
    """

    point: float = UNSEEN

    def apply(self, answers: list[Any], space: LabelSpace) -> list[Any]:
        """Objects below their class's threshold are left out, points below `point` are answered as not labelled."""
        return [self._seen(answer) for answer in super().apply(answers, space)]

    def _seen(self, answer: Any) -> Any:
        if answer.scores is None:
            return answer
        kept = answer.scores >= self.point
        return replace(answer, visible=torch.where(kept, answer.visible, 0).to(torch.uint8), xy=torch.where(kept[..., None], answer.xy, 0.0))

    def to_dict(self) -> dict[str, Any]:
        return {"thresholds": dict(self.thresholds), "point": self.point}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self:
        """Of a model file's card. Raises ModelError MODEL-ARGS for an unknown name or a value out of range."""
        _known(stored, ("thresholds", "point"), where)
        point = stored.get("point", UNSEEN)
        if type(point) not in (int, float) or not 0 <= point <= 1:
            raise ModelError("MODEL-ARGS", f"point is {str(point)[:40]}; expected 0 to 1", where=where)
        return cls(_stored_thresholds(stored, space, where), float(point))


@dataclass(frozen=True)
class AsItIs:
    """Of answers that nothing is chosen for: maps, pictures, numbers, points."""

    def measured(self, answer: Any, space: LabelSpace) -> Any:
        return answer

    def apply(self, answers: list[Any], space: LabelSpace) -> list[Any]:
        return answers

    def stated(self) -> dict[str, Any]:
        return {}

    def with_thresholds(self, thresholds: Thresholds, space: LabelSpace) -> Self:
        """Raises UsageError USE-OPTION: there is nothing to hold a threshold against."""
        raise UsageError("USE-OPTION", "these answers have no score that a threshold could be of", where="--threshold", fix="leave --threshold out")

    @classmethod
    def fit(cls, found: Any, space: LabelSpace, precision: float | None) -> Self:
        """Nothing to choose. Raises UsageError USE-OPTION where a precision is asked for."""
        if precision is not None:
            raise UsageError("USE-OPTION", "these answers have no score to reach a precision by", where="--min-precision", fix="leave --min-precision out")
        return cls()

    def told(self) -> dict[str, Any]:
        return {}

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self:
        """Of a model file's card. Raises ModelError MODEL-ARGS for any name."""
        _known(stored, (), where)
        return cls()


POSTPROCESS: Mapping[str, type[Any]] = {"label": Calibrated, **dict.fromkeys(("labels", "boxes", "instances"), Thresholded), "keypoints": Posed}


def postprocess_of(head: str) -> type[Postprocess]:
    """The class that finishes the answers of a head."""
    return POSTPROCESS.get(head, AsItIs)


def _named(thresholds: Thresholds, space: LabelSpace) -> dict[str, float]:
    values = as_array(thresholds, space)
    return {name: float(value) for name, value in zip(space.names, values, strict=True) if value}


def _known(stored: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in stored:
        if name not in names:
            raise ModelError("MODEL-ARGS", f"postprocess {name}; {nearest(name, names)}", where=where)


def _stored_thresholds(stored: Mapping[str, Any], space: LabelSpace, where: str) -> Mapping[str, float]:
    thresholds = stored.get("thresholds", {})
    if not isinstance(thresholds, dict) or not all(type(value) in (int, float) for value in thresholds.values()):
        raise ModelError("MODEL-ARGS", f"thresholds are {str(thresholds)[:40]}; expected a number by class name", where=where)
    try:
        as_array(thresholds, space)
    except UsageError as error:
        raise ModelError("MODEL-ARGS", error.got, where=where) from error
    return thresholds
