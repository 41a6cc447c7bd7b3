"""Factor graphs: discrete variables, tables of scores over some of them, and the sum and the maximum over everything by enumeration.

p(x) = exp(sum_f score_f(x_f)) / Z. A score is a log potential, any real number or -inf for what cannot be; tables may have leading batch
axes, all alike, so that many graphs of one shape are answered at once. Every answer is a differentiable function of the tables.

>>> graph = FactorGraph((2, 2), [Factor((0, 1), torch.tensor([[1.0, 0.0], [0.0, 1.0]])), Factor((0,), torch.tensor([0.0, 2.0]))])
>>> enumerate_states(graph).best.tolist()
[1, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

ENUMERABLE = 2_000_000  # joint states that are still listed one by one


class Factor(NamedTuple):
    """variables: places (i, j, ...) in the graph, each once; scores: (*batch, K_i, K_j, ...), the axes in that order."""

    variables: tuple[int, ...]
    scores: Tensor


@dataclass(frozen=True)
class FactorGraph:
    """states: the number of states of each variable, at least 1. factors: any number over any variables, all of one batch shape, type and device.

    Raises ValueError where a table does not fit its variables, and for scores that are NaN or +inf.
    """

    states: tuple[int, ...]
    factors: Sequence[Factor]

    def __post_init__(self) -> None:
        if not self.states or min(self.states) < 1:
            raise ValueError(f"every variable has at least one state and there is at least one variable, got states {self.states}")
        if not self.factors:
            raise ValueError("a factor graph has at least one factor; give a variable without a preference a table of zeros")
        shapes = set()
        for place, (variables, scores) in enumerate(self.factors):
            if not variables or len(set(variables)) != len(variables) or not all(0 <= v < len(self.states) for v in variables):
                raise ValueError(f"factor {place} is over {variables}, expected one or more different variables of 0..{len(self.states) - 1}")
            wanted, axes = tuple(self.states[v] for v in variables), len(variables)
            if tuple(scores.shape[scores.ndim - axes :]) != wanted or not scores.is_floating_point():
                raise ValueError(f"factor {place} over {variables} has scores {tuple(scores.shape)} of {scores.dtype}, expected floats (*batch, {wanted})")
            if torch.isnan(scores).any() or (scores == float("inf")).any():
                raise ValueError(f"factor {place} over {variables} has scores that are NaN or +inf")
            shapes.add((tuple(scores.shape[: scores.ndim - axes]), scores.dtype, scores.device))
        if len(shapes) > 1:
            raise ValueError(f"all factors have one batch shape, type and device, got {sorted(map(str, shapes))}")

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes of every table."""
        variables, scores = self.factors[0]
        return tuple(scores.shape[: scores.ndim - len(variables)])

    @property
    def like(self) -> Tensor:
        """A tensor of the tables' type and device."""
        return self.factors[0].scores

    def neighbours(self) -> list[set[int]]:
        """For every variable those it shares a factor with."""
        found: list[set[int]] = [set() for _ in self.states]
        for variables, _ in self.factors:
            for v in variables:
                found[v].update(variables)
        for v, near in enumerate(found):
            near.discard(v)
        return found

    def score(self, x: Tensor) -> Tensor:
        """(..., variables) int64 -> (*batch, ...): the sum of all factors' scores at these states."""
        total = torch.zeros((*self.batch, *x.shape[:-1]), dtype=self.like.dtype, device=self.like.device)
        for variables, scores in self.factors:
            places: list[Any] = [Ellipsis, *(x[..., v] for v in variables)]
            total = total + scores[tuple(places)]
        return total


class Exact(NamedTuple):
    """log_z: (*batch). marginals: one (*batch, K_i) for each variable. factor_marginals: one (*batch, K_i, K_j, ...) for each factor.

    best: (*batch, variables) int64, a most probable joint state, and best_score: (*batch), its score (log p = best_score - log_z).
    """

    log_z: Tensor
    marginals: list[Tensor]
    factor_marginals: list[Tensor]
    best: Tensor
    best_score: Tensor


def log_sum(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The logarithm of the sum of exponentials over some axes; -inf, with gradient 0, where all are -inf."""
    if not dims:
        return x
    top = x.detach().amax(tuple(dims), keepdim=True)
    top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    total = (x - top).exp().sum(tuple(dims), keepdim=True)
    none = total == 0
    found = torch.where(none, float("-inf"), torch.where(none, 1.0, total).log() + top)
    return found.squeeze(tuple(dims))


def expand_to(scores: Tensor, variables: Sequence[int], scope: Sequence[int], outer: int) -> Tensor:
    """(*batch, K of each of `variables`) -> the same table with an axis for each of `scope` in its order, of length 1 for those it does not know."""
    order = sorted(range(len(variables)), key=lambda a: list(scope).index(variables[a]))
    moved = scores.permute(*range(outer), *(outer + a for a in order))
    known = {v: scores.shape[outer + a] for a, v in enumerate(variables)}
    return moved.reshape(*scores.shape[:outer], *(known.get(v, 1) for v in scope))


def joint(graph: FactorGraph) -> Tensor:
    """(*batch, K_0, K_1, ...): the score of every joint state. Raises ValueError where there are more than 2,000,000."""
    if prod(graph.states) > ENUMERABLE:
        raise ValueError(f"{prod(graph.states)} joint states are too many to list; use junction_tree or belief_propagation")
    outer, scope = len(graph.batch), range(len(graph.states))
    total = torch.zeros((*graph.batch, *graph.states), dtype=graph.like.dtype, device=graph.like.device)
    for variables, scores in graph.factors:
        total = total + expand_to(scores, variables, scope, outer)
    return total


def enumerate_states(graph: FactorGraph) -> Exact:
    """The definition itself: every joint state is looked at. Raises ValueError for too many, and where nothing is possible."""
    outer, scores = len(graph.batch), joint(graph)
    axes = [outer + v for v in range(len(graph.states))]
    log_z = log_sum(scores, axes)
    possible(log_z)
    p = (scores - log_z.reshape(*graph.batch, *[1] * len(axes))).exp()
    marginals = [p.sum([a for a in axes if a != outer + v]) if len(axes) > 1 else p for v in range(len(axes))]
    factor_marginals = []
    for variables, _ in graph.factors:
        rest = [a for a in axes if a - outer not in variables]
        kept = sorted(variables)
        table = p.sum(rest) if rest else p
        factor_marginals.append(table.permute(*range(outer), *(outer + kept.index(v) for v in variables)))
    best_score, place = scores.flatten(outer).max(-1)
    best = torch.stack(torch.unravel_index(place, graph.states), -1)
    return Exact(log_z, marginals, factor_marginals, best, best_score)


def possible(log_z: Tensor) -> None:
    """Raises ValueError where the hard constraints leave no joint state."""
    if not torch.isfinite(log_z).all():
        raise ValueError("no joint state is possible: the scores of -inf exclude all of them")
