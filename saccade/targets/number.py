"""A number that belongs to a whole image: an age, a weight, a count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.rows import some


@dataclass(frozen=True)
class Number:
    """value: a finite number in the unit of the data. deviation: its standard deviation where a model gives one, else None."""

    value: float
    deviation: float | None = None

    def warp(self, g: Geometry) -> Number:
        """A number stays what it is under any geometry."""
        return self

    def to(self, device: torch.device | str) -> Number:
        return self

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the number below it, after the name of what it is where the label space has one."""
        canvas = paint.Canvas(image)
        name = f"{labels.names[0]} " if len(labels) else ""
        canvas.below(f"{name}{self.value:.6g}" + ("" if self.deviation is None else f" ± {self.deviation:.2g}"))
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Number], placements: Sequence[Geometry]) -> Number:
        """The answer of several views of one image: the mean; its deviation, when all have one, is that of their equal mixture: the root of the
        mean variance plus the variance of the values. Raises ValueError without parts."""
        values = np.array([part.value for part in some(parts)])
        deviations = [part.deviation for part in parts if part.deviation is not None]
        mixed = None if len(deviations) < len(parts) else float(np.sqrt(np.mean(np.square(deviations)) + values.var()))
        return cls(float(values.mean()), mixed)
