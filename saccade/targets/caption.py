"""Sentences that describe a whole image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """texts: the reference sentences of a truth, or a model's answers, the best first. scores: their log-probabilities, None for a truth."""

    texts: tuple[str, ...]
    scores: tuple[float, ...] | None = None
