"""Key points of each region as heat maps: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, section 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Meta
from saccade.nn.heads.classify import full
from saccade.nn.heads.two_stage import TwoStage, TwoStageOut
from saccade.targets import Boxes, Keypoints


class KeypointBranch(nn.Module):
    """(k, C, 14, 14) -> (k, points, 56, 56) logits: 3x3 convolutions, a transposed one of 4x4 and stride 2, and bilinear enlargement by 2."""

    def __init__(self, inputs: int, points: int, *, width: int = 512, layers: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(inputs if i == 0 else width, width, 3, padding=1) for i in range(layers))
        self.up = nn.ConvTranspose2d(width, points, 4, 2, 1)
        for part in (*self.layers, self.up):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return F.interpolate(full(self.up(x)), scale_factor=2.0, mode="bilinear", align_corners=False)


class KeypointRCNN(TwoStage[Keypoints]):
    """Two stages, and in each answered box a map of 56 x 56 for each key point, learnt from the sampled regions that are objects: of each labelled
    point the cross entropy over all cells that its own is the one. pairs: (left, right) points, which the answers are told of."""

    def __init__(self, *args: Any, points: KeypointBranch, pairs: tuple[tuple[int, int], ...] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.points, self.pairs = points, pairs

    def point_logits(self, out: TwoStageOut, boxes: Sequence[Tensor]) -> Tensor:
        """(k, points, 56, 56) of all boxes of all images."""
        found: Tensor = self.points(self.pooler(out.maps, boxes, (14, 14), out.sizes))
        return found

    def further_losses(self, out: TwoStageOut, targets: Sequence[Any], samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """{"keypoint"}: a mean over the labelled points inside of their sampled regions."""
        boxes, rows = [own[row >= 0] for own, row in samples], [row[row >= 0] for _, row in samples]
        goals = [point_goals(t, own, row, 56) for t, own, row in zip(targets, boxes, rows, strict=True)]
        goal = torch.cat(goals)
        if not bool((goal >= 0).any()):
            return {"keypoint": sum((p.sum() * 0.0 for p in self.points.parameters()), out.maps[0].new_zeros(()))}
        logits = self.point_logits(out, boxes).flatten(2)
        return {"keypoint": F.cross_entropy(logits.flatten(0, 1), goal.flatten(), ignore_index=-1)}

    @torch.no_grad()
    def decode(self, out: TwoStageOut, meta: Sequence[Meta]) -> list[Keypoints]:
        """Objects with all their points in the pixels of the whole image; a point's score is the probability of the cells around it."""
        found = self.chosen(out)
        xy, scores = located(self.point_logits(out, [own.boxes for own in found]), torch.cat([own.boxes for own in found]))
        counts = [len(own.boxes) for own in found]
        answers = []
        for own, points, score, where in zip(found, xy.cpu().split(counts), scores.cpu().split(counts), meta, strict=True):
            visible = torch.full(points.shape[:2], 2, dtype=torch.uint8)
            boxes = Boxes(own.boxes.cpu(), own.classes.cpu(), own.scores.cpu())
            whole = Keypoints(points, visible, boxes, score, self.pairs)
            answers.append(whole.warp(where.geometry.inverse(where.size)))
        return answers


def point_goals(target: Keypoints, boxes: Tensor, rows: Tensor, side: int) -> Tensor:
    """(k, points) int64: the cell of a side x side grid over each box (k, 4) that its row's point lies in; -1 where it is not labelled or outside."""
    xy, visible = target.xy.to(boxes.device, torch.float32)[rows], target.visible.to(boxes.device)[rows] > 0
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-6)
    at = (xy - boxes[:, None, :2]) / sides[:, None] * side
    at = torch.where(at == side, side - 0.5, at)  # on the far side of the box is inside of it
    cell = at.floor().long()
    inside = visible & ((cell >= 0) & (cell < side)).all(-1)
    return torch.where(inside, cell[..., 1] * side + cell[..., 0], -1)


def located(logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(k, points, s, s) over boxes (k, 4) -> where each point is, (k, points, 2) in the boxes' pixels, and its score (k, points) in [0, 1].

    The middle of the 3 x 3 cells around the largest one, weighted by their probabilities; the score is that of these cells together.
    """
    k, points, side, _ = logits.shape
    p = torch.softmax(logits.flatten(2), 2)
    best = p.argmax(2) if k else p.new_zeros(0, points, dtype=torch.int64)
    row, column = torch.div(best, side, rounding_mode="floor").clamp(1, side - 2), (best % side).clamp(1, side - 2)
    step = torch.tensor([-1, 0, 1], device=logits.device)
    rows, columns = row[..., None, None] + step[:, None], column[..., None, None] + step
    around = p.gather(2, (rows * side + columns).flatten(2)).view(k, points, 3, 3)
    score = around.sum((2, 3))
    x = (around * (columns + 0.5)).sum((2, 3)) / score.clamp_min(1e-12)
    y = (around * (rows + 0.5)).sum((2, 3)) / score.clamp_min(1e-12)
    sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
    return boxes[:, None, :2] + torch.stack([x, y], -1) / side * sides, score.clamp_max(1.0)
