"""The parallel form of the chain's recursions: products of transfer matrices by an associative scan of depth O(log T).

Sarkka and Garcia-Fernandez, "Temporal parallelization of Bayesian smoothers", IEEE TAC 66 (1), 2021; Hassan, Sarkka, Garcia-Fernandez,
"Temporal parallelization of inference in hidden Markov models", IEEE TSP 69, 2021 (sum-product and max-product elements). The scan is that of
Blelloch 1990: O(T) products in 2 log2 T batches, each of K^3 for K states, against K^2 a step of the sequential form.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 1 << 24  # elements of a temporary
Element = tuple[Tensor, ...]
Combine = Callable[[Element, Element], Element]


def scan(elements: Element, combine: Combine) -> Element:
    """All products e_0, e_0 e_1, e_0 e_1 e_2, ... of elements along the first axis, by an associative `combine` of two batches of elements."""
    count = len(elements[0])
    if count < 2:
        return elements
    pairs = combine(tuple(e[0 : count - 1 : 2] for e in elements), tuple(e[1::2] for e in elements))
    odd = scan(pairs, combine)
    if count > 2:
        even = combine(tuple(e[: (count - 1) // 2] for e in odd), tuple(e[2::2] for e in elements))
        found = []
        for element, o, v in zip(elements, odd, even, strict=True):
            first = torch.cat([element[:1], v])
            mixed = torch.stack([first[: len(o)], o], 1).flatten(0, 1)
            found.append(torch.cat([mixed, first[len(o) :]]))
        return tuple(found)
    return tuple(torch.cat([e[:1], o]) for e, o in zip(elements, odd, strict=True))


def scaled_product(one: Element, two: Element) -> Element:
    """Matrices (..., K, K) with the logarithms (...) of what they were divided by."""
    product = one[0] @ two[0]
    most = product.amax((-1, -2))
    safe = most.clamp_min(torch.finfo(most.dtype).tiny)
    return product / safe[..., None, None], one[1] + two[1] + torch.where(most > 0, safe.log(), -torch.inf).double()


def log_product(one: Element, two: Element) -> Element:
    """Logarithms of matrices (..., K, K), the largest entry 0, with what was taken off."""
    product = _pieces(one[0], two[0], lambda a, b: torch.logsumexp(a[..., None] + b[..., None, :, :], -2))
    most = product.amax((-1, -2))
    return product - most[..., None, None], one[1] + two[1] + most.double()


def max_product(one: Element, two: Element) -> Element:
    """Of (max, +): the best sums over the middle state. One tensor (..., K, K)."""
    return (_pieces(one[0], two[0], lambda a, b: (a[..., None] + b[..., None, :, :]).amax(-2)),)


def _pieces(a: Tensor, b: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The product of matrices (..., K, K) whose temporary has K times as many elements, a few rows of them at a time."""
    k = a.shape[-1]
    a_rows, b_rows = a.reshape(-1, k, k), b.reshape(-1, k, k)
    piece = max(1, CHUNK // k**3)
    parts = [product(a_rows[i : i + piece], b_rows[i : i + piece]) for i in range(0, len(a_rows), piece)]
    return (torch.cat(parts) if len(parts) > 1 else parts[0]).view(a.shape)


def transfer(weights: Tensor, factors: Tensor, lengths: Tensor, logs: bool) -> Tensor:
    """(T-1, N, K, K) the matrices from one position to the next with the weight of the latter in them; the identity behind a length."""
    steps, n, k = weights.shape
    moves = factors.transpose(0, 1).expand(steps - 1, n, k, k)
    found = moves + weights[1:, :, None] if logs else moves * weights[1:, :, None]
    same = torch.eye(k, dtype=weights.dtype, device=weights.device)
    same = torch.where(same > 0, 0.0, FORBIDDEN) if logs else same
    valid = torch.arange(1, steps, device=lengths.device)[:, None] < lengths
    return torch.where(valid[..., None, None], found, same.to(weights.dtype))


FORBIDDEN = -1e30


def messages(weights: Tensor, factors: Tensor, lengths: Tensor, *, logs: bool) -> tuple[Tensor, Tensor, Tensor]:
    """What `chain_messages` makes step by step, for T of 2 or more: both directions (T, N, K), rows normalised, and the log of the sum (N,)."""
    moves = transfer(weights, factors, lengths, logs)
    none = torch.zeros(moves.shape[:2], dtype=torch.float64, device=weights.device)
    if logs:
        return _log_messages(weights, moves, none)
    ahead, scale = scan((moves, none), scaled_product)
    back, _ = scan((moves.flip(0), none), lambda one, two: scaled_product(two, one))
    rows = (weights[:1].unsqueeze(-2) @ ahead)[..., 0, :]  # (T-1, N, K)
    sums = rows[-1].sum(1)
    log_sum = torch.where(sums > 0, sums.clamp_min(torch.finfo(sums.dtype).tiny).log(), -torch.inf).double() + scale[-1]
    before = torch.cat([weights[:1], rows])
    after = torch.cat([back.flip(0).sum(-1), torch.ones_like(weights[-1:])])
    return _shares(before), _shares(_shares(after) * weights), log_sum


def _log_messages(weights: Tensor, moves: Tensor, none: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    ahead, scale = scan((moves, none), log_product)
    back, _ = scan((moves.flip(0), none), lambda one, two: log_product(two, one))
    rows = torch.logsumexp(weights[:1].unsqueeze(-1) + ahead, -2)
    before = torch.cat([weights[:1], rows])
    after = torch.cat([torch.logsumexp(back.flip(0), -1), torch.zeros_like(weights[-1:])])
    return torch.log_softmax(before, 2), torch.log_softmax(after + weights, 2), torch.logsumexp(rows[-1], 1).double() + scale[-1]


def _shares(rows: Tensor) -> Tensor:
    return rows / rows.sum(2, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
