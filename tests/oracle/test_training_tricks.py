"""Initialisations, optimisers, penalties, means of weights, the search of the step size, and the rate of a live run: each against its definition."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from saccade.errors import UsageError
from saccade.training import control
from saccade.training.averaging import EqualAverage, refresh_norms
from saccade.training.engine import Engine
from saccade.training.fit import Feeds, fit
from saccade.training.initialisations import NAMES, RULES, fans, initialise, layers
from saccade.training.optimisers import OPTIMISERS, STARTS, make_optimiser
from saccade.training.penalties import Penalty, read_table, strengths
from saccade.training.progress import Progress
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings
from saccade.training.step_search import search_rate
from tests.support.training import TinyFeed, TinyNet, train


def events(folder, kind):
    return [e for e in map(json.loads, (folder / "events.jsonl").read_text().splitlines()) if e["event"] == kind]


class Deep(TinyNet):
    """Grouped, transposed and plain convolutions and matrices, each wide enough for its variance to be measured."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3, groups=2), nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 32, 2), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 9, 100), nn.ReLU(), nn.Linear(100, 10)),
        )


# variance of a weight by (reads, feeds)
VARIANCES = {
    "he_normal": lambda r, f: 2 / r,
    "he_uniform": lambda r, f: 2 / r,
    "xavier_normal": lambda r, f: 2 / (r + f),
    "xavier_uniform": lambda r, f: 2 / (r + f),
    "lecun_normal": lambda r, f: 1 / r,
    "fan_in_uniform": lambda r, f: 1 / (3 * r),
    "gaussian": lambda r, f: 1e-4,
    "zeros": lambda r, f: 0.0,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_the_variances_are_those_of_the_papers(name):
    net = Deep()
    assert initialise(net, name, seed=1) == 7
    for _, layer in layers(net):
        assert layer.weight.var().item() == pytest.approx(VARIANCES[name](*fans(layer)), rel=5 * math.sqrt(2 / layer.weight.numel()))
        assert not layer.bias.any()


def test_orthogonal_rows_keep_lengths_and_the_rules_have_no_other_name():
    net = Deep()
    initialise(net, "orthogonal", seed=0)
    w = net.net[12].weight.double()
    torch.testing.assert_close(w @ w.T, 2 * torch.eye(100, dtype=torch.float64), atol=1e-5, rtol=0)
    assert set(VARIANCES) | {"orthogonal"} == set(RULES) and {"network", "lsuv", "alexnet2012"} | set(RULES) == set(NAMES)


def test_lsuv_gives_every_layer_unit_variance_and_other_rules_do_not():
    batch = next(TinyFeed(range(256), batch=64).epoch(0))
    for name, least, most in (("lsuv", 0.9, 1.1), ("gaussian", 0.0, 0.3)):
        net, found = Deep(), []
        initialise(net, name, seed=0, batch=batch)
        for _, layer in layers(net):
            layer.register_forward_hook(lambda m, i, o, found=found: found.append(o.var().item()))
        net.eval()(batch)
        assert len(found) == 7 and all(least < v < most for v in found)


def test_alexnet2012_has_its_ones():
    net = Deep()
    initialise(net, "alexnet2012", seed=0)
    assert [layer.bias.unique().item() for _, layer in layers(net)] == [0, 1, 0, 1, 1, 1, 0]  # kernels 2, 4 and 5, hidden matrices


def test_an_initialisation_follows_from_its_seed_and_spares_frozen_layers_and_the_generator():
    nets = [Deep(), Deep(), Deep()]
    nets[2].net[0].weight.requires_grad_(False)
    kept = nets[2].net[0].weight.clone()
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    for net in nets:
        initialise(net, "he_normal", seed=3)
    assert torch.equal(torch.rand(1), first) and torch.equal(nets[2].net[0].weight, kept)
    assert torch.equal(nets[0].net[2].weight, nets[1].net[2].weight) and initialise(nets[0], "network", seed=0) == 0


@pytest.mark.parametrize(("name", "batch"), [("he", None), ("lsuv", None)])
def test_an_initialisation_that_cannot_be_is_refused(name, batch):
    with pytest.raises(UsageError) as refused:
        initialise(TinyNet(), name, seed=0, batch=batch)
    assert refused.value.code == "USE-VALUE" and "--init" in str(refused.value)


def test_the_heavy_ball_is_the_recursion_of_polyak():
    """w(t+1) = w(t) - rate(t) (g + decay w) + momentum (w(t) - w(t-1)), with a rate that falls; torch's SGD agrees while the rate is constant."""
    start, curvature = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64), torch.tensor([1.0, 0.1, 5.0], dtype=torch.float64)
    settings = Settings(epochs=1, rate=0.1, optimiser="heavy_ball", momentum=0.8, weight_decay=0.01)
    w = start.clone().requires_grad_()
    optimiser = make_optimiser([{"params": [w]}], settings)
    a, before = start.clone(), start.clone()
    for step in range(20):
        rate = 0.1 if step < 10 else 0.02
        optimiser.param_groups[0]["lr"] = rate
        w.grad = (curvature * w).detach()
        optimiser.step()
        a, before = a - rate * (curvature * a + 0.01 * a) + 0.8 * (a - before), a
        torch.testing.assert_close(w.detach(), a, rtol=1e-12, atol=1e-12)
    peers = []
    for name in ("heavy_ball", "sgd"):
        w = start.clone().requires_grad_()
        optimiser = make_optimiser([{"params": [w]}], Settings(epochs=1, rate=0.1, optimiser=name, momentum=0.8, weight_decay=0.01))
        for _ in range(20):
            w.grad = (curvature * w).detach()
            optimiser.step()
        peers.append(w.detach())
    torch.testing.assert_close(*peers, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="momentum"):
        make_optimiser([{"params": [w]}], Settings(epochs=1, optimiser="heavy_ball", momentum=1.0))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_lowers_the_loss_from_its_own_start(tmp_path, name):
    start = STARTS[name]
    train(tmp_path, optimiser=name, rate=start.rate or 2e-3, momentum=start.momentum or 0.0, weight_decay=0.0, epochs=3, ema=0.0)
    losses = [row["train_loss"] for row in RunFolder(tmp_path).rows()]
    assert losses[-1] < 0.8 * losses[0]


