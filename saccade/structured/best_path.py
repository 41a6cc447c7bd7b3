"""The most probable states of a chain: Viterbi 1967, step by step or as a scan of depth O(log T). Forney, "The Viterbi algorithm", Proc. IEEE 61 (3), 1973."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from saccade.structured import chain_scan
from saccade.structured.chain import Chain, score
from saccade.structured.chain_messages import SCAN_BYTES, Method

NOWHERE = -1
SMALL = 1 << 16  # sums a step
LEVEL_EVERY = 32  # steps after which the best score is taken off, so that long chains keep their precision


class BestPath(NamedTuple):
    """states: (N, T) int64, -1 behind the lengths and where the constraints leave nothing; scores: (N,) of them, -inf there."""

    states: Tensor
    scores: Tensor


@torch.no_grad()
def viterbi(chain: Chain, *, method: Method = "auto") -> BestPath:
    """The states of highest score; of equal ones the smallest last state, then the smallest before it, and so on.

    method: as for `log_partition`.
    """
    n, t, k = chain.unary.shape
    if t == 0 or n == 0:
        return BestPath(chain.lengths.new_zeros(n, t), chain.unary.new_zeros(n))
    accelerated = chain.unary.device.type != "cpu" and 3 * chain.unary.element_size() * n * t * k * k < SCAN_BYTES
    if t > 1 and (method == "scan" or (method == "auto" and accelerated)):
        states = _scanned(chain)
    elif chain.unary.device.type == "cpu" and n * k * k <= SMALL and chain.unary.dtype in (torch.float32, torch.float64):
        states = _swept_small(chain)
    else:
        states = _swept(chain)
    scores = score(chain, states)
    return BestPath(torch.where(chain.valid & ~torch.isneginf(scores)[:, None], states, NOWHERE), scores)


def _swept_small(chain: Chain) -> Tensor:
    """The same as `_swept` by NumPy, whose calls cost a third of torch's where there is little to do in each."""
    steps = chain.unary.shape[1]
    unary, matrices = chain.unary.detach().transpose(0, 1).contiguous().numpy(), chain.matrices.detach().numpy()
    many = matrices.shape[1] > 1
    moves = np.ascontiguousarray(matrices.transpose(1, 2, 0, 3))  # (1 or T-1, K, 1 or N, K), the earlier state first
    best, scratch = np.empty_like(unary), np.empty((unary.shape[2], *unary.shape[1:]), unary.dtype)
    best[0] = unary[0]
    rows, own, earlier = list(best), list(unary), list(best.transpose(0, 2, 1)[..., None])  # views, so that a step has no indexing: (K, N, 1)
    steps_in = list(moves) if many else [moves[0]] * (steps - 1)
    for t in range(1, steps):
        row = rows[t]
        np.add(earlier[t - 1], steps_in[t - 1], out=scratch)
        np.maximum.reduce(scratch, 0, None, row)
        np.add(row, own[t], out=row)
        if t % LEVEL_EVERY == 0:
            most = row.max(1, keepdims=True)
            row -= np.where(np.isneginf(most), 0, most)
    return torch.from_numpy(_traced_small(rows, matrices, (chain.lengths - 1).numpy()))


def _traced_small(rows: list[np.ndarray], matrices: np.ndarray, last: np.ndarray) -> np.ndarray:
    """T rows (N, K), matrices (1 or N, 1 or T-1, K, K), the last place of each chain -> states (N, T)."""
    many, alike, every = matrices.shape[1] > 1, matrices.shape[0] == 1, np.arange(len(last))
    into = np.ascontiguousarray(matrices.transpose(1, 0, 3, 2))  # (1 or T-1, 1 or N, K, K), the later state first
    tables = list(into[:, 0] if alike else into) if many else [into[0, 0] if alike else into[0]] * (len(rows) - 1)
    finish, state = set(last.tolist()), rows[-1].argmax(1)
    path, before = [state], np.empty_like(rows[0])
    for t in range(len(rows) - 2, -1, -1):
        if alike:
            tables[t].take(state, 0, before, "clip")  # "clip" writes straight into `before`
        else:
            before = tables[t][every, state]
        np.add(before, rows[t], before)
        state = before.argmax(1)
        if t in finish:
            state = np.where(last == t, rows[t].argmax(1), state)
        path.append(state)
    return np.stack(path[::-1], 1)


