"""VAE, GAN and diffusion against their definitions: Monte Carlo, closed forms, loops and autograd."""

import math

import pytest
import torch
import torch.nn.functional as F

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta
from saccade.generative.base import noise_rows
from saccade.generative.diffusion import Schedule, ancestral, implicit, inverted
from saccade.generative.gan import discriminator_loss, generator_loss, slope_penalty
from saccade.generative.vae import Posterior, bernoulli, free_kl, normal
from saccade.generative.walks import between, effects, sliders
from saccade.models.generate import dcgan, ddpm, latent_ddpm, vae
from saccade.targets import Label, Labels

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("a", "b", "c"))
SMALL = {"width": 8, "hidden": 16}
TINY = {"width": 8, "factors": (1, 2), "times": 20, "sampling_steps": 5}


def inputs(size=(8, 8), channels=1):
    return Inputs(channels, size, (0.0,) * channels, (1.0,) * channels)


def batch(n=6, size=(8, 8), channels=1, seed=0):
    pictures = torch.rand(n, channels, *size, generator=torch.Generator().manual_seed(seed))
    metas = [Meta(str(i), size, Geometry.identity(size)) for i in range(n)]
    return Batch(pictures, torch.tensor([size] * n), {"label": [Label(i % 3) for i in range(n)]}, metas)


# -- the variational autoencoder -----------------------------------------------------------------------------------------


def test_the_divergence_is_what_monte_carlo_says():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(3, 4, generator=generator).double(), torch.randn(3, 4, generator=generator).double()
    posterior = Posterior(mean, log_variance)
    draws = posterior.mean + (0.5 * log_variance).exp() * torch.randn(100_000, 3, 4, generator=generator).double()
    log_q = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(draws)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(draws)
    torch.testing.assert_close(posterior.kl(), (log_q - log_p).mean(0), atol=0.03, rtol=0.02)
    exact = torch.distributions.kl_divergence(torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(posterior.kl(), exact)


def test_densities_are_torchs():
    x, mean, log_variance = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).unbind(0)
    expected = torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(normal(x, mean, log_variance), expected)
    coins = (x > 0).double()
    torch.testing.assert_close(bernoulli(coins, mean), torch.distributions.Bernoulli(logits=mean).log_prob(coins).flatten(1).sum(1))


def test_free_bits_by_a_loop():
    kl = torch.rand(7, 3, generator=torch.Generator().manual_seed(2)) / 3
    expected = sum(max(0.2, float(kl[:, j].mean())) for j in range(3))
    assert float(free_kl(kl, 0.2)) == pytest.approx(expected) and float(free_kl(kl, 0.0)) == pytest.approx(float(kl.sum()) / 7)


@pytest.mark.parametrize("arguments", [{}, {"kind": "dense", "likelihood": "gaussian", "conditional": True}, {"binarise": "threshold"}])
def test_more_importance_samples_give_a_higher_bound_than_the_elbo(arguments):
    torch.manual_seed(0)
    model = vae(inputs(), SPACE, codes=3, **SMALL, **arguments).eval()
    given = batch(40)
    with torch.no_grad():
        model.decoder.stem[0].weight.mul_(4)  # a posterior that is visibly not the true one
        elbos = torch.tensor([sum(facts["elbo"] for facts in model.facts(given)[1]) / 40])
        one, many = (float(model.importance_weighted(given, n).mean()) for n in (1, 200))
    assert many > one and many > float(elbos)
    losses, facts = model.facts(given)
    assert sum(facts[0][key] for key in ("reconstruction",)) - facts[0]["kl"] == pytest.approx(facts[0]["elbo"])
    assert float(losses["reconstruction"].detach() + losses["kl"].detach()) == pytest.approx(-sum(f["elbo"] for f in facts) / 40, rel=1e-5)


