"""Sentences that describe a whole image."""

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
class Caption:
    """texts: the reference sentences of a truth, or a model's answers, the best first. scores: their log-probabilities, None for a truth."""

    texts: tuple[str, ...]
    scores: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @staticmethod
    def empty() -> Caption:
        """An image without a sentence."""
        return Caption(())

    def warp(self, g: Geometry) -> Caption:
        """A sentence stays what it is under any geometry, even in a mirror."""
        return self

    def to(self, device: torch.device | str) -> Caption:
        return self

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the sentences below it, wrapped to its width."""
        canvas = paint.Canvas(image)
        for row, text in enumerate(self.texts):
            canvas.below(text if self.scores is None else f"{text} ({self.scores[row]:.2f})", paint.WHITE)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Caption], placements: Sequence[Geometry]) -> Caption:
        """The sentences of all parts, each once: with scores the best first and with its best score, else in order. Raises ValueError without parts."""
        texts = [text for part in some(parts) for text in part.texts]
        if any(part.scores is None for part in parts if part.texts):
            return cls(tuple(dict.fromkeys(texts)))
        scores = [score for part in parts for score in part.scores or ()]
        best: dict[str, float] = {}
        for score, text in sorted(zip(scores, texts, strict=True), key=lambda pair: -pair[0]):
            best.setdefault(text, score)
        return cls(tuple(best), tuple(best.values()) if any(part.scores is not None for part in parts) else None)
