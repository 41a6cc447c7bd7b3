"""Exact inference in factor graphs of small treewidth: a junction tree of cliques, by sums or by maxima.

Variables are eliminated in the order of least fill; each with those it is joined to then is a clique, which hangs on the clique of the
next of them to go, so that the cliques of any variable hang together (Lauritzen and Spiegelhalter 1988). A sweep of messages to the root
gives log Z or the maximum, a sweep back every marginal, the best joint state or an exact sample. On a tree of factors this is sum-product
and max-product (Kschischang, Frey and Loeliger 2001). Messages are log tables, so that nothing under- or overflows, and differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.factor_graph import Exact, FactorGraph, expand_to, log_sum, possible

LARGEST = 2**24  # entries of a clique's table


class Clique(NamedTuple):
    """scope: its variables, rising. parent: place of the clique that it sends to, -1 for a root. separator: what it shares with that. factors: places."""

    scope: tuple[int, ...]
    parent: int
    separator: tuple[int, ...]
    factors: tuple[int, ...]


def elimination_order(neighbours: Sequence[set[int]]) -> list[int]:
    """The variables in an order of least fill: next is the one that makes the fewest new neighbours, ties by degree and place."""
    near = {v: set(others) for v, others in enumerate(neighbours)}
    order = []
    while near:

        def fill(v: int) -> int:
            return sum(len(near[v] - near[u]) - 1 for u in near[v])

        v = min(near, key=lambda v: (fill(v), len(near[v]), v))
        for u in near[v]:
            near[u] |= near[v] - {u}
            near[u].discard(v)
        order.append(v)
        del near[v]
    return order


@dataclass(frozen=True)
class JunctionTree:
    """cliques: children before their parents (the last of each tree is a root). graph: what it was made from; another of the same structure may be given."""

    graph: FactorGraph
    cliques: tuple[Clique, ...]

    @classmethod
    def build(cls, graph: FactorGraph, order: Sequence[int] | None = None) -> JunctionTree:
        """The tree of an elimination order (all variables once), least fill without one.

        Raises ValueError where a clique's table would have more than 2^24 entries: the treewidth is too large for exact answers.
        """
        near = graph.neighbours()
        order = elimination_order(near) if order is None else list(order)
        if sorted(order) != list(range(len(near))):
            raise ValueError(f"the order must name every variable of 0..{len(near) - 1} once, got {order}")
        scopes, rank = _scopes(near, order), {v: place for place, v in enumerate(order)}
        for scope in scopes:
            if prod(graph.states[v] for v in scope) > LARGEST:
                fix = "use belief_propagation, gibbs or mean_field"
                raise ValueError(f"a clique of {len(scope)} variables has more than {LARGEST} joint states, too many for exact inference; {fix}")
        home: list[list[int]] = [[] for _ in scopes]
        for place, (variables, _) in enumerate(graph.factors):
            home[min(rank[v] for v in variables)].append(place)
        cliques = []
        for c, (v, scope) in enumerate(zip(order, scopes, strict=True)):
            separator = tuple(u for u in scope if u != v)
            cliques.append(Clique(scope, min((rank[u] for u in separator), default=-1), separator, tuple(home[c])))
        return cls(graph, tuple(cliques))

    @property
    def width(self) -> int:
        """The treewidth of this tree: variables of its largest clique, less one."""
        return max(len(c.scope) for c in self.cliques) - 1

    def tables(self) -> list[Tensor]:
        """For every clique the sum of its factors' scores, (*batch, K of each of its scope)."""
        graph, outer = self.graph, len(self.graph.batch)
        found = []
        for clique in self.cliques:
            shape = (*graph.batch, *(graph.states[v] for v in clique.scope))
            table = torch.zeros(shape, dtype=graph.like.dtype, device=graph.like.device)
            for place in clique.factors:
                table = table + expand_to(graph.factors[place].scores, graph.factors[place].variables, clique.scope, outer)
            found.append(table)
        return found

    def collect(self, reduce: Callable[[Tensor, Sequence[int]], Tensor]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Messages to the roots: the cliques' tables with all that their children sent, each one's message to its parent, and the total (*batch)."""
        outer, tables = len(self.graph.batch), self.tables()
        sent: list[Tensor] = []
        total = torch.zeros(self.graph.batch, dtype=self.graph.like.dtype, device=self.graph.like.device)
        for c, clique in enumerate(self.cliques):
            gone = [outer + a for a, v in enumerate(clique.scope) if v not in clique.separator]
            message = reduce(tables[c], gone)
            sent.append(message)
            if clique.parent < 0:
                total = total + message
            else:
                tables[clique.parent] = tables[clique.parent] + expand_to(message, clique.separator, self.cliques[clique.parent].scope, outer)
        return tables, sent, total

    def log_z(self) -> Tensor:
        """(*batch): the logarithm of the sum over all joint states."""
        return self.collect(log_sum)[2]

    def infer(self) -> Exact:
        """log Z, all marginals and a best joint state, exactly. Raises ValueError where nothing is possible."""
        outer = len(self.graph.batch)
        tables, sent, log_z = self.collect(log_sum)
        possible(log_z)
        beliefs: list[Tensor] = [torch.empty(0)] * len(tables)
        for c in reversed(range(len(tables))):
            clique, table = self.cliques[c], tables[c]
            if clique.parent >= 0:
                above = self.cliques[clique.parent]
                gone = [outer + a for a, v in enumerate(above.scope) if v not in clique.separator]
                news = _less(log_sum(beliefs[clique.parent], gone), sent[c])
                table = table + expand_to(news, clique.separator, clique.scope, outer)
            beliefs[c] = table - log_sum(table, list(range(outer, table.ndim))).reshape(*self.graph.batch, *[1] * (table.ndim - outer))
        marginals = [self._marginal(beliefs, (v,), next(c for c, k in enumerate(self.cliques) if v in k.scope)) for v in range(len(self.graph.states))]
        holders = {f: c for c, clique in enumerate(self.cliques) for f in clique.factors}
        pairs = [self._marginal(beliefs, variables, holders[f]) for f, (variables, _) in enumerate(self.graph.factors)]
        best, best_score = self.best()
        return Exact(log_z, marginals, pairs, best, best_score)

    def best(self) -> tuple[Tensor, Tensor]:
        """(*batch, variables) int64: a most probable joint state, by max-product and a way back; (*batch): its score."""
        tables, _, score = self.collect(lambda x, dims: x.amax(tuple(dims)) if dims else x)
        return self._way_back(tables, lambda scores: scores.argmax(-1)), score

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """(count, *batch, variables) int64: independent exact samples."""
        tables, _, log_z = self.collect(log_sum)
        possible(log_z)
        many = [table.expand(count, *table.shape) for table in tables]

        def draw(scores: Tensor) -> Tensor:
            p = torch.softmax(scores.detach(), -1)
            return torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=generator).reshape(p.shape[:-1])

        return self._way_back(many, draw)

    def _way_back(self, tables: list[Tensor], choose: Callable[[Tensor], Tensor]) -> Tensor:
        """States chosen from the roots down: each clique's own variables given those that it shares with its parent."""
        outer = tables[0].ndim - len(self.cliques[0].scope)
        batch = tables[0].shape[:outer]
        x = torch.zeros((*batch, len(self.graph.states)), dtype=torch.int64, device=tables[0].device)
        for c in reversed(range(len(tables))):
            clique = self.cliques[c]
            own = [v for v in clique.scope if v not in clique.separator]
            axes = [clique.scope.index(v) for v in (*clique.separator, *own)]
            scores = tables[c].permute(*range(outer), *(outer + a for a in axes))
            sizes = tuple(self.graph.states[v] for v in own)
            scores = scores.reshape(*batch, -1, prod(sizes))
            place = torch.zeros(batch, dtype=torch.int64, device=x.device)
            for v in clique.separator:
                place = place * self.graph.states[v] + x[..., v]
            row = scores.gather(outer, place[..., None, None].expand(*batch, 1, scores.shape[-1])).squeeze(outer)
            for v, state in zip(own, torch.unravel_index(choose(row), sizes), strict=True):
                x[..., v] = state
        return x

    def _marginal(self, beliefs: list[Tensor], variables: tuple[int, ...], c: int) -> Tensor:
        """(*batch, K of each of `variables`), summed out of clique c's belief."""
        outer, scope = len(self.graph.batch), self.cliques[c].scope
        gone = [outer + a for a, v in enumerate(scope) if v not in variables]
        table = log_sum(beliefs[c], gone).exp()
        kept = sorted(variables)
        return table.permute(*range(outer), *(outer + kept.index(v) for v in variables))


def _less(total: Tensor, own: Tensor) -> Tensor:
    """What others said: the total less the own message; where the own message excludes a state, so does the belief, and 0 stands for it."""
    excluded = own == float("-inf")
    return torch.where(excluded, 0.0, total - torch.where(excluded, 0.0, own))


def _scopes(near: Sequence[set[int]], order: Sequence[int]) -> list[tuple[int, ...]]:
    """For every variable in the order, itself and those left that it is joined to when it is eliminated."""
    left = [set(others) for others in near]
    cliques = []
    for v in order:
        for u in left[v]:
            left[u] |= left[v]
            left[u] -= {u, v}
        cliques.append(tuple(sorted({v, *left[v]})))
    return cliques
