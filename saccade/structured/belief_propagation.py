"""Belief propagation on any factor graph: sum-product and max-product with damping and schedules, and the Bethe free energy.

A message is a log table over one variable's states, normalised. On a tree the beliefs are the marginals and the Bethe log Z is exact after
as many rounds as the tree is wide; with cycles both are approximations, which may not settle (Yedidia, Freeman and Weiss 2005). Whether
they did is part of every answer. All steps are differentiable, through the rounds that were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.structured.factor_graph import FactorGraph, log_sum, possible
from saccade.structured.packed import NEVER, Group, Packed, along, colour, finite, pack, rest, xlogx

Schedule = Literal["parallel", "sequential", "residual"]


class Beliefs(NamedTuple):
    """marginals: one (*batch, K_i) for each variable; factor_marginals: one for each factor; log_z: (*batch), Bethe's, for sums only (else NaN).

    best: (*batch, variables) int64, each variable's most probable state by its own belief (for max-product on a tree without ties the best
    joint state). rounds: how many were made; residual: the largest change of a message's probability in the last; settled: below the tolerance.
    """

    marginals: list[Tensor]
    factor_marginals: list[Tensor]
    log_z: Tensor
    best: Tensor
    rounds: int
    residual: float
    settled: bool


def belief_propagation(
    graph: FactorGraph, *, maximise: bool = False, schedule: Schedule = "parallel", damping: float = 0.0, rounds: int = 200, tolerance: float = 1e-12
) -> Beliefs:
    """Messages until they settle. damping: the share of the old message that is kept, 0 to below 1.

    schedule: parallel renews all messages at once; sequential goes through blocks of factors that share no variable, each seeing the news
    of those before it; residual renews the factors whose messages would change most among their neighbours (Elidan, McGraw and Koller 2006,
    with all such factors at once). Raises ValueError for values out of range, and where the messages leave a variable no state.
    """
    if not 0 <= damping < 1 or rounds < 1 or schedule not in ("parallel", "sequential", "residual"):
        raise ValueError(f"damping 0 to below 1, 1 round or more, a schedule of parallel, sequential, residual; got {damping}, {rounds}, {schedule!r}")
    packed = pack(graph)
    messages = [_uniform(packed, group) for group in packed.groups]
    blocks = _blocks(packed) if schedule == "sequential" else []
    residual, made = float("inf"), 0
    while made < rounds and residual > tolerance:
        old, made = messages, made + 1
        if schedule == "sequential":
            for block in blocks:
                messages = _chosen(block, _renewed(packed, messages, maximise, damping), messages)
        else:
            new = _renewed(packed, messages, maximise, damping)
            messages = _chosen(_liveliest(packed, new, messages), new, messages) if schedule == "residual" else new
        residual = max(float((m.detach().exp() - o.detach().exp()).abs().max()) for m, o in zip(messages, old, strict=True))
    return _beliefs(graph, packed, messages, maximise, (made, residual, residual <= tolerance))


def _uniform(packed: Packed, group: Group) -> Tensor:
    """(B, F, a, K): every factor says the same of all states that exist."""
    there = packed.exists[group.variables].to(group.scores.dtype)
    return (there / there.sum(-1, keepdim=True)).log().expand(len(group.scores), *there.shape)


def _totals(packed: Packed, messages: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """For every variable (B, N, K) the sum of its finite messages, and how many exclude a state."""
    n, k = packed.exists.shape
    first = messages[0]
    total, barred = (torch.zeros(len(first), n, k, dtype=first.dtype, device=first.device) for _ in range(2))
    for group, message in zip(packed.groups, messages, strict=True):
        value, never = finite(message)
        flat = group.variables.flatten()
        total = total.index_add(1, flat, value.flatten(1, 2))
        barred = barred.index_add(1, flat, never.flatten(1, 2).to(first.dtype))
    return total, barred


def _incoming(packed: Packed, group: Group, message: Tensor, totals: tuple[Tensor, Tensor]) -> Tensor:
    """(B, F, a, K): what each variable says to each factor of the group, which is what all its other factors say."""
    value, never = finite(message)
    others = totals[0][:, group.variables] - value
    barred = totals[1][:, group.variables] - never.to(value.dtype) > 0.5
    sent = torch.where(barred | ~packed.exists[group.variables], NEVER, others)
    norm = log_sum(sent, [-1])[..., None]
    return sent - torch.where(norm == NEVER, 0.0, norm)  # a variable without any state left is found where the factors' messages are made


def _renewed(packed: Packed, messages: Sequence[Tensor], maximise: bool, damping: float) -> list[Tensor]:
    """What every factor would say now, damped by what it said."""
    totals, found = _totals(packed, messages), []
    for group, message in zip(packed.groups, messages, strict=True):
        arity = group.variables.shape[1]
        incoming = _incoming(packed, group, message, totals)
        said = []
        for p in range(arity):
            table = group.scores
            for q in range(arity):
                table = table if q == p else table + along(incoming[:, :, q], q, arity)
            own = table.amax(rest(p, arity)) if maximise and arity > 1 else log_sum(table, rest(p, arity))
            norm = log_sum(own, [-1])
            possible(norm)
            said.append(own - norm[..., None])
        new = torch.stack(said, 2)
        if damping:
            new = (1 - damping) * new + damping * message
            new = new - log_sum(new, [-1])[..., None]
        found.append(new)
    return found


def _chosen(masks: Sequence[Tensor], new: Sequence[Tensor], old: Sequence[Tensor]) -> list[Tensor]:
    """The new messages of the factors in a mask (B or 1, F), else the old ones."""
    return [torch.where(mask[..., None, None], n, o) for mask, n, o in zip(masks, new, old, strict=True)]


def _blocks(packed: Packed) -> list[list[Tensor]]:
    """Masks (1, F) for every group, one block of factors after the other; those over one variable go first, together: what they say depends on nobody."""
    scopes = [(g, f, row) for g, group in enumerate(packed.groups) for f, row in enumerate(group.variables.tolist()) if len(row) > 1]
    users: dict[int, set[int]] = {}
    for place, (_, _, row) in enumerate(scopes):
        for v in row:
            users.setdefault(v, set()).add(place)
    near = [set().union(*(users[v] for v in row)) - {place} for place, (_, _, row) in enumerate(scopes)]
    empty = [torch.zeros(1, len(group.variables), dtype=torch.bool, device=group.variables.device) for group in packed.groups]
    blocks = [[torch.full_like(mask, group.variables.shape[1] == 1) for mask, group in zip(empty, packed.groups, strict=True)]]
    for block in colour(near):
        masks = [mask.clone() for mask in empty]
        for place in block:
            g, f, _ = scopes[place]
            masks[g][0, f] = True
        blocks.append(masks)
    return blocks


def _liveliest(packed: Packed, new: Sequence[Tensor], old: Sequence[Tensor]) -> list[Tensor]:
    """Masks (B, F): factors whose messages change as much as those of any factor that they share a variable with."""
    change = [(n.detach().exp() - o.detach().exp()).abs().amax((2, 3)) for n, o in zip(new, old, strict=True)]
    n = len(packed.exists)
    largest = torch.zeros(len(change[0]), n, dtype=change[0].dtype, device=change[0].device)
    for group, moved in zip(packed.groups, change, strict=True):
        arity = group.variables.shape[1]
        flat = group.variables.flatten().expand(len(moved), -1)
        largest = largest.scatter_reduce(1, flat, moved.repeat_interleave(arity, 1), "amax")
    return [moved >= largest[:, group.variables].amax(2) for group, moved in zip(packed.groups, change, strict=True)]


def _beliefs(graph: FactorGraph, packed: Packed, messages: Sequence[Tensor], maximise: bool, ran: tuple[int, float, bool]) -> Beliefs:
    totals = _totals(packed, messages)
    scores = torch.where((totals[1] > 0.5) | ~packed.exists, NEVER, totals[0])
    norm = log_sum(scores, [-1])
    possible(norm)
    p = (scores - norm[..., None]).exp()
    factors: list[Tensor] = [torch.empty(0)] * len(graph.factors)
    log_z = ((1 - packed.degree[:, None]) * -xlogx(p)).sum((1, 2))
    for group, message in zip(packed.groups, messages, strict=True):
        arity = group.variables.shape[1]
        incoming, table = _incoming(packed, group, message, totals), group.scores
        for q in range(arity):
            table = table + along(incoming[:, :, q], q, arity)
        axes = list(range(2, table.ndim))
        b = (table - log_sum(table, axes).reshape(*table.shape[:2], *[1] * arity)).exp()
        log_z = log_z + (b * finite(group.scores)[0] - xlogx(b)).flatten(1).sum(1)
        for row, place in enumerate(group.places):
            sizes = tuple(graph.states[v] for v in graph.factors[place].variables)
            own = b[:, row][(slice(None), *(slice(s) for s in sizes))]
            factors[place] = own.reshape(*graph.batch, *sizes)
    marginals = [p[:, v, :s].reshape(*graph.batch, s) for v, s in enumerate(graph.states)]
    log_z = torch.full_like(log_z, float("nan")) if maximise else log_z
    return Beliefs(marginals, factors, log_z.reshape(graph.batch), scores.argmax(-1).reshape(*graph.batch, -1), *ran)
