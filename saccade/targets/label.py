"""The class of a whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.core import IGNORE, Geometry, LabelSpace
from saccade.targets import paint


@dataclass(frozen=True)
class Label:
    """One class of K, possibly with the whole distribution.

    index: class id 0..K-1, or -1 (ignored: enters no loss and no metric; as an answer, "unknown").
    probabilities: (K,) float on the CPU, summing to 1, or None for a plain truth.

    >>> Label(2).warp(Geometry.flip((4, 4))).index
    2
    """

    index: int
    probabilities: Tensor | None = None

    @property
    def score(self) -> float:
        """Probability of the class named, 1.0 for a plain truth, 0.0 for an unknown."""
        if self.index == IGNORE:
            return 0.0
        return 1.0 if self.probabilities is None else float(self.probabilities[self.index])

    @property
    def known(self) -> bool:
        return self.index != IGNORE

    def warp(self, g: Geometry) -> Label:
        """A class stays what it is under any geometry."""
        return self

    def to(self, device: torch.device | str) -> Label:
        return self if self.probabilities is None else Label(self.index, self.probabilities.to(device))

    def top(self, k: int = 5) -> list[tuple[int, float]]:
        """The k most probable classes with their probabilities, best first; ties by class id."""
        if self.probabilities is None:
            return [(self.index, self.score)]
        order = torch.sort(self.probabilities, descending=True, stable=True).indices[:k]
        return [(int(i), float(self.probabilities[i])) for i in order]

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the class name in a bar of the class's colour below it; the image is not changed."""
        canvas = paint.Canvas(image)
        name = paint.name_of(labels, self.index)
        canvas.below(name if self.probabilities is None else f"{name} {self.score:.2f}", paint.colour_of(labels, self.index))
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Label], placements: Sequence[Geometry]) -> Label:
        """The answer of several views of one image: the mean distribution, or the vote where a part has none."""
        if not parts:
            raise ValueError("merge needs at least one part, got none")
        if any(p.probabilities is None for p in parts):
            votes = [p.index for p in parts if p.known]
            return cls(max(sorted(set(votes)), key=votes.count) if votes else IGNORE)
        mean = torch.stack([p.probabilities for p in parts if p.probabilities is not None]).mean(0)
        return cls(int(mean.argmax()), mean)
