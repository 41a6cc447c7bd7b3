"""Regions of an image as pictures of one size: warped, whatever their shape, with some of what lies around them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warped_crops(image: Tensor, boxes: Tensor, side: int, *, context: float = 0.0, fill: Tensor | None = None) -> Tensor:
    """(C, h, w) and (k, 4) -> (k, C, side, side): each box warped to a square, one bilinear sample a pixel; k may be 0.

    Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix A ("warp"). context: the share of the square, at each side, that is what lies
    around the box (16 of 227 pixels in the paper); fill: (C,) the values beyond the image, 0 when None (the paper's are the mean image).
    Raises ValueError for a context outside [0, 0.5) or a side below 1.
    """
    if not 0 <= context < 0.5 or side < 1:
        raise ValueError(f"context is a share from 0 to below 0.5 and the side at least 1, got {context} and {side}")
    channels, height, width = image.shape
    if not len(boxes):
        return image.new_zeros(0, channels, side, side)
    ground = image.new_zeros(channels, 1, 1) if fill is None else fill.to(image).view(-1, 1, 1)
    corners = boxes.to(image.dtype)
    sides = corners[:, 2:] - corners[:, :2]
    around = sides * (context / (1 - 2 * context))
    start, whole = corners[:, :2] - around, sides + 2 * around
    steps = (torch.arange(side, dtype=image.dtype, device=image.device) + 0.5) / side
    at = start[:, None] + steps[None, :, None] * whole[:, None]  # (k, side, 2) x, y in pixels
    at = at * 2 / at.new_tensor([width, height]) - 1
    grid = torch.stack([at[:, None, :, 0].expand(-1, side, -1), at[:, :, None, 1].expand(-1, -1, side)], -1)  # (k, side, side, 2)
    found = F.grid_sample((image - ground)[None], grid.view(1, -1, side, 2), padding_mode="zeros", align_corners=False)
    return found.view(channels, len(boxes), side, side).transpose(0, 1) + ground