def _swept(chain: Chain) -> Tensor:
    """Forwards only the best scores are kept; backwards the state before is looked up for the one path that is wanted.

    The chains are the last axis of what is added up, and the earlier state the first: the maximum is then over rows that lie one behind another.
    """
    n, steps, k = chain.unary.shape
    unary, matrices = chain.unary.permute(1, 2, 0).contiguous(), chain.matrices
    many = matrices.shape[1] > 1
    best = torch.empty_like(unary)  # (T, K, N) of paths that end in each state
    best[0] = unary[0]
    moves = matrices.permute(1, 2, 3, 0).contiguous()  # (1 or T-1, K, K, 1 or N)
    scratch = unary.new_empty(k, k, n)
    rows, earlier = best.unbind(0), best.unsqueeze(2).unbind(0)
    for t in range(1, steps):
        torch.add(earlier[t - 1], moves[t - 1 if many else 0], out=scratch)
        torch.amax(scratch, 0, out=rows[t])
        rows[t].add_(unary[t])
        if t % LEVEL_EVERY == 0:
            most = rows[t].amax(0, keepdim=True)
            rows[t].sub_(most.masked_fill_(torch.isneginf(most), 0.0))
    return _traced(best.transpose(1, 2).contiguous(), matrices, chain.lengths)


def _traced(best: Tensor, matrices: Tensor, lengths: Tensor) -> Tensor:
    """best (T, N, K), matrices (1 or N, 1 or T-1, K, K) -> states (N, T)."""
    steps, n = best.shape[:2]
    many, alike = matrices.shape[1] > 1, matrices.shape[0] == 1
    into = matrices.transpose(2, 3).contiguous()  # the later state first
    every = torch.arange(n, device=best.device)
    ends = best.argmax(2)  # (T, N)
    state = ends[-1]
    path = [state]
    finish = set((lengths - 1).tolist())
    rows, shared = best.unbind(0), into[0].unbind(0)
    for t in range(steps - 2, -1, -1):
        place = t if many else 0
        before = shared[place].index_select(0, state) if alike else into[every, place, state]
        state = before.add_(rows[t]).argmax(1)
        if t in finish:
            state = torch.where(lengths - 1 == t, ends[t], state)
        path.append(state)
    return torch.stack(path[::-1], 1)


def _scanned(chain: Chain) -> Tensor:
    """The best scores by a scan of (max, +) matrices, the path by a scan of the maps from a state to the one before it."""
    n, steps, k = chain.unary.shape
    unary = chain.unary.transpose(0, 1)
    moves = chain.matrices.transpose(0, 1).expand(steps - 1, n, k, k)
    (ahead,) = chain_scan.scan((moves + unary[1:, :, None],), chain_scan.max_product)
    best = torch.cat([unary[:1], (unary[:1].unsqueeze(-1) + ahead).amax(-2)])  # (T, N, K)
    place = torch.arange(steps, device=unary.device)[:, None]
    ends = best.argmax(2)
    # the map at t: which state at t is before each state at t+1; constant at a chain's last state
    maps = (best[:-1].unsqueeze(-1) + moves).argmax(-2)
    maps = torch.where((place[:-1] >= chain.lengths - 1)[..., None], ends[:-1, :, None], maps)
    (back,) = chain_scan.scan((maps.flip(0),), lambda one, two: (two[0].gather(-1, one[0]),))
    chosen = back.flip(0).gather(2, ends[-1:, :, None].expand(steps - 1, n, 1))[..., 0]  # every map from the state at the very end
    return torch.cat([chosen, ends[-1:]]).transpose(0, 1)
