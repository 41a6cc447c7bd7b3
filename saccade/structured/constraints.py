"""What is known of a chain's states: sets of states a position, forbidden steps, known labels, and automata over whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.chain import Chain, log_partition


def allow(chain: Chain, allowed: Tensor) -> Chain:
    """Only these states: allowed is a bool (N, T, K) or what broadcasts to it. Raises ValueError for anything but bool."""
    if allowed.dtype != torch.bool:
        raise ValueError(f"allowed must be bool, got {allowed.dtype}")
    return Chain(torch.where(allowed, chain.unary, -torch.inf), chain.pairwise, chain.lengths)


def prefer(chain: Chain, bonus: Tensor) -> Chain:
    """Soft constraints: scores added to the states, (N, T, K) or what broadcasts to it, in nats of log odds."""
    return Chain(chain.unary + bonus, chain.pairwise, chain.lengths)


def known(chain: Chain, states: Tensor) -> Chain:
    """The states (N, T) int64 that are known, -1 where they are not. Raises ValueError for another shape and for states above K-1."""
    n, t, k = chain.unary.shape
    if tuple(states.shape) != (n, t):
        raise ValueError(f"states must be {(n, t)}, got {tuple(states.shape)}")
    inside = torch.where(chain.valid, states, -1)
    if inside.numel() and not -1 <= int(inside.min()) <= int(inside.max()) < k:
        raise ValueError(f"states must be 0..{k - 1} or -1, got {int(inside.min())}..{int(inside.max())}")
    return allow(chain, (inside[..., None] < 0) | (inside[..., None] == torch.arange(k, device=states.device)))


def only_steps(chain: Chain, allowed: Tensor) -> Chain:
    """Only these steps: allowed is a bool (K, K) or another shape that pairwise scores may have, rows the earlier state."""
    if allowed.dtype != torch.bool:
        raise ValueError(f"allowed must be bool, got {allowed.dtype}")
    return Chain(chain.unary, torch.where(allowed, chain.pairwise, -torch.inf), chain.lengths)


def log_probability(chain: Chain, allowed: Tensor) -> Tensor:
    """(N,) log p(every state is an allowed one): of partly known sequences, and of labels with hidden states. Differentiable."""
    return log_partition(allow(chain, allowed)) - log_partition(chain)


class Automaton(NamedTuple):
    """A deterministic automaton over labels. step: (Q, K) int64 the state after reading a label, -1 where it may not be read; start; accepts: (Q,) bool."""

    step: Tensor
    start: int
    accepts: Tensor


def language(words: Sequence[Sequence[int]], labels: int) -> Automaton:
    """The automaton that reads exactly these words, as a tree of their beginnings. Raises ValueError without words, or for a label out of range.

    >>> language([[0, 1], [0, 0]], 2).step.tolist()
    [[1, -1], [3, 2], [-1, -1], [-1, -1]]
    """
    if not words:
        raise ValueError("a language has at least one word")
    rows: list[list[int]] = [[-1] * labels]
    accepts = [False]
    for word in words:
        state = 0
        for label in word:
            if not 0 <= label < labels:
                raise ValueError(f"labels must be 0..{labels - 1}, got {label}")
            if rows[state][label] < 0:
                rows[state][label] = len(rows)
                rows.append([-1] * labels)
                accepts.append(False)
            state = rows[state][label]
        accepts[state] = True
    return Automaton(torch.tensor(rows), 0, torch.tensor(accepts))


def minimal(automaton: Automaton) -> Automaton:
    """The smallest automaton of the same language (Moore 1956): states that accept the same endings become one."""
    q = len(automaton.step)
    step = torch.where(automaton.step < 0, q, automaton.step)  # a dead state behind the others
    step = torch.cat([step, torch.full_like(step[:1], q)])
    group = torch.cat([automaton.accepts, torch.zeros(1, dtype=torch.bool)]).long()
    while True:
        _, finer = torch.unique(torch.cat([group[:, None], group[step]], 1), dim=0, return_inverse=True)
        if int(finer.max()) == int(group.max()):
            break
        group = finer
    reached, waiting = {int(group[automaton.start]): 0}, [automaton.start]
    rows: list[list[int]] = []
    for state in waiting:
        row = []
        for after in step[state].tolist():
            called = int(group[after])
            if called != int(group[q]) and called not in reached:
                reached[called] = len(waiting)
                waiting.append(after)
            row.append(reached.get(called, -1))
        rows.append(row)
    return Automaton(torch.tensor(rows), 0, automaton.accepts[torch.tensor(waiting)] if len(rows) else automaton.accepts)


class Bound(NamedTuple):
    """A chain over pairs (label, state of the automaton after it), and the label (S,) of each pair."""

    chain: Chain
    labels: Tensor


def bound(chain: Chain, automaton: Automaton) -> Bound:
    """The chain of all label sequences that the automaton accepts; its states are the pairs that can happen.

    Whatever is asked of it (log Z, marginals, best paths, samples) is of accepted sequences alone. Raises ValueError for another number of labels.
    """
    steps, k = chain.unary.shape[1:]
    if automaton.step.shape[1] != k:
        raise ValueError(f"the automaton reads {automaton.step.shape[1]} labels, the chain has {k}")
    step = automaton.step.to(chain.unary.device)
    before, label = (step >= 0).nonzero().unbind(1)
    pairs = torch.unique(torch.stack([label, step[before, label]], 1), dim=0)  # (S, 2)
    labels, states = pairs.unbind(1)
    follows = step[states][:, labels] == states  # from pair to pair
    moves = torch.where(follows, chain.pairwise[..., labels, :][..., labels], -torch.inf)
    first = step[automaton.start][labels] == states
    accepted = automaton.accepts.to(states.device)[states]
    place = torch.arange(steps, device=states.device)[None, :, None]
    last = (chain.lengths - 1)[:, None, None]
    possible = ((place > 0) | first) & ((place != last) | accepted)
    return Bound(Chain(torch.where(possible, chain.unary[..., labels], -torch.inf), moves, chain.lengths), labels)


def of_labels(nodes: Tensor, labels: Tensor, count: int) -> Tensor:
    """Marginals (N, T, S) of pairs or hidden states -> (N, T, count) of their labels (S,)."""
    return nodes.new_zeros(*nodes.shape[:2], count).index_add(2, labels, nodes)
