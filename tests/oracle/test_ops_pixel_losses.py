"""Losses of pixels against loops over pixels, identities, and finite differences."""

import itertools

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from saccade.ops import pixel_losses as losses

pytestmark = pytest.mark.oracle


def case(seed=0, classes=3, ignored=True):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 4, 5, generator=g, dtype=torch.float64)
    truth = torch.randint(0, classes, (2, 4, 5), generator=g)
    if ignored:
        truth[0, :2] = 255
        truth[1, 3, 3] = -1
    return logits, truth


def pixels(logits, truth):
    """(p (K,), class) of every known pixel."""
    p = torch.softmax(logits, 1).movedim(1, -1)
    return [(p[place].numpy(), int(truth[place])) for place in np.ndindex(*truth.shape) if 0 <= truth[place] < logits.shape[1]]


def test_cross_entropy_is_the_mean_over_known_pixels():
    logits, truth = case()
    expected = np.mean([-np.log(p[t]) for p, t in pixels(logits, truth)])
    assert float(losses.cross_entropy(logits, truth)) == pytest.approx(expected)
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    factors = [float(weights[t]) for _, t in pixels(logits, truth)]
    expected = np.sum([-f * np.log(p[t]) for f, (p, t) in zip(factors, pixels(logits, truth), strict=True)]) / np.sum(factors)
    assert float(losses.cross_entropy(logits, truth, weights)) == pytest.approx(expected)
    voices = torch.rand(2, 4, 5, dtype=torch.float64)
    kept = [float(voices[i]) for i in np.ndindex(2, 4, 5) if 0 <= truth[i] < 3]
    shares = np.array(kept) * np.array(factors)
    expected = np.sum(shares * [-np.log(p[t]) for p, t in pixels(logits, truth)]) / shares.sum()
    assert float(losses.cross_entropy(logits, truth, weights, voices)) == pytest.approx(expected)


def test_focal_loss_is_its_definition_and_cross_entropy_at_zero():
    logits, truth = case()
    expected = np.mean([-((1 - p[t]) ** 2) * np.log(p[t]) for p, t in pixels(logits, truth)])
    assert float(losses.focal(logits, truth)) == pytest.approx(expected)
    assert float(losses.focal(logits, truth, 0.0)) == pytest.approx(float(losses.cross_entropy(logits, truth)))
    alpha = torch.tensor([0.25, 0.75, 1.0], dtype=torch.float64)
    expected = np.mean([-float(alpha[t]) * (1 - p[t]) ** 2 * np.log(p[t]) for p, t in pixels(logits, truth)])
    assert float(losses.focal(logits, truth, weights=alpha)) == pytest.approx(expected)


def test_dice_is_its_definition():
    logits, truth = case()
    found = pixels(logits, truth)
    terms = []
    for k in sorted({t for _, t in found}):
        both, mass, own = sum(p[k] for p, t in found if t == k), sum(p[k] for p, _ in found), sum(t == k for _, t in found)
        terms.append(1 - (2 * both + 1) / (mass + own + 1))
    assert float(losses.dice(logits, truth)) == pytest.approx(np.mean(terms))
    assert float(losses.dice(logits, truth, background=0)) == pytest.approx(np.mean(terms[1:]))
    certain = 60.0 * losses.one_hot(truth, 3).double()
    assert float(losses.dice(certain, truth, smooth=0.0)) == pytest.approx(0, abs=1e-9)


def test_lovasz_is_the_jaccard_loss_where_answers_are_certain():
    for seed in range(5):
        _, truth = case(seed)
        answer = torch.randint(0, 3, truth.shape, generator=torch.Generator().manual_seed(seed + 9))
        certain = 200.0 * losses.one_hot(answer, 3).double()
        known = (truth >= 0) & (truth < 3)
        t, a = truth[known], answer[known]
        jaccard = [1 - float(((t == k) & (a == k)).sum()) / float(((t == k) | (a == k)).sum()) for k in t.unique().tolist()]
        assert float(losses.lovasz(certain, truth)) == pytest.approx(np.mean(jaccard))