def test_penalties_are_by_layer_and_the_later_row_wins():
    net = TinyNet()
    table = read_table(["1e-3", "net.0=0.5", "net.5.bias=0.25", "net.1=0"], "--l2")
    assert strengths(net, table, "--l2") == {"net.0.weight": 0.5, "net.0.bias": 0.5, "net.5.weight": 1e-3, "net.5.bias": 0.25}
    assert strengths(net, (), "--l1") == {}
    for text in ("x", "-1", "=3", "net.0=", "inf"):
        with pytest.raises(UsageError):
            read_table([text], "--l1")
    with pytest.raises(UsageError) as refused:
        strengths(net, (("conv1", 0.1),), "--l1")
    assert "net.0" in str(refused.value)


def test_l2_is_the_gradient_of_its_value():
    net = TinyNet().double()
    penalty = Penalty(net, l2=(("", 0.3), ("net.0", 0.7)))
    batch = next(TinyFeed(range(32)).epoch(0))
    batch.inputs = batch.inputs.double()
    net.eval()
    net(batch)["cross_entropy"].backward()
    plain = net.net[0].weight.grad.clone()
    penalty.add_gradients()
    torch.testing.assert_close(net.net[0].weight.grad - plain, 0.7 * net.net[0].weight.detach())
    conv, matrix = net.net[0], net.net[5].weight
    value = 0.35 * (conv.weight.square().sum() + conv.bias.square().sum()) + 0.15 * matrix.square().sum()
    assert penalty.values() == {"l2": pytest.approx(value.item())}


def test_l1_solves_the_lasso_to_its_zeros(tmp_path):
    """Against scikit-learn's coordinate descent, which minimises |y - X w|^2 / 2n + alpha |w|: the same zeros, exactly."""
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 12))
    y = x[:, :4] @ np.array([2.0, -1.5, 1.0, 0.3]) + 0.1 * rng.normal(size=80)
    expected = Lasso(alpha=0.1, fit_intercept=False, tol=1e-10).fit(x, y).coef_
    layer = nn.Linear(12, 1, bias=False).double()
    penalty, optimiser = Penalty(layer, l1=(("", 0.1),)), torch.optim.SGD(layer.parameters(), lr=0.1)
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(400):
        optimiser.zero_grad()
        ((layer(tx)[:, 0] - ty) ** 2).mean().div(2).backward()
        optimiser.step()
        penalty.shrink(optimiser)
    found = layer.weight.detach().numpy()[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found == 0).tolist() == (expected == 0).tolist() and (found == 0).any()


def test_a_run_with_penalties_says_so_and_keeps_weights_small(tmp_path):
    sizes = {}
    for name, l1, l2 in (("none", (), ()), ("l1", (("net.5.weight", 0.05),), ()), ("l2", (), (("", 0.3),))):
        (tmp_path / name).mkdir()
        net = train(tmp_path / name, optimiser="sgd", rate=0.1, weight_decay=0.0, l1=l1, l2=l2, ema=0.0, keep="last")
        sizes[name] = (net.net[5].weight == 0).float().mean().item(), net.net[5].weight.square().sum().item()
        row = RunFolder(tmp_path / name).rows()[-1]
        assert (f"penalty_{name}" in row) == (name != "none")
    assert sizes["none"][0] == 0 and sizes["l1"][0] > 0.3 and sizes["l2"][1] < 0.6 * sizes["none"][1]


