"""Chains against pytorch-crf and CRFsuite on handwriting: rows of digits that follow one another, scikit-learn's 8x8 images."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from saccade.structured import chain as chains
from saccade.structured.best_path import viterbi
from saccade.structured.chain import Chain, with_ends


@pytest.fixture(scope="module")
def handwriting():
    """frames (60, 9, 16) of 8x8 digits, each at most two above the one before, tags (60, 9), lengths (60,)."""
    digits, rng = load_digits(), np.random.default_rng(0)
    pictures = digits.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16) / 16
    frames, tags = np.zeros((60, 9, 16)), np.zeros((60, 9), np.int64)
    for row in range(60):
        tags[row] = (rng.integers(10) + np.cumsum(rng.integers(0, 3, 9))) % 10
        frames[row] = [pictures[rng.choice(np.flatnonzero(digits.target == tag))] for tag in tags[row]]
    return torch.from_numpy(frames), torch.from_numpy(tags), torch.from_numpy(rng.integers(1, 10, 60))


def test_pytorch_crf_has_the_same_loss_gradients_and_paths(handwriting):
    torchcrf = pytest.importorskip("torchcrf")
    frames, tags, lengths = handwriting
    torch.manual_seed(0)
    peer, unary = torchcrf.CRF(10, batch_first=True).double(), torch.nn.Linear(16, 10).double()
    for _ in range(30):  # learnt a little, so that scores are as they are in use
        loss = -peer(unary(frames), tags, mask=torch.arange(9) < lengths[:, None], reduction="mean")
        loss.backward()
        for p in (*peer.parameters(), *unary.parameters()):
            p.data -= 0.3 * p.grad
            p.grad = None
    mask, parameters = torch.arange(9) < lengths[:, None], (*peer.parameters(), *unary.parameters())

    def own():
        return Chain(with_ends(unary(frames), lengths, peer.start_transitions, peer.end_transitions), peer.transitions, lengths)

    theirs, ours = -peer(unary(frames), tags, mask=mask, reduction="none"), chains.negative_log_likelihood(own(), tags)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), parameters), torch.autograd.grad(theirs.sum(), parameters), rtol=1e-9, atol=1e-9)
    paths = viterbi(own()).states
    assert [row[:length].tolist() for row, length in zip(paths, lengths.tolist(), strict=True)] == peer.decode(unary(frames), mask=mask)


def test_crfsuite_has_the_same_probabilities_marginals_and_optimum(handwriting, tmp_path):
    pycrfsuite = pytest.importorskip("pycrfsuite")
    frames, tags, lengths = handwriting
    rows = [[{f"x{i}": float(v) for i, v in enumerate(frame)} | {"one": 1.0} for frame in line[:n]] for line, n in zip(frames, lengths.tolist(), strict=True)]
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params({"c1": 0.0, "c2": 0.1, "epsilon": 1e-9, "delta": 1e-12, "max_iterations": 1000, "feature.possible_transitions": True,
                        "feature.possible_states": True})  # fmt: skip
    for line, tag, n in zip(rows, tags, lengths.tolist(), strict=True):
        trainer.append(line, [str(int(t)) for t in tag[:n]])
    trainer.train(str(tmp_path / "model"))
    tagger = pycrfsuite.Tagger()
    tagger.open(str(tmp_path / "model"))
    pairwise, weight = _weights(tagger.info())
    unary = torch.cat([frames, torch.ones_like(frames[..., :1])], 2) @ weight
    chain = Chain(unary.requires_grad_(), pairwise.requires_grad_(), lengths)
    likelihood, nodes, paths = chains.negative_log_likelihood(chain, tags), chains.marginals(chain).nodes, viterbi(chain).states
    for row in (0, 7, 31):
        n = int(lengths[row])
        tagger.set(rows[row])
        assert tagger.tag() == [str(s) for s in paths[row, :n].tolist()]
        assert np.log(tagger.probability([str(int(t)) for t in tags[row, :n]])) == pytest.approx(-float(likelihood[row].detach()), rel=1e-4)
        theirs = [[tagger.marginal(str(k), t) for k in range(10)] for t in range(n)]
        torch.testing.assert_close(nodes[row, :n].detach(), torch.tensor(theirs, dtype=torch.float64), rtol=0, atol=1e-5)  # it prints six digits of a weight
    # at CRFsuite's optimum the gradient of our loss is that of its penalty: the two losses are one function
    gradient = torch.autograd.grad(likelihood.sum(), pairwise)[0]
    torch.testing.assert_close(gradient, -2 * 0.1 * pairwise.detach(), rtol=0, atol=2e-3)


def _weights(info):
    """(10, 10) of the steps and (17, 10) of the features."""
    pairwise, weight = torch.zeros(10, 10, dtype=torch.float64), torch.zeros(17, 10, dtype=torch.float64)
    for (one, two), value in info.transitions.items():
        pairwise[int(one), int(two)] = value
    for (name, tag), value in info.state_features.items():
        weight[16 if name == "one" else int(name[1:]), int(tag)] = value
    return pairwise, weight
