"""Objects, their attributes, and the relations between them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.targets.boxes import Boxes


@dataclass(frozen=True)
class SceneGraph:
    """boxes: the n objects with their classes. attributes: words for each object (may be none), n tuples.

    relations: (m, 3) int64 rows (subject, predicate, object): a row of the boxes, a place in `LabelSpace.relations`, a row of
    the boxes. scores: (m,) float, None for a truth.
    """

    boxes: Boxes
    attributes: tuple[tuple[str, ...], ...]
    relations: Tensor
    scores: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)
