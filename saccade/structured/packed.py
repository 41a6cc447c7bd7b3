"""A factor graph as a few large tensors, so that all its factors of one arity are worked on at once.

Every variable gets K states, the most that any has; those that it lacks score -inf. Factors over the same number of variables form a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.factor_graph import FactorGraph

NEVER = float("-inf")


class Group(NamedTuple):
    """variables: (F, a) int64, those of each factor; scores: (B, F, K, ..., K), -inf for states that do not exist; places: where each is in the graph."""

    variables: Tensor
    scores: Tensor
    places: tuple[int, ...]


class Packed(NamedTuple):
    """groups: by rising arity; exists: (N, K) bool, which states each variable has; degree: (N,) the number of factors over it."""

    groups: tuple[Group, ...]
    exists: Tensor
    degree: Tensor


def pack(graph: FactorGraph) -> Packed:
    """The graph's tables, padded and stacked; the batch axes become one (B = 1 without any)."""
    most, outer, device = max(graph.states), len(graph.batch), graph.like.device
    sizes = torch.tensor(graph.states, device=device)
    exists = torch.arange(most, device=device) < sizes[:, None]
    by_arity: dict[int, list[int]] = {}
    for place, (variables, _) in enumerate(graph.factors):
        by_arity.setdefault(len(variables), []).append(place)
    groups = []
    for _, places in sorted(by_arity.items()):
        scopes = torch.tensor([graph.factors[p].variables for p in places], device=device)
        tables = []
        for p in places:
            scores = graph.factors[p].scores
            table = scores.reshape(-1, *scores.shape[outer:])
            short = [pad for size in reversed(table.shape[1:]) for pad in (0, most - size)]
            tables.append(torch.nn.functional.pad(table, short, value=NEVER))
        groups.append(Group(scopes, torch.stack(tables, 1), tuple(places)))
    degree = torch.zeros(len(graph.states), dtype=graph.like.dtype, device=device)
    for group in groups:
        flat = group.variables.flatten()
        degree = degree.index_add(0, flat, torch.ones(len(flat), dtype=degree.dtype, device=device))
    return Packed(tuple(groups), exists, degree)


def colour(neighbours: Sequence[set[int]]) -> list[list[int]]:
    """Blocks of places of which no two are neighbours, greedily from those with most neighbours on (a grid gives its two chequers)."""
    order, colours = _walk(neighbours), dict[int, int]()
    for v in order:
        taken = {colours[u] for u in neighbours[v] if u in colours}
        colours[v] = next(c for c in range(len(taken) + 1) if c not in taken)
    blocks: list[list[int]] = [[] for _ in range(max(colours.values(), default=-1) + 1)]
    for v in sorted(colours):
        blocks[colours[v]].append(v)
    return blocks


def _walk(neighbours: Sequence[set[int]]) -> list[int]:
    """Every place once, breadth first from the busiest of each part: two colours are then enough for whatever two are enough for."""
    order, seen = [], set[int]()
    for start in sorted(range(len(neighbours)), key=lambda v: (-len(neighbours[v]), v)):
        if start in seen:
            continue
        queue = [start]
        seen.add(start)
        for v in queue:
            new = sorted(neighbours[v] - seen)
            seen.update(new)
            queue.extend(new)
        order.extend(queue)
    return order


def along(values: Tensor, position: int, arity: int) -> Tensor:
    """(B, F, K) as a table (B, F, 1, .., K, .., 1) that varies along one position of the factors."""
    shape = [1] * arity
    shape[position] = values.shape[-1]
    return values.reshape(*values.shape[:-1], *shape)


def rest(position: int, arity: int) -> list[int]:
    """The axes of a group's tables that belong to the other positions."""
    return [2 + q for q in range(arity) if q != position]


def xlogx(p: Tensor) -> Tensor:
    """p log p, with value and gradient 0 at 0."""
    return torch.where(p > 0, p * torch.where(p > 0, p, 1.0).log(), 0.0)


def finite(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores with 0 for -inf, and where that was (bool): sums of both parts are exact where a plain sum would be inf - inf."""
    never = scores == NEVER
    return torch.where(never, 0.0, scores), never
