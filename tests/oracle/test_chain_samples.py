"""Samples of chains, automata over chains, segments and hidden states, each against its enumeration or its distribution."""

import itertools

import pytest
import torch
from scipy import stats

from saccade.structured import chain as chains
from saccade.structured import constraints, hidden, semi_markov
from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain
from saccade.structured.chain_sample import sample
from saccade.structured.constraints import Automaton, allow, bound, known, language, log_probability, minimal, only_steps, prefer
from saccade.structured.k_best import k_best
from saccade.structured.semi_markov import SegmentChain
from tests.support import chains as slow

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def rows_of(chain):
    return chain.unary, chain.pairwise, chain.lengths


@pytest.mark.parametrize("kind", slow.SHAPES)
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_samples_have_the_distribution(kind, scale):
    unary, pairwise, lengths = slow.random_chain(kind, 4, 4, 3, 2, forbidden=0.0 if scale == 1 else 0.2)
    if scale > 1:  # scores too far apart for scaled products: the constant raises all paths alike
        pairwise = torch.where(torch.arange(3) == 2, pairwise - scale, pairwise)
        unary = torch.where(torch.arange(3) == 2, unary + scale, unary)
    drawn = sample(Chain(unary, pairwise, lengths), 20_000, generator=torch.Generator().manual_seed(5))
    for row in range(4):
        states, total = slow.scores(unary, pairwise, lengths, row)
        length = int(lengths[row])
        assert (drawn[row, :, length:] == -1).all()
        if torch.isneginf(total).all():
            assert (drawn[row] == -1).all()
            continue
        code = (drawn[row, :, :length] * 3 ** torch.arange(length - 1, -1, -1)).sum(1)
        counts, expected = torch.bincount(code, minlength=len(states)).double(), torch.softmax(total, 0) * 20_000
        assert (counts[expected == 0] == 0).all()
        rare = expected < 5
        observed = torch.cat([counts[~rare], counts[rare].sum()[None]])
        wanted = torch.cat([expected[~rare], expected[rare].sum()[None]])
        keep = wanted > 1e-9
        if keep.sum() > 1:
            wanted = wanted[keep] * observed[keep].sum() / wanted[keep].sum()
            assert stats.chisquare(observed[keep].numpy(), wanted.numpy()).pvalue > 1e-4


def test_constraints_are_what_enumeration_leaves():
    unary, pairwise, lengths = slow.random_chain("shared", 3, 5, 3, 4)
    chain = Chain(unary, pairwise, lengths)
    allowed = torch.rand(3, 5, 3, generator=torch.Generator().manual_seed(0)) < 0.7
    allowed[..., 0] |= ~allowed.any(2)
    steps = torch.tensor([[True, True, False], [False, True, True], [True, False, True]])
    bonus = torch.randn(3, 5, 3, generator=torch.Generator().manual_seed(1)).double()
    inside, stepped, raised = allow(chain, allowed), only_steps(chain, steps), prefer(chain, bonus)
    for row in range(3):
        states, total = slow.scores(*rows_of(chain), row)
        place = torch.arange(states.shape[1])
        ok = allowed[row, place, states].all(1)
        torch.testing.assert_close(chains.log_partition(inside)[row], total[ok].logsumexp(0), **EXACT)
        torch.testing.assert_close(log_probability(chain, allowed)[row], total[ok].logsumexp(0) - total.logsumexp(0), **EXACT)
        fine = steps[states[:, :-1], states[:, 1:]].all(1)
        torch.testing.assert_close(chains.log_partition(stepped)[row], total[fine].logsumexp(0), **EXACT)
        torch.testing.assert_close(chains.log_partition(raised)[row], (total + bonus[row, place, states].sum(1)).logsumexp(0), **EXACT)
    tags = torch.full((3, 5), -1)
    tags[:, 0] = 2
    assert (viterbi(known(chain, tags)).states[:, 0] == 2).all()


