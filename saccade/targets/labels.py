"""Several yes-or-no labels of a whole image (multi-label classification), each possibly unknown."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """K answers.

    values: (K,) int8, 1 yes, 0 no, -1 unknown (enters no loss and no metric). scores: (K,) float probabilities of yes on the
    CPU, or None for a plain truth.
    """

    values: Tensor
    scores: Tensor | None = None
