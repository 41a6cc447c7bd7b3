"""What generated pictures are told besides noise: columns of numbers of a table, in deviations from the means of the training part.

>>> told = Told(("age", "height"), (40.0, 170.0), (10.0, 5.0))
>>> told.vector({"age": 50.0, "height": 170.0}).tolist(), told.vector({"height": 180.0}).tolist(), told.vector({}).tolist()
([1.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from saccade.errors import DataError, ModelError, unknown_name

Rows = Sequence[Mapping[str, float]]
MOST = 64  # columns


@dataclass(frozen=True)
class Told:
    """columns: their names. means, deviations: of the training part, in the columns' units; the deviation of a column that never varies is 1."""

    columns: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.means, *self.deviations)
        sound = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers) and all(v > 0 for v in self.deviations)
        named = 1 <= len(self.columns) <= MOST and all(isinstance(name, str) for name in self.columns) and len(set(self.columns)) == len(self.columns)
        if not (sound and named and len(self.columns) == len(self.means) == len(self.deviations)):
            got = f"{len(self.columns)} columns, {len(self.means)} means, {len(self.deviations)} deviations"
            raise ModelError("MODEL-ARGS", f"preprocess told: {got}; expected 1 to {MOST} columns with a finite mean and a deviation above 0 each")

    @classmethod
    def learnt(cls, columns: Sequence[str], rows: Rows) -> Self:
        """From the values of the training part, {column: number}. Raises DataError DATA-SMALL where a column has fewer than two."""
        means, deviations = [], []
        for name in columns:
            values = np.array([row[name] for row in rows if name in row], np.float64)
            if len(values) < 2:
                raise DataError("DATA-SMALL", f"{len(values)} training pictures have a number in the column {name}", fix="name columns of numbers")
            means.append(float(values.mean()))
            deviations.append(float(values.std()) or 1.0)
        return cls(tuple(columns), tuple(means), tuple(deviations))

    def vector(self, values: Mapping[str, float]) -> Tensor:
        """(K + 1,): each column in deviations from its mean, nought where it is not known, and then 1; noughts alone where none is known."""
        found = [(values[name] - mean) / deviation if name in values else 0.0 for name, mean, deviation in zip(*self._parts, strict=True)]
        return torch.tensor([*found, 1.0 if any(name in values for name in self.columns) else 0.0])

    @property
    def _parts(self) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
        return self.columns, self.means, self.deviations

    def to_dict(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "means": list(self.means), "deviations": list(self.deviations)}

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """Raises ModelError MODEL-ARGS."""
        names = [field.name for field in fields(cls)]
        if not isinstance(stored, Mapping) or unknown_name(stored, names) or not all(isinstance(stored.get(name), list) for name in names):
            raise ModelError("MODEL-ARGS", f"preprocess told is {str(stored)[:60]}, expected a table of {', '.join(names)}")
        return cls(*(tuple(stored[name]) for name in names))
