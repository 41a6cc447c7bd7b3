"""Chain CRFs over pytorch-crf, both measured in one run, in turn:  python benchmarks/structured_chain.py

    likelihood   negative log-likelihood of given tags and its gradients by all scores, forward and backward
    paths        the best path of every sequence

Batches of (64, 100, 20) and (8, 2000, 20), all of one length and of unequal ones; the results are compared before they are timed. Ratios are medians over
pairs measured one right after the other, of processor time, the least of three calls each; one thread. pytorch-crf 0.7.2 is a test dependency.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain, negative_log_likelihood, with_ends

SHAPES = ((64, 100, 20), (8, 2000, 20))
BARS = {"likelihood": 3.0, "paths": 5.0}
PAIRS = 5


class Case:
    """One batch, and the same parameters on both sides."""

    def __init__(self, shape: tuple[int, int, int], unequal: bool) -> None:
        import torchcrf

        torch.manual_seed(0)
        n, t, k = shape
        self.scores, self.tags = torch.randn(n, t, k, requires_grad=True), torch.randint(k, (n, t))
        self.lengths = torch.randint(t // 2, t + 1, (n,)) if unequal else torch.full((n,), t)
        self.lengths[0] = t
        self.mask = torch.arange(t) < self.lengths[:, None]
        self.peer = torchcrf.CRF(k, batch_first=True)
        with torch.no_grad():
            for p in self.peer.parameters():
                p.normal_()
        self.parameters = (self.scores, *self.peer.parameters())

    def chain(self) -> Chain:
        peer = self.peer
        return Chain(with_ends(self.scores, self.lengths, peer.start_transitions, peer.end_transitions), peer.transitions, self.lengths)

    def our_likelihood(self) -> tuple[Tensor, ...]:
        loss = negative_log_likelihood(self.chain(), self.tags).sum()
        return loss.detach(), *torch.autograd.grad(loss, self.parameters)

    def their_likelihood(self) -> tuple[Tensor, ...]:
        loss = -self.peer(self.scores, self.tags, mask=self.mask)
        return loss.detach(), *torch.autograd.grad(loss, self.parameters)

    def our_paths(self) -> list[list[int]]:
        with torch.no_grad():
            states = viterbi(self.chain()).states.tolist()
        return [row[:n] for row, n in zip(states, self.lengths.tolist(), strict=True)]

    def their_paths(self) -> list[list[int]]:
        with torch.no_grad():
            found: list[list[int]] = self.peer.decode(self.scores, mask=self.mask)
        return found

    def equal(self) -> str:
        """Raises AssertionError where the two sides differ; else the largest difference of a gradient, relative to the largest of its tensor."""
        ours, theirs = self.our_likelihood(), self.their_likelihood()
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=0)
        worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours[1:], theirs[1:], strict=True))
        if worst > 5e-3:  # float32: over 2,000 steps the sums of logarithms of the other side are the coarser ones
            raise AssertionError(f"gradients differ by {worst:.1e}")
        same = [a == b for a, b in zip(self.our_paths(), self.their_paths(), strict=True)]
        if not all(same):
            raise AssertionError(f"{same.count(False)} paths differ")
        return f"loss equal, gradients to {worst:.0e}, all {len(same)} paths equal"


def seconds(call: Callable[[], object]) -> float:
    """The least processor time of three calls."""
    found = []
    for _ in range(3):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> tuple[float, float, float]:
    """Median seconds of ours and theirs, and the median of their ratios."""
    ours(), theirs()
    rows = [(seconds(ours), seconds(theirs)) for _ in range(pairs)]
    return statistics.median(a for a, _ in rows), statistics.median(b for _, b in rows), statistics.median(b / a for a, b in rows)


def main() -> int:
    """Prints a line a case; 1 where a bar is not met."""
    torch.set_num_threads(1)
    pairs = 2 if "--quick" in sys.argv else PAIRS
    print(f"chains, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    failed = 0
    for shape in SHAPES:
        for unequal in (False, True):
            case = Case(shape, unequal)
            print(f"{shape} {'unequal lengths' if unequal else 'one length'}: {case.equal()}", flush=True)
            for name, ours, theirs in (("likelihood", case.our_likelihood, case.their_likelihood), ("paths", case.our_paths, case.their_paths)):
                own, other, times = ratio(ours, theirs, pairs)
                met = times >= BARS[name]
                failed += not met
                bar = f"bar {BARS[name]:g}: {'met' if met else 'NOT MET'}"
                print(f"  {name:<11} {own * 1e3:8.1f} ms, pytorch-crf {other * 1e3:8.1f} ms: {times:5.1f} times  ({bar})")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
