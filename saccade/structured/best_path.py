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
CHUNK, AHEAD = 128, 48  # steps of a chunk that is traced beside the others, and before it, where paths from any state have mostly met


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
    """The same as `_swept` by NumPy, whose calls cost a third of torch's where there is little to do in each.

    The chains are taken longest first, so that every step has to do with the first few alone: those that have not ended yet.
    """
    n, steps, k = chain.unary.shape
    order = np.argsort(-chain.lengths.numpy(), kind="stable")
    unary, matrices = np.ascontiguousarray(chain.unary.detach().numpy()[order].transpose(1, 0, 2)), chain.matrices.detach().numpy()
    matrices = matrices[order] if len(matrices) > 1 else matrices
    many, best, scratch = matrices.shape[1] > 1, np.zeros_like(unary), np.empty(k * n * k, unary.dtype)
    best[0] = unary[0]
    spans = _spans(chain.lengths.numpy()[order], steps)
    for first, stop, active in spans:
        moves = matrices[:active].transpose(1, 2, 0, 3)  # (1 or T-1, K, 1 or active, K), the earlier state first
        if not many:
            moves = np.broadcast_to(moves[0], (k, active, k)).copy()[None]
        sums, before = scratch[: k * active * k].reshape(k, active, k), best[first - 1 : stop - 1, :active].transpose(0, 2, 1)[..., None]
        views = zip(range(first, stop), before, best[first:stop, :active], unary[first:stop, :active], strict=True)
        for t, earlier, row, own in views:  # views, so that a step has no indexing: (K, active, 1)
            np.add(earlier, moves[t - 1 if many else 0], out=sums)
            np.maximum.reduce(sums, 0, None, row)
            np.add(row, own, out=row)
            if t % LEVEL_EVERY == 0:
                most = row.max(1, keepdims=True)
                row -= np.where(np.isneginf(most), 0, most)
    found = None
    if not many and len(matrices) == 1 and steps >= 4 * CHUNK:
        found = _traced_in_chunks(best, matrices[0, 0], chain.lengths.numpy()[order])
    states = np.empty((n, steps), np.int64)
    states[order] = _traced_small(best, matrices, spans) if found is None else found
    return torch.from_numpy(states)


def _spans(lengths: np.ndarray, steps: int) -> list[tuple[int, int, int]]:
    """From lengths in falling order: (first step, the one behind the last, chains that are longer than all of them), without the first step of all."""
    active = (lengths[None] > np.arange(1, steps)[:, None]).sum(1)
    ends = [*(np.flatnonzero(np.diff(active)) + 2).tolist(), steps]
    return [(a, b, int(active[a - 1])) for a, b in zip([1, *ends], ends, strict=False) if a < b and active[a - 1]]


def _traced_small(best: np.ndarray, matrices: np.ndarray, spans: list[tuple[int, int, int]]) -> np.ndarray:
    """best (T, N, K), matrices (1 or N, 1 or T-1, K, K), the spans that were swept -> states (N, T), 0 behind the chains' ends."""
    many, alike = matrices.shape[1] > 1, matrices.shape[0] == 1
    into = np.ascontiguousarray(matrices.transpose(1, 0, 3, 2))  # (1 or T-1, 1 or N, K, K), the later state first
    states, state = np.zeros(best.shape[:2], np.int64), np.zeros(0, np.int64)
    for first, stop, active in reversed(spans):
        state = np.concatenate([state, best[stop - 1, len(state) : active].argmax(1)])  # the chains that end here
        every, before, found = np.arange(active), np.empty_like(best[0, :active]), [state]
        for t, row in zip(range(stop - 2, first - 2, -1), best[first - 1 : stop - 1, :active][::-1], strict=True):
            tables = into[t if many else 0]
            if alike:
                tables[0].take(state, 0, before, "clip")  # "clip" writes straight into `before`
            else:
                before = tables[every, state]
            np.add(before, row, before)
            state = before.argmax(1)
            found.append(state)
        states[first - 1 : stop, :active] = np.stack(found[::-1])
    states[0, len(state) :] = best[0, len(state) :].argmax(1)  # chains of one step
    return states.T


def _traced_in_chunks(best: np.ndarray, transitions: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
    """`_traced_small` of long chains with the same transitions (K, K) everywhere, all chunks of time at once; None where chunks did not meet.

    A state decides all states before it. So a chunk is traced from a guess some steps behind its end, and is right where that leads to the state which the
    chunk behind it begins with; the last chunk of a chain begins with its best last state.
    """
    steps, n, k = best.shape
    chunks, last, into = -(-steps // CHUNK), lengths - 1, np.ascontiguousarray(transitions.T)
    padded = np.zeros((chunks * CHUNK + AHEAD, n, k), best.dtype)
    padded[:steps] = best
    windows = np.arange(chunks) * CHUNK
    ends, finish = best[last, np.arange(n)].argmax(1), {int(t) for t in last}
    states, guess = np.zeros((CHUNK, chunks, n), np.int64), np.zeros((chunks, n), np.int64)
    state = padded[windows + CHUNK + AHEAD - 1].argmax(2)
    for place in range(CHUNK + AHEAD - 1, -1, -1):
        if place < CHUNK + AHEAD - 1:
            before = into.take(state, 0)  # (chunks, N, K)
            before += padded[place : place + (chunks - 1) * CHUNK + 1 : CHUNK]
            state = before.argmax(2)
        if not finish.isdisjoint(range(place, place + chunks * CHUNK, CHUNK)):
            state = np.where((windows + place)[:, None] == last, ends, state)
        if place == CHUNK:
            guess = state
        elif place < CHUNK:
            states[place] = state
    met = (guess[:-1] == states[0, 1:]) | (windows[1:, None] > last)
    return np.ascontiguousarray(states.transpose(2, 1, 0)).reshape(n, -1)[:, :steps] if met.all() else None


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
