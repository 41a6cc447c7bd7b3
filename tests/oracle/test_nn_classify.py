"""The heads' losses against their formulas and torch's own."""

import pytest
import torch
import torch.nn.functional as F

from saccade.core import Features, Level
from saccade.nn.heads.classify import Classify, ClassifyOut, labels, truth_matrix
from saccade.nn.heads.radial import RadialBasis
from saccade.targets.label import Label

pytestmark = pytest.mark.oracle
LEVEL = Level(5, 1)


def logits(count: int = 4, classes: int = 3) -> torch.Tensor:
    torch.manual_seed(4)
    return (3 * torch.randn(count, classes)).double().requires_grad_()


def test_the_loss_and_its_gradient_are_the_textbooks():
    z, truth = logits(), [0, 2, 1, 1]
    loss = Classify(LEVEL, 3).loss(ClassifyOut(z), [Label(k) for k in truth])["cross_entropy"]
    y_hat = z.detach().exp() / z.detach().exp().sum(1, keepdim=True)
    assert loss.item() == pytest.approx(-sum(y_hat[i, k].log().item() for i, k in enumerate(truth)) / 4)
    loss.backward()
    torch.testing.assert_close(z.grad, (y_hat - torch.eye(3).double()[truth]) / 4)  # dJ/dz = y_hat - y, of the mean


@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 4.0)])
def test_the_loss_of_plain_labels_is_torchs(weights):
    z, ids = logits(), [0, -1, 2, 2]
    own = Classify(LEVEL, 3, class_weights=weights).loss(ClassifyOut(z), [Label(i) for i in ids])["cross_entropy"]
    weight = None if weights is None else torch.tensor(weights).double()
    torch.testing.assert_close(own, F.cross_entropy(z, torch.tensor(ids), weight, ignore_index=-1))


def test_soft_labels_are_targets_as_a_whole():
    z, soft = logits(), torch.tensor([[0.2, 0.8, 0.0], [1.0, 0.0, 0.0]]).double()
    targets = [Label(1, soft[0].float()), Label(2), Label(0, soft[1].float()), Label(-1, soft[0].float())]
    own = Classify(LEVEL, 3).loss(ClassifyOut(z), targets)["cross_entropy"]
    rows = torch.stack([soft[0], torch.eye(3).double()[2], soft[1]])
    torch.testing.assert_close(own, F.cross_entropy(z[:3], rows), rtol=1e-6, atol=1e-6)


def test_label_smoothing_is_torchs_and_leaves_ignored_samples_out():
    z = logits()
    own = Classify(LEVEL, 3, label_smoothing=0.1).loss(ClassifyOut(z), [Label(0), Label(-1), Label(2), Label(1)])["cross_entropy"]
    torch.testing.assert_close(own, F.cross_entropy(z[[0, 2, 3]], torch.tensor([0, 2, 1]), label_smoothing=0.1), rtol=1e-6, atol=1e-6)


def test_the_loss_is_stable_and_in_float32_for_large_half_precision_logits():
    out = ClassifyOut(torch.tensor([[900.0, -900.0]], dtype=torch.bfloat16, requires_grad=True))
    loss = Classify(LEVEL, 2).loss(out, [Label(1)])["cross_entropy"]
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(1800, rel=0.01)


@pytest.mark.parametrize("pool", ["average", "max", "average_max"])
@pytest.mark.parametrize("hidden", [0, 7])
def test_the_head_pools_valid_cells_only(pool, hidden):
    torch.manual_seed(0)
    head, image, last = Classify(Level(5, 2), 3, pool=pool, hidden=hidden).eval(), torch.rand(2, 1, 8, 8), torch.rand(2, 5, 4, 4)
    both = head(Features([image, last], torch.tensor([[5, 3], [8, 8]]))).logits
    one = head(Features([image[:1, :, :5, :3], last[:1, :, :3, :2]], torch.tensor([[5, 3]]))).logits
    torch.testing.assert_close(both[:1], one)


def test_dropout_works_while_training_only():
    torch.manual_seed(0)
    head, features = Classify(LEVEL, 3, dropout=0.5), Features([torch.rand(1, 1, 4, 4), torch.rand(1, 5, 4, 4)], torch.tensor([[4, 4]]))
    assert not torch.equal(head(features).logits, head(features).logits)
    assert torch.equal(head.eval()(features).logits, head(features).logits)


def test_decoding_is_a_softmax_with_the_most_probable_class():
    z = logits()
    answers = Classify(LEVEL, 3).decode(ClassifyOut(z), [])
    torch.testing.assert_close(torch.stack([a.probabilities for a in answers]), torch.softmax(z.detach(), 1))
    assert [a.index for a in answers] == z.argmax(1).tolist() and labels(torch.zeros(0, 3)) == []


@pytest.mark.parametrize("bad", [3, -2])
def test_a_class_that_does_not_exist_is_refused(bad):
    with pytest.raises(ValueError, match=rf"class ids must be 0..2, or -1 for ignored, got \[{bad}\]"):
        truth_matrix([Label(0), Label(bad)], 3, torch.device("cpu"))


def test_a_distribution_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"one probability a class \(3\), got shape \(2,\)"):
        truth_matrix([Label(0, torch.tensor([0.5, 0.5]))], 3, torch.device("cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "flat"}, "pool must be average, max or average_max, got 'flat'"),
        ({"class_weights": [1, -1, 1]}, "class_weights must be 3 non-negative numbers"),
    ],
)
def test_wrong_options_of_the_head_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Classify(LEVEL, 3, **options)


def test_a_head_without_classes_is_refused():
    with pytest.raises(ValueError, match="at least one class, got 0"):
        Classify(LEVEL, 0)


def test_radial_outputs_and_criterion_are_equations_7_and_9():
    torch.manual_seed(0)
    head = RadialBasis(Level(6, 1), 3).double()
    x, truth, j = torch.randn(2, 6, dtype=torch.float64), [2, 0], 3.0
    out = head(Features([torch.zeros(2, 1, 1, 1), x[:, :, None, None]], torch.ones(2, 2, dtype=torch.long)))
    y = [[sum((a - b).item() ** 2 for a, b in zip(row, code, strict=True)) for code in head.codes] for row in x]
    torch.testing.assert_close(-out.logits, torch.tensor(y).double())
    expected = sum(y[i][k] + float(torch.tensor([-j, *(-v for v in y[i])]).double().logsumexp(0)) for i, k in enumerate(truth)) / 2
    assert head.loss(out, [Label(k) for k in truth])["cross_entropy"].item() == pytest.approx(expected)
    assert [a.index for a in head.decode(out, [])] == [min(range(3), key=row.__getitem__) for row in y]


def test_radial_codes_are_fixed_signs_that_differ():
    one, two = RadialBasis(Level(84, 4), 10).codes, RadialBasis(Level(84, 4), 10).codes
    assert torch.equal(one, two) and set(one.unique().tolist()) == {-1.0, 1.0}
    assert torch.cdist(one, one).add(torch.eye(10) * 99).min() ** 2 > 84  # more than a quarter of the signs apart
