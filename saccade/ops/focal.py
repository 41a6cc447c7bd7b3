"""Losses of detectors over many boxes, most of them background: focal loss and smooth L1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, truth: Tensor, *, alpha: float | None = 0.25, gamma: float = 2.0) -> Tensor:
    """(...), (...) -> (...): -alpha_t (1 - p_t)^gamma log p_t of each yes-or-no question; truth in [0, 1].

    Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 5. alpha weighs a yes, 1 - alpha a no; None weighs neither.
    gamma = 0 without alpha is the cross entropy.

    >>> round(float(focal_loss(torch.tensor(0.0), torch.tensor(1.0))), 4)
    0.0433
    """
    crossed = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p = torch.sigmoid(logits)
    loss = crossed * (1 - (p * truth + (1 - p) * (1 - truth))) ** gamma
    return loss if alpha is None else loss * (alpha * truth + (1 - alpha) * (1 - truth))


def smooth_l1(prediction: Tensor, truth: Tensor, beta: float = 1.0) -> Tensor:
    """(...), (...) -> (...): d^2 / (2 beta) below beta, |d| - beta / 2 from there on; |d| itself for beta = 0. Girshick, "Fast R-CNN", 2015, eq. 3.

    >>> smooth_l1(torch.tensor([0.5, 3.0]), torch.zeros(2)).tolist()
    [0.125, 2.5]
    """
    distance = (prediction - truth).abs()
    if beta == 0:
        return distance
    return torch.where(distance < beta, distance.square() / (2 * beta), distance - beta / 2)
