"""Chains of discrete variables: log Z, likelihood, marginals, expected counts and entropy, exactly, in batches of unequal length.

p(y | x) = exp(sum_t unary[t, y_t] + sum_t pairwise[t, y_t, y_t+1]) / Z: Lafferty, McCallum, Pereira, "Conditional random fields", ICML 2001, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from saccade.structured import chain_messages
from saccade.structured.chain_messages import Messages

Method = Literal["auto", "sweep", "scan"]


@dataclass(frozen=True)
class Chain:
    """The scores of N chains of up to T variables with K states each.

    unary: (N, T, K) float; pairwise: (K, K), (T-1, K, K), (G, 1, K, K) or (G, T-1, K, K), rows the earlier state, the N chains being G
    groups of equal size one behind another (G = 1: the same for all, G = N: each its own); lengths: (N,) int64 in 0..T, all T where
    not given. -inf forbids a state or a step. What lies behind a length is never looked at.
    Raises ValueError for other shapes and types, and for lengths out of range.
    """

    unary: Tensor
    pairwise: Tensor
    lengths: Tensor = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        if self.unary.ndim != 3 or not self.unary.is_floating_point() or self.unary.shape[2] < 1:
            raise ValueError(f"unary must be (N, T, K) of floats with K of 1 or more, got {tuple(self.unary.shape)} {self.unary.dtype}")
        n, t, k = self.unary.shape
        steps = max(t - 1, 0)
        groups, many = (self.pairwise.shape[0], self.pairwise.shape[1]) if self.pairwise.ndim == 4 else (1, steps)
        fits = self.pairwise.shape[-2:] == (k, k) and many in (1, steps) and (n % groups == 0 if groups else n == 0)
        if not fits or (self.pairwise.ndim == 3 and self.pairwise.shape[0] != steps) or self.pairwise.ndim not in (2, 3, 4):
            shapes = f"({k}, {k}), ({steps}, {k}, {k}), (G, 1, {k}, {k}) or (G, {steps}, {k}, {k}) with G groups of equal size"
            raise ValueError(f"pairwise must be {shapes} for unary {(n, t, k)}, got {tuple(self.pairwise.shape)}")
        if self.pairwise.dtype != self.unary.dtype:
            raise ValueError(f"unary is {self.unary.dtype} and pairwise {self.pairwise.dtype}; they must be of one type")
        if self.lengths is None:
            object.__setattr__(self, "lengths", torch.full((n,), t, dtype=torch.int64, device=self.unary.device))
        elif tuple(self.lengths.shape) != (n,) or self.lengths.is_floating_point():
            raise ValueError(f"lengths must be ({n},) whole numbers, got {tuple(self.lengths.shape)} {self.lengths.dtype}")
        elif n and not 0 <= int(self.lengths.min()) <= int(self.lengths.max()) <= t:
            raise ValueError(f"lengths must be 0 to {t}, got {int(self.lengths.min())} to {int(self.lengths.max())}")

    @property
    def valid(self) -> Tensor:
        """(N, T) bool: the positions within each length."""
        return torch.arange(self.unary.shape[1], device=self.unary.device) < self.lengths[:, None]

    @property
    def grouped(self) -> Tensor:
        """The pairwise scores with four axes: (G, 1 or T-1, K, K)."""
        return _grouped(self.pairwise)

    @property
    def matrices(self) -> Tensor:
        """The same for each chain: (1 or N, 1 or T-1, K, K)."""
        return chain_messages.for_each(self.grouped, len(self.unary))


def _grouped(pairwise: Tensor) -> Tensor:
    return pairwise if pairwise.ndim == 4 else pairwise.reshape(1, -1, *pairwise.shape[-2:])


def with_ends(unary: Tensor, lengths: Tensor | None, start: Tensor | None = None, end: Tensor | None = None) -> Tensor:
    """The unary scores (N, T, K) with scores (K,) of the first and of the last state of each chain added where those are."""
    place = torch.arange(unary.shape[1], device=unary.device)[None, :, None]
    last = unary.shape[1] - 1 if lengths is None else (lengths - 1)[:, None, None]
    if start is not None:
        unary = unary + torch.where(place == 0, start, torch.zeros_like(start))
    if end is not None:
        unary = unary + torch.where(place == last, end, torch.zeros_like(end))
    return unary


def score(chain: Chain, states: Tensor) -> Tensor:
    """(N,) the sum of the scores along given states (N, T) int64; what they are behind the lengths does not matter.

    Raises ValueError for another shape, and for states outside 0..K-1 within a length.
    """
    n, t, k = chain.unary.shape
    if tuple(states.shape) != (n, t):
        raise ValueError(f"states must be {(n, t)}, got {tuple(states.shape)}")
    states = torch.where(chain.valid, states, 0)
    if states.numel() and not 0 <= int(states.min()) <= int(states.max()) < k:
        raise ValueError(f"states must be 0..{k - 1}, got {int(states.min())}..{int(states.max())}")
    own = chain.unary.gather(2, states[..., None])[..., 0]
    total = torch.where(chain.valid, own, 0).sum(1)
    if t < 2:
        return total
    flat = chain.matrices.flatten(2).expand(n, t - 1, k * k)
    steps = flat.gather(2, (states[:, :-1] * k + states[:, 1:])[..., None])[..., 0]
    return total + torch.where(chain.valid[:, 1:], steps, 0).sum(1)


def log_partition(chain: Chain, *, method: Method = "auto") -> Tensor:
    """(N,) log Z; 0 for length 0, -inf where the constraints leave nothing. Differentiable any number of times; the first gradient, the
    marginals, comes from one forward-backward pass instead of a graph through the steps, and an impossible chain has a gradient of 0.

    method: "sweep" goes through the steps, "scan" multiplies transfer matrices as a tree of depth O(log T) (more work, for accelerators),
    "auto" scans where the tensors are on an accelerator and the matrices fit.
    """
    found: Tensor = _LogPartition.apply(chain.unary, chain.pairwise, chain.lengths, method)  # type: ignore[no-untyped-call]
    return found


def negative_log_likelihood(chain: Chain, states: Tensor, *, method: Method = "auto") -> Tensor:
    """(N,) -log p(states) in nats; states (N, T) int64. inf where the states are forbidden."""
    given = score(chain, states)
    return torch.where(torch.isneginf(given.detach()), torch.inf, log_partition(chain, method=method) - given)


class Marginals(NamedTuple):
    """nodes: (N, T, K) p(y_t), 0 behind the lengths; log_partition: (N,)."""

    nodes: Tensor
    log_partition: Tensor


def marginals(chain: Chain, *, method: Method = "auto") -> Marginals:
    """The marginals of every variable. With gradients where the scores want them."""
    messages = _messages(chain, method)
    return Marginals(chain_messages.nodes(messages), messages.log_partition)


def edge_marginals(chain: Chain, *, method: Method = "auto") -> Tensor:
    """(N, T-1, K, K) p(y_t, y_t+1), 0 behind the lengths. See `expected_counts` where their sum is enough."""
    n, t, k = chain.unary.shape
    if t < 2:
        return chain.unary.new_zeros(n, 0, k, k)
    return chain_messages.edges(_messages(chain, method))


class Counts(NamedTuple):
    """Expected counts of a chain. start, end: (N, K) of the first and last state; states: (N, K) over all positions; transitions: (N, K, K);
    nodes: (N, T, K) the marginals that they are sums of; log_partition: (N,)."""

    start: Tensor
    end: Tensor
    states: Tensor
    transitions: Tensor
    nodes: Tensor
    log_partition: Tensor


def expected_counts(chain: Chain, *, method: Method = "auto") -> Counts:
    """How often every state and every step is expected under p: the sufficient statistics of maximum likelihood and of EM."""
    messages = _messages(chain, method)
    nodes = chain_messages.nodes(messages)
    last = (chain.lengths - 1).clamp_min(0)[:, None, None].expand(-1, 1, nodes.shape[2])
    start, end = (nodes[:, 0], nodes.gather(1, last)[:, 0]) if nodes.shape[1] else (nodes.sum(1), nodes.sum(1))
    return Counts(start, end, nodes.sum(1), chain_messages.transition_counts(messages), nodes, messages.log_partition)


def entropy(chain: Chain, *, method: Method = "auto") -> Tensor:
    """(N,) -sum p(y) log p(y) in nats, exactly: log Z less the expected score. 0 where nothing is possible."""
    messages = _messages(chain, method)
    nodes = chain_messages.nodes(messages)
    expected = _weighted(nodes, chain.unary).sum((1, 2))
    if chain.unary.shape[1] > 1:
        shared = chain.matrices.shape[1] == 1
        weights = chain_messages.transition_counts(messages) if shared else chain_messages.edges(messages)
        expected = expected + _weighted(weights, chain.matrices[:, 0] if shared else chain.matrices).flatten(1).sum(1)
    possible = torch.isfinite(messages.log_partition)
    return torch.where(possible, messages.log_partition - expected, 0.0)


def _weighted(weights: Tensor, scores: Tensor) -> Tensor:
    """Their product, 0 where the weight is 0 or the score forbids."""
    return torch.where((weights > 0) & torch.isfinite(scores), weights * torch.where(torch.isfinite(scores), scores, 0), 0.0)


def _messages(chain: Chain, method: Method) -> Messages:
    wanted = torch.is_grad_enabled() and (chain.unary.requires_grad or chain.pairwise.requires_grad)
    return chain_messages.messages(chain.unary, chain.grouped, chain.lengths, method, differentiable=wanted)


class _LogPartition(torch.autograd.Function):
    """log Z whose backward is the marginals."""

    @staticmethod
    def forward(ctx: Any, unary: Tensor, pairwise: Tensor, lengths: Tensor, method: Method) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        found = chain_messages.messages(unary, _grouped(pairwise), lengths, method, both=wanted)
        ctx.save_for_backward(unary, pairwise)
        ctx.lengths, ctx.method = lengths, method
        ctx.found = found._replace(log_partition=found.log_partition.detach()) if wanted else None  # the answer itself would hold its own graph
        return found.log_partition

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Any) -> tuple[Tensor, Tensor, None, None]:
        unary, pairwise = ctx.saved_tensors  # type: ignore[attr-defined]
        found: Messages = ctx.found  # type: ignore[attr-defined]
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted: through ordinary operations
            found = chain_messages.messages(unary, _grouped(pairwise), ctx.lengths, ctx.method, differentiable=True)  # type: ignore[attr-defined]
        weights = grads[0]
        by_unary = chain_messages.nodes(found) * weights[:, None, None]
        by_pairwise = chain_messages.pairwise_gradient(found, weights, len(_grouped(pairwise))).reshape(pairwise.shape)
        return by_unary.to(unary.dtype), by_pairwise.to(pairwise.dtype), None, None
