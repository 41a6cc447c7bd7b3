"""Chains at their limits: length 1, everything masked, one class, 10,000 steps, 1,000 labels, float32; wrong shapes are named."""

import pytest
import torch

from saccade.structured import best_path, chain_messages, hidden
from saccade.structured import chain as chains
from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain
from saccade.structured.chain_sample import sample
from saccade.structured.constraints import Automaton, allow, bound, known, language, only_steps
from saccade.structured.k_best import k_best
from saccade.structured.semi_markov import SegmentChain


def everything(chain):
    """All answers of a chain, and the gradient; nothing of it may be NaN."""
    unary, pairwise = chain.unary.clone().requires_grad_(), chain.pairwise.clone().requires_grad_()
    chain = Chain(unary, pairwise, chain.lengths)
    log_z = chains.log_partition(chain)
    gradients = torch.autograd.grad(torch.where(torch.isfinite(log_z), log_z, 0.0).sum(), (unary, pairwise))
    with torch.no_grad():
        counts, best = chains.expected_counts(chain), viterbi(chain)
        found = [log_z, *gradients, *counts, chains.entropy(chain), best.scores, chains.negative_log_likelihood(chain, best.states.clamp_min(0))]
    assert not any(bool(torch.isnan(each).any()) for each in found)
    sums = counts.nodes.sum(2)
    possible = torch.isfinite(log_z)[:, None] & chain.valid
    assert (sums[possible] - 1).abs().max() <= 1e-5 if possible.any() else True
    assert (sums[~possible] == 0).all()
    return counts, best


