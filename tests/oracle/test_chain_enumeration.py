"""Chains against the table of all their assignments, in float64: at most 7 variables and 4 states, to 1e-10."""

import pytest
import torch

from saccade.structured import chain as chains
from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain, with_ends
from saccade.structured.k_best import k_best
from tests.support import chains as slow

EXACT = {"rtol": 1e-10, "atol": 1e-10}
CASES = [("shared", *shape, seed) for seed, shape in enumerate([(2, 7, 4), (2, 2, 4), (4, 3, 1), (3, 1, 3)])]
CASES += [(kind, *shape, seed) for kind in slow.SHAPES if kind != "shared" for seed, shape in enumerate([(4, 5, 3), (2, 7, 2)])]


@pytest.mark.parametrize("method", ["sweep", "scan"])
@pytest.mark.parametrize(("kind", "n", "t", "k", "seed"), CASES)
def test_log_z_marginals_counts_entropy_and_gradients(kind, n, t, k, seed, method):
    for scale in (1.0, 60.0, 400.0):  # scaled products, the same at their limit, logarithms
        unary, pairwise, lengths = slow.random_chain(kind, n, t, k, seed, scale)
        unary.requires_grad_()
        pairwise.requires_grad_()
        chain = Chain(unary, pairwise, lengths)
        log_z, expected = chains.log_partition(chain, method=method), slow.log_z(unary, pairwise, lengths)
        torch.testing.assert_close(log_z, expected, **EXACT)
        weights = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ours, theirs = (torch.autograd.grad((z * weights).sum(), (unary, pairwise), allow_unused=True, materialize_grads=True) for z in (log_z, expected))
        torch.testing.assert_close(ours, theirs, **EXACT)
        with torch.no_grad():
            nodes, edges = slow.node_marginals(unary, pairwise, lengths), slow.edge_marginals(unary, pairwise, lengths)
            torch.testing.assert_close(chains.marginals(chain, method=method).nodes, nodes, **EXACT)
            torch.testing.assert_close(chains.edge_marginals(chain, method=method), edges, **EXACT)
            counts = chains.expected_counts(chain, method=method)
            torch.testing.assert_close(counts.transitions, edges.sum(1), **EXACT)
            torch.testing.assert_close(counts.states, nodes.sum(1), **EXACT)
            torch.testing.assert_close(counts.end, nodes[torch.arange(n), lengths - 1], **EXACT)
            shares = [torch.softmax(slow.scores(unary, pairwise, lengths, row)[1], 0) for row in range(n)]
            entropy = torch.stack([-torch.special.xlogy(p, p).sum() for p in shares])
            torch.testing.assert_close(chains.entropy(chain, method=method), entropy, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.parametrize("method", ["sweep", "scan"])
@pytest.mark.parametrize("forbidden", [0.0, 0.3])
@pytest.mark.parametrize(("kind", "n", "t", "k", "seed"), CASES)
def test_the_best_paths(kind, n, t, k, seed, forbidden, method):
    unary, pairwise, lengths = slow.random_chain(kind, n, t, k, seed, forbidden=forbidden)
    chain = Chain(unary, pairwise, lengths)
    best, several = viterbi(chain, method=method), k_best(chain, 9)
    for row in range(n):
        states, total = slow.scores(unary, pairwise, lengths, row)
        order = total.argsort(descending=True)[:9]
        possible = [int(i) for i in order if total[i] > -torch.inf]
        length = int(lengths[row])
        torch.testing.assert_close(best.scores[row], total.max(), **EXACT)
        expected = states[possible[0]].tolist() if possible else [-1] * length
        assert best.states[row].tolist() == expected + [-1] * (t - length)
        torch.testing.assert_close(several.scores[row, : len(possible)], total[possible], **EXACT)
        assert several.states[row, : len(possible), :length].tolist() == states[possible].tolist()
        assert (several.scores[row, len(possible) :] == -torch.inf).all() and (several.states[row, len(possible) :] == -1).all()


@pytest.mark.parametrize("method", ["sweep", "scan"])
@pytest.mark.parametrize("kind", slow.SHAPES)
def test_hard_constraints_anywhere(kind, method):
    found = 0
    for seed in range(6):
        unary, pairwise, lengths = slow.random_chain(kind, 4, 5, 3, seed, forbidden=0.35)
        unary.requires_grad_()
        pairwise.requires_grad_()
        chain, expected = Chain(unary, pairwise, lengths), slow.log_z(unary, pairwise, lengths).detach()
        log_z = chains.log_partition(chain, method=method)
        torch.testing.assert_close(log_z, expected, **EXACT)
        possible = torch.isfinite(expected)
        found += int((~possible).sum())
        nodes = torch.where(possible[:, None, None], slow.node_marginals(unary.detach(), pairwise.detach(), lengths), 0.0)
        gradients = torch.autograd.grad(torch.where(possible, log_z, 0.0).sum(), (unary, pairwise))
        torch.testing.assert_close(gradients[0], nodes, **EXACT)
        assert torch.isfinite(gradients[1]).all() and (gradients[1][torch.isneginf(pairwise)] == 0).all()
    assert found  # some of them leave nothing, which has to be survived too


def test_gradients_of_the_marginals_and_of_the_gradient():
    unary, pairwise, lengths = slow.random_chain("shared", 2, 4, 3, 0)
    inputs = (unary.requires_grad_(), pairwise.requires_grad_())
    assert torch.autograd.gradcheck(lambda u, a: chains.marginals(Chain(u, a, lengths)).nodes, inputs)
    assert torch.autograd.gradcheck(lambda u, a: chains.edge_marginals(Chain(u, a, lengths)), inputs)
    assert torch.autograd.gradcheck(lambda u, a: chains.entropy(Chain(u, a, lengths)), inputs)
    assert torch.autograd.gradgradcheck(lambda u, a: chains.log_partition(Chain(u, a, lengths)), inputs)


def test_scores_of_the_ends_and_the_likelihood():
    unary, pairwise, lengths = slow.random_chain("shared", 3, 5, 3, 1)
    start, end = torch.tensor([0.3, -1.0, 2.0]).double(), torch.tensor([1.0, 0.0, -torch.inf]).double()
    chain = Chain(with_ends(unary, lengths, start, end), pairwise, lengths)
    for row in range(3):
        states, total = slow.scores(unary, pairwise, lengths, row)
        total = total + start[states[:, 0]] + end[states[:, -1]]
        for place in (0, len(states) // 2, len(states) - 1):
            padded = torch.zeros(3, 5, dtype=torch.int64)
            padded[row, : lengths[row]] = states[place]
            likelihood = chains.negative_log_likelihood(chain, padded)[row]
            torch.testing.assert_close(likelihood, torch.logsumexp(total, 0) - total[place], **EXACT)


def test_a_known_number():
    """Two variables of two states: Z = e^(0+0+1) + e^(0+1+0) + e^(1+0+0) + e^(1+1+2)."""
    chain = Chain(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    torch.testing.assert_close(chains.log_partition(chain), torch.tensor([3 * torch.e + torch.e**4]).log())


@pytest.mark.parametrize("kind", slow.SHAPES)
def test_best_paths_of_small_and_of_large_batches_are_found_alike(kind, monkeypatch):
    unary, pairwise, lengths = slow.random_chain(kind, 6, 70, 4, 5, forbidden=0.05)
    chain = Chain(unary, pairwise, lengths)
    small = viterbi(chain)
    monkeypatch.setattr("saccade.structured.best_path.SMALL", 0)
    large = viterbi(chain)
    assert torch.equal(small.states, large.states) and torch.equal(small.scores, large.scores)
