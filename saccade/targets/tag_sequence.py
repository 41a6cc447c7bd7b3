"""A tag for every step of a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TagSequence:
    """tags: (T,) int64, 0..K-1, -1 ignored. scores: (T, K) float, the marginals, None for a truth."""

    tags: Tensor
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tags)
