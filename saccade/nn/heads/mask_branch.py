"""A mask for each region: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, section 3 and figure 4 (right)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Meta
from saccade.nn.heads.classify import full
from saccade.nn.heads.two_stage import TwoStage, TwoStageOut
from saccade.ops.geometry import Geometry
from saccade.ops.masks import Runs, runs_from_mask
from saccade.targets import Boxes, Instances

SAMPLES = 2  # of a cell of a mask along each axis, when a truth is taken to it


class MaskBranch(nn.Module):
    """(k, C, 14, 14) -> (k, K + 1, 28, 28) logits: 3x3 convolutions, a transposed one of 2x2, and a 1x1; class 0 is never asked."""

    def __init__(self, inputs: int, classes: int, *, width: int = 256, layers: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(inputs if i == 0 else width, width, 3, padding=1) for i in range(layers))
        self.up, self.output = nn.ConvTranspose2d(width, width, 2, 2), nn.Conv2d(width, classes + 1, 1)
        for part in (*self.layers, self.up, self.output):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        logits: Tensor = full(self.output(F.relu(self.up(x))))
        return logits


class MaskRCNN(TwoStage[Instances]):
    """Two stages, and a mask of 28 x 28 in each answered box, learnt from the sampled regions that are objects by binary cross entropy of their
    class alone. grid of the branch: 14 x 14. Deviation: a truth's mask counts where it is seen, without what a later object covers."""

    def __init__(self, *args: Any, masks: MaskBranch, **options: Any) -> None:
        super().__init__(*args, **options)
        self.masks = masks

    def mask_logits(self, out: TwoStageOut, boxes: Sequence[Tensor]) -> Tensor:
        """(k, K + 1, 28, 28) of all boxes of all images."""
        found: Tensor = self.masks(self.pooler(out.maps, boxes, (14, 14), out.sizes))
        return found

    def further_losses(self, out: TwoStageOut, targets: Sequence[Any], samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """{"mask"}."""
        boxes, rows = [own[row >= 0] for own, row in samples], [row[row >= 0] for _, row in samples]
        if not sum(len(own) for own in boxes):
            return {"mask": sum((p.sum() * 0.0 for p in self.masks.parameters()), out.maps[0].new_zeros(()))}
        logits = self.mask_logits(out, boxes)
        device, side = logits.device, logits.shape[-1]
        kinds = torch.cat([t.boxes.classes.to(device)[row] for t, row in zip(targets, rows, strict=True)]) + 1
        goals = torch.cat([mask_goals(_ids(t, device), own, row, side) for t, own, row in zip(targets, boxes, rows, strict=True)])
        return {"mask": F.binary_cross_entropy_with_logits(logits[torch.arange(len(kinds), device=device), kinds], goals)}

    @torch.no_grad()
    def decode(self, out: TwoStageOut, meta: Sequence[Meta]) -> list[Instances]:
        """Objects with masks as run lengths in the pixels of the whole image, which may overlap; one without a pixel is left out."""
        found = self.chosen(out)
        logits = self.mask_logits(out, [own.boxes for own in found])
        kinds = torch.cat([own.classes for own in found]) + 1
        soft = torch.sigmoid(logits[torch.arange(len(kinds), device=kinds.device), kinds]).cpu()
        parts = soft.split([len(own.boxes) for own in found])
        return [
            _instances(Boxes(own.boxes.cpu(), own.classes.cpu(), own.scores.cpu()), masks, where) for own, masks, where in zip(found, parts, meta, strict=True)
        ]


def _ids(target: Instances, device: torch.device) -> Tensor:
    """(h, w) int32: i + 1 where row i is seen."""
    return target.ids.to(device) if target.ids is not None else torch.from_numpy(target.id_map()).to(device)


def mask_goals(ids: Tensor, boxes: Tensor, rows: Tensor, side: int) -> Tensor:
    """An id map (h, w), boxes (k, 4) in its pixels, the row of each -> (k, side, side) float32: of 2 x 2 samples of each cell, the share in its mask."""
    count = side * SAMPLES
    at = (torch.arange(count, device=boxes.device) + 0.5) / count
    spots = boxes[:, :2, None] + (boxes[:, 2:] - boxes[:, :2])[:, :, None] * at  # (k, 2, count) x and y
    x, y = spots[:, 0].long().clamp(0, ids.shape[1] - 1), spots[:, 1].long().clamp(0, ids.shape[0] - 1)
    seen = (ids[y[:, :, None], x[:, None, :]] == (rows + 1)[:, None, None]).float()
    return F.avg_pool2d(seen[:, None], SAMPLES)[:, 0]


def _instances(boxes: Boxes, masks: Tensor, where: Meta) -> Instances:
    """Answers in input pixels with soft masks (k, s, s) over their boxes -> Instances of the whole image."""
    moved, kept = boxes.moved(where.geometry.inverse(where.size))
    shapes = {int(row): pasted(masks[row], boxes.xyxy[row].numpy(), moved.xyxy[row].numpy(), where.geometry, where.size) for row in torch.where(kept)[0]}
    rows = [row for row, shape in shapes.items() if shape is not None]
    return Instances(moved.select(rows) if rows else Boxes.joined([]), where.size, tuple(shapes[row] for row in rows))  # type: ignore[misc]


def pasted(mask: Tensor, box: np.ndarray, window: np.ndarray, geometry: Geometry, size: tuple[int, int]) -> Runs | None:
    """A soft mask (s, s) over a box of the input, above 0.5 in each pixel of the source (h, w) whose middle lies in it: bilinear, 0 outside of the box.

    window: the box around it in the source, which is all that is looked at. None where no pixel is set.
    """
    (left, top), (right, bottom) = np.floor(window[:2]).astype(int), np.ceil(window[2:]).astype(int)
    left, top, right, bottom = max(0, left), max(0, top), min(size[1], right), min(size[0], bottom)
    if right <= left or bottom <= top:
        return None
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    points = geometry.points(np.stack([x, y], -1).reshape(-1, 2))
    inside = 2 * (points - box[:2]) / np.maximum(box[2:] - box[:2], 1e-6) - 1
    grid = torch.from_numpy(np.nan_to_num(inside, nan=2.0).astype(np.float32)).view(1, bottom - top, right - left, 2)
    seen = F.grid_sample(mask[None, None].float(), grid, align_corners=False)[0, 0] > 0.5
    if not bool(seen.any()):
        return None
    plane = np.zeros(size, bool)
    plane[top:bottom, left:right] = seen.numpy()
    return runs_from_mask(plane)
