"""A large map from its windows, joined as they come, so that no more is held than a row of windows."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.targets.segmentation_map import IGNORED, SegmentationMap, ramp

LARGEST_SOFT = 1 << 24
"""Pixels of a map up to which its probabilities are kept; a larger one has its classes alone."""


class GatheredMap:
    """The mean of windows that come row by row, as `SegmentationMap.merge` of all of them would be; rows that no later window reaches are finished at once.

    size: (h, w) of the whole.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.done = size, 0  # rows that are finished
        self.ids = torch.full(size, IGNORED, dtype=torch.uint8)
        self.soft: Tensor | None = None  # (C, h, w), the classes and perhaps the edges
        self.strip: Tensor | None = None  # (C + 1, rows, w) sums from row `done` on, the last plane the weights
        self.classes = 0

    def add(self, part: SegmentationMap, top: int, left: int) -> None:
        """A window with probabilities at its place. Raises ValueError for one that lies above the one before, or without probabilities."""
        if part.probabilities is None:
            raise ValueError("windows are joined by their probabilities, and this one has none")
        if top < self.done:
            raise ValueError(f"a window at row {top} after one at row {self.done}; they come row by row")
        layers = part.probabilities.float()
        self.classes = len(layers)
        if part.edges is not None:
            layers = torch.cat([layers, part.edges[None].float()])
        if self.soft is None and self.size[0] * self.size[1] <= LARGEST_SOFT:
            self.soft = torch.zeros(len(layers), *self.size)
        self._finish_rows(top)
        h, w = part.size
        rows = top + h - self.done
        if self.strip is None:
            self.strip = torch.zeros(len(layers) + 1, rows, self.size[1])
        elif self.strip.shape[1] < rows:
            self.strip = torch.cat([self.strip, torch.zeros(len(self.strip), rows - self.strip.shape[1], self.size[1])], 1)
        weight = ramp((h, w)) * part.probabilities.float().sum(0)
        place = self.strip[:, top - self.done : rows, left : left + w]
        place[:-1] += layers * ramp((h, w))
        place[-1] += weight

    def _finish_rows(self, until: int) -> None:
        """Rows `done` to `until` get their answers."""
        count = until - self.done
        if count <= 0:
            return
        if self.strip is None:
            self.done = until
            return
        sums, mass = self.strip[:-1, :count], self.strip[-1, :count]
        reached = sums.shape[1]
        inside = slice(self.done, self.done + reached)
        self.ids[inside] = torch.where(mass > 0, sums[: self.classes].argmax(0), IGNORED).to(torch.uint8)
        if self.soft is not None:
            self.soft[:, inside] = sums / mass.clamp_min(1e-12)
        self.strip, self.done = self.strip[:, count:].clone(), until

    def finish(self) -> SegmentationMap:
        """The whole map, with probabilities and edges where it is not too large."""
        self._finish_rows(self.size[0])
        if self.soft is None:
            return SegmentationMap(self.ids)
        return SegmentationMap(self.ids, self.soft[: self.classes], edges=self.soft[-1] if len(self.soft) > self.classes else None)