@pytest.mark.parametrize("lengths", [[3, 1, 2, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize("classes", [1, 4])
def test_unequal_lengths_and_none_at_all(lengths, classes):
    generator = torch.Generator().manual_seed(0)
    chain = Chain(torch.randn(4, 3, classes, generator=generator), torch.randn(classes, classes, generator=generator), torch.tensor(lengths))
    counts, best = everything(chain)
    assert counts.states.sum(1).round().tolist() == lengths
    empty = torch.tensor(lengths) == 0
    assert (counts.log_partition[empty] == 0).all() and (best.states[empty] == -1).all()
    assert (k_best(chain, 2).scores[empty] == torch.tensor([0.0, -torch.inf])).all() and (sample(chain, 2)[empty] == -1).all()


def test_what_lies_behind_a_length_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    unary, pairwise, lengths = torch.randn(2, 5, 3, generator=generator), torch.randn(3, 3, generator=generator), torch.tensor([5, 2])
    other = unary.clone()
    other[1, 2:] = torch.tensor([torch.nan, torch.inf, 1e30])
    for one, two in zip(everything(Chain(unary, pairwise, lengths)), everything(Chain(other, pairwise, lengths)), strict=True):
        for a, b in zip(one, two, strict=True):
            assert torch.equal(a, b)


SLOW = [pytest.param(s, d, marks=pytest.mark.slow) for s, d in [(0.5, torch.float32), (60.0, torch.float32), (0.5, torch.float64), (60.0, torch.float64)]]


@pytest.mark.parametrize(("spread", "dtype"), [(15.0, torch.float32), *SLOW])
def test_ten_thousand_steps(spread, dtype):
    if spread > 20 and dtype == torch.float32:
        assert chain_messages._safe_type(dtype, spread * torch.eye(3)[None, None]) == torch.float64
    generator = torch.Generator().manual_seed(2)
    unary = torch.randn(1, 10_000, 3, generator=generator, dtype=torch.float64).mul(5).to(dtype)
    chain = Chain(unary, (spread * torch.eye(3)).to(dtype))
    counts, best = everything(chain)
    exact = Chain(unary.double(), chain.pairwise.double())
    torch.testing.assert_close(counts.nodes.double(), chains.marginals(exact).nodes, rtol=0, atol=2e-4 if dtype == torch.float32 else 1e-10)
    torch.testing.assert_close(counts.log_partition.double(), chains.log_partition(exact), rtol=1e-6, atol=0)
    assert torch.equal(best.states, viterbi(exact).states)


def test_a_thousand_labels():
    generator = torch.Generator().manual_seed(3)
    unary, pairwise = torch.randn(1, 3, 1000, generator=generator), torch.randn(1000, 1000, generator=generator)
    everything(Chain(unary, pairwise, torch.tensor([3])))
    everything(Chain(unary, torch.where(torch.rand(1000, 1000, generator=generator) < 0.5, pairwise, -torch.inf)))


@pytest.mark.parametrize("method", ["sweep", "scan"])
def test_what_is_impossible_is_told_by_minus_infinity(method):
    chain = Chain(torch.zeros(2, 3, 2), torch.zeros(2, 2))
    for nothing in (allow(chain, torch.zeros(3, 2, dtype=torch.bool)), only_steps(chain, torch.zeros(2, 2, dtype=torch.bool))):
        everything(nothing)
        assert (chains.log_partition(nothing, method=method) == -torch.inf).all()
        best = viterbi(nothing, method=method)
        assert (best.states == -1).all() and (best.scores == -torch.inf).all()
        assert (sample(nothing, 2) == -1).all()
    forbidden = allow(chain, torch.tensor([True, False]))
    assert chains.negative_log_likelihood(forbidden, torch.tensor([[0, 1, 0], [0, 0, 0]])).tolist() == [torch.inf, 0.0]


def test_rare_paths_that_win_late_are_not_lost():
    """One state is e^-200 behind at every step but is the only one that may end: float32 products would have lost it."""
    unary = torch.zeros(1, 60, 2)
    unary[..., 1] = -200.0
    unary[:, -1, 0] = -torch.inf
    chain = Chain(unary, torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]))
    torch.testing.assert_close(chains.log_partition(chain), torch.tensor([-12000.0]))
    assert (chains.marginals(chain).nodes[..., 1] == 1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Chain(torch.zeros(2, 3), torch.zeros(3, 3)), r"unary must be \(N, T, K\)"),
        (lambda: Chain(torch.zeros(2, 3, 4), torch.zeros(3, 3)), "pairwise must be"),
        (lambda: Chain(torch.zeros(2, 3, 4), torch.zeros(3, 4, 4)), "pairwise must be"),
        (lambda: Chain(torch.zeros(3, 3, 4), torch.zeros(2, 1, 4, 4)), "groups of equal size"),
        (lambda: Chain(torch.zeros(2, 3, 4), torch.zeros(4, 4).double()), "of one type"),
        (lambda: Chain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([4, 1])), "lengths must be 0 to 3, got 1 to 4"),
        (lambda: Chain(torch.zeros(2, 3, 4), torch.zeros(4, 4), torch.tensor([1.0, 1.0])), "whole numbers"),
        (lambda: chains.score(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), torch.tensor([[0, 3]])), "states must be 0..2, got 0..3"),
        (lambda: chains.log_partition(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), method="fast"), "sweep or scan"),
        (lambda: k_best(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), 0), "k must be 1"),
        (lambda: sample(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), 0), "count must be 1"),
        (lambda: known(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), torch.tensor([[0, 5]])), "or -1, got 0..5"),
        (lambda: allow(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), torch.zeros(3)), "must be bool"),
        (lambda: language([], 2), "at least one word"),
        (lambda: language([[2]], 2), "labels must be 0..1, got 2"),
        (lambda: bound(Chain(torch.zeros(1, 2, 3), torch.zeros(3, 3)), Automaton(torch.zeros(1, 2).long(), 0, torch.ones(1).bool())), "reads 2 labels"),
        (lambda: SegmentChain(torch.zeros(1, 2, 3), torch.zeros(3, 3), torch.tensor([2])), r"segments must be \(N, T, D, K\)"),
        (lambda: hidden.owners(0, 2), "at least one label"),
        (lambda: hidden.label_loss(Chain(torch.zeros(1, 2, 2), torch.zeros(2, 2)), torch.tensor([0, 1]), torch.tensor([[0, 2]])), "tags must be 0..1"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("noise", [1.0, 0.0])
@pytest.mark.parametrize("sticky", [0.0, 30.0])
def test_long_paths_by_chunks_are_those_step_by_step(noise, sticky):
    """Chunks of a chain that forgets are guessed right; where it does not forget (equal or sticky states) the trace is done step by step."""
    chance = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1500, 1, 513, 1024, 700, 128, 1280])
    unary = noise * torch.randn(7, 1500, 4, generator=chance)
    chain = Chain(unary, torch.randn(4, 4, generator=chance) + sticky * torch.eye(4), lengths)
    found, wanted = viterbi(chain), best_path._swept(chain)
    assert torch.equal(found.states, torch.where(chain.valid, wanted, -1))
    many = Chain(unary, chain.pairwise.expand(7, 1, 4, 4).contiguous(), lengths)
    assert torch.equal(viterbi(many).states, found.states)
