"""Losses as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(log_probabilities: Tensor, truth: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of -log p under a truth that may be a distribution: -sum_ik w_k t_ik log p_ik / sum_ik w_k t_ik.

    log_probabilities: (N, K); truth: (N, K), rows summing to 1, or to 0 where the sample is ignored; weights: (K,).
    With one-hot rows it is the usual class-weighted mean. Raises ValueError when the shapes differ.

    >>> round(float(cross_entropy(torch.log_softmax(torch.tensor([[2.0, 0.0]]), 1), torch.tensor([[1.0, 0.0]]))), 4)
    0.1269
    """
    if log_probabilities.shape != truth.shape:
        raise ValueError(f"log_probabilities {tuple(log_probabilities.shape)} and truth {tuple(truth.shape)} differ in shape")
    weighted = truth if weights is None else truth * weights
    # a class of probability zero (log p = -inf) that the truth does not name must give 0, not nan
    terms = torch.where(weighted > 0, weighted * log_probabilities, 0.0)
    return -terms.sum() / weighted.sum().clamp_min(torch.finfo(weighted.dtype).tiny)
