"""Named points of objects: joints of a person, corners of a sign, parts of an animal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops.boxes import first_copies
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.boxes import Boxes
from saccade.targets.rows import SMALLEST, Rows, array, chosen, column, moved, places, some, tensor


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

    @staticmethod
    def empty(points: int, pairs: tuple[tuple[int, int], ...] = ()) -> Keypoints:
        """An image without objects, each of which would have so many key points."""
        return Keypoints(torch.zeros(0, points, 2, dtype=torch.float64), torch.zeros(0, points, dtype=torch.uint8), Boxes.empty(), None, pairs)

    @property
    def exchange(self) -> list[int]:
        """The key point that each one becomes in a mirror: the other of its pair, or itself."""
        order = list(range(self.xy.shape[1]))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    def select(self, rows: Rows) -> Keypoints:
        """The objects at these row numbers, in this order, or where n yes-or-no values are set. Raises IndexError, ValueError."""
        at = places(rows, len(self))
        here = at.to(self.xy.device)
        return replace(self, xy=self.xy[here], visible=self.visible[here], boxes=self.boxes.select(at), scores=chosen(self.scores, at))

    def warp(self, g: Geometry) -> Keypoints:
        """The points moved (float32); a geometry that mirrors exchanges left and right. Those that land outside are no longer labelled: (0, 0).

        An object stays when `Boxes.warp` keeps its box, or when one of its points is inside and its box has a pixel there.
        """
        n, k = self.visible.shape
        order = self.exchange if g.mirrored else list(range(k))
        xy = g.points(array(self.xy)[:, order].reshape(n * k, 2)).reshape(n, k, 2)
        visible = self.visible.cpu().numpy()[:, order]
        with np.errstate(invalid="ignore"):
            inside = (visible > 0) & (xy >= 0).all(-1) & (xy <= np.array([g.size[1], g.size[0]])).all(-1)
        boxes, kept = self.boxes.moved(g)
        sides = array(boxes.xyxy)[:, 2:] - array(boxes.xyxy)[:, :2]
        kept = kept | torch.from_numpy(inside.any(1) & (sides >= SMALLEST).all(1))
        device = self.xy.device
        moved_xy = tensor(np.where(inside[..., None], xy, 0.0)).to(device)
        flags = torch.from_numpy(np.where(inside, visible, 0).astype(np.uint8)).to(device)
        found = replace(self, xy=moved_xy, visible=flags, boxes=boxes, scores=None if self.scores is None else self.scores[:, order])
        return found if bool(kept.all()) else found.select(kept)

    def to(self, device: torch.device | str) -> Keypoints:
        return replace(self, xy=self.xy.to(device), visible=self.visible.to(device), boxes=self.boxes.to(device), scores=moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with boxes, the skeleton's lines, and the points: discs, rings where they are hidden."""
        canvas = paint.Canvas(image)
        canvas.boxes(self.boxes, labels)
        for points, visible in zip(array(self.xy), self.visible.tolist(), strict=True):
            for a, b in labels.skeleton:
                if max(a, b) < len(visible) and visible[a] and visible[b]:
                    canvas.polyline(points[[a, b]], paint.of_palette(b))
            for k, seen in enumerate(visible):
                if seen:
                    canvas.dot(points[k], paint.of_palette(k), filled=seen == 2)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Keypoints], placements: Sequence[Geometry]) -> Keypoints:
        """The objects of all parts in the whole: answers whose boxes `Boxes.merge` keeps; truths without those whose box, class and points
        equal an earlier one's. Raises ValueError without parts."""
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        boxes = Boxes.joined([part.boxes for part in warped])
        xy, visible = column([(len(p), p.xy) for p in warped], 0.0), column([(len(p), p.visible) for p in warped], 0)
        assert xy is not None and visible is not None
        whole = cls(xy, visible, boxes, column([(len(p), p.scores) for p in warped], 1.0), parts[0].pairs)
        if boxes.scores is not None:
            return whole.select(boxes.distinct())
        return whole.select(first_copies(array(boxes.xyxy), boxes.classes.cpu().numpy(), array(xy), visible.cpu().numpy()))
