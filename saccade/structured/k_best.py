"""The k best state sequences of a chain, in order: parallel list Viterbi. Seshadri and Sundberg, IEEE Trans. Communications 42, 1994, section III."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.chain import Chain


class BestPaths(NamedTuple):
    """states: (N, k, T) int64, best first, -1 behind the lengths and where there are fewer than k; scores: (N, k), -inf there."""

    states: Tensor
    scores: Tensor


@torch.no_grad()
def k_best(chain: Chain, k: int) -> BestPaths:
    """The k different state sequences of highest score, exactly. Time O(T K^2 k log k). Raises ValueError for k below 1.

    >>> k_best(Chain(torch.tensor([[[0.0, 1.0], [0.0, 3.0]]]), torch.zeros(2, 2)), 3).states.tolist()
    [[[1, 1], [0, 1], [1, 0]]]
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    n, steps, states = chain.unary.shape
    if steps == 0 or n == 0:
        return BestPaths(chain.lengths.new_zeros(n, k, steps), chain.unary.new_full((n, k), -torch.inf))
    many = chain.matrices.shape[1] > 1
    best = chain.unary.new_full((n, k, states), -torch.inf)
    best[:, 0] = chain.unary[:, 0]
    finals, froms = [best], []  # (N, k, K) each: the scores of ranks in every state; which (rank, state) was before
    for t in range(1, steps):
        reached = best[..., None] + chain.matrices[:, t - 1 if many else 0].unsqueeze(1)  # (N, k, K, K)
        best, before = _top(reached.flatten(1, 2), k)
        best = best + chain.unary[:, t, None]
        finals.append(best)
        froms.append(before)
    last = (chain.lengths - 1).clamp_min(0)
    every = torch.arange(n, device=last.device)
    scores, place = _top(torch.stack(finals)[last, every].flatten(1)[..., None], k)  # (N, k, 1)
    path, place = [], place[..., 0]
    for t in range(steps - 1, -1, -1):
        if t < steps - 1:
            before = froms[t].flatten(1).gather(1, place)
            place = torch.where((t < last)[:, None], before, place)
        path.append(place % states)
    found = torch.stack(path[::-1], 2)
    scores = scores[..., 0]
    empty = (chain.lengths == 0)[:, None]
    scores = torch.where(empty, torch.where(torch.arange(k, device=last.device) == 0, 0.0, -torch.inf), scores)
    there = chain.valid[:, None] & ~torch.isneginf(scores)[..., None]
    return BestPaths(torch.where(there, found, -1), scores)


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(N, M, C) -> the k largest along M (N, k, C) with their places, the smaller place first of equal ones; -inf where M is less than k."""
    values, places = scores.sort(dim=1, descending=True, stable=True)
    short = k - values.shape[1]
    if short <= 0:
        return values[:, :k], places[:, :k]
    n, _, columns = scores.shape
    return torch.cat([values, values.new_full((n, short, columns), -torch.inf)], 1), torch.cat([places, places.new_zeros(n, short, columns)], 1)
