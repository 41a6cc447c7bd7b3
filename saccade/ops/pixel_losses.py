"""Losses of a class for every pixel: cross entropy, focal, Dice, Lovasz, and cross entropy of a set of classes, all blind to ignored pixels.

logits: (N, K, *S), computed in float32 at least. truth: (N, *S) int64 class ids; every id outside 0..K-1 is an ignored pixel, which enters neither
value nor gradient. A batch without a known pixel gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
"""What ignored ids become for torch's cross entropy."""


def wide(logits: Tensor) -> Tensor:
    """In float32 at least: half precision is too coarse for sums over pixels."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def known(truth: Tensor, classes: int) -> Tensor:
    """(N, *S) bool: pixels whose class is told."""
    return (truth >= 0) & (truth < classes)


def cross_entropy(logits: Tensor, truth: Tensor, weights: Tensor | None = None, pixel_weights: Tensor | None = None) -> Tensor:
    """The mean of -log p of the true class over known pixels, weighted by class (K,) and by pixel (N, *S).

    -sum_i v_i w_{t_i} log p_{i t_i} / sum_i v_i w_{t_i}: maximum likelihood of independent pixels where nothing is weighted.

    >>> round(float(cross_entropy(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 255]]]))), 4)
    0.6931
    """
    told = known(truth, logits.shape[1])
    target = torch.where(told, truth, IGNORED)
    if pixel_weights is None and weights is None:
        return F.cross_entropy(wide(logits), target, reduction="sum", ignore_index=IGNORED) / told.sum().clamp_min(1)
    terms = F.cross_entropy(wide(logits), target, weights, reduction="none", ignore_index=IGNORED)
    share = told.to(terms.dtype) if weights is None else torch.where(told, weights[truth.clamp(0, logits.shape[1] - 1)], 0.0)
    if pixel_weights is not None:
        terms, share = terms * pixel_weights, share * pixel_weights
    return terms.sum() / share.sum().clamp_min(torch.finfo(terms.dtype).tiny)


def focal(logits: Tensor, truth: Tensor, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """The mean over known pixels of -(1 - p)^gamma log p of the true class. Lin et al. 2017, eq. 4, for K classes; gamma 0 is cross entropy.

    weights (K,): alpha of eq. 5, by class; the mean is over pixels, not over weights, as there.
    """
    told = known(truth, logits.shape[1])
    terms = -F.cross_entropy(wide(logits), torch.where(told, truth, IGNORED), reduction="none", ignore_index=IGNORED)  # log p, 0 where ignored
    missed = (-torch.expm1(terms)).clamp_min(0)
    # the derivative of 0^gamma below 1 is infinite: a pixel without error has none
    factor = torch.where(missed > 0, missed, 1.0).pow(gamma) * (missed > 0) if gamma else 1.0
    losses = -factor * terms
    if weights is not None:
        losses = losses * weights[truth.clamp(0, logits.shape[1] - 1)]
    return torch.where(told, losses, 0.0).sum() / told.sum().clamp_min(1)


def one_hot(truth: Tensor, classes: int) -> Tensor:
    """(N, *S) -> (N, K, *S) bool, nowhere set where a pixel is ignored."""
    ids = torch.arange(classes, device=truth.device).view(1, -1, *(1,) * (truth.ndim - 1))
    return truth[:, None] == ids


def dice(logits: Tensor, truth: Tensor, *, smooth: float = 1.0, background: int | None = None) -> Tensor:
    """1 - the mean over classes of (2 sum p t + s) / (sum p + sum t + s), sums over the known pixels of the batch. Milletari et al. 2016, eq. 5.

    Deviations: the denominator sums p and not p^2 (Drozdzal et al. 2016), and `smooth` keeps classes without pixels defined. The mean is over the
    classes that the batch's truth has, without `background`; without any such class it is 0.
    """
    p, t = torch.softmax(wide(logits), 1), one_hot(truth, logits.shape[1])
    told, axes = known(truth, logits.shape[1])[:, None], (0, *range(2, logits.ndim))
    p = torch.where(told, p, 0.0)
    true = t.sum(axes)
    share = (2 * torch.where(t, p, 0.0).sum(axes) + smooth) / (p.sum(axes) + true + smooth)
    counted = true > 0
    if background is not None:
        counted = counted & (torch.arange(len(counted), device=counted.device) != background)
    return torch.where(counted, 1 - share, 0.0).sum() / counted.sum().clamp_min(1)


def lovasz_gradient(truth: Tensor) -> Tensor:
    """(P,) truths 0 or 1 in the order of falling errors -> (P,): how much each pixel's error adds to the Jaccard loss. Berman et al. 2018, eq. 9.

    >>> lovasz_gradient(torch.tensor([1.0, 0.0])).tolist()
    [1.0, 0.0]
    """
    total = truth.sum()
    intersection = total - truth.cumsum(0)
    union = total + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def lovasz(logits: Tensor, truth: Tensor) -> Tensor:
    """The Lovasz extension of the Jaccard loss of softmax probabilities, the mean over the classes in the batch's truth. Berman et al. 2018, eq. 11.

    For answers that are certain it is the mean over these classes of 1 - IoU over the known pixels of the batch.
    """
    told = known(truth, logits.shape[1])
    p = torch.softmax(wide(logits), 1).movedim(1, -1)[told]  # (P, K)
    ids = truth[told]
    losses = []
    for k in torch.unique(ids).tolist():
        own = (ids == k).to(p.dtype)
        errors, order = (own - p[:, k]).abs().sort(descending=True, stable=True)
        losses.append(torch.dot(errors, lovasz_gradient(own[order])))
    return torch.stack(losses).mean() if losses else logits[:0].sum()


def set_cross_entropy(logits: Tensor, allowed: Tensor) -> Tensor:
    """The mean of -log of the probability of a pixel's allowed classes together, over the pixels that a class is forbidden to.

    allowed: (N, K, *S) bool. One allowed class is cross entropy; a bounding box as an outer bound forbids its class everywhere else. A pixel
    that may be anything, or nothing at all, is not counted. Jin and Ghahramani 2002, "Learning with multiple labels", eq. 3 with even priors.
    """
    log_p = torch.log_softmax(wide(logits), 1)
    counts = allowed.sum(1)
    told = (counts > 0) & (counts < logits.shape[1])
    inside = torch.where(allowed | ~told[:, None], log_p, -float("inf"))
    return -torch.where(told, inside.logsumexp(1), 0.0).sum() / told.sum().clamp_min(1)


def binary_cross_entropy(logits: Tensor, truth: Tensor, told: Tensor, positive: float = 1.0) -> Tensor:
    """The mean over told pixels of the cross entropy of a yes-or-no output; positive: weight of the pixels that are yes. All of one shape."""
    share = torch.where(told, torch.where(truth, positive, 1.0), 0.0)
    scores = wide(logits)
    terms = F.binary_cross_entropy_with_logits(scores, truth.to(scores.dtype), reduction="none")
    return (share.to(scores.dtype) * terms).sum() / share.sum().clamp_min(1e-12)