def test_the_likelihood_of_a_linear_gaussian_model_is_found():
    """x = w z + noise: log p(x) is known, and importance weights with the true posterior give it with one sample."""
    model = vae(inputs((8, 8)), LabelSpace(()), codes=1, likelihood="gaussian", kind="dense", **SMALL)
    w, variance = torch.linspace(-0.1, 0.1, 64), 0.05

    class Linear(torch.nn.Module):
        def forward(self, codes, told=None):
            return (0.5 + codes * w).view(-1, 1, 8, 8)

    class Exact(torch.nn.Module):
        def forward(self, x, told=None):
            precision = 1 + w.square().sum() / variance
            mean = ((x.flatten(1) + 1) / 2 - 0.5) @ w / variance / precision
            return torch.stack([mean, torch.full_like(mean, -math.log(precision))], 1)

    model.decoder, model.encoder = Linear(), Exact()
    model.log_variance.data.fill_(math.log(variance))
    given = batch(5)
    covariance = torch.outer(w, w) + variance * torch.eye(64)
    expected = torch.distributions.MultivariateNormal(torch.full((64,), 0.5), covariance).log_prob(given.inputs.flatten(1))
    torch.testing.assert_close(model.importance_weighted(given, 1), expected, atol=2e-3, rtol=1e-4)
    with torch.no_grad():
        draws = torch.tensor([[f["elbo"] for f in model.facts(Batch(given.inputs, given.sizes, {}, [m] * 5))[1]] for m in _metas(200)])
    torch.testing.assert_close(draws.mean(0), expected, atol=0.3, rtol=0.01)  # the bound is tight where q is the posterior


def _metas(n):
    return [Meta(f"x{i}", (8, 8), Geometry.identity((8, 8))) for i in range(n)]


# -- the adversarial pair ------------------------------------------------------------------------------------------------


def test_the_players_losses_are_their_definitions():
    real, drawn = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).unbind(0)
    p, q = torch.sigmoid(real), torch.sigmoid(drawn)
    torch.testing.assert_close(discriminator_loss(real, drawn), (-(p.log().mean()) - (1 - q).log().mean()).float())
    torch.testing.assert_close(generator_loss(drawn), -(q.log().mean()).float())
    torch.testing.assert_close(generator_loss(drawn, "minimax"), (1 - q).log().mean().float())


def test_their_gradients_are_their_definitions_and_the_minimax_one_vanishes_when_the_discriminator_wins():
    for logit in (-30.0, -3.0, 0.0, 2.0):
        drawn = torch.full((1,), logit, requires_grad=True)
        d = 1 / (1 + math.exp(-logit))
        for kind, expected in (("minimax", -d), ("non_saturating", d - 1)):
            (slope,) = torch.autograd.grad(generator_loss(drawn, kind), drawn)
            assert float(slope) == pytest.approx(expected, abs=1e-6)
    drawn = torch.full((1,), -30.0, requires_grad=True)
    slopes = [abs(float(torch.autograd.grad(generator_loss(drawn, kind), drawn)[0])) for kind in ("minimax", "non_saturating")]
    assert slopes[0] < 1e-12 and slopes[1] == pytest.approx(1.0)


def test_each_phase_teaches_its_player_alone_and_the_penalty_is_the_slope():
    torch.manual_seed(0)
    model = dcgan(inputs(), SPACE, codes=4, width=4, spectral=False, gradient_penalty=2.0, discriminator_steps=3, conditional=True).train()
    assert [(phase.name, phase.repeat) for phase in model.stages()[0].phases] == [("discriminator", 3), ("generator", 1)]
    sum(model(batch(), "discriminator").values()).backward()
    assert all(p.grad is None for p in model.generator.parameters()) and all(p.grad is not None for p in model.discriminator.parameters())
    linear = torch.nn.Linear(64, 1, dtype=torch.float32)
    penalty = slope_penalty(lambda x, told: linear(x.flatten(1)), torch.rand(5, 1, 8, 8), None)
    assert float(penalty.detach()) == pytest.approx(0.5 * float(linear.weight.detach().square().sum()), rel=1e-5)


def test_spectral_normalisation_bounds_every_kernel():
    torch.manual_seed(0)
    model = dcgan(inputs((16, 16)), LabelSpace(()), width=8).train()
    for _ in range(30):
        model(batch(4, (16, 16)), "discriminator")
    norms = [
        torch.linalg.matrix_norm(part.weight.flatten(1), 2) for part in model.discriminator.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)
    ]
    assert len(norms) >= 2 and all(float(norm.detach()) == pytest.approx(1.0, abs=0.05) for norm in norms)


