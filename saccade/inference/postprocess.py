"""From a network's probabilities to an answer: temperature and thresholds, stored in the model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.errors import ModelError, UsageError, nearest
from saccade.metrics.calibration import RANGE, scale
from saccade.metrics.thresholds import Thresholds, as_array, decide
from saccade.targets.label import Label


@dataclass(frozen=True)
class Postprocess:
    """temperature: of the probabilities, 0.05 to 20, 1 changes nothing (Guo et al. 2017, section 4.2). thresholds: class name ->
    the probability below which the answer is "unknown", 0 where none is given.

    >>> space = LabelSpace(("a", "b"))
    >>> Postprocess(2.0, {"a": 0.7}).apply([Label(0, torch.tensor([0.8, 0.2]))], space)[0].index
    -1
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def apply(self, labels: list[Label], space: LabelSpace) -> list[Label]:
        """The same labels at the temperature, unknown (-1, with their distribution) where the best class is below its threshold."""
        given = [label.probabilities for label in labels if label.probabilities is not None]
        if not given:
            return labels
        probabilities = scale(torch.stack(given).double().numpy(), self.temperature)
        answers = decide(probabilities, as_array(self.thresholds, space))
        return [Label(int(answer), torch.from_numpy(row.astype(np.float32))) for answer, row in zip(answers, probabilities, strict=True)]

    def with_thresholds(self, thresholds: Thresholds, space: LabelSpace) -> Self:
        """The same with other thresholds: one for all classes, or by name. Raises UsageError USE-VALUE or USE-OPTION."""
        values = as_array(thresholds, space)
        return type(self)(self.temperature, {name: float(value) for name, value in zip(space.names, values, strict=True) if value})

    def to_dict(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], space: LabelSpace, *, where: str = "") -> Self:
        """Of a model file's card. Raises ModelError MODEL-ARGS for an unknown name or a value out of range."""
        known = ("temperature", "thresholds")
        for name in stored:
            if name not in known:
                raise ModelError("MODEL-ARGS", f"postprocess {name}; {nearest(name, known)}", where=where)
        temperature, thresholds = stored.get("temperature", 1.0), stored.get("thresholds", {})
        if type(temperature) not in (int, float) or not RANGE[0] <= temperature <= RANGE[1]:
            raise ModelError("MODEL-ARGS", f"temperature is {str(temperature)[:40]}; expected {RANGE[0]} to {RANGE[1]}", where=where)
        if not isinstance(thresholds, dict) or not all(type(value) in (int, float) for value in thresholds.values()):
            raise ModelError("MODEL-ARGS", f"thresholds are {str(thresholds)[:40]}; expected a number by class name", where=where)
        try:
            as_array(thresholds, space)
        except UsageError as error:
            raise ModelError("MODEL-ARGS", error.got, where=where) from error
        return cls(float(temperature), thresholds)
