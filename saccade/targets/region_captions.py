"""Regions of an image, each with a sentence (dense captioning, referring expressions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops import boxes as ops
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.boxes import Boxes
from saccade.targets.rows import OVERLAP, Rows, array, chosen, column, moved, picked, places, some


@dataclass(frozen=True)
class RegionCaptions:
    """xyxy: (n, 4) continuous pixels, float64 as read. texts: n sentences. scores: (n,) float, None for a truth."""

    xyxy: Tensor
    texts: tuple[str, ...]
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @staticmethod
    def empty() -> RegionCaptions:
        """An image without described regions."""
        return RegionCaptions(torch.zeros(0, 4, dtype=torch.float64), ())

    @property
    def boxes(self) -> Boxes:
        """The regions as boxes of one class, numbered by `ids`."""
        numbers = torch.arange(len(self), device=self.xyxy.device)
        return Boxes(self.xyxy, torch.zeros_like(numbers), self.scores, ids=numbers)

    def select(self, rows: Rows) -> RegionCaptions:
        """The regions at these row numbers, in this order, or where n yes-or-no values are set. Raises IndexError, ValueError."""
        at = places(rows, len(self))
        return RegionCaptions(self.xyxy[at.to(self.xyxy.device)], picked(self.texts, at), chosen(self.scores, at))

    def warp(self, g: Geometry) -> RegionCaptions:
        """The regions as `Boxes.warp` moves and keeps them, with their sentences, which stay word for word even in a mirror."""
        boxes, kept = self.boxes.moved(g)
        return replace(self, xyxy=boxes.xyxy).select(kept)

    def to(self, device: torch.device | str) -> RegionCaptions:
        return RegionCaptions(self.xyxy.to(device), self.texts, moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with numbered regions, and the sentences below it in the regions' colours."""
        canvas = paint.Canvas(image)
        for row, (x1, y1, x2, y2) in enumerate(array(self.xyxy)):
            canvas.polyline(np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), paint.of_palette(row), closed=True)
        for row, box in enumerate(array(self.xyxy)):
            canvas.mark(box[:2], str(row + 1), paint.of_palette(row))
        for row, text in enumerate(self.texts):
            score = "" if self.scores is None else f" ({float(self.scores[row]):.2f})"
            canvas.below(f"{row + 1} {text}{score}", paint.of_palette(row))
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[RegionCaptions], placements: Sequence[Geometry]) -> RegionCaptions:
        """The regions of all parts in the whole: answers without those that overlap a better one by an IoU above 0.5, best first; truths
        without those whose region (to a hundredth of a pixel) and sentence equal an earlier one's. Raises ValueError without parts."""
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        xyxy = column([(len(p), p.xyxy) for p in warped], 0.0)
        assert xyxy is not None
        texts = tuple(text for part in warped for text in part.texts)
        whole = cls(xyxy, texts, column([(len(p), p.scores) for p in warped], 1.0))
        if whole.scores is not None:
            return whole.select(ops.nms(array(xyxy), array(whole.scores), OVERLAP))
        return whole.select(ops.first_copies(array(xyxy), np.array([texts.index(text) for text in texts])))
