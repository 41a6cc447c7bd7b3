"""Several yes-or-no labels of a whole image (multi-label classification), each possibly unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.rows import moved, some


@dataclass(frozen=True)
class Labels:
    """K answers.

    values: (K,) int8, 1 yes, 0 no, -1 unknown (enters no loss and no metric). scores: (K,) float probabilities of yes on the
    CPU, or None for a plain truth.
    """

    values: Tensor
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @staticmethod
    def empty(classes: int) -> Labels:
        """Nothing known of so many classes."""
        return Labels(torch.full((classes,), -1, dtype=torch.int8))

    def warp(self, g: Geometry) -> Labels:
        """A label stays what it is under any geometry."""
        return self

    def to(self, device: torch.device | str) -> Labels:
        return Labels(self.values.to(device), moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the labels that hold below it, with their scores, and unknown ones with a question mark; "none" where none does."""
        canvas = paint.Canvas(image)
        entries = []
        for index, value in enumerate(self.values.tolist()):
            name = paint.name_of(labels, index)
            if value == 1:
                entries.append((paint.colour_of(labels, index), name if self.scores is None else f"{name} {float(self.scores[index]):.2f}"))
            elif value < 0:
                entries.append((paint.GREY, f"{name}?"))
        canvas.legend(entries or [(paint.WHITE, "none")])
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Labels], placements: Sequence[Geometry]) -> Labels:
        """The answer of several views: when all have scores their mean, yes from 0.5 on; else yes where any part says so, no where one does and
        none says yes, unknown where none knows. Raises ValueError without parts."""
        scores = [part.scores for part in some(parts) if part.scores is not None]
        if len(scores) == len(parts):
            mean = torch.stack(scores).mean(0)
            return cls((mean >= 0.5).to(torch.int8), mean)
        return cls(torch.stack([part.values for part in parts]).amax(0))
