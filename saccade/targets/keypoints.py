"""Named points of objects: joints of a person, corners of a sign, parts of an animal."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from saccade.targets.boxes import Boxes


@dataclass(frozen=True)
class Keypoints:
    """n objects of one image with K key points each; names, skeleton and pairs are in the LabelSpace.

    xy: (n, K, 2) continuous pixels, float64 as read; what is not labelled is (0, 0). visible: (n, K) uint8, 0 not labelled,
    1 labelled but hidden, 2 visible (COCO). boxes: their n boxes with the classes (where the data give none: tight around the
    labelled points). scores: (n, K) float, None for a truth. pairs: (left, right) key points, which a flip exchanges.
    """

    xy: Tensor
    visible: Tensor
    boxes: Boxes
    scores: Tensor | None = None
    pairs: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.xy)
