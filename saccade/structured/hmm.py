"""Hidden Markov models with discrete or Gaussian emissions, learnt by expectation maximisation: the generative rival of the chain CRFs.

Rabiner, "A tutorial on hidden Markov models and selected applications in speech recognition", Proc. IEEE 77 (2), 1989 (Baum-Welch: equations 40-54).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.chain import Chain, Counts, expected_counts, log_partition, marginals, with_ends
from saccade.structured.constraints import allow

LEAST_VARIANCE = 1e-3  # as a share of the data's own variance: a state never shrinks onto a single frame


@dataclass(frozen=True)
class Discrete:
    """table: (S, V) log p(symbol | state). Observations are (N, T) int64 in 0..V-1; below 0 says nothing."""

    table: Tensor

    def scores(self, seen: Tensor) -> Tensor:
        """(N, T, S) log p(observation | state). Raises ValueError for a symbol of V or more."""
        if seen.numel() and int(seen.max()) >= self.table.shape[1]:
            raise ValueError(f"symbols must be below {self.table.shape[1]}, got {int(seen.max())}")
        return torch.where((seen >= 0)[..., None], self.table.T[seen.clamp_min(0)], 0.0)

    def refitted(self, seen: Tensor, share: Tensor, pseudo: float) -> Discrete:
        """By the share (N, T, S) that each state has of each observation; pseudo: counts added to each symbol."""
        known = torch.where((seen >= 0)[..., None], share, 0.0).flatten(0, 1)
        counts = known.new_zeros(self.table.shape[1], known.shape[1]).index_add(0, seen.clamp_min(0).flatten(), known).T + pseudo
        return Discrete(_log_shares(counts, self.table))


@dataclass(frozen=True)
class Gaussian:
    """Independent Gaussians a dimension. mean, variance: (S, D); floor: (D,) the least variance. Observations are (N, T, D)."""

    mean: Tensor
    variance: Tensor
    floor: Tensor

    def scores(self, seen: Tensor) -> Tensor:
        """(N, T, S) log density. Raises ValueError for another number of dimensions."""
        if seen.shape[-1] != self.mean.shape[1]:
            raise ValueError(f"frames must have {self.mean.shape[1]} numbers, got {seen.shape[-1]}")
        precision = 1 / self.variance
        squares = seen.square() @ precision.T - 2 * seen @ (self.mean * precision).T + (self.mean.square() * precision).sum(1)
        return -0.5 * (squares.clamp_min(0) + self.variance.log().sum(1) + self.mean.shape[1] * math.log(2 * math.pi))

    def refitted(self, seen: Tensor, share: Tensor, pseudo: float) -> Gaussian:
        """By the share (N, T, S); a state with less than a thousandth of a frame stays as it was. pseudo: of counts, unused by densities."""
        weights, x = share.flatten(0, 1), seen.flatten(0, 1)
        total = weights.sum(0)[:, None]
        used = total > 1e-3
        mean = torch.where(used, weights.T @ x / total.clamp_min(1e-3), self.mean)
        spread = torch.stack([(w[:, None] * (x - m).square()).sum(0) for w, m in zip(weights.T, mean, strict=True)])
        variance = torch.where(used, spread / total.clamp_min(1e-3), self.variance)
        return Gaussian(mean, torch.maximum(variance, self.floor), self.floor)


@dataclass(frozen=True)
class HMM:
    """p(x, s) = start[s_1] prod p(x_t | s_t) prod transition[s_t, s_t+1]. start: (S,), transition: (S, S) as logarithms; -inf stays so."""

    start: Tensor
    transition: Tensor
    emission: Discrete | Gaussian

    def chain(self, seen: Tensor, lengths: Tensor) -> Chain:
        """The chain whose log Z is log p(x) and whose marginals are the posterior of the states."""
        return Chain(with_ends(self.emission.scores(seen), lengths, start=self.start), self.transition, lengths)

    def log_likelihood(self, seen: Tensor, lengths: Tensor) -> Tensor:
        """(N,) log p(x) in nats."""
        return log_partition(self.chain(seen, lengths))

    def posterior(self, seen: Tensor, lengths: Tensor) -> Tensor:
        """(N, T, S) p(state at t | x)."""
        return marginals(self.chain(seen, lengths)).nodes


class Learnt(NamedTuple):
    """model: after the last step; log_likelihoods: the sum over all sequences before each step, never falling but for the pseudo-counts' pull."""

    model: HMM
    log_likelihoods: list[float]