def test_the_equal_mean_is_the_mean_of_the_last_epochs():
    net = TinyNet()
    average, taken = EqualAverage(net, 0.5), []
    for epoch in range(1, 9):
        with torch.no_grad():
            net.net[0].weight.add_(torch.randn_like(net.net[0].weight))
        again = average.after_epoch(net, epoch / 8)
        taken.append(net.net[0].weight.detach().clone())
        assert again == (epoch > 4)
        expected = taken[-1] if epoch <= 4 else torch.stack(taken[3:]).mean(0)
        torch.testing.assert_close(average.mean["net.0.weight"], expected)


def test_refreshed_statistics_are_those_of_the_batches():
    net, feed = TinyNet(), TinyFeed(range(256), batch=64)
    refresh_norms(net.train(), feed.epoch(3), Engine("cpu"))
    maps = [net.net[0](batch.inputs) for batch in feed.epoch(3)]
    torch.testing.assert_close(net.net[1].running_mean, torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0))
    torch.testing.assert_close(net.net[1].running_var, torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0))
    assert net.net[1].momentum == 0.1 and all(m.training for m in net.modules())


def test_a_run_with_swa_ends_in_the_mean_and_goes_on_from_any_epoch(tmp_path, monkeypatch):
    options = {"epochs": 8, "ema": 0.0, "swa": 0.5, "schedule": "hold", "keep": "last", "rate": 0.01}
    ends = []
    original = EqualAverage.after_epoch

    def noted(self, module, done):
        ends.append(module.net[5].weight.detach().clone())
        return original(self, module, done)

    monkeypatch.setattr(EqualAverage, "after_epoch", noted)
    whole = train(tmp_path / "whole", **options)
    torch.testing.assert_close(whole.net[5].weight.detach(), torch.stack(ends[3:]).mean(0))
    monkeypatch.setattr(Progress, "end_epoch", _dies_at(6))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "torn", **options)
    monkeypatch.undo()
    resumed = train(tmp_path / "torn", **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))


def _dies_at(epoch):
    original = Progress.end_epoch

    def end_epoch(self):
        if self.epoch + 1 == epoch:
            raise KeyboardInterrupt
        original(self)

    return end_epoch


def test_two_means_at_once_are_refused():
    with pytest.raises(UsageError, match="--average"):
        Settings(epochs=1, ema=0.9, swa=0.75)


def test_the_search_finds_the_best_power_of_two():
    """The cost of every rate that was tried, by plain training of a fresh net; the search begins far too low, and far too high."""
    feed, engine, found = TinyFeed(range(256), batch=64), Engine("cpu"), []
    net = TinyNet()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for rate in (0.001, 4.096):
        curve = search_rate(net, feed, settings=Settings(epochs=1, rate=rate, optimiser="sgd", momentum=0.0, weight_decay=0.0), engine=engine)
        costs = dict(zip(curve.rates, curve.losses, strict=True))
        assert curve.rates == sorted(curve.rates) and costs[curve.rate] == min(costs.values())
        assert any(r > curve.rate for r in curve.rates) and any(r < curve.rate for r in curve.rates)
        found.append(curve.rate)
    assert max(found) / min(found) <= 4
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_the_rate_of_a_live_run_is_changed_recorded_and_survives_a_kill(tmp_path, monkeypatch):
    options = {"epochs": 6, "schedule": "constant", "warmup": 0.0, "ema": 0.0, "rate": 0.01}
    original = Progress.end_epoch

    def end_epoch(self):
        original(self)
        if self.epoch == 2:
            control.write_wish(tmp_path / "run", lr=0.002)

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(Progress, "end_epoch", end_epoch)
    whole = train(tmp_path / "run", **options)
    assert [row["lr"] for row in RunFolder(tmp_path / "run").rows()] == pytest.approx([0.01, 0.01, 0.002, 0.002, 0.002, 0.002])
    assert [(e["epoch"], e["lr"]) for e in events(tmp_path / "run", "control")] == [(2, 0.002)]
    assert not list((tmp_path / "run").glob("control*"))
    monkeypatch.undo()
    (tmp_path / "torn").mkdir()

    def dies(self):
        end_epoch(self)
        if self.epoch == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(control, "NAME", "control.json")
    original_write = control.write_wish
    monkeypatch.setattr(control, "write_wish", lambda folder, **wish: original_write(tmp_path / "torn", **wish))
    monkeypatch.setattr(Progress, "end_epoch", dies)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "torn", **options)
    monkeypatch.undo()
    resumed = train(tmp_path / "torn", **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))