# -- diffusion -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_posterior_of_a_step_is_bayes(name):
    """p(x_(t-1) | x_t, x_0) from the two normal distributions q(x_(t-1) | x_0) and q(x_t | x_(t-1))."""
    schedule = Schedule(name, 50)
    x, x_t = torch.tensor([[0.7], [-0.2], [0.4]], dtype=torch.float64), torch.tensor([[0.1], [1.3], [-0.6]], dtype=torch.float64)
    t = torch.tensor([1, 20, 49])
    mean, variance = schedule.posterior(x, x_t, t)
    for i, step in enumerate(t.tolist()):
        before, beta = float(schedule.kept[step - 1]), float(schedule.betas[step])
        prior_mean, prior_variance = math.sqrt(before) * float(x[i]), 1 - before
        precision = 1 / prior_variance + (1 - beta) / beta
        assert float(variance[i]) == pytest.approx(1 / precision, rel=1e-9)
        expected = (prior_mean / prior_variance + math.sqrt(1 - beta) * float(x_t[i]) / beta) / precision
        assert float(mean[i]) == pytest.approx(expected, rel=1e-9)
    assert float(schedule.posterior(x, x_t, torch.zeros(3, dtype=torch.int64))[1].abs().max()) == 0
    torch.testing.assert_close(schedule.kept, torch.tensor([math.prod(1 - float(b) for b in schedule.betas[: k + 1]) for k in range(50)], dtype=torch.float64))


def exact(schedule, mean, variance):
    """The best prediction where the pictures are normal: of the noise E[noise | x_t], or of v."""

    def network(x_t, t):
        kept = schedule.kept[t].view(-1, 1)
        total = kept * variance + 1 - kept
        noise = (1 - kept).sqrt() * (x_t - kept.sqrt() * mean) / total
        clean = mean + kept.sqrt() * variance / total * (x_t - kept.sqrt() * mean)
        return noise if schedule.prediction == "epsilon" else kept.sqrt() * noise - (1 - kept).sqrt() * clean

    return network


@pytest.mark.parametrize(("name", "prediction"), [("linear", "epsilon"), ("cosine", "v")])
def test_sampling_with_the_exact_score_recovers_a_gaussian(name, prediction):
    schedule, generator = Schedule(name, 300, prediction), torch.Generator().manual_seed(0)
    mean, variance = torch.tensor([0.5, -0.3], dtype=torch.float64), torch.tensor([0.04, 0.3], dtype=torch.float64)
    start = torch.randn(4000, 2, generator=generator, dtype=torch.float64)
    network = exact(schedule, mean, variance)
    for found in (
        ancestral(schedule, network, start, generator),
        implicit(schedule, network, start, steps=150),
        implicit(schedule, network, start, steps=300, eta=1.0, generator=generator),
    ):
        torch.testing.assert_close(found.mean(0), mean, atol=0.03, rtol=0.03)
        torch.testing.assert_close(found.var(0), variance, atol=0.006, rtol=0.08)


def test_ddim_is_a_function_of_the_noise_and_its_inverse_brings_the_noise_back():
    schedule = Schedule("cosine", 200, "v")
    network = exact(schedule, torch.tensor([0.2], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64))
    start = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    one, again = implicit(schedule, network, start, steps=200), implicit(schedule, network, start, steps=200)
    assert torch.equal(one, again)
    torch.testing.assert_close(inverted(schedule, network, one, steps=200), start, atol=0.05, rtol=0.05)


def test_the_loss_is_the_mean_squared_error_of_what_is_to_be_predicted():
    for prediction in ("epsilon", "v"):
        schedule = Schedule("linear", 10, prediction)
        x, noise, t = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3), torch.tensor([0, 3, 6, 9])
        noised, goal = schedule.noised(x, t, noise), schedule.goal(x, t, noise)
        clean, back = schedule.parts(noised, t, goal)
        torch.testing.assert_close(clean, x, atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(back, noise, atol=2e-4, rtol=1e-3)


def test_guidance_is_linear_between_told_and_untold():
    torch.manual_seed(0)
    model = ddpm(inputs(), SPACE, conditional=True, **TINY).eval()
    for part in model.network.modules():  # the last layers start at nought
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, 0, 0.1)
    x, t, told = torch.randn(2, 1, 8, 8), torch.tensor([3, 9]), F.one_hot(torch.tensor([0, 2]), 3).float()
    with torch.no_grad():
        without, with_, twice = (model.predictor(told, g)(x, t) for g in (0.0, 1.0, 2.0))
    torch.testing.assert_close(twice, without + 2 * (with_ - without), atol=1e-5, rtol=1e-4)
    assert float((with_ - without).abs().max()) > 1e-4