def test_lovasz_is_the_extension_of_the_jaccard_set_function():
    """Its value is the integral over thresholds of the Jaccard loss of the set of errors above them (Bach 2013, proposition 3.1)."""
    generator = np.random.default_rng(0)
    own = torch.from_numpy((generator.random(7) < 0.4).astype(float))
    own[0] = 1.0
    errors = torch.from_numpy(generator.random(7))
    ordered, order = errors.sort(descending=True)
    found = float(torch.dot(ordered, losses.lovasz_gradient(own[order])))
    levels = np.concatenate([[0.0], np.sort(errors.numpy())])
    integral = 0.0
    for low, high in itertools.pairwise(levels):
        wrong = errors.numpy() > low + 1e-15
        true = own.numpy() == 1
        # mispredicted: true pixels in the set are missed, false ones are alarms
        union = true.sum() + (wrong & ~true).sum()
        integral += (high - low) * (1 - (true & ~wrong).sum() / union)
    assert found == pytest.approx(integral)


def test_set_cross_entropy_of_one_class_is_cross_entropy():
    logits, truth = case()
    allowed = losses.one_hot(truth, 3) | ((truth < 0) | (truth >= 3))[:, None]
    assert float(losses.set_cross_entropy(logits, allowed)) == pytest.approx(float(losses.cross_entropy(logits, truth)))
    pair = torch.ones(2, 3, 4, 5, dtype=torch.bool)
    pair[:, 2, 0] = False
    p = torch.softmax(logits, 1)
    assert float(losses.set_cross_entropy(logits, pair)) == pytest.approx(float(-(p[:, 0, 0] + p[:, 1, 0]).log().mean()))
    assert float(losses.set_cross_entropy(logits, torch.ones_like(pair))) == 0
    assert float(losses.set_cross_entropy(logits, torch.zeros_like(pair))) == 0


def test_gradients_are_finite_differences_and_nought_where_ignored():
    logits, truth = case()
    logits.requires_grad_()
    allowed = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(4)) < 0.6
    told = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(5)) < 0.5
    calls = [losses.cross_entropy, losses.focal, losses.dice, losses.lovasz]
    for call in calls:
        assert gradcheck(lambda v, call=call: call(v, truth), (logits,))
        (slope,) = torch.autograd.grad(call(logits, truth), logits)
        assert not slope[0, :, :2].any() and not slope[1, :, 3, 3].any() and slope[1, :, 0].any()
        nothing = call(logits, torch.full_like(truth, 255))
        assert float(nothing.detach()) == 0 and not torch.autograd.grad(nothing, logits)[0].any()
    assert gradcheck(lambda v: losses.set_cross_entropy(v, allowed), (logits,))
    assert gradcheck(lambda v: losses.binary_cross_entropy(v, allowed, told, 3.0), (logits,))
    certain = torch.tensor([[[[100.0]], [[-100.0]]]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(losses.focal(certain, torch.zeros(1, 1, 1, dtype=torch.long), 0.5), certain)
    assert slope.isfinite().all()


def test_cross_entropys_gradient_is_the_answer_less_the_truth():
    logits, truth = case(ignored=False)
    logits.requires_grad_()
    (slope,) = torch.autograd.grad(losses.cross_entropy(logits, truth), logits)
    torch.testing.assert_close(slope, (torch.softmax(logits, 1) - losses.one_hot(truth, 3).double()).detach() / truth.numel())


def test_half_precision_is_summed_in_single():
    logits, truth = case()
    found = losses.cross_entropy(logits.bfloat16(), truth)
    assert found.dtype == torch.float32 and float(found) == pytest.approx(float(losses.cross_entropy(logits.bfloat16().float(), truth)))
