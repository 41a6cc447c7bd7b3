"""Gibbs sampling of any factor graph, many chains at once, in blocks of variables that share no factor.

Given all others the variables of a block are independent, so that a whole block is drawn in one step without changing what the chain
converges to (Gonzalez et al. 2011, chromatic sampling). Marginals come with split R-hat and the effective sample size: without them
a sampler's answer says nothing about how wrong it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.diagnostics import effective_sample_size, split_r_hat
from saccade.structured.factor_graph import FactorGraph
from saccade.structured.packed import NEVER, Packed, colour, pack


class Samples(NamedTuple):
    """states: (chains, n, *batch, variables) int64. marginals: one (*batch, K_i) for each variable, the share of the draws in each state.

    r_hat, effective: one (*batch, K_i) for each variable, of the indicators of its states (effective is nan for a state that was always or never drawn).
    """

    states: Tensor
    marginals: list[Tensor]
    r_hat: list[Tensor]
    effective: list[Tensor]

    @property
    def worst(self) -> tuple[float, float]:
        """The largest split R-hat and the smallest effective sample size of any state."""
        sizes = torch.cat([e.flatten() for e in self.effective])
        return max(float(r.max()) for r in self.r_hat), float(sizes[~sizes.isnan()].min()) if (~sizes.isnan()).any() else float("nan")


class _Part(NamedTuple):
    """One position of the factors of one arity whose variable there is in the block: tables (B, F, others, K), others (F, a - 1), rows (F) of the block."""

    tables: Tensor
    others: Tensor
    rows: Tensor


def gibbs(graph: FactorGraph, *, draws: int, burn: int = 100, thin: int = 1, chains: int = 4, seed: int = 0, start: Tensor | None = None) -> Samples:
    """`draws` samples of each of `chains` chains, every `thin`-th sweep after `burn` of them. start: (chains, *batch, variables), random without it.

    Hard constraints may cut the states into parts between which single variables cannot move: then the answer depends on the start, and
    R-hat shows it. Raises ValueError for values out of range, and where a variable has no state left given the others: give a possible start.
    """
    if draws < 4 or burn < 0 or thin < 1 or chains < 1:
        raise ValueError(f"at least 4 draws, 0 or more sweeps before them, thin and chains at least 1; got {draws}, {burn}, {thin}, {chains}")
    packed, device = pack(graph), graph.like.device
    blocks = [torch.tensor(block, device=device) for block in colour(graph.neighbours())]
    parts = [_parts(packed, block) for block in blocks]
    generator = torch.Generator(device).manual_seed(seed)
    b, n = len(packed.groups[0].scores), len(graph.states)
    sizes = torch.tensor(graph.states, device=device)
    if start is None:
        x = (torch.rand(b, chains, n, generator=generator, device=device) * sizes).long().clamp_max(sizes - 1)
    else:
        x = start.reshape(chains, b, n).transpose(0, 1).clone()
    kept = []
    for sweep in range(burn + draws * thin):
        for block, part in zip(blocks, parts, strict=True):
            x[:, :, block] = _draw(packed, x, block, part, generator)
        if sweep >= burn and (sweep - burn) % thin == thin - 1:
            kept.append(x.transpose(0, 1).clone())
    states = torch.stack(kept, 1)  # (chains, n, B, variables)
    return _summary(graph, states)


def _parts(packed: Packed, block: Tensor) -> list[_Part]:
    place = torch.full((len(packed.exists),), -1, dtype=torch.int64, device=block.device)
    place[block] = torch.arange(len(block), device=block.device)
    found = []
    for group in packed.groups:
        arity = group.variables.shape[1]
        for p in range(arity):
            rows = place[group.variables[:, p]]
            chosen = (rows >= 0).nonzero()[:, 0]
            if not len(chosen):
                continue
            tables = group.scores.detach()[:, chosen].movedim(2 + p, -1)
            others = group.variables[chosen][:, [q for q in range(arity) if q != p]]
            found.append(_Part(tables.reshape(len(tables), len(chosen), -1, tables.shape[-1]), others, rows[chosen]))
    return found


def _draw(packed: Packed, x: Tensor, block: Tensor, parts: list[_Part], generator: torch.Generator) -> Tensor:
    """(B, chains, block) int64: new states of a block given all others, by the Gumbel trick."""
    b, chains, k = *x.shape[:2], packed.exists.shape[1]
    first = packed.groups[0].scores
    scores = torch.zeros(b, chains, len(block), k, dtype=first.dtype, device=x.device).masked_fill(~packed.exists[block], NEVER)
    for part in parts:
        at = torch.zeros(b, chains, len(part.rows), dtype=torch.int64, device=x.device)
        for column in part.others.T:
            at = at * k + x[:, :, column]
        tables = part.tables[:, None].expand(b, chains, -1, -1, -1)
        scores = scores.index_add(2, part.rows, tables.gather(3, at[..., None, None].expand(*at.shape, 1, k)).squeeze(3))
    if not (scores > NEVER).any(-1).all():
        raise ValueError("a variable has no possible state given the others; give a start that the hard constraints allow")
    u = torch.rand(scores.shape, generator=generator, device=x.device, dtype=torch.float64).clamp_min(1e-300)
    return (scores - (-u.log()).log()).argmax(-1)


def _summary(graph: FactorGraph, states: Tensor) -> Samples:
    marginals, r_hat, effective = [], [], []
    for v, size in enumerate(graph.states):
        seen = torch.nn.functional.one_hot(states[..., v], size)  # (chains, n, B, K)
        marginals.append(seen.to(graph.like.dtype).mean((0, 1)).reshape(*graph.batch, size))
        r_hat.append(split_r_hat(seen).reshape(*graph.batch, size))
        effective.append(effective_sample_size(seen).reshape(*graph.batch, size))
    return Samples(states.reshape(*states.shape[:2], *graph.batch, len(graph.states)), marginals, r_hat, effective)
