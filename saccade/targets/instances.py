"""Objects with their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops import masks as ops
from saccade.ops.geometry import Geometry
from saccade.ops.masks import Polygons, Runs
from saccade.ops.resample import nearest
from saccade.ops.rings import Spans, spans
from saccade.targets import paint
from saccade.targets.boxes import Boxes
from saccade.targets.rows import Rows, picked, places, some, tensor


@dataclass(frozen=True)
class Instances:
    """n objects of one image, each with a box and a mask; the masks are shapes as read (they may overlap), or one id map.

    boxes: the n boxes, their classes, scores and flags. size: (h, w) of the plane the masks lie in.
    shapes: a mask each, run lengths or polygons, None when `ids` is given. ids: (h, w) int32, 0 for none, i + 1 where row i of
    the boxes is seen; None when `shapes` is given. Warping makes an id map: a later row covers an earlier one.
    """

    boxes: Boxes
    size: tuple[int, int]
    shapes: tuple[Runs | Polygons, ...] | None = None
    ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @staticmethod
    def empty(size: tuple[int, int]) -> Instances:
        """An image of a size (h, w) without objects."""
        return Instances(Boxes.empty(), size, ())

    @classmethod
    def from_masks(cls, masks: Sequence[np.ndarray], classes: Sequence[int], scores: Tensor | None = None, *, size: tuple[int, int] | None = None) -> Instances:
        """Objects from masks (h, w) bool, each with its class id and possibly its score; the boxes are tight. `size` is needed where there are no masks.

        Raises ValueError for masks of different sizes, a mask without any pixel, as many classes as there are no masks for, and no size.
        """
        plane = size if size is not None else (masks[0].shape[0], masks[0].shape[1]) if len(masks) else None
        if plane is None:
            raise ValueError("no masks and no size, expected one of them")
        if len(classes) != len(masks):
            raise ValueError(f"{len(classes)} classes for {len(masks)} masks")
        shapes = tuple(ops.runs_from_mask(mask) for mask in masks)
        boxes = [ops.tight_box(shape) for shape in shapes]
        for row, (shape, box) in enumerate(zip(shapes, boxes, strict=True)):
            if shape.size != plane or box is None:
                raise ValueError(f"mask {row} has size {shape.size} and {'no' if box is None else 'some'} pixels, expected some in {plane}")
        xyxy = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return cls(Boxes(xyxy, torch.as_tensor(classes, dtype=torch.int64), scores), plane, shapes)

    def mask(self, row: int) -> np.ndarray:
        """(h, w) bool: the pixels of one object. Raises IndexError, and ValueError for a shape that is broken."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} rows")
        if self.shapes is not None:
            return ops.mask_of(self.shapes[row])
        seen: np.ndarray = self._ids() == row % len(self) + 1
        return seen

    def id_map(self) -> np.ndarray:
        """(h, w) int32: i + 1 where row i is seen, a later row over an earlier one, 0 elsewhere. Raises ValueError for a shape that is broken."""
        return ops.id_map(self.shapes, self.size) if self.shapes is not None else self._ids()

    def _ids(self) -> np.ndarray:
        """The id map as it is held; all zeros where there is none, which only an image without objects may have."""
        if self.ids is None:
            if len(self):
                raise ValueError(f"{len(self)} objects without masks, expected shapes or ids")
            return np.zeros(self.size, np.int32)
        numbers: np.ndarray = self.ids.cpu().numpy()
        return numbers

    def select(self, rows: Rows) -> Instances:
        """The objects at these row numbers, in this order, or where n yes-or-no values are set; in an id map the others' pixels become 0.

        Raises IndexError, and ValueError where an object of an id map is asked for twice.
        """
        at = places(rows, len(self))
        if self.shapes is not None:
            return replace(self, boxes=self.boxes.select(at), shapes=picked(self.shapes, at))
        if len(set(at.tolist())) < len(at):
            raise ValueError(f"rows {at.tolist()} of an id map, expected each once")
        number = torch.zeros(len(self) + 1, dtype=torch.int32)
        number[at + 1] = torch.arange(1, len(at) + 1, dtype=torch.int32)
        ids = None if self.ids is None else number.to(self.ids.device)[self.ids.long()]
        return replace(self, boxes=self.boxes.select(at), ids=ids)

    def warp(self, g: Geometry) -> Instances:
        """The objects whose box `Boxes.warp` keeps and of whose mask a pixel is seen, as one id map; their boxes are tight around what is seen of them.

        Under a matrix polygons are moved as points and rasterised in the target; run lengths, id maps, and everything under a perspective or
        a bend are sampled once, nearest pixel. A later row covers an earlier one. Areas, where there are any, are counted anew.
        Raises ValueError for a shape that is broken.
        """
        boxes, kept = self.boxes.moved(g)
        rows = kept.nonzero().flatten().numpy() if self.shapes is not None else np.arange(len(self))
        ids, around = self._drawn(g, rows.tolist())
        seen = np.flatnonzero((around[:, 2] > around[:, 0]) & kept.numpy()[rows])
        if len(seen) < len(rows):
            number = np.zeros(len(rows) + 1, ids.dtype)
            number[seen + 1] = np.arange(1, len(seen) + 1)
            ids, around = number[ids], around[seen]
        found = boxes.select(torch.from_numpy(rows[seen])) if len(seen) < len(self) else boxes
        found = replace(found, xyxy=tensor(around).to(boxes.xyxy.device))
        if found.areas is not None:
            counted = np.bincount(ids.ravel(), minlength=len(seen) + 1)[1:]
            found = replace(found, areas=torch.from_numpy(counted).to(found.areas))
        return Instances(found, g.size, None, torch.from_numpy(ids.astype(np.int32, copy=False)))

    def _drawn(self, g: Geometry, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Under a geometry: the id map (h, w) of some rows, numbered from 1 in their order, and (k, 4) the boxes tight around what is seen of each.

        A held id map is taken whole: `rows` must be all.
        """
        shapes = None if self.shapes is None else [self.shapes[row] for row in rows]
        if shapes is not None and g.affine and all(isinstance(shape, Polygons) for shape in shapes):
            found = _moved_spans(shapes, g)
            ids = ops.plane_of(found, len(rows), g.size)
            return ids, _seen(ids, ops.tight_boxes(found, len(rows), g.size[0]))
        source = self._ids() if shapes is None else ops.plane_of(ops.spans_of(shapes, self.size), len(rows), self.size)
        ids = nearest(source.astype(np.uint8 if len(rows) < 256 else np.int32, copy=False), g, 0)
        return ids, boxes_of(ids, len(rows))

    def to(self, device: torch.device | str) -> Instances:
        return replace(self, boxes=self.boxes.to(device), ids=None if self.ids is None else self.ids.to(device))

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with a veil over every mask, its edge, and its box with name and score, in the class's colour."""
        canvas = paint.Canvas(image)
        canvas.fits(self.size, "masks")
        for row, index in enumerate(self.boxes.classes.tolist()):
            canvas.mask(self.mask(row), paint.colour_of(labels, index))
        canvas.boxes(self.boxes, labels)
        return canvas.finish()

    @classmethod
    def merge(cls, parts: Sequence[Instances], placements: Sequence[Geometry]) -> Instances:
        """The objects of all parts in the whole, those that `Boxes.merge` keeps, each with its own mask as run lengths: masks may overlap.

        Raises ValueError without parts, and for a shape that is broken.
        """
        size = placements[0].size if len(some(parts)) else (0, 0)
        single = [part.select([row]).warp(g) for part, g in zip(parts, placements, strict=True) for row in range(len(part))]
        single = [one for one in single if len(one)]
        boxes = Boxes.joined([one.boxes for one in single])
        at = boxes.distinct()
        return cls(boxes.select(at), size, tuple(ops.runs_from_mask(single[row].mask(0)) for row in at.tolist()))


def boxes_of(ids: np.ndarray, count: int) -> np.ndarray:
    """(count, 4) float64 x1 y1 x2 y2 tight around the numbers 1 to count of an id map (h, w); zeros for one that is not there."""
    around, width = np.zeros((count, 4)), ids.shape[1]
    if not ids.size:
        return around
    flat = ids.ravel()
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    numbers, ends = flat[begins].astype(np.int64), np.append(begins[1:], flat.size) - 1
    known = np.flatnonzero((numbers > 0) & (numbers <= count))
    if not len(known):
        return around
    order = known[np.argsort(numbers[known], kind="stable")]
    numbers, first, last = numbers[order], begins[order], ends[order]
    at = np.flatnonzero(np.diff(numbers, prepend=0))
    over = first // width != last // width  # from one line into the next: it touches both sides
    left, right = np.where(over, 0, first % width), np.where(over, width - 1, last % width)
    low = [np.minimum.reduceat(left, at), np.minimum.reduceat(first // width, at)]
    around[numbers[at] - 1] = np.stack([*low, np.maximum.reduceat(right, at) + 1, np.maximum.reduceat(last // width, at) + 1], 1)
    return around


def _moved_spans(shapes: Sequence[Runs | Polygons], g: Geometry) -> Spans:
    """The runs of polygons moved by a matrix and rasterised in its target; `ring` is the number of the polygons."""
    rings = [(number, ring) for number, shape in enumerate(shapes) if isinstance(shape, Polygons) for ring in shape.rings]
    if not rings:
        return spans([], g.size)
    moved = np.split(g.points(np.concatenate([ring for _, ring in rings])), np.cumsum([len(ring) for _, ring in rings])[:-1])
    found = spans(moved, g.size)
    return found._replace(ring=np.array([number for number, _ in rings])[found.ring])


def _seen(ids: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Boxes (k, 4) tight around what the id map shows of each row, from those tight around the whole masks: looked up only where a later box meets."""
    from saccade.ops.boxes import intersection

    tight = around.astype(np.float64)
    met = np.triu(intersection(tight, tight) > 0, 1).any(1)
    for row in np.flatnonzero(met):
        x1, y1, x2, y2 = around[row]
        shown = ids[y1:y2, x1:x2] == row + 1
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        tight[row] = (x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1) if len(rows) else 0.0
    return tight
