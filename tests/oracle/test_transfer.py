"""What a network begins with: weights taken over, parts frozen, rates by stage; and last layers fitted without steps."""

import numpy as np
import pytest
import torch
from torch import nn

from saccade.core import Chain, Features, Inputs, LabelSpace, Level, Model, Neck
from saccade.errors import ModelError, UsageError
from saccade.models.table import build
from saccade.training import last_layer
from saccade.training.last_layer import Examples
from saccade.training.optimisers import make_optimiser
from saccade.training.settings import Settings
from saccade.training.transfer import parts_to_freeze, rates, stages_of, take

INPUTS = Inputs(3, (32, 32), (0.5,) * 3, (0.25,) * 3)
SPACE = LabelSpace(("a", "b", "c"))


def network(name: str = "resnet20", space: LabelSpace = SPACE, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build("classify", name, INPUTS, space)


class Same(Neck):
    def __init__(self, levels: tuple[Level, ...]) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, features: Features) -> Features:
        return features


def test_weights_are_taken_by_name_and_heads_only_of_the_same_classes():
    source, model = network(seed=1), network(seed=2)
    taken = take(model, source.state_dict(), heads=True, where="here")
    assert not taken.fresh and all(torch.equal(a, b) for a, b in zip(source.state_dict().values(), model.state_dict().values(), strict=True))
    other = network(space=LabelSpace(("x", "y")), seed=3)
    before = other.heads["label"].output.weight.clone()
    assert set(take(other, source.state_dict(), heads=False, where="here").fresh) == {"heads.label.output.weight", "heads.label.output.bias"}
    assert torch.equal(other.heads["label"].output.weight, before)
    assert torch.equal(next(other.backbone.parameters()), next(source.backbone.parameters()))


def test_a_backbone_under_necks_takes_and_gives():
    source, plain = network(seed=1), network(seed=2)
    chained = Model(Chain(plain.backbone, Same(plain.backbone.levels)), {"label": plain.heads["label"]})
    take(chained, source.state_dict(), heads=True, where="here")
    assert torch.equal(next(plain.backbone.parameters()), next(source.backbone.parameters()))
    back = network(seed=4)
    take(back, chained.state_dict(), heads=True, where="here")
    assert torch.equal(next(back.backbone.parameters()), next(source.backbone.parameters()))


@pytest.mark.parametrize(("own", "other"), [("resnet20", "lenet5"), ("resnet32", "resnet20"), ("vgg11", "vgg11_bn")])
def test_a_network_that_would_be_partly_chance_is_refused(own, other):
    with pytest.raises(ModelError) as caught:
        take(network(own), network(other).state_dict(), heads=True, where="there")
    assert caught.value.code == "MODEL-TENSORS"


def test_frozen_parts_get_no_gradient_and_keep_their_statistics():
    model = network()
    model.freeze(parts_to_freeze(model, "2"))
    stage = model.get_submodule(stages_of(model)[0])
    model.train()
    assert not stage.training and model.heads.training and not any(p.requires_grad for p in stage.parameters())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.outputs(torch.rand(4, 3, 32, 32), torch.tensor([[32, 32]] * 4))["label"].logits.sum().backward()
    assert all(p.grad is None for p in stage.parameters()) and model.heads["label"].output.weight.grad is not None
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and not any(k.startswith(f"{name}.") for k in moved for name in model.frozen)


@pytest.mark.parametrize("wrong", ["99", "0", "nose"])
def test_a_part_that_is_none_is_named(wrong):
    with pytest.raises(UsageError) as caught:
        parts_to_freeze(network(), wrong)
    assert caught.value.code == "USE-VALUE"


def test_rates_fall_towards_the_input():
    model = network()
    model.rates = rates(model, 0.5, 0.8)
    optimiser = make_optimiser([dict(g) for g in model.stages()[0].phases[0].groups()], Settings(1, rate=1e-2))
    of = {id(p): group["initial_lr"] for group in optimiser.param_groups for p in group["params"]}
    stages = stages_of(model)
    seen = [of[id(next(model.get_submodule(name).parameters()))] for name in stages]
    assert seen == pytest.approx([1e-2 * 0.5 * 0.8 ** (len(stages) - 1 - i) for i in range(len(stages))])
    assert of[id(model.heads["label"].output.weight)] == 1e-2 and len(of) == sum(1 for _ in model.parameters())


def clouds(n: int = 40, classes: int = 3, width: int = 5, seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(classes, width, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    truth = torch.arange(n * classes) % classes
    return Examples(centres[truth] + torch.randn(len(truth), width, generator=generator, dtype=torch.float64), truth, tuple(map(str, range(len(truth)))))


def test_the_linear_layer_is_the_least_of_its_loss():
    from sklearn.linear_model import LogisticRegression

    train = clouds()
    found = last_layer.fit_linear(train, 3)
    x = (train.features - train.features.mean(0)) / train.features.std(0, correction=0)
    other = LogisticRegression(C=1 / (last_layer.DEFAULT_PENALTY * len(x)), tol=1e-10, max_iter=5000).fit(x.numpy(), train.truth.numpy())
    expected = other.predict_log_proba(x.numpy())
    got = torch.log_softmax(train.features @ found.weight.T + found.bias, 1).numpy()
    assert np.allclose(got, expected, atol=2e-4)


def test_prototypes_answer_with_the_nearest_mean():
    train, test = clouds(), clouds(seed=1)
    found = last_layer.prototypes(train, 4)  # of the fourth class there is no image
    means = torch.stack([train.features[train.truth == k].mean(0) for k in range(3)])
    nearest = torch.cdist(test.features, means).argmin(1)
    assert torch.equal((test.features @ found.weight.T + found.bias).argmax(1), nearest)


def test_one_more_row_is_the_least_of_its_loss_and_leaves_the_others():
    train = clouds()
    fixed = last_layer.fit_linear(train, 3)
    new = 2.5 + torch.randn(12, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    row, bias = last_layer.one_more(fixed.weight, fixed.bias, new, train)
    weight, offset = torch.cat([fixed.weight, row[None]]), torch.cat([fixed.bias, torch.tensor([bias])])

    def loss(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        x, truth = torch.cat([new, train.features]), torch.cat([torch.full((12,), 3), train.truth])
        share = torch.cat([torch.full((12,), 1 / 12), torch.full((len(train.truth),), 3 / len(train.truth))]).double()
        std = x.std(0, correction=0)
        scores = torch.cat([x @ fixed.weight.T + fixed.bias, (x @ w + b)[:, None]], 1)
        own = b + x.mean(0) @ w
        value = (share / share.sum() * nn.functional.cross_entropy(scores, truth, reduction="none")).sum()
        return value + last_layer.DEFAULT_PENALTY / 2 * ((w * std).square().sum() + own.square())

    w, b = row.clone().requires_grad_(), torch.tensor(bias, dtype=torch.float64, requires_grad=True)
    loss(w, b).backward()
    assert w.grad is not None and b.grad is not None and float(w.grad.abs().max()) < 1e-5 and abs(float(b.grad)) < 1e-5
    assert (new @ weight.T + offset).argmax(1).eq(3).float().mean() > 0.8
    old = last_layer.recalls(train, weight, offset, range(3))
    assert sum(hit for hit, _ in old.values()) / sum(n for _, n in old.values()) > 0.85