def test_a_run_can_be_told_to_stop_and_a_wish_that_cannot_be_is_an_alert(tmp_path):
    control.write_wish(tmp_path, stop=True)
    train(tmp_path, epochs=5)
    assert len(RunFolder(tmp_path).rows()) == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "control.json").write_text('{"rate": 0.1}')
    train(other, epochs=2)
    told = [e for e in events(other, "alert") if e["code"] == "RUN-CONTROL"]
    assert len(told) == 1 and "rate" in told[0]["text"] and len(RunFolder(other).rows()) == 2
    for text in ("[", "[]", "{}", '{"lr": 0}', '{"lr": "fast"}', '{"lr": true}', '{"stop": 1}', '{"lr": 1e999}'):
        (other / "control.json").write_text(text)
        with pytest.raises(UsageError):
            control.read_wish(other)
    with pytest.raises(UsageError):
        control.write_wish(other, lr=math.nan)


def test_a_plateau_lowers_the_rate_three_times_at_most(tmp_path):
    train(tmp_path, epochs=14, optimiser="sgd", momentum=0.0, rate=1e-12, schedule="plateau", plateau_epochs=2, warmup=0.0, ema=0.0)
    assert [e["factor"] for e in events(tmp_path, "plateau")] == pytest.approx([0.1, 0.01, 0.001])
    with pytest.raises(UsageError, match="plateau"):
        (tmp_path / "blind").mkdir()
        fit(TinyNet(), Feeds(TinyFeed(range(64))), settings=Settings(epochs=1, schedule="plateau"), run=RunFolder(tmp_path / "blind"), engine=Engine("cpu"))


def test_lighting_adds_the_principal_colours_of_imagenet():
    """The offsets of many pictures have the covariance sum (0.1 s)^2 v v', and a mean of 0; grey pictures are left alone."""
    from saccade.data.augment import COMPONENTS, SPREADS, Policy, draw, uniforms

    u = uniforms(0, 0, np.arange(20_000))
    colours = draw(Policy(lighting=0.1), u, (8, 8), 3).colours
    np.testing.assert_array_equal(colours[:, :, :3], np.broadcast_to(np.eye(3), (20_000, 3, 3)))
    expected = 0.01 * (COMPONENTS * SPREADS**2) @ COMPONENTS.T
    np.testing.assert_allclose(np.cov(colours[:, :, 3].T), expected, atol=0.03 * expected.max())
    np.testing.assert_allclose(colours[:, :, 3].mean(0), 0, atol=5e-4)
    np.testing.assert_allclose(COMPONENTS.T @ COMPONENTS, np.eye(3), atol=2e-3)
    assert not draw(Policy(lighting=0.1), u[:5], (8, 8), 1).colours[:, :, 1].any()


def test_activations_by_layer():
    from saccade.core import Inputs
    from saccade.nn.backbones.mlp import ACTIVATIONS, MLP

    inputs = Inputs(1, (3, 3), (0.0,), (1.0,))
    x = torch.randn(5, 1, 3, 3)
    net = MLP(inputs, hidden=(6, 4), activation=("tanh", "leaky_relu"))
    found = net(x, torch.full((5, 2), 3)).maps
    torch.testing.assert_close(found[1][..., 0, 0], torch.tanh(x.flatten(1) @ net.layers[0].weight.T))
    torch.testing.assert_close(found[2][..., 0, 0], nn.functional.leaky_relu(found[1][..., 0, 0] @ net.layers[1].weight.T))
    for name in ACTIVATIONS:
        assert MLP(inputs, hidden=(6, 4), activation=name)(x, torch.full((5, 2), 3)).maps[-1].shape == (5, 4, 1, 1)
    with pytest.raises(ValueError, match="one for each of 2"):
        MLP(inputs, hidden=(6, 4), activation=("relu",))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_steps_are_right_whatever_the_order_in_memory(name):
    """A gradient and a stored state that lie in memory in another order than the weights give the same step as torch's plain loop."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    chance = torch.Generator().manual_seed(0)
    first, *gradients = torch.randn(4, 8, 4, 3, 3, generator=chance)

    def moved(make):
        w = torch.nn.Parameter(first.clone().to(memory_format=torch.channels_last))
        optimiser = make([w])
        for place, gradient in enumerate(gradients):
            w.grad = gradient.to(memory_format=torch.channels_last) if place == 1 else gradient.clone()
            if place == 2:
                stored = optimiser.state_dict()
                stored["state"] = {0: {k: v.clone(memory_format=torch.contiguous_format) for k, v in stored["state"][0].items()}}
                optimiser = make([w])
                optimiser.load_state_dict(stored)
            optimiser.step()
        return w.detach().contiguous()

    settings = Settings(epochs=1, rate=0.1, weight_decay=0.05)
    plain = moved(lambda weights: kinds[name](weights, lr=0.1, weight_decay=0.05, foreach=False))
    torch.testing.assert_close(moved(lambda weights: OPTIMISERS[name]([{"params": weights}], settings)), plain, rtol=1e-5, atol=1e-6)
