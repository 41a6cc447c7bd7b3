"""Samples of a chain's states, exactly and independently: forward filtering, backward sampling. Carter and Kohn, Biometrika 81 (3), 1994."""

from __future__ import annotations

import torch
from torch import Tensor

from saccade.structured import chain_messages
from saccade.structured.chain import Chain


@torch.no_grad()
def sample(chain: Chain, count: int, *, generator: torch.Generator | None = None) -> Tensor:
    """(N, count, T) int64 states drawn from p, -1 behind the lengths and where the constraints leave nothing. Raises ValueError for a count below 1."""
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}")
    n, steps, k = chain.unary.shape
    if steps == 0 or n == 0:
        return chain.lengths.new_zeros(n, count, steps)
    m = chain_messages.messages(chain.unary, chain.matrices, chain.lengths, "sweep", both=False)
    before = m.before if m.logs else m.before.log()  # (T, N, K)
    moves = (m.matrices if m.logs else m.matrices.log()).transpose(2, 3)  # the later state first
    own = torch.arange(n, device=before.device) if moves.shape[0] > 1 else torch.zeros(n, dtype=torch.int64, device=before.device)
    state, path = chain.lengths.new_zeros(n, count), []
    for t in range(steps - 1, -1, -1):
        logits = before[t, :, None].expand(n, count, k)
        if t < steps - 1:
            inner = (t < chain.lengths - 1)[:, None, None]
            logits = torch.where(inner, logits + moves[own[:, None], t if moves.shape[1] > 1 else 0, state], logits)
        state = _draw(logits, generator)
        path.append(state)
    found = torch.stack(path[::-1], 2)
    there = chain.valid & ~torch.isneginf(m.log_partition)[:, None]
    return torch.where(there[:, None], found, -1)


def _draw(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """One state (...) for each row of logits (..., K), by its distribution function."""
    cumulative = torch.softmax(torch.nan_to_num(logits, neginf=chain_messages.FORBIDDEN), -1).cumsum(-1)
    u = torch.rand(cumulative.shape[:-1], generator=generator, dtype=cumulative.dtype, device=cumulative.device)[..., None] * cumulative[..., -1:]
    return (cumulative <= u).sum(-1).clamp_max(logits.shape[-1] - 1)
