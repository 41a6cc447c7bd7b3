"""Hidden Markov models against enumeration and the textbook's update; EM never falls; planted states are found again."""

import itertools

import pytest
import torch

from saccade.structured.best_path import viterbi
from saccade.structured.hidden import allowed_states, owners
from saccade.structured.hmm import HMM, Discrete, Gaussian, first_gaussian, learn

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def random_discrete(states, symbols, seed):
    generator = torch.Generator().manual_seed(seed)
    start, transition, table = (
        torch.log_softmax(torch.randn(shape, generator=generator, dtype=torch.float64), -1) for shape in ((states,), (states, states), (states, symbols))
    )
    return HMM(start, transition, Discrete(table))


def joint(model, seen):
    """Every row of states of one sequence, and log p(seen, states)."""
    states = torch.tensor(list(itertools.product(range(len(model.start)), repeat=len(seen))))
    score = model.start[states[:, 0]].clone()
    emitted = model.emission.scores(seen[None])[0]
    for t in range(len(seen)):
        score = score + emitted[t, states[:, t]] + (model.transition[states[:, t - 1], states[:, t]] if t else 0)
    return states, score


def test_one_step_of_em_is_the_textbooks():
    model, seen = random_discrete(3, 4, 0), torch.tensor([[0, 3, 1, 1], [2, 2, 0, 0]])
    lengths = torch.tensor([4, 2])
    after = learn(model, seen, lengths, steps=1).model
    first, steps, symbols = torch.zeros(3).double(), torch.zeros(3, 3).double(), torch.zeros(3, 4).double()
    for row, n in enumerate(lengths.tolist()):
        states, score = joint(model, seen[row, :n])
        torch.testing.assert_close(model.log_likelihood(seen, lengths)[row], score.logsumexp(0), **EXACT)
        for path, p in zip(states, torch.softmax(score, 0), strict=True):
            first[path[0]] += p
            for t in range(n):
                symbols[path[t], seen[row, t]] += p
                if t:
                    steps[path[t - 1], path[t]] += p
    torch.testing.assert_close(after.start.exp(), first / first.sum(), **EXACT)
    torch.testing.assert_close(after.transition.exp(), steps / steps.sum(1, keepdim=True), **EXACT)
    torch.testing.assert_close(after.emission.table.exp(), symbols / symbols.sum(1, keepdim=True), **EXACT)


def test_gaussian_densities_and_their_update():
    generator = torch.Generator().manual_seed(1)
    mean, variance = torch.randn(2, 3, generator=generator).double(), torch.rand(2, 3, generator=generator).double() + 0.5
    model = HMM(torch.tensor([0.4, 0.6]).double().log(), torch.tensor([[0.9, 0.1], [0.3, 0.7]]).double().log(), Gaussian(mean, variance, torch.zeros(3)))
    seen, lengths = torch.randn(2, 6, 3, generator=generator).double(), torch.tensor([6, 3])
    density = torch.distributions.Normal(mean, variance.sqrt()).log_prob(seen[:, :, None]).sum(3)
    torch.testing.assert_close(model.emission.scores(seen), density)
    share = model.posterior(seen, lengths)
    after = learn(model, seen, lengths, steps=1).model.emission
    total = share.sum((0, 1))[:, None]
    expected = torch.einsum("nts,ntd->sd", share, seen) / total
    torch.testing.assert_close(after.mean, expected)
    torch.testing.assert_close(after.variance, torch.einsum("nts,ntsd->sd", share, (seen[:, :, None] - expected).square()) / total)


def simulated(seed, n=30, steps=40):
    """Frames of three states that follow one another in a circle; their states."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]).double()
    states = torch.zeros(n, steps, dtype=torch.int64)
    for t in range(1, steps):
        states[:, t] = (states[:, t - 1] + (torch.rand(n, generator=generator) < 0.2)) % 3
    return centres[states] + 0.7 * torch.randn(n, steps, 2, generator=generator).double(), states


def test_em_never_falls_and_finds_what_made_the_data():
    from sklearn.metrics import adjusted_mutual_info_score

    seen, states = simulated(0)
    lengths = torch.full((30,), 40)
    learnt = learn(first_gaussian(seen, lengths, torch.zeros(3).long(), generator=torch.Generator().manual_seed(0)), seen, lengths, steps=100)
    told = torch.tensor(learnt.log_likelihoods)
    assert len(told) > 5 and (told.diff() >= -1e-9).all()
    found = viterbi(learnt.model.chain(seen, lengths)).states
    assert adjusted_mutual_info_score(states.flatten(), found.flatten()) > 0.8
    off_circle = learnt.model.transition.exp()[[0, 1, 2], :].sort(1).values[:, 0]
    assert (off_circle < 0.05).all()  # each state goes on to one other


def test_labels_confine_the_states():
    seen, states = simulated(1)
    tags, lengths, owner = (states > 0).long(), torch.full((30,), 40), owners(2, 2)
    first = first_gaussian(seen, lengths, owner, tags=tags, generator=torch.Generator().manual_seed(0))
    learnt = learn(first, seen, lengths, allowed=allowed_states(tags, owner), steps=60, pseudo=0.1)
    answer = learnt.model.posterior(seen, lengths)
    assert ((answer[..., 2:].sum(2) > 0.5).long() == tags).double().mean() > 0.9
    told = torch.tensor(learnt.log_likelihoods)
    assert (told.diff() >= -0.5).all()  # the prior's pull


def test_states_in_order_never_go_back():
    seen, _ = simulated(2, n=5)
    lengths = torch.full((5,), 40)
    first = first_gaussian(seen, lengths, torch.zeros(4).long(), forwards=True, generator=torch.Generator().manual_seed(0))
    found = viterbi(learn(first, seen, lengths, steps=5, pseudo=1.0).model.chain(seen, lengths)).states
    assert (found.diff(dim=1) >= 0).all()


def test_what_cannot_be_learnt_is_said():
    model = random_discrete(2, 3, 0)
    with pytest.raises(ValueError, match="at least one frame"):
        learn(model, torch.zeros(1, 2).long(), torch.tensor([0]))
    with pytest.raises(ValueError, match="cannot have been made"):
        learn(model, torch.zeros(1, 2).long(), torch.tensor([2]), allowed=torch.zeros(1, 2, 2).bool())
    with pytest.raises(ValueError, match="symbols must be below 3, got 5"):
        model.log_likelihood(torch.tensor([[5]]), torch.tensor([1]))
    with pytest.raises(ValueError, match="frames must have 2 numbers, got 3"):
        Gaussian(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(2)).scores(torch.zeros(1, 1, 3))
    silent = model.log_likelihood(torch.tensor([[-1, -1]]), torch.tensor([2]))  # nothing was seen: p = 1
    torch.testing.assert_close(silent, torch.zeros(1).double())
