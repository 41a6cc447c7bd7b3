"""Regions of an image, each with a sentence (dense captioning, referring expressions)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class RegionCaptions:
    """xyxy: (n, 4) continuous pixels, float64 as read. texts: n sentences. scores: (n,) float, None for a truth."""

    xyxy: Tensor
    texts: tuple[str, ...]
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.xyxy)
