"""Codes: a linear autoencoder against PCA, the denoiser against a known density, the measures of maps by loops, densities by other libraries."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as peer
from sklearn.mixture import GaussianMixture

from saccade.classic import flat_map as maps
from saccade.classic.density import DENSITIES, Gaussian, Kernel, Mixture, Standard
from saccade.classic.flat_map import FlatMap, flat_map, placed
from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta
from saccade.errors import UsageError
from saccade.generative.principal_components import Gathered
from saccade.metrics.representation import Reconstruction, continuity, trustworthiness
from saccade.models.classify import mlp, small
from saccade.models.represent import autoencoder, denoising_autoencoder, pca, stacked_autoencoder
from saccade.targets import ImageTarget
from saccade.training.transfer import take

pytestmark = pytest.mark.oracle
NONE = LabelSpace(())
GREY = Inputs(1, (9, 11), (0.4,), (0.25,))


def vectors(width):
    return Inputs(width, (1, 1), (0.0,) * width, (1.0,) * width)


def batch(inputs):
    sizes = torch.tensor([list(inputs.shape[2:])] * len(inputs))
    meta = [Meta(str(i), tuple(inputs.shape[2:]), Geometry.identity(tuple(inputs.shape[2:]))) for i in range(len(inputs))]
    return Batch(inputs, sizes, {"image": [ImageTarget(picture) for picture in inputs]}, meta)


class Fed:
    """A feed of one epoch in parts."""

    def __init__(self, inputs, size):
        self.parts = [batch(part) for part in inputs.split(size)]
        self.train = self

    def __len__(self):
        return len(self.parts)

    def epoch(self, epoch, start=0, stop=None):
        return iter(self.parts)

    def event(self, kind, **fields):
        pass


def descend(model, draw, steps, rate):
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad()
        inputs = draw()
        sum(model(Batch(inputs, torch.ones(len(inputs), 2), {}, ())).values()).backward()
        optimiser.step()
        schedule.step()


def test_a_linear_autoencoder_spans_the_subspace_of_pca():
    torch.manual_seed(0)
    rows = (torch.randn(400, 8) * torch.tensor([3.0, 2.5, 2.0, 1.0, 0.7, 0.5, 0.4, 0.3])) @ torch.linalg.qr(torch.randn(8, 8))[0]
    model = autoencoder(vectors(8), NONE, codes=3, hidden=())
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=400, tolerance_change=1e-12, line_search_fn="strong_wolfe")
    whole = Batch(rows[:, :, None, None], torch.ones(len(rows), 2), {}, ())

    def closure():
        optimiser.zero_grad()
        loss = model(whole)["squared"]
        loss.backward()
        return loss

    optimiser.step(closure)
    own = model.backbone.necks[0].layer.weight.detach().numpy()
    decoder = model.head.decoder.layers[0].weight.detach().numpy()
    axes = PCA(3).fit(rows.numpy()).components_
    for found in (own.T, decoder):
        assert math.degrees(linalg.subspace_angles(found, axes.T).max()) < 1
    left = ((rows.numpy() - PCA(3).fit(rows.numpy()).inverse_transform(PCA(3).fit_transform(rows.numpy()))) ** 2).mean()
    assert float(model(whole)["squared"]) == pytest.approx(left, rel=0.01)


MEANS, SPREADS, SHARES = np.array([[-1.5, 0.0], [1.2, 1.0], [0.5, -1.5]]), np.array([0.35, 0.5, 0.3]), np.array([0.4, 0.35, 0.25])


def test_the_denoisers_score_is_that_of_a_known_mixture_and_its_answer_the_posterior_mean():
    sigma, chance = 0.5, np.random.default_rng(0)

    def clean(n):
        which = chance.choice(3, n, p=SHARES)
        rows = MEANS[which] + SPREADS[which, None] * chance.standard_normal((n, 2))
        return torch.from_numpy(rows).float()[:, :, None, None]

    torch.manual_seed(0)
    model = denoising_autoencoder(vectors(2), NONE, codes=64, hidden=(64, 64), activation="silu", sigma=sigma)
    descend(model, lambda: clean(512), 1000, 0.01)
    x = clean(4000) + sigma * torch.randn(4000, 2, 1, 1)
    rows = x[:, :, 0, 0].double().numpy()
    variances = SPREADS**2 + sigma**2  # of the noisy data, in each direction
    logs = np.log(SHARES) - ((rows[:, None] - MEANS) ** 2).sum(2) / (2 * variances) - np.log(variances)
    posterior = np.exp(logs - logs.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    score = (posterior[:, :, None] * (MEANS - rows[:, None]) / variances[:, None]).sum(1)
    shrink = (SPREADS**2 / variances)[:, None]
    mean = (posterior[:, :, None] * (MEANS + shrink * (rows[:, None] - MEANS))).sum(1)
    np.testing.assert_allclose(mean, rows + sigma**2 * score, atol=1e-9)  # Tweedie: the two closed forms agree
    with torch.no_grad():
        found, answer = model.score(x)[:, :, 0, 0].numpy(), model.reconstruct(x)[:, :, 0, 0].numpy()
    assert np.linalg.norm(found - score) / np.linalg.norm(score) < 0.1
    assert np.linalg.norm(answer - mean) / np.linalg.norm(mean) < 0.1


def test_the_score_is_of_gaussian_noise_alone():
    model = denoising_autoencoder(vectors(3), NONE, codes=2, hidden=(4,), noise="masking", sigma=0.4)
    x = torch.rand(2000, 3, 1, 1) + 1
    hidden = model.noisy(x, torch.Generator().manual_seed(0)) == 0  # the columns' means are nought here
    assert abs(float(hidden.float().mean()) - 0.4) < 0.03
    with pytest.raises(ValueError, match="masking noise"):
        model.score(x)
    with pytest.raises(UsageError, match="share below 1"):
        from saccade.models.table import build

        build("represent", "denoising_autoencoder", vectors(3), NONE, {"noise": "masking", "sigma": 1.5})


@pytest.mark.parametrize(("n", "k"), [(24, 3), (30, 8)])
def test_trustworthiness_and_continuity_are_scikit_learns_and_those_of_loops(n, k):
    chance = np.random.default_rng(n)
    rows, points = chance.standard_normal((n, 6)), chance.standard_normal((n, 2))
    points[: n // 2] = rows[: n // 2, :2]

    def slow(truth, seen):
        near = lambda values, i: sorted((j for j in range(n) if j != i), key=lambda j: float(((values[i] - values[j]) ** 2).sum()))  # noqa: E731
        total = sum(max(0, near(truth, i).index(j) + 1 - k) for i in range(n) for j in near(seen, i)[:k])
        return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total

    assert trustworthiness(rows, points, k) == pytest.approx(peer(rows, points, n_neighbors=k), abs=1e-12) == pytest.approx(slow(rows, points))
    assert continuity(rows, points, k) == pytest.approx(peer(points, rows, n_neighbors=k), abs=1e-12) == pytest.approx(slow(points, rows))
    assert trustworthiness(rows, rows, k) == 1
    with pytest.raises(ValueError, match="below half"):
        trustworthiness(rows, points, n)


@pytest.mark.parametrize("whiten", [False, True])
def test_the_model_of_principal_components_is_scikit_learns(whiten):
    torch.manual_seed(1)
    inputs = torch.rand(300, 1, 9, 11) * torch.linspace(0.2, 1, 99).view(1, 1, 9, 11)
    model = pca(GREY, NONE, codes=7, whiten=whiten)
    model.estimate(Fed(inputs, 64), Fed(inputs, 64))
    peers = PCA(7, whiten=whiten).fit(inputs.flatten(1).double().numpy())
    codes, expected = model.encode(inputs).numpy(), peers.transform(inputs.flatten(1).double().numpy())
    signs = np.sign((codes * expected).sum(0))
    np.testing.assert_allclose(codes * signs, expected, atol=2e-4)
    np.testing.assert_allclose(model.reconstruct(inputs).flatten(1).numpy(), peers.inverse_transform(expected), atol=1e-5)
    loss, answers = model.evaluate(batch(inputs))
    assert float(loss["squared"]) == pytest.approx(((peers.inverse_transform(expected) - inputs.flatten(1).numpy()) ** 2).mean(), rel=1e-4)
    metric = Reconstruction()
    for answer, picture in zip(answers["image"], inputs, strict=True):
        metric.update(answer, ImageTarget(picture))
    assert metric.compute()["reconstruction_error"].value == pytest.approx(float(loss["squared"]), rel=1e-5)


def test_axes_of_many_wide_rows_come_in_parts(monkeypatch):
    from saccade.generative import principal_components

    monkeypatch.setattr(principal_components, "PART", 200)
    monkeypatch.setattr(principal_components, "WIDEST", 20)
    chance = np.random.default_rng(0)
    rows = (chance.standard_normal((1050, 4)) * [5, 4, 3, 2]) @ np.linalg.qr(chance.standard_normal((30, 4)))[0].T + 0.05 * chance.standard_normal((1050, 30))
    for width in (15, 30):  # moments, and the incremental method
        found = Gathered(4)
        for part in np.array_split(rows[:, :width].astype(np.float32), 13):
            found.add(part)
        mean, variances, axes = found.finish()
        peers = PCA(4).fit(rows[:, :width])
        np.testing.assert_allclose(mean, rows[:, :width].mean(0), atol=1e-5)
        np.testing.assert_allclose(variances, peers.explained_variance_, rtol=0.01)
        assert math.degrees(linalg.subspace_angles(axes.T, peers.components_.T).max()) < 1
    wide = Gathered(3)
    wide.add(rows[:25].astype(np.float32))  # fewer rows than values: by their products with one another
    mean, variances, axes = wide.finish()
    peers = PCA(3).fit(rows[:25].astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(variances, peers.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(np.abs(axes), np.abs(peers.components_), atol=1e-6)
    few = Gathered(5)
    few.add(rows[:3].astype(np.float32))
    with pytest.raises(UsageError, match="5 codes of 3 inputs"):
        few.finish()


KINDS = [
    (autoencoder, {"hidden": (12, 8)}),
    (autoencoder, {"hidden": ()}),
    (autoencoder, {"kind": "convolutional", "widths": (4, 6, 8), "blocks": (1, 1, 1)}),
    (denoising_autoencoder, {"hidden": (12,), "criterion": "logistic"}),
    (stacked_autoencoder, {"hidden": (12, 8)}),
]


@pytest.mark.parametrize(("builder", "arguments"), KINDS, ids=["dense", "linear", "convolutional", "denoising", "stacked"])
@pytest.mark.parametrize("inputs", [GREY, Inputs(3, (16, 24), (0.5,) * 3, (0.25,) * 3)], ids=["grey", "colour"])
def test_every_autoencoder_answers_in_the_shape_of_its_input_and_teaches_all_its_weights(builder, arguments, inputs):
    torch.manual_seed(0)
    model = builder(inputs, NONE, codes=5, **arguments)
    with torch.no_grad():
        for parameter in model.parameters():  # residuals start at nought, behind which nothing is taught
            parameter.add_(0.05 * torch.randn_like(parameter))
    x = torch.rand(6, inputs.channels, *inputs.size)
    sum(model(batch(x)).values()).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
    assert model.encode(x).shape == (6, 5) and model.reconstruct(x).shape == x.shape
    model.eval()
    losses, answers = model.evaluate(batch(x))
    assert answers["image"][0].pixels.shape == x[0].shape
    again, _ = model.evaluate(batch(x))
    assert losses == again  # the noise of validation is always the same


def test_the_logistic_loss_is_the_cross_entropy_and_takes_shares_alone():
    model = autoencoder(GREY, NONE, codes=3, hidden=(5,), criterion="logistic")
    x = torch.rand(4, 1, 9, 11)
    p = model.reconstruct(x).double()
    assert 0 < float(p.min()) and float(p.max()) < 1
    slow = -(x.double() * p.log() + (1 - x.double()) * (1 - p).log()).mean()
    assert float(model(batch(x))["logistic"]) == pytest.approx(float(slow), rel=1e-5)
    with pytest.raises(UsageError, match="expected \\[0, 1\\]"):
        model(batch(x + 1))


def test_differences_can_be_in_units_of_each_columns_deviation():
    inputs = Inputs(2, (1, 1), (1.0, 100.0), (0.5, 20.0))
    model = autoencoder(inputs, NONE, codes=1, hidden=(), standardise=True)
    x = torch.tensor([[1.2, 90.0], [0.4, 130.0]])[:, :, None, None]
    slow = (((model.reconstruct(x) - x)[:, :, 0, 0] / torch.tensor([0.5, 20.0])) ** 2).mean()
    assert float(model(batch(x))["squared"]) == pytest.approx(float(slow), rel=1e-5)


def test_greedy_stages_train_one_layer_and_its_partner_each():
    torch.manual_seed(0)
    model = stacked_autoencoder(GREY, NONE, codes=3, hidden=(7, 5), sigma=0.2, pretrain=0.6)
    stages = model.stages()
    assert [stage.name for stage in stages] == ["layer 0", "layer 1", "layer 2", "all"]
    assert [stage.epochs for stage in stages] == pytest.approx([0.2, 0.2, 0.2, 0.4])
    x = torch.rand(8, 1, 9, 11)
    for k, stage in enumerate(stages[:-1]):
        before = {name: value.clone() for name, value in model.named_parameters()}
        phase = stage.phases[0]
        optimiser = torch.optim.SGD(phase.groups(), 0.05)
        optimiser.zero_grad()
        sum(model(batch(x), phase.name).values()).backward()
        optimiser.step()
        moved = {name.rsplit(".", 1)[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        encoder = f"backbone.backbone.layers.{k}" if k < 2 else "backbone.necks.0.layer"
        assert moved == {encoder, f"heads.image.decoder.layers.{2 - k}"}
    model.sigma = 1e-9
    h = model.below(1, x)
    assert torch.allclose(h, torch.relu(model.encoders[0](model.mlp.normalise(x).flatten(1))))
    slow = ((torch.relu(model.partners[1](torch.relu(model.encoders[1](h)))) - h) ** 2).mean() / h.var()
    assert float(model.layer_loss(1, batch(x))["layer"].detach()) == pytest.approx(float(slow.detach()), rel=1e-4)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_classifier_begins_with_the_encoder(kind):
    space = LabelSpace(("a", "b"))
    arguments = {"hidden": (6, 4)} if kind == "dense" else {"widths": (4, 6), "blocks": (1, 1)}
    source = autoencoder(GREY, NONE, codes=3, kind=kind, **arguments)
    own = (mlp if kind == "dense" else small)(GREY, space, **arguments)
    taken = take(own, source.state_dict(), heads=False, where="x")
    assert all(name.startswith("heads.") for name in taken.fresh)
    x = torch.rand(2, 1, 9, 11)
    last = own.eval().backbone(x, batch(x).sizes).maps[-1]
    assert torch.equal(last, source.eval().backbone(x, batch(x).sizes).maps[-2])


# -- densities of codes ----------------------------------------------------------------------------------------------


def test_densities_are_those_of_other_libraries():
    chance = np.random.default_rng(3)
    rows = np.concatenate([chance.standard_normal((150, 2)) * [1, 0.4] + [2, 0], chance.standard_normal((100, 2)) * 0.6 - [2, 1]])
    asked = chance.standard_normal((20, 2)) * 2
    gaussian = Gaussian().fit(rows)
    np.testing.assert_allclose(gaussian.log_density(asked), stats.multivariate_normal(rows.mean(0), np.cov(rows.T, bias=True)).logpdf(asked), rtol=1e-4)
    np.testing.assert_allclose(Standard().fit(rows).log_density(asked), stats.multivariate_normal([0, 0], np.eye(2)).logpdf(asked))
    peer_mixture = GaussianMixture(2, random_state=0, max_iter=200).fit(rows)
    np.testing.assert_allclose(Mixture(2).fit(rows).log_density(asked), peer_mixture.score_samples(asked), atol=1e-3)
    kernel = Kernel(0.3).fit(rows)
    white = gaussian.whitened(rows)
    slow = [np.log(np.mean([stats.multivariate_normal(centre, 0.09).pdf(point) for centre in white])) for point in gaussian.whitened(asked)]
    np.testing.assert_allclose(kernel.log_density(asked), np.array(slow) - gaussian.log_scale, atol=1e-6)
    assert Mixture().fit(rows).means.shape[0] == 2  # two clouds, and the criterion finds them


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_integrate_to_one_and_samples_follow_them(name):
    chance = np.random.default_rng(4)
    rows = chance.standard_normal((200, 2)) @ np.array([[1.0, 0.5], [0.0, 0.6]]) + [0.5, -0.5]
    density = DENSITIES[name]().fit(rows)
    axis = np.linspace(-7, 7, 71)
    grid = np.array(list(itertools.product(axis, axis)))
    assert np.exp(density.log_density(grid)).sum() * 0.04 == pytest.approx(1, abs=0.01)
    drawn = density.sample(40_000, chance)
    shares = np.exp(density.log_density(grid))
    mean = (shares[:, None] * grid).sum(0) * 0.04
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.03)
    spread = (shares[:, None] * (grid - mean) ** 2).sum(0) * 0.04
    np.testing.assert_allclose(drawn.var(0), spread, rtol=0.06)


def test_codes_without_a_density_are_refused():
    for bad in (np.zeros((2, 3)), np.full((5, 2), np.nan), np.zeros(5)):
        with pytest.raises(ValueError, match="n from 3"):
            Gaussian().fit(bad)


# -- maps ------------------------------------------------------------------------------------------------------------


def clouds():
    chance = np.random.default_rng(5)
    return np.concatenate([chance.standard_normal((40, 6)) * 0.3 + centre for centre in (np.zeros(6), np.eye(6)[0] * 6, np.eye(6)[1] * 6)])


@pytest.mark.parametrize("library", ["openTSNE", "scikit-learn"])
def test_a_map_keeps_neighbours_and_new_points_land_in_their_cloud(library, monkeypatch):
    if library == "openTSNE":
        pytest.importorskip("openTSNE")
    else:
        monkeypatch.setattr(maps, "has_open_tsne", lambda: False)
    codes = clouds()
    found = flat_map(codes, perplexity=10)
    assert (found.by, found.method, found.perplexity) == (library, "tsne", 10)
    assert trustworthiness(codes, found.points, 5) > 0.9
    centres = np.stack([found.points[i * 40 : (i + 1) * 40].mean(0) for i in range(3)])
    new = placed(clouds()[[0, 50, 100]] + 0.01, codes, found)
    assert new.by == ("placed by openTSNE" if library == "openTSNE" else "placed among the nearest 15 codes")
    assert np.argmin(((new.points[:, None] - centres) ** 2).sum(2), 1).tolist() == [0, 1, 2]


def test_a_map_of_principal_components_takes_new_points_exactly():
    codes = clouds()
    found = flat_map(codes, method="pca")
    np.testing.assert_allclose(np.abs(found.points), np.abs(PCA(2).fit_transform(codes)), atol=1e-9)
    np.testing.assert_allclose(placed(codes[3:5], codes, found).points, found.points[3:5], atol=1e-9)
    short = flat_map(codes[:, :2])
    assert short.by == "the codes themselves" and np.array_equal(short.points, codes[:, :2])
    assert np.array_equal(flat_map(codes[:, :1]).points[:, 1], np.zeros(len(codes)))
    with pytest.raises(ValueError, match="new ones have 3"):
        placed(codes[:, :3], codes, found)
    with pytest.raises(ValueError, match="120 codes were given"):
        placed(codes, codes, FlatMap(found.points[:-1], "pca", ""))