def modulo(number, base):
    """The automaton of the digit rows whose sum is divisible by a number."""
    return Automaton((torch.arange(number)[:, None] + torch.arange(base)) % number, 0, torch.arange(number) == 0)


@pytest.mark.parametrize("automaton", [modulo(3, 4), minimal(language([[0, 1, 2], [0, 2], [3, 1, 2], [1], [0, 1, 3, 2, 1]], 4))], ids=["sum", "words"])
def test_an_automaton_keeps_the_words_it_accepts(automaton):
    unary, pairwise, lengths = slow.random_chain("steps", 4, 5, 4, 7)
    lengths = torch.tensor([5, 3, 2, 1])
    chain = Chain(unary, pairwise, lengths)
    tied = bound(chain, automaton)
    log_z, best, many = chains.log_partition(tied.chain), viterbi(tied.chain), k_best(tied.chain, 3)
    nodes = constraints.of_labels(chains.marginals(tied.chain).nodes, tied.labels, 4)
    for row in range(4):
        states, total = slow.scores(*rows_of(chain), row)
        accepted = torch.tensor([accepts(automaton, word) for word in states.tolist()])
        left, words = total[accepted], states[accepted]
        torch.testing.assert_close(log_z[row], left.logsumexp(0), **EXACT)
        length = int(lengths[row])
        assert tied.labels[best.states[row, :length]].tolist() == words[left.argmax()].tolist()
        second = left.argsort(descending=True)[:3]
        assert tied.labels[many.states[row, : len(second), :length]].tolist() == words[second].tolist()
        expected = torch.zeros(length, 4).double()
        for place in range(length):
            expected[place].index_add_(0, words[:, place], torch.softmax(left, 0))
        torch.testing.assert_close(nodes[row, :length], expected, **EXACT)


def accepts(automaton, word):
    state = automaton.start
    for label in word:
        state = int(automaton.step[state, label])
        if state < 0:
            return False
    return bool(automaton.accepts[state])


def test_a_minimal_automaton_has_the_same_words_and_fewer_states():
    words = [list(word) for word in itertools.product(range(3), repeat=4) if sum(word) % 2 == 0]
    large = language(words, 3)
    small = minimal(large)
    assert len(small.step) == 8 < len(large.step)  # length 0, parity at 1 to 3, the end
    for length in range(6):
        assert all(accepts(small, word) == accepts(large, word) for word in itertools.product(range(3), repeat=length))


def segmentations(length, longest, labels):
    """Every way to cut so many positions into labelled segments (begin, end, label)."""
    if length == 0:
        yield []
    for size in range(1, min(longest, length) + 1):
        for rest in segmentations(length - size, longest, labels):
            for label in range(labels):
                yield [*rest, (length - size, length, label)]


@pytest.mark.parametrize("forbidden", [0.0, 0.4])
def test_segments_equal_their_enumeration(forbidden):
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(4, 5, 3, 2, generator=generator, dtype=torch.float64)
    pairwise = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    scores[torch.rand(scores.shape, generator=generator) < forbidden] = -torch.inf
    lengths = torch.tensor([5, 3, 1, 0])
    chain = SegmentChain(scores.requires_grad_(), pairwise.requires_grad_(), lengths)
    log_z, best, shares = semi_markov.log_partition(chain), semi_markov.viterbi(chain), semi_markov.marginals(chain)
    assert torch.isfinite(torch.cat([g.flatten() for g in torch.autograd.grad(log_z[torch.isfinite(log_z)].sum(), (scores, pairwise))])).all()
    for row, length in enumerate(lengths.tolist()):
        cuts = list(segmentations(length, 3, 2))
        total = torch.stack(
            [
                sum((scores[row, b, e - b - 1, k] for b, e, k in cut), torch.zeros(()).double())
                + sum((pairwise[i[2], j[2]] for i, j in itertools.pairwise(cut)), torch.zeros(()).double())
                for cut in cuts
            ]
        ).detach()
        torch.testing.assert_close(log_z[row].detach(), total.logsumexp(0), **EXACT)
        if torch.isneginf(total).all():
            assert best.segments[row] == [] and (shares[row] == 0).all()
            continue
        assert best.segments[row] == cuts[int(total.argmax())]
        torch.testing.assert_close(best.scores[row], total.max(), **EXACT)
        expected, frames = torch.zeros(5, 3, 2).double(), torch.zeros(5, 2).double()
        for cut, p in zip(cuts, torch.softmax(total, 0), strict=True):
            for b, e, k in cut:
                expected[b, e - b - 1, k] += p
                frames[b:e, k] += p
        torch.testing.assert_close(shares[row], expected, **EXACT)
        torch.testing.assert_close(semi_markov.frame_marginals(shares)[row], frames, **EXACT)


