"""A tag for every step of a sequence."""

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
class TagSequence:
    """tags: (T,) int64, 0..K-1, -1 ignored. scores: (T, K) float, the marginals, None for a truth."""

    tags: Tensor
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tags)

    @staticmethod
    def empty() -> TagSequence:
        """A sequence without steps."""
        return TagSequence(torch.zeros(0, dtype=torch.int64))

    def warp(self, g: Geometry) -> TagSequence:
        """The tags of the steps stay what they are under any geometry of their pictures."""
        return self

    def to(self, device: torch.device | str) -> TagSequence:
        return TagSequence(self.tags.to(device), moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """The image (H, W, 3) uint8 with the steps below it, from left to right as a strip of the tags' colours, and the tags' names."""
        canvas = paint.Canvas(image)
        tags = self.tags.tolist()
        canvas.strip([paint.colour_of(labels, tag) for tag in tags])
        canvas.legend((paint.colour_of(labels, tag), paint.name_of(labels, tag)) for tag in dict.fromkeys(tags))
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[TagSequence], placements: Sequence[Geometry]) -> TagSequence:
        """The answer of several views of one sequence: when all have marginals their mean and its best tag; else for each step the tag that most
        parts know, the smallest of equals. Raises ValueError without parts or for sequences of different lengths."""
        lengths = {len(part) for part in some(parts)}
        if len(lengths) > 1:
            raise ValueError(f"sequences of {sorted(lengths)} steps, expected views of one sequence")
        scores = [part.scores for part in parts if part.scores is not None]
        if len(scores) == len(parts):
            mean = torch.stack(scores).mean(0)
            return cls(mean.argmax(1) if mean.numel() else parts[0].tags, mean)
        tags = torch.stack([part.tags for part in parts])
        votes = torch.stack([(tags == k).sum(0) for k in range(int(tags.max()) + 1 if tags.numel() else 0)] or [torch.zeros_like(parts[0].tags)])
        return cls(torch.where(votes.amax(0) > 0, votes.argmax(0), -1))