@torch.no_grad()
def learn(model: HMM, seen: Tensor, lengths: Tensor, *, steps: int = 50, tolerance: float = 1e-5, pseudo: float = 0.0, allowed: Tensor | None = None) -> Learnt:
    """Baum-Welch from a first model. Ends when the log-likelihood a frame rises by less than `tolerance`.

    allowed: (N, T, S) bool, the states that labels leave at each frame. pseudo: counts added to each start, step and symbol that is
    not forbidden (a Dirichlet prior). Raises ValueError without any frame, or where no sequence of states can have made the data.
    """
    frames = int(lengths.sum())
    if not frames:
        raise ValueError("an HMM learns from at least one frame")
    told: list[float] = []
    for _ in range(steps):
        chain = model.chain(seen, lengths)
        chain = chain if allowed is None else allow(chain, allowed)
        counts = expected_counts(chain)
        total = float(counts.log_partition.double().sum())
        if not math.isfinite(total):
            raise ValueError("a sequence cannot have been made by the model: its labels or symbols are forbidden")
        told.append(total)
        if len(told) > 1 and told[-1] - told[-2] < tolerance * frames:
            break
        model = _maximised(model, seen, counts, pseudo)
    return Learnt(model, told)


def _maximised(model: HMM, seen: Tensor, counts: Counts, pseudo: float) -> HMM:
    start = _log_shares(counts.start.sum(0)[None] + pseudo, model.start[None])[0]
    transition = _log_shares(counts.transitions.sum(0) + pseudo, model.transition)
    return replace(model, start=start, transition=transition, emission=model.emission.refitted(seen, counts.nodes, pseudo))


def _log_shares(counts: Tensor, before: Tensor) -> Tensor:
    """Counts a row as logarithms of shares; what was forbidden stays forbidden, and a row without any count stays as it was."""
    counts = torch.where(torch.isneginf(before), 0.0, counts)
    total = counts.sum(1, keepdim=True)
    return torch.where(total > 0, (counts / total.clamp_min(torch.finfo(counts.dtype).tiny)).log(), before)


def first_gaussian(
    seen: Tensor, lengths: Tensor, owner: Tensor, *, tags: Tensor | None = None, forwards: bool = False, generator: torch.Generator | None = None
) -> HMM:
    """A model to learn from: each label's stretches are cut into as many equal pieces as it has states, and each piece starts one of them.

    owner: (S,) the label of each state; tags: (N, T), one label for all where not given. forwards: states of one label only follow one
    another in order (Bakis model). Means are moved by a tenth of the spread at random, so that equal pieces part.
    """
    steps = seen.shape[1]
    valid = torch.arange(steps, device=seen.device) < lengths[:, None]
    tags = torch.where(valid, torch.zeros_like(valid, dtype=torch.int64) if tags is None else tags, -1)
    states, x = len(owner), seen[valid]
    spread = x.var(0, unbiased=False)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    piece = pieces(tags, owner)
    share = (piece[..., None] == torch.arange(states, device=seen.device)).to(seen.dtype)
    noise = 0.1 * spread.sqrt() * torch.randn(states, seen.shape[2], generator=generator, dtype=seen.dtype)
    mean = x.mean(0).expand(states, -1)
    first = Gaussian(mean, spread.expand(states, -1), LEAST_VARIANCE * spread).refitted(seen, share, 0.0)
    same, later = owner[:, None] == owner, torch.arange(states)[:, None] <= torch.arange(states)
    transition = torch.full((states, states), -math.log(states), dtype=seen.dtype)
    transition = torch.where(same & ~later, -torch.inf, transition) if forwards else transition
    transition = transition + torch.where(torch.eye(states) > 0, math.log(4.0), 0.0)
    start = torch.zeros(states, dtype=seen.dtype)
    return HMM(torch.log_softmax(start, 0), torch.log_softmax(transition, 1), replace(first, mean=first.mean + noise))


def pieces(tags: Tensor, owner: Tensor) -> Tensor:
    """(N, T) the state that each frame starts with, -1 where the tag is unknown: the label's stretch in equal pieces."""
    found = torch.full_like(tags, -1)
    for row, line in enumerate(tags.tolist()):
        begin = 0
        while begin < len(line):
            end = begin
            while end < len(line) and line[end] == line[begin]:
                end += 1
            own = (owner == line[begin]).nonzero()[:, 0]
            if line[begin] >= 0 and len(own):
                found[row, begin:end] = own[(torch.arange(end - begin) * len(own)) // (end - begin)]
            begin = end
    return found
