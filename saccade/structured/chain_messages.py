"""The forward-backward recursion of chains: scaled products where that is safe, sums of logarithms elsewhere.

Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77 (2), 1989, equations 18-27 and section V-A (scaling), both directions in one loop.

Scaled products lose what falls below the smallest number of the type, relative to the sum at its step. A step's matrix can raise
one state against another by at most e^r, r the range of the pairwise scores, so a state that was lost has a marginal below
e^(2r - 87) in float32. Up to r = `SAFE` that is below rounding; beyond it float64 is tried, and then logarithms.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.structured import chain_scan

FORBIDDEN = -1e30  # what -inf is in sums of logarithms: finite, so that gradients are; scores below a tenth of it count as forbidden
SAFE = {torch.float32: 20.0, torch.float64: 150.0}
DRIFT = {torch.float32: 25.0, torch.float64: 200.0}  # by how much messages may grow or shrink, as logarithm, before they are scaled
CHUNK = 1 << 22  # elements of a temporary
SCAN_BYTES = 1 << 31

Method = Literal["auto", "sweep", "scan"]


class Messages(NamedTuple):
    """What the recursion leaves, steps first. Each row sums to 1; with logs, its logarithms' exponentials do.

    before: (T, N, K) proportional to p of all up to t; from_here: (T, N, K) of all from t on; after: (T, N, K) of all behind t.
    matrices: (G, 1 or T-1, K, K) as used, exponentials or logs. log_partition: (N,).
    """

    before: Tensor
    from_here: Tensor
    after: Tensor
    matrices: Tensor
    lengths: Tensor
    logs: bool
    log_partition: Tensor


def messages(unary: Tensor, matrices: Tensor, lengths: Tensor, method: Method, *, both: bool = True, differentiable: bool = False) -> Messages:
    """Both directions, or (both=False) only what log Z needs. differentiable: by ordinary operations on logarithms."""
    if method not in ("auto", "sweep", "scan"):
        raise ValueError(f"method must be auto, sweep or scan, got {method!r}")
    n, t, k = unary.shape
    if t == 0 or n == 0:
        nothing = unary.new_zeros(t, n, k)
        return Messages(nothing, nothing, nothing, matrices, lengths, False, unary.sum((1, 2)))
    scanned = t > 1 and (
        method == "scan" or (method == "auto" and unary.device.type != "cpu" and 3 * unary[0, 0, 0].element_size() * n * t * k * k < SCAN_BYTES)
    )
    if differentiable:
        return _in_logs(unary, matrices, lengths, scanned, True)
    with torch.no_grad():
        kind = _safe_type(unary.dtype, matrices) if t > 1 else unary.dtype
        if kind is None:
            return _in_logs(unary, matrices, lengths, scanned, both)
        return _scaled(unary.to(kind), matrices.to(kind), lengths, scanned, both)


def for_each(matrices: Tensor, n: int) -> Tensor:
    """(G, ...) of G groups -> (1 or N, ...) of N chains."""
    groups = len(matrices)
    return matrices if groups in (1, n) else matrices.repeat_interleave(n // groups, 0)


def _safe_type(dtype: torch.dtype, matrices: Tensor) -> torch.dtype | None:
    """The type in which scaled products of these matrices lose nothing; None where there is none."""
    spread = float((matrices.amax((2, 3)) - matrices.amin((2, 3))).max())
    first = torch.float64 if dtype == torch.float64 else torch.float32
    return next((kind for kind in (first, torch.float64) if spread <= SAFE[kind]), None)


def _scaled(unary: Tensor, matrices: Tensor, lengths: Tensor, scanned: bool, both: bool) -> Messages:
    steps = unary.shape[1]
    place = torch.arange(steps, device=unary.device)[:, None]
    valid = place < lengths  # (T, N)
    scores = torch.where(valid[..., None], unary.transpose(0, 1), 0)
    most = scores.amax(2, keepdim=True)
    most = torch.where(torch.isneginf(most), 0, most)
    peaks = matrices.amax((2, 3), keepdim=True) if steps > 1 else matrices.new_zeros(1, 1, 1, 1)
    factors = torch.exp(matrices - peaks)
    weights = torch.sub(scores, most).exp_()  # (T, N, K), at most 1
    offset = torch.where(valid, most[..., 0], 0).sum(0, dtype=torch.float64)
    if steps > 1:
        offset = offset + torch.where(valid[1:], for_each(peaks[..., 0, 0], len(lengths)).T, 0).sum(0, dtype=torch.float64)
    if scanned:
        before, from_here, log_sum = chain_scan.messages(weights, for_each(factors, len(lengths)), lengths, logs=False)
    else:
        before, from_here, log_sum = _scaled_sweep(weights, factors, lengths, both)
    total = torch.where(lengths > 0, log_sum + offset, 0).to(unary.dtype)
    after = before
    if both:
        after = torch.ones_like(from_here)
        if steps > 1:
            torch.matmul(_in_groups(from_here[1:], factors), factors.transpose(0, 1).transpose(2, 3), out=_in_groups(after[:-1], factors))
        after.masked_fill_((place >= lengths - 1)[..., None], 1.0)
    return Messages(before, from_here, after, factors, lengths, False, total)


def _in_groups(rows: Tensor, factors: Tensor) -> Tensor:
    """(T, N, K) -> (T, G, N / G, K)."""
    return rows.view(len(rows), len(factors), -1, rows.shape[2])


def _scaled_sweep(weights: Tensor, factors: Tensor, lengths: Tensor, both: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(T, N, K) weights at most 1, factors at most 1 -> messages of both directions, rows summing to 1, and log of the sum (N,) float64.

    The second direction goes through the flipped sequence; where a sequence's padding ends there, it begins anew.
    """
    steps, k = weights.shape[0], weights.shape[2]
    state = torch.stack([weights, weights.flip(0)], 1) if both else weights[:, None]  # (T, D, N, K), turned into the messages in place
    moves = _moves(factors, both, steps)
    begins = _beginnings(lengths, steps) if both else {}
    spread = max(-math.log(max(float(factors.min()), 1e-300)), math.log(k), 1e-3) if steps > 1 else 1.0
    every = max(1, int(DRIFT[weights.dtype] / spread))
    rows, scales, times = state.unbind(0), [], []
    scratch = torch.empty_like(rows[0])
    grouped = [row.view(-1, weights.shape[1] // len(factors), k) for row in (*rows, scratch)]  # (D G, N / G, K)
    tiny = torch.finfo(weights.dtype).tiny
    for s in range(1, steps):
        torch.bmm(grouped[s - 1], moves[s - 1 if len(moves) > 1 else 0], out=grouped[-1])
        if s in begins:
            scratch[1].masked_fill_(begins[s], 1.0)
        rows[s].mul_(scratch)
        if s % every == 0:
            total = rows[s].sum(-1, keepdim=True)
            scales.append(total[0, :, 0])
            times.append(s)
            rows[s].div_(total.clamp_min_(tiny))
    sums = state.sum(-1, keepdim=True)
    last = sums[:, 0, :, 0].gather(0, (lengths - 1).clamp_min(0)[None])[0].double().log()
    if scales:
        logs = torch.stack(scales).double()
        counted = torch.tensor(times, device=lengths.device)[:, None] < lengths
        last = last + torch.where(counted, torch.where(logs <= tiny, -torch.inf, logs.log()), 0).sum(0)
    state = state.div_(sums.clamp_min_(tiny))
    return state[:, 0], state[:, 1].flip(0) if both else state[:, 0], last


def _moves(factors: Tensor, both: bool, steps: int) -> list[Tensor]:
    """The matrices (D G, K, K) of every step, or of all steps as a single one."""
    if steps < 2:
        return []
    pair = torch.stack([factors, factors.flip(1).transpose(2, 3)]) if both else factors[None]
    return [move.flatten(0, 1).contiguous() for move in pair.unbind(2)]


def _beginnings(lengths: Tensor, steps: int) -> dict[int, Tensor]:
    """Step of the flipped sequence -> (N, 1) which sequences begin there, after their padding."""
    places = sorted({steps - length for length in lengths.tolist() if 0 < length < steps})
    return {s: (steps - lengths == s)[:, None] for s in places}


def _in_logs(unary: Tensor, matrices: Tensor, lengths: Tensor, scanned: bool, both: bool) -> Messages:
    """The same on logarithms, by operations that have gradients of any order."""
    steps, dtype = unary.shape[1], torch.promote_types(unary.dtype, torch.float32)
    place = torch.arange(steps, device=unary.device)[:, None]
    valid = (place < lengths)[..., None]
    scores = torch.where(valid, unary.transpose(0, 1), 0).to(dtype).clamp_min(FORBIDDEN)
    moves = for_each(matrices, len(unary)).to(dtype).clamp_min(FORBIDDEN)
    if scanned:
        before, from_here, log_sum = chain_scan.messages(scores, moves, lengths, logs=True)
    else:
        before, from_here, log_sum = _log_sweep(scores, moves, lengths, both)
    total = torch.where(lengths > 0, log_sum, 0)
    total = torch.where(total < FORBIDDEN / 10, -torch.inf, total).to(unary.dtype)
    after = before
    if both:
        after = torch.zeros_like(from_here)
        if steps > 1:
            parts = [log_product(from_here[t + 1], moves[:, t if moves.shape[1] > 1 else 0].transpose(-1, -2)) for t in range(steps - 1)]
            after = torch.cat([torch.stack(parts), after[-1:]])
        after = torch.where((place < lengths - 1)[..., None], after, 0.0)
    return Messages(before, from_here, after, moves, lengths, True, total)


def log_product(state: Tensor, move: Tensor) -> Tensor:
    """(..., N, K) logs of a row times (1 or N, K, K) logs of a matrix: log sum_i exp(state_i + move_ij), in pieces where that would be large."""
    k = move.shape[-1]
    piece = max(1, CHUNK // max(1, state.numel()))
    if piece >= k:
        return torch.logsumexp(state.unsqueeze(-1) + move, -2)
    return torch.cat([torch.logsumexp(state.unsqueeze(-1) + move[..., j : j + piece], -2) for j in range(0, k, piece)], -1)


def _log_sweep(scores: Tensor, moves: Tensor, lengths: Tensor, both: bool) -> tuple[Tensor, Tensor, Tensor]:
    steps, many = scores.shape[0], moves.shape[1] > 1
    row, total, rows, totals = scores[0], None, [], []
    for t in range(steps):
        if t:
            row = scores[t] + log_product(row, moves[:, t - 1 if many else 0])
        total = torch.logsumexp(row, 1, keepdim=True)
        row = row - total
        rows.append(row)
        totals.append(total[:, 0])
    valid = torch.arange(steps, device=lengths.device)[:, None] < lengths
    log_sum = torch.where(valid, torch.stack(totals), 0).sum(0, dtype=torch.float64)
    before = torch.stack(rows)
    if not both:
        return before, before, log_sum
    row, rows = torch.log_softmax(scores[-1], 1), []
    rows.append(row)
    for t in range(steps - 2, -1, -1):
        after = log_product(row, moves[:, t if many else 0].transpose(1, 2))
        row = torch.log_softmax(scores[t] + torch.where((t < lengths - 1)[:, None], after, 0.0), 1)
        rows.append(row)
    return before, torch.stack(rows[::-1]), log_sum


def nodes(m: Messages) -> Tensor:
    """(N, T, K) the marginals of the variables, 0 behind the lengths and where nothing is possible."""
    found = torch.softmax(m.before + m.after, 2) if m.logs else _shares(m.before * m.after)
    there = (torch.arange(len(found), device=found.device)[:, None] < m.lengths) & ~torch.isneginf(m.log_partition)
    return torch.where(there[..., None], found, 0.0).transpose(0, 1).to(m.log_partition.dtype)


def _shares(products: Tensor) -> Tensor:
    return products / products.sum(2, keepdim=True).clamp_min(torch.finfo(products.dtype).tiny)


def _edge_weights(m: Messages) -> Tensor:
    """(T-1, N) 1 where an edge is within the length of a possible chain, else 0."""
    place = torch.arange(1, len(m.before), device=m.lengths.device)[:, None]
    return ((place < m.lengths) & ~torch.isneginf(m.log_partition)).to(m.before.dtype)


def edges(m: Messages) -> Tensor:
    """(N, T-1, K, K) the marginals of neighbours."""
    here, there = m.before[:-1], m.from_here[1:]  # (T-1, N, K)
    moves = for_each(m.matrices, here.shape[1]).transpose(0, 1)  # (1 or T-1, 1 or N, K, K)
    if m.logs:
        joint = here[..., None] + moves + there[..., None, :]
        joint = torch.softmax(joint.flatten(2), 2).view(joint.shape)
    else:
        joint = here[..., None] * moves * there[..., None, :]
        joint = joint / joint.sum((2, 3), keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)
    return torch.where(_edge_weights(m)[..., None, None] > 0, joint, 0.0).transpose(0, 1).to(m.log_partition.dtype)


def transition_counts(m: Messages) -> Tensor:
    """(N, K, K) the sum of `edges` over the positions, without holding all of them."""
    steps, n, k = m.before.shape
    if steps < 2:
        return m.before.new_zeros(n, k, k)
    if m.logs or m.matrices.shape[1] > 1:
        piece = max(1, CHUNK // (n * k * k))
        many = m.matrices.shape[1] > 1
        parts = [edges(_between(m, t, min(t + piece, steps - 1), many)).sum(1) for t in range(0, steps - 1, piece)]
        return torch.stack(parts).sum(0)
    weight = _edge_weights(m) / _edge_sums(m)
    sums = (m.before[:-1] * weight[..., None]).permute(1, 2, 0) @ m.from_here[1:].transpose(0, 1)  # (N, K, K)
    return (sums * for_each(m.matrices[:, 0], n)).to(m.log_partition.dtype)


def _between(m: Messages, first: int, last: int, many: bool) -> Messages:
    """The messages around the edges first..last-1."""
    return m._replace(
        before=m.before[first : last + 1],
        from_here=m.from_here[first : last + 1],
        after=m.after[first : last + 1],
        matrices=m.matrices[:, first:last] if many else m.matrices,
        lengths=m.lengths - first,
    )


def _edge_sums(m: Messages) -> Tensor:
    """(T-1, N) the sums that edges of scaled messages are divided by."""
    return (m.before[:-1] * m.after[:-1]).sum(2).clamp_min(torch.finfo(m.before.dtype).tiny)


def pairwise_gradient(m: Messages, weights: Tensor, groups: int) -> Tensor:
    """The sum over the chains of each group of weights (N,) times the edge marginals: (G, 1 or T-1, K, K)."""
    steps, n, k = m.before.shape
    still = m.matrices.shape[1] == 1
    if steps < 2:
        return m.before.new_zeros(groups, m.matrices.shape[1], k, k)
    if still and not m.logs:
        weight = _edge_weights(m) / _edge_sums(m) * weights
        here = _in_groups(m.before[:-1] * weight[..., None], m.matrices).permute(1, 3, 0, 2).flatten(2)  # (G, K, (T-1) N / G)
        there = _in_groups(m.from_here[1:], m.matrices).transpose(0, 1).flatten(1, 2)
        return ((here @ there) * m.matrices[:, 0])[:, None]
    found = transition_counts(m)[:, None] if still else edges(m)
    return (found * weights[:, None, None, None]).unflatten(0, (groups, n // groups)).sum(1)