# -- what all have -------------------------------------------------------------------------------------------------------

EVERY = [
    (vae, SMALL),
    (vae, {**SMALL, "conditional": True, "kind": "dense"}),
    (dcgan, {"width": 4, "codes": 5}),
    (dcgan, {"width": 4, "codes": 5, "conditional": True, "spectral": False}),
    (ddpm, TINY),
    (ddpm, {**TINY, "conditional": True, "prediction": "epsilon", "schedule": "linear"}),
    (latent_ddpm, {**TINY, "factors": (1,), "halvings": 1, "autoencoder_width": 8, "conditional": True}),
]


@pytest.mark.parametrize(("build", "arguments"), EVERY)
@pytest.mark.parametrize("size", [(8, 8), (13, 10)])
def test_a_sample_depends_on_its_seed_and_number_alone(build, arguments, size):
    torch.manual_seed(0)
    model = build(inputs(size), SPACE, **arguments).eval()
    many = model.sample(5, seed=3)
    assert many.shape == (5, 1, *size) and bool((many >= 0).all()) and bool((many <= 1).all())
    torch.testing.assert_close(model.sample(2, seed=3, first=2, labels=[2, 0] if model.classes else None), many[2:4], atol=2e-5, rtol=1e-4)
    if model.steps is not None:  # fresh noise in every step follows from the row's own too
        torch.testing.assert_close(model.sample(1, seed=3, first=1, labels=[1] if model.classes else None, eta=0.7), model.sample(3, seed=3, eta=0.7)[1:2])
    assert not torch.equal(model.noise(2, seed=3), model.noise(2, seed=4))
    given = batch(4, size)
    with torch.no_grad():
        losses, seen = model.evaluate(given)
        again, _ = model.evaluate(given)
        if model.encodes:
            assert model.encode(given.inputs).shape == (4, *model.noise_shape)
        model.outputs(given.inputs, given.sizes)
    assert all(torch.equal(losses[key], again[key]) for key in losses) and len(seen["label"]) == 4
    for stage in model.stages():
        for phase in stage.phases:
            assert set(model(given, phase.name)) and all(group["params"] for group in phase.groups())


def test_noise_is_normal_and_told_is_what_the_targets_say():
    rows = noise_rows([(0, i) for i in range(400)], (50,))
    assert abs(float(rows.mean())) < 0.02 and float(rows.var()) == pytest.approx(1.0, abs=0.03)
    assert abs(float(torch.corrcoef(rows[:2])[0, 1])) < 0.5
    model = vae(inputs(), SPACE, conditional=True, **SMALL)
    given = batch(4)
    given.targets["label"][:] = [Label(2), None, Labels(torch.tensor([1, 0, -1])), Label(0, torch.tensor([0.25, 0.5, 0.25]))]
    assert model.told(given).tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0.25, 0.5, 0.25]]
    for wrong, what in ((torch.zeros(2, 2), "vectors"), ([0, 3], "class ids")):
        with pytest.raises(ValueError, match=what):
            model.told_of(wrong, 2)
    with pytest.raises(ValueError, match="without classes"):
        vae(inputs(), SPACE, **SMALL).told_of([0], 1)
    with pytest.raises(ValueError, match="no classes"):
        vae(inputs(), LabelSpace(()), conditional=True, **SMALL)


def test_walks():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    arc = between(a, b, 3, spherical=True)
    torch.testing.assert_close(arc[1], torch.tensor([1.0, 1.0]) * 3 / math.sqrt(2))
    torch.testing.assert_close(between(a, b, 3, spherical=False)[1], torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(between(a, -a, 2, spherical=True), torch.stack([a, -a]))
    rows = sliders(torch.zeros(4), [2], n=3)
    assert rows.tolist() == [[[0, 0, -3, 0], [0, 0, 0, 0], [0, 0, 3, 0]]]
    model = vae(inputs(), LabelSpace(()), codes=3, **SMALL)
    with torch.no_grad():
        model.decoder.stem[0].weight[:, 1] = 0
    assert int(effects(model).argmin()) == 1 and float(effects(model)[1]) == 0
