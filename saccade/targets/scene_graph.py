"""Objects, their attributes, and the relations between them."""

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

    @staticmethod
    def empty() -> SceneGraph:
        """An image without objects."""
        return SceneGraph(Boxes.empty(), (), torch.zeros(0, 3, dtype=torch.int64))

    def select(self, rows: Rows) -> SceneGraph:
        """The objects at these row numbers, in this order, or where n yes-or-no values are set, and the relations whose subject and object are among them.

        Raises IndexError, and ValueError where an object is asked for twice.
        """
        at = places(rows, len(self))
        if len(set(at.tolist())) < len(at):
            raise ValueError(f"rows {at.tolist()} of a graph, expected each once")
        number = torch.full((len(self),), -1, dtype=torch.int64)
        number[at] = torch.arange(len(at))
        relations, left = self._numbered(number)
        return SceneGraph(self.boxes.select(at), picked(self.attributes, at), relations, chosen(self.scores, left))

    def _numbered(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """The relations with other numbers for the objects, -1 for one that is gone; and the rows of those that are left."""
        ends = number.to(self.relations.device)[self.relations[:, [0, 2]]].reshape(-1, 2)
        left = (ends >= 0).all(1).nonzero().flatten()
        return torch.stack([ends[left, 0], self.relations[left, 1], ends[left, 1]], 1), left

    def warp(self, g: Geometry) -> SceneGraph:
        """The objects as `Boxes.warp` moves and keeps them; a relation goes with either of its objects. Predicates stay, even in a mirror ("left of")."""
        boxes, kept = self.boxes.moved(g)
        return replace(self, boxes=boxes).select(kept)

    def to(self, device: torch.device | str) -> SceneGraph:
        return SceneGraph(self.boxes.to(device), self.attributes, self.relations.to(device), moved(self.scores, device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with the objects, named with their attributes, an arrow a relation, and the relations in words below it."""
        canvas = paint.Canvas(image)
        classes, xyxy = self.boxes.classes.tolist(), array(self.boxes.xyxy)
        names = [paint.name_of(labels, index) for index in classes]
        middles = (xyxy[:, :2] + xyxy[:, 2:]) / 2
        told = []
        for row, (subject, predicate, thing) in enumerate(self.relations.tolist()):
            word = labels.relations[predicate] if 0 <= predicate < len(labels.relations) else f"relation {predicate}"
            score = "" if self.scores is None else f" ({float(self.scores[row]):.2f})"
            canvas.arrow(middles[subject], middles[thing], paint.of_palette(predicate))
            told.append((word, f"{names[subject]} {word} {names[thing]}{score}", (middles[subject] + middles[thing]) / 2, paint.of_palette(predicate)))
        canvas.boxes(self.boxes, labels, [" ".join([*words, name]) for name, words in zip(names, self.attributes, strict=True)])
        for word, sentence, middle, colour in told:
            if not canvas.small:
                canvas.mark(middle, word, colour)
            canvas.below(sentence, colour)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[SceneGraph], placements: Sequence[Geometry]) -> SceneGraph:
        """The objects of all parts in the whole: answers without those that overlap a better one of their class by an IoU above 0.5, truths
        without exact copies. The relations of an object that is dropped go to the one it is dropped for; of equal relations the best stays, in order.

        Raises ValueError without parts.
        """
        warped = [part.warp(g) for part, g in zip(some(parts), placements, strict=True)]
        begins = np.cumsum([0, *(len(part) for part in warped)])
        shifted = [part.relations + torch.tensor([int(begin), 0, int(begin)]) for part, begin in zip(warped, begins[:-1], strict=True)]
        boxes = Boxes.joined([part.boxes for part in warped])
        attributes = tuple(words for part in warped for words in part.attributes)
        whole = cls(boxes, attributes, torch.cat(shifted), column([(len(p.relations), p.scores) for p in warped], 1.0))
        xyxy, classes = array(boxes.xyxy), boxes.classes.cpu().numpy()
        if boxes.scores is None:  # a copy of an earlier one: the same box to a hundredth of a pixel
            keys = np.concatenate([np.round(xyxy, 2), classes[:, None]], 1)
            _, first, same = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            kept, owner = np.sort(first), first[same.reshape(-1)]
        else:
            kept, owner = ops.suppression(xyxy, array(boxes.scores), OVERLAP, classes)
        place = np.full(len(boxes), -1)
        place[kept] = np.arange(len(kept))
        relations, _ = whole._numbered(torch.from_numpy(place[owner].astype(np.int64)))
        order = np.arange(len(relations)) if whole.scores is None else np.argsort(-array(whole.scores), kind="stable")
        at = torch.from_numpy(np.sort(order[ops.first_copies(relations.numpy()[order])]))
        return cls(boxes.select(kept), picked(attributes, torch.from_numpy(kept)), relations[at], chosen(whole.scores, at))
