"""Which of many scored boxes go on to a second stage, or are an answer: the best of each map, clipped, not too small, and suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.ops.box_coders import DeltaCoder, clip
from saccade.ops.nms import nms


class Chosen(NamedTuple):
    """boxes: (k, 4); scores: (k,), best first; classes: (k,) int64, 0 where there is one class."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor


class Proposer(NamedTuple):
    """The `each` best anchors of each map, decoded, clipped, without those of a side below `smallest` pixels, suppressed map by map above
    an IoU of `overlap`, the best `most` of all (Ren et al., "Faster R-CNN", 2015, section 3.3; Lin et al., "FPN", 2017, section 4.1)."""

    each: int = 1000
    most: int = 1000
    overlap: float = 0.7
    smallest: float = 1e-3
    coder: DeltaCoder = DeltaCoder()

    def __call__(self, logits: Sequence[Tensor], deltas: Sequence[Tensor], anchors: Sequence[Tensor], size: Tensor) -> Chosen:
        """Of one image: logits (n_i,), deltas (n_i, 4), anchors (n_i, 4) of each map and the valid size (2,) h, w. Boxes that are not finite are left out."""
        boxes, scores, maps = [], [], []
        for place, (own, moves, cells) in enumerate(zip(logits, deltas, anchors, strict=True)):
            best, rows = own.float().topk(min(self.each, len(own)))
            boxes.append(clip(self.coder.decode(cells[rows], moves[rows].float()), size))
            scores.append(best)
            maps.append(torch.full_like(rows, place))
        found, score, of_map = torch.cat(boxes), torch.cat(scores), torch.cat(maps)
        good = ((found[:, 2:] - found[:, :2]) >= self.smallest).all(1) & torch.isfinite(found).all(1) & torch.isfinite(score)
        found, score, of_map = found[good], score[good], of_map[good]
        kept = nms(found, score, self.overlap, of_map, limit=self.most)
        return Chosen(found[kept], torch.sigmoid(score[kept]), torch.zeros_like(kept))


class Answerer(NamedTuple):
    """Boxes of which each class has a score -> answers: scores of at least `least`, suppressed class by class above an IoU of `overlap`,
    the best `most`; of each part the `each` best scores only, where many boxes have many classes."""

    least: float = 0.05
    overlap: float = 0.5
    most: int = 100
    each: int | None = None
    smallest: float = 1e-2

    def __call__(self, probabilities: Sequence[Tensor], boxes: Sequence[Tensor], size: Tensor) -> tuple[Chosen, Tensor]:
        """Of one image, in parts (maps): probabilities (n_i, K), boxes (n_i, 4) or (n_i, K, 4), the valid size (2,) h, w. Also (k,) int64,
        which of all sum n_i boxes each answer is. Boxes are clipped; those that are not finite are left out."""
        found, scores, classes, origin, before = [], [], [], [], 0
        for own, where in zip(probabilities, boxes, strict=True):
            count, kinds = own.shape
            flat = own.float().flatten()
            rows = torch.where(flat >= self.least)[0]
            if self.each is not None and len(rows) > self.each:
                rows = rows[flat[rows].topk(self.each).indices]
            box, kind = torch.div(rows, kinds, rounding_mode="floor"), rows % kinds
            found.append(clip((where[box] if where.ndim == 2 else where[box, kind]).float(), size))
            scores.append(flat[rows])
            classes.append(kind)
            origin.append(box + before)
            before += count
        all_boxes, all_scores, all_classes, all_origins = torch.cat(found), torch.cat(scores), torch.cat(classes), torch.cat(origin)
        good = torch.where(((all_boxes[:, 2:] - all_boxes[:, :2]) >= self.smallest).all(1) & torch.isfinite(all_boxes).all(1))[0]
        kept = good[nms(all_boxes[good], all_scores[good], self.overlap, all_classes[good], limit=self.most)]
        return Chosen(all_boxes[kept], all_scores[kept], all_classes[kept]), all_origins[kept]


def sliding_boxes(image: Tensor, step: float = 1 / 3) -> Tensor:
    """(C, h, w) -> (k, 4): windows of several sizes and shapes all over an image, about 12,000 of them whatever its size: those that need no look at it.

    Areas of 1/4, 1/8, ... 1/256 of the image, of the ratios 1/2, 1 and 2, in steps of a third (`step`) of their sides; clipped.
    A step of 1/2 gives about 5,500, one of 1 about 1,400.
    """
    height, width = image.shape[-2:]
    found = []
    for power in range(2, 9):
        for ratio in (0.5, 1.0, 2.0):
            area = height * width / 2.0**power
            w, h = min(float(width), (area / ratio) ** 0.5), min(float(height), (area * ratio) ** 0.5)
            columns, rows = max(1, round((width - w) / (w * step)) + 1), max(1, round((height - h) / (h * step)) + 1)
            left, top = torch.linspace(0, width - w, columns), torch.linspace(0, height - h, rows)
            corner = torch.cartesian_prod(left, top).reshape(-1, 2)
            found.append(torch.cat([corner, corner + torch.tensor([w, h])], 1))
    return torch.cat(found).to(image.device)
