"""Classes that form a tree: probabilities are products along paths, whatever the tree."""

import numpy as np
import pytest
import torch

from saccade.core import Features, LabelSpace, Level
from saccade.metrics.classification import Classification
from saccade.nn.heads.classify import Classify
from saccade.nn.heads.tree import TreeClassify, tree_of
from saccade.targets import Label

NAMES = ("cat", "dog/beagle", "dog/husky", "bird/owl/barn", "bird/owl/snowy", "bird/wren")
LEVEL = Level(6, 4)


def features(n: int = 5, seed: int = 0) -> Features:
    inputs = torch.zeros(n, 3, 8, 8, dtype=torch.float64)
    maps = torch.randn(n, 6, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Features([inputs, maps], torch.tensor([[8, 8]] * n))


def test_a_class_is_the_product_of_its_steps():
    torch.manual_seed(1)
    head = TreeClassify(LEVEL, NAMES).double()
    scores = head.output(head.pooled(features()))
    scores, found = scores.detach(), head(features()).logits.exp().detach()
    nodes = head.tree.nodes
    for row, values in zip(found, scores, strict=True):
        value = dict(zip(nodes, values.tolist(), strict=True))
        for k, name in enumerate(NAMES):
            p, parts = 1.0, name.split("/")
            for depth in range(1, len(parts) + 1):
                node, above = "/".join(parts[:depth]), "/".join(parts[: depth - 1])
                siblings = [other for other in nodes if "/".join(other.split("/")[:-1]) == above]
                p *= np.exp(value[node]) / sum(np.exp(value[other]) for other in siblings)
            assert float(row[k]) == pytest.approx(p, rel=1e-10)
    assert torch.allclose(found.sum(1), torch.ones(5, dtype=torch.float64))


def test_a_flat_tree_is_the_usual_softmax():
    torch.manual_seed(2)
    flat = TreeClassify(LEVEL, ("a", "b", "c")).double()
    plain = Classify(LEVEL, 3).double()
    plain.load_state_dict(flat.state_dict())
    truth = [Label(0), Label(2), Label(-1), Label(1), Label(1)]
    a, b = flat(features()), plain(features())
    assert torch.allclose(a.logits.exp(), torch.softmax(b.logits, 1))
    assert torch.allclose(flat.loss(a, truth)["cross_entropy"], plain.loss(b, truth)["cross_entropy"])


def test_gradients_are_those_of_finite_differences_and_large_scores_are_no_harm():
    head = TreeClassify(LEVEL, NAMES).double()
    scores = torch.randn(3, len(head.tree.nodes), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(head.steps, (scores,))
    assert torch.isfinite(head.steps(scores.detach() * 1e4)).all()


def test_a_class_on_the_way_to_another_is_refused():
    with pytest.raises(ValueError, match="also holds others"):
        tree_of(("dog", "dog/husky"))


def test_the_first_fork_is_measured_too():
    metric = Classification(LabelSpace(NAMES))
    for answer, truth in ((1, 1), (2, 1), (0, 1), (4, 5)):
        metric.update(Label(answer, torch.eye(6)[answer]), Label(truth))
    found = metric.compute()
    assert (found["accuracy"].value, found["accuracy_coarse"].value) == (0.25, 0.75)
