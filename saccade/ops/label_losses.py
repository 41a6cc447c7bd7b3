"""Losses of several yes-or-no answers an image, some of them unknown, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def binary(logits: Tensor, truth: Tensor, known: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross entropy, the mean over the answers that are known: -sum w_k t log p + (1 - t) log(1 - p) over their number.

    logits, truth: (N, K), truth in [0, 1]; known: (N, K) bool. weights: (K,) factors of what a yes costs, to make up for rare ones.
    0, with a gradient of 0, where nothing is known. Raises ValueError when the shapes differ.

    >>> round(float(binary(torch.tensor([[0.0, 9.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]))), 4)
    0.6931
    """
    _same(logits, truth, known)
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    yes = yes if weights is None else yes * weights
    return _mean(-(truth * yes + (1 - truth) * no), known)


def asymmetric(logits: Tensor, truth: Tensor, known: Tensor, *, positive: float = 0.0, negative: float = 4.0, shift: float = 0.05) -> Tensor:
    """The asymmetric loss of Ridnik et al. 2021, eq. 7, the mean over the answers that are known.

    -t (1 - p)^positive log p - (1 - t) p_m^negative log(1 - p_m) with p_m = max(p - shift, 0) (eq. 5): easy noes, of which most are, count
    little, and those below the shift not at all. positive, negative >= 0 are the paper's gammas, shift in [0, 1). With 0, 0 and 0 it is the
    binary cross entropy. Deviation: a mean where the paper sums over labels. Raises ValueError when the shapes differ.
    """
    _same(logits, truth, known)
    p = torch.sigmoid(logits)
    less = (p - shift).clamp(min=0)
    no = F.logsigmoid(-logits) if not shift else torch.log1p(-less)
    terms = truth * _power(1 - p, positive) * F.logsigmoid(logits) + (1 - truth) * _power(less, negative) * no
    return _mean(-terms, known)


def _power(x: Tensor, exponent: float) -> Tensor:
    """x to an exponent, 1 for 0 whatever x is."""
    return x**exponent if exponent else torch.ones_like(x)


def _mean(terms: Tensor, known: Tensor) -> Tensor:
    """Over what is known; the rest may even be infinite."""
    return torch.where(known, terms, 0.0).sum() / known.sum().clamp(min=1)


def _same(logits: Tensor, truth: Tensor, known: Tensor) -> None:
    if not logits.shape == truth.shape == known.shape:
        raise ValueError(f"logits {tuple(logits.shape)}, truth {tuple(truth.shape)} and known {tuple(known.shape)} differ in shape")
