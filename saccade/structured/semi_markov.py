"""Chains of segments: semi-Markov CRFs. Sarawagi and Cohen, "Semi-Markov conditional random fields for information extraction", NIPS 2004.

A labelling cuts the positions into segments of 1 to D positions, each with a label; its score is the sum of the segments' scores and of
pairwise scores between neighbouring segments. Time O(T K (K + D)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from saccade.structured.chain_messages import FORBIDDEN, log_product


@dataclass(frozen=True)
class SegmentChain:
    """segments: (N, T, D, K) the score of a segment that begins at t, is d + 1 long and has label k; pairwise: (K, K); lengths: (N,) in 0..T.

    -inf forbids. Raises ValueError for other shapes.
    """

    segments: Tensor
    pairwise: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        shape = self.segments.shape
        if len(shape) != 4 or not self.segments.is_floating_point() or shape[2] < 1 or shape[3] < 1:
            raise ValueError(f"segments must be (N, T, D, K) of floats, got {tuple(shape)} {self.segments.dtype}")
        if self.pairwise.shape != (shape[3], shape[3]):
            raise ValueError(f"pairwise must be {(shape[3], shape[3])}, got {tuple(self.pairwise.shape)}")
        if self.lengths.shape != shape[:1]:
            raise ValueError(f"lengths must be {(shape[0],)}, got {tuple(self.lengths.shape)}")
        if shape[0] and not 0 <= int(self.lengths.min()) <= int(self.lengths.max()) <= shape[1]:
            raise ValueError(f"lengths must be 0 to {shape[1]}, got {int(self.lengths.min())} to {int(self.lengths.max())}")


def segment_scores(frames: Tensor, durations: Tensor) -> Tensor:
    """(N, T, D, K): the sum of the positions' scores (N, T, K) that a segment covers plus the score (D, K) of its length; -inf where it ends behind T."""
    n, steps, k = frames.shape
    longest = len(durations)
    sums = torch.cat([frames.new_zeros(n, 1, k), frames.cumsum(1)], 1)
    start = torch.arange(steps, device=frames.device)[:, None]
    end = start + 1 + torch.arange(longest, device=frames.device)
    covered = sums[:, end.clamp_max(steps)] - sums[:, :-1, None]
    return torch.where((end <= steps)[..., None], covered + durations, -torch.inf)


def log_partition(chain: SegmentChain) -> Tensor:
    """(N,) log Z, by ordinary operations: differentiable any number of times. 0 for length 0, -inf where nothing is possible."""
    n, steps, longest, k = chain.segments.shape
    scores, moves = chain.segments.clamp_min(FORBIDDEN), chain.pairwise.clamp_min(FORBIDDEN)
    entries = [scores.new_zeros(n, k)]  # log of all that ends before t, on its way into a segment of each label
    totals = [scores.new_zeros(n)]
    for t in range(1, steps + 1):
        reach = min(longest, t)
        ends = torch.stack([entries[t - d] + scores[:, t - d, d - 1] for d in range(1, reach + 1)])
        row = torch.logsumexp(ends, 0)  # (N, K) of segments that end at t
        totals.append(torch.logsumexp(row, 1))
        entries.append(log_product(row, moves))
    found = torch.stack(totals).gather(0, chain.lengths[None])[0]
    return torch.where(found < FORBIDDEN / 10, -torch.inf, found)


def marginals(chain: SegmentChain) -> Tensor:
    """(N, T, D, K) p(a segment begins at t, is d + 1 long and has label k): the gradient of log Z."""
    with torch.enable_grad():
        segments = chain.segments.detach().clamp_min(FORBIDDEN).requires_grad_()
        total = log_partition(SegmentChain(segments, chain.pairwise.detach(), chain.lengths))
        usable = torch.isfinite(total)
        found: Tensor = torch.autograd.grad(torch.where(usable, total, 0.0).sum(), segments)[0]
    return torch.where(torch.isneginf(chain.segments) | ~usable[:, None, None, None], 0.0, found)


def frame_marginals(segments: Tensor) -> Tensor:
    """Marginals of segments (N, T, D, K) -> (N, T, K) p(label of the segment over position t)."""
    n, steps, longest, k = segments.shape
    change = segments.new_zeros(n, steps + longest + 1, k)
    for d in range(longest):
        change[:, :steps] += segments[:, :, d]
        change[:, d + 1 : d + 1 + steps] -= segments[:, :, d]
    return change.cumsum(1)[:, :steps].clamp(0.0, 1.0)


class Segmentation(NamedTuple):
    """segments: per sequence a list of (begin, end, label), end exclusive; scores: (N,)."""

    segments: list[list[tuple[int, int, int]]]
    scores: Tensor


@torch.no_grad()
def viterbi(chain: SegmentChain) -> Segmentation:
    """The segments of highest score; none, and -inf, where nothing is possible."""
    n, steps, longest, k = chain.segments.shape
    entries, rows, lasts = [chain.segments.new_zeros(n, k)], [chain.segments.new_zeros(n, k)], list[Tensor]()
    befores: list[Tensor] = [chain.lengths.new_zeros(n, k)]
    for t in range(1, steps + 1):
        ends = torch.stack([entries[t - d] + chain.segments[:, t - d, d - 1] for d in range(1, min(longest, t) + 1)])
        row, last = ends.max(0)
        entry, before = (row[..., None] + chain.pairwise).max(1)
        rows.append(row)
        lasts.append(last + 1)
        entries.append(entry)
        befores.append(before)
    scores = torch.stack(rows).amax(2).gather(0, chain.lengths[None])[0]
    found = []
    for i, length in enumerate(chain.lengths.tolist()):
        cut: list[tuple[int, int, int]] = []
        t, label = length, int(rows[length][i].argmax())
        while t > 0 and bool(torch.isfinite(scores[i])):
            begin = t - int(lasts[t - 1][i, label])
            cut.append((begin, t, label))
            t, label = begin, int(befores[begin][i, label])
        found.append(cut[::-1])
    return Segmentation(found, scores)