def test_scores_of_segments_add_up():
    frames, durations = torch.randn(1, 4, 2).double(), torch.randn(3, 2).double()
    found = semi_markov.segment_scores(frames, durations)
    for begin, d in itertools.product(range(4), range(3)):
        end = begin + d + 1
        expected = frames[0, begin:end].sum(0) + durations[d] if end <= 4 else torch.full((2,), -torch.inf).double()
        torch.testing.assert_close(found[0, begin, d], expected)


def test_hidden_states_are_summed_over():
    unary, pairwise, lengths = slow.random_chain("shared", 3, 4, 4, 9)
    chain, owner = Chain(unary.requires_grad_(), pairwise.requires_grad_(), lengths), hidden.owners(2, 2)
    tags = torch.randint(0, 2, (3, 4), generator=torch.Generator().manual_seed(0))
    tags[0, 1] = -1
    loss = hidden.label_loss(chain, owner, tags)
    expected = []
    for row in range(3):
        states, total = slow.scores(unary, pairwise, lengths, row)
        wanted = tags[row, : states.shape[1]]
        agree = ((owner[states] == wanted) | (wanted < 0)).all(1)
        expected.append(total.logsumexp(0) - total[agree].logsumexp(0))
    torch.testing.assert_close(loss, torch.stack(expected), **EXACT)
    ours, theirs = (torch.autograd.grad(x.sum(), (unary, pairwise), retain_graph=True) for x in (loss, torch.stack(expected)))
    torch.testing.assert_close(ours, theirs, **EXACT)
    nodes = slow.node_marginals(unary.detach(), pairwise.detach(), lengths)
    torch.testing.assert_close(hidden.label_marginals(chain, owner), torch.stack([nodes[..., :2].sum(2), nodes[..., 2:].sum(2)], 2), **EXACT)


def test_labels_of_whole_sequences_sum_over_the_parts():
    generator = torch.Generator().manual_seed(1)
    unary, compatible, pairwise = (torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in ((3, 4, 3), (2, 3), (2, 3, 3)))
    lengths = torch.tensor([4, 2, 1])
    logits = hidden.hidden_logits(unary, compatible, pairwise, lengths)
    tables = [[slow.scores(unary + compatible[y], pairwise[y], lengths, row) for y in range(2)] for row in range(3)]
    expected = torch.stack([torch.stack([total.logsumexp(0) for _, total in row]) for row in tables])
    torch.testing.assert_close(logits, expected, **EXACT)
    inputs = (unary, compatible, pairwise)
    ours, theirs = (torch.autograd.grad(torch.log_softmax(x, 1)[:, 0].sum(), inputs) for x in (logits, expected))
    torch.testing.assert_close(ours, theirs, **EXACT)
    with torch.no_grad():
        shares = hidden.parts(unary, compatible, pairwise, lengths, torch.tensor([1, 0, 1]))
        torch.testing.assert_close(shares[0], slow.node_marginals(unary + compatible[1], pairwise[1], lengths)[0], **EXACT)
