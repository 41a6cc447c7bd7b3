"""Naive mean field on any factor graph: the best of the distributions in which all variables are independent.

Each step sets q_i to exp of the factors' mean score over the other variables' q, normalised. Variables that share no factor are set at
once, block after block, so that the bound on log Z never falls (Wainwright and Jordan 2008, section 5). Where it ends depends on the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.factor_graph import FactorGraph, log_sum, possible
from saccade.structured.packed import NEVER, Packed, along, colour, finite, pack, rest, xlogx


class MeanField(NamedTuple):
    """marginals: q, one (*batch, K_i) for each variable. bound: (*batch), a lower bound on log Z, and bounds: (rounds, *batch), after each round.

    settled: q stands still.
    """

    marginals: list[Tensor]
    bound: Tensor
    bounds: Tensor
    settled: bool


def mean_field(graph: FactorGraph, *, rounds: int = 200, tolerance: float = 1e-10, start: Sequence[Tensor] | None = None) -> MeanField:
    """Coordinate ascent from `start`, one (*batch, K_i) a variable, or from uniform. Differentiable through the rounds that were made.

    Raises ValueError for fewer than one round, and where hard constraints leave a variable no state under the others' q.
    """
    if rounds < 1:
        raise ValueError(f"at least one round, got {rounds}")
    packed = pack(graph)
    b, k = len(packed.groups[0].scores), packed.exists.shape[1]
    q = (packed.exists / packed.exists.sum(-1, keepdim=True)).to(graph.like.dtype).expand(b, -1, -1)
    if start is not None:
        padded = [torch.nn.functional.pad(s, (0, k - s.shape[-1])).expand(*graph.batch, k).reshape(-1, k) for s in start]
        q = torch.stack(padded, 1).to(graph.like.dtype)
    blocks = [torch.tensor(block, device=q.device) for block in colour(graph.neighbours())]
    bounds, settled = [], False
    for _ in range(rounds):
        old = q
        for block in blocks:
            scores = _mean_scores(packed, q)[:, block]
            norm = log_sum(scores, [-1])
            possible(norm)
            q = q.index_copy(1, block, (scores - norm[..., None]).exp())
        bounds.append(_bound(packed, q).reshape(graph.batch))
        if float((q - old).detach().abs().max()) <= tolerance:
            settled = True
            break
    marginals = [q[:, v, :s].reshape(*graph.batch, s) for v, s in enumerate(graph.states)]
    return MeanField(marginals, bounds[-1], torch.stack(bounds), settled)


def _mean_scores(packed: Packed, q: Tensor) -> Tensor:
    """(B, N, K): the sum over a variable's factors of their mean score; -inf where an impossible state would have weight."""
    total, barred = torch.zeros_like(q), torch.zeros_like(q)
    for group in packed.groups:
        arity = group.variables.shape[1]
        value, never = finite(group.scores)
        for p in range(arity):
            weight = torch.ones((), dtype=q.dtype, device=q.device)
            for other in range(arity):
                weight = weight if other == p else weight * along(q[:, group.variables[:, other]], other, arity)
            axes = rest(p, arity)
            mean = (value * weight).sum(axes) if axes else value
            out = (never * weight).detach().sum(axes) if axes else never.to(q.dtype)
            total = total.index_add(1, group.variables[:, p], mean)
            barred = barred.index_add(1, group.variables[:, p], out)
    return torch.where((barred > 0) | ~packed.exists, NEVER, total)


def _bound(packed: Packed, q: Tensor) -> Tensor:
    """(B,): mean score plus entropy; -inf as long as q gives weight to what is impossible."""
    bound = -xlogx(q).sum((1, 2))
    for group in packed.groups:
        arity = group.variables.shape[1]
        value, never = finite(group.scores)
        weight = torch.ones((), dtype=q.dtype, device=q.device)
        for p in range(arity):
            weight = weight * along(q[:, group.variables[:, p]], p, arity)
        impossible = (never * weight).flatten(1).sum(1) > 0
        bound = torch.where(impossible, NEVER, bound + (value * weight).flatten(1).sum(1))
    return bound
