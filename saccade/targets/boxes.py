"""Boxes around objects, with their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.label_space import LabelSpace
from saccade.ops import boxes as ops
from saccade.ops.geometry import Geometry
from saccade.targets import paint
from saccade.targets.rows import KEPT, OVERLAP, SMALLEST, Rows, array, chosen, column, moved, picked, places, some, tensor

_MISSING = {"scores": 1.0, "crowd": False, "difficult": False, "areas": float("nan"), "ids": -1}


@dataclass(frozen=True)
class Boxes:
    """n boxes of one image.

    xyxy: (n, 4) x1 y1 x2 y2 in continuous pixels, 0 <= x1 < x2 <= W; float64 as read, float32 once warped.
    classes: (n,) int64, 0..K-1, foreground only. scores: (n,) float in [0, 1], None for a truth.
    crowd: (n,) bool, a region of many objects that is neither found nor missed (COCO iscrowd), None = none is.
    difficult: (n,) bool, not counted when missed (VOC), None = none is. areas: (n,) square pixels of the objects themselves where
    the data give them (COCO), None = the box's. ids: (n,) int64, annotation or track numbers, None = none.
    attributes: a mapping for each box of what else the label file says (truncated, occluded, pose), None = nothing.
    """

    xyxy: Tensor
    classes: Tensor
    scores: Tensor | None = None
    crowd: Tensor | None = None
    difficult: Tensor | None = None
    areas: Tensor | None = None
    ids: Tensor | None = None
    attributes: tuple[Mapping[str, Any], ...] | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    @staticmethod
    def empty() -> Boxes:
        """An image without objects."""
        return Boxes(torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))

    def select(self, rows: Rows) -> Boxes:
        """The boxes at these row numbers, in this order, or where n yes-or-no values are set. Raises IndexError, ValueError."""
        at = places(rows, len(self))
        attributes = None if self.attributes is None else picked(self.attributes, at)
        columns = {f.name: chosen(getattr(self, f.name), at) for f in fields(self) if f.name != "attributes"}
        return Boxes(**columns, attributes=attributes)  # type: ignore[arg-type]

    def moved(self, g: Geometry) -> tuple[Boxes, Tensor]:
        """All n boxes under a geometry, clipped to its target (float32), and (n,) bool which of them `warp` keeps."""
        before = array(self.xyxy)
        inside, share = ops.warped(before, g)
        sides = (inside[:, 2:] - inside[:, :2]).min(1, initial=np.inf)
        kept = (share >= KEPT) if self.crowd is None else (share >= KEPT) | (self.crowd.cpu().numpy() & (share > 0))
        kept = kept & (sides >= SMALLEST)
        areas = None if self.areas is None else torch.from_numpy(array(self.areas) * ops.magnification(before, g) * share).to(self.areas)
        return replace(self, xyxy=tensor(inside).to(self.xyxy.device), areas=areas), torch.from_numpy(kept)

    def warp(self, g: Geometry) -> Boxes:
        """The upright boxes around the warped ones, clipped to the target, float32.

        Left out are boxes with less than a tenth (rows.KEPT) of their area inside, or a side below one pixel; a crowd stays as long as one
        pixel of it does. Areas grow with the geometry and shrink with the share that is left. A bend or a perspective is followed along the sides.
        """
        boxes, kept = self.moved(g)
        return boxes if bool(kept.all()) else boxes.select(kept)

    def to(self, device: torch.device | str) -> Boxes:
        columns = {f.name: moved(getattr(self, f.name), device) for f in fields(self) if f.name != "attributes"}
        return Boxes(**columns, attributes=self.attributes)  # type: ignore[arg-type]

    def draw(self, image: np.ndarray, labels: LabelSpace) -> np.ndarray:
        """A copy of the image (H, W, 3) uint8 with the boxes in the colours of their classes, named, with their scores; crowds and difficult ones dashed."""
        canvas = paint.Canvas(image)
        canvas.boxes(self, labels)
        return canvas.finish()

    def distinct(self) -> Tensor:
        """Rows (k,) int64 that stay when an object may be there more than once: with scores best first, without those that overlap a better one
        of their class by an IoU above 0.5 (NMS); without scores in order, without those equal to an earlier one to a hundredth of a pixel."""
        xyxy, classes = array(self.xyxy), self.classes.cpu().numpy()
        if self.scores is None:
            return torch.from_numpy(ops.first_copies(xyxy, classes))
        return torch.from_numpy(ops.nms(xyxy, array(self.scores), OVERLAP, classes))

    @classmethod
    def joined(cls, parts: Sequence[Boxes]) -> Boxes:
        """The boxes of several, one after another; what only some of them have is filled in for the others with what its absence means.

        A missing score becomes 1, a missing number -1, a missing area that of the box. Without parts: empty.
        """
        if not parts:
            return cls.empty()
        columns = {name: column([(len(p), getattr(p, name)) for p in parts], missing) for name, missing in _MISSING.items()}
        xyxy = column([(len(p), p.xyxy) for p in parts], 0.0)
        classes = column([(len(p), p.classes) for p in parts], 0)
        assert xyxy is not None and classes is not None
        if (areas := columns["areas"]) is not None and any(p.areas is None for p in parts):
            known = torch.cat([torch.full((len(p),), p.areas is not None) for p in parts]).to(areas.device)
            columns["areas"] = torch.where(known, areas, torch.from_numpy(ops.area(array(xyxy))).to(areas))
        told = any(p.attributes is not None for p in parts)
        attributes = tuple(entry for p in parts for entry in (p.attributes if p.attributes is not None else ({},) * len(p))) if told else None
        return cls(xyxy, classes, **columns, attributes=attributes)

    @classmethod
    def merge(cls, parts: Sequence[Boxes], placements: Sequence[Geometry]) -> Boxes:
        """The boxes of all parts in the whole: answers without those that overlap a better one of their class by an IoU above 0.5, best first;
        truths without exact copies. Raises ValueError without parts."""
        whole = cls.joined([part.warp(g) for part, g in zip(some(parts), placements, strict=True)])
        return whole.select(whole.distinct())
