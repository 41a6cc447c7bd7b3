"""The messages between layers: against autograd and the graph, named when they vanish or explode, and free of side effects."""

import json
import math
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta, Model, System
from saccade.models.table import build
from saccade.nn.message_passing import ACTIVATIONS, Graph, Node, squared_error
from saccade.targets.label import Label
from saccade.training.engine import Engine
from saccade.training.fit import LISTEN_EVERY, Feeds, fit
from saccade.training.messages import LayerMessage, Recorder, judge, record
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("a", "b", "c"))


def batch(side: int = 16, count: int = 8) -> Batch:
    torch.manual_seed(1)
    meta = [Meta(str(i), (side, side), Geometry.identity((side, side))) for i in range(count)]
    return Batch(torch.rand(count, 1, side, side), torch.tensor([[side, side]] * count), {"label": [Label(i % 3) for i in range(count)]}, meta)


def make(name: str, side: int = 16, **arguments: object) -> Model:
    torch.manual_seed(0)
    return build("classify", name, Inputs(1, (side, side), (0.5,), (0.29,)), SPACE, arguments).train()


class Chain(System):
    """Dense layers of width 20 and squared error, the same as a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(20, 20) for _ in range(4))

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, torch.Tensor]:
        x = batch.inputs.flatten(1)
        for place, layer in enumerate(self.layers):
            x = layer(torch.tanh(x) if place else x)
        return {"error": (x**2).sum() / 2}


def rms(x: torch.Tensor) -> float:
    return x.square().mean().sqrt().item()


def test_the_messages_are_those_of_the_graph():
    torch.manual_seed(0)
    system, x = Chain(), torch.randn(6, 1, 4, 5)
    names = ["x", "0", "1", "2", "3"]
    layers = {c: system.layers[int(c)] for c in names[1:]}
    nodes = {c: Node({p: layers[c].weight.detach()}, layers[c].bias.detach(), ACTIVATIONS["tanh"]) for p, c in pairwise(names)}
    expected = Graph(nodes).run({"x": x.flatten(1)}, {"3": squared_error(torch.zeros(6, 20))})
    found = record(system, Batch(x, torch.tensor([[4, 5]] * 6), {}, []))
    assert [m.name for m in found] == ["layers.0", "layers.1", "layers.2", "layers.3"]
    for (child, node), message in zip(nodes.items(), found, strict=True):
        ((parent, weight),) = node.weights.items()
        assert message.forward_rms == pytest.approx(rms(expected.forward[child]), rel=1e-5)
        assert message.backward_rms == pytest.approx(rms(expected.backward[child]), rel=1e-5)
        assert message.weight_rms == pytest.approx(rms(weight), rel=1e-5)
        assert message.update_ratio == pytest.approx(rms(expected.weights[child, parent]) / rms(weight), rel=1e-5)


def test_recording_changes_nothing():
    system = make("small", dropout=0.5)
    for p in system.parameters():
        p.grad = torch.full_like(p, 0.25)
    before = {k: v.clone() for k, v in system.state_dict().items()}
    own = batch()
    torch.manual_seed(7)
    found = record(system, own)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(3), drawn)
    assert all(torch.equal(v, before[k]) for k, v in system.state_dict().items())
    assert all((p.grad == 0.25).all() for p in system.parameters())
    assert not any(part._forward_hooks for part in system.modules())
    assert found[-1].name == "heads.label.output" and all(m.forward_rms > 0 and m.backward_rms >= 0 for m in found)


@pytest.mark.parametrize(
    ("name", "arguments", "codes"),
    [
        ("mlp", {"hidden": [30] * 8, "activation": "sigmoid"}, ["RUN-VANISH"]),
        ("mlp", {"hidden": [30] * 8, "activation": "relu"}, []),  # cured by the rectifier
        ("plain110", {}, ["RUN-EXPLODE"]),  # batch norm alone makes gradients grow with depth
        ("resnet110", {}, []),  # cured by skips
        ("small", {}, []),
        ("lenet5", {}, []),
    ],
)
def test_vanishing_and_exploding_gradients_are_named(name, arguments, codes):
    side = 32 if name == "lenet5" else 16
    found = judge(record(make(name, side, **arguments), batch(side)))
    assert [alert.code for alert in found] == codes
    assert all("of the weights in backbone." in alert.text and "in heads.label.output" in alert.text for alert in found)


class Sigmoids(System):
    """Sigmoid layers of width 30 on 256 numbers, plain, with batch norm or with skips."""

    def __init__(self, norm: bool, skip: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.skip = nn.Linear(256, 30), nn.Linear(30, 1), skip
        self.hidden = nn.ModuleList(nn.Sequential(nn.Linear(30, 30), nn.BatchNorm1d(30) if norm else nn.Identity()) for _ in range(9))
        for part in self.modules():
            if norm and isinstance(part, nn.BatchNorm1d):
                nn.init.constant_(part.weight, 4.0)  # a sigmoid's slope is at most 1/4

    def forward(self, batch: Batch, phase: str = "all") -> dict[str, torch.Tensor]:
        x = torch.sigmoid(self.first(batch.inputs.flatten(1)))
        for layer in self.hidden:
            x = torch.sigmoid(layer(x)) + (x if self.skip else 0)
        return {"error": self.last(x).square().mean()}


def test_batch_norm_and_skips_cure_sigmoids():
    codes = {(norm, skip): [a.code for a in judge(record(Sigmoids(norm, skip), batch()))] for norm in (False, True) for skip in (False, True)}
    assert codes == {(False, False): ["RUN-VANISH"], (True, False): [], (False, True): [], (True, True): []}


def test_frozen_and_zero_layers_are_passed_over():
    message = LayerMessage("x", 1.0, 1.0, 1.0, math.nan)
    assert judge([message, LayerMessage("last", 1, 1, 1, 1)]) == [] == judge([])
    system = make("small")
    system.backbone.requires_grad_(False)
    found = record(system, batch())
    assert all(math.isnan(m.update_ratio) and math.isnan(m.backward_rms) for m in found[:-1]) and found[-1].update_ratio > 0


class Same:
    """The same batch, four times an epoch."""

    def __len__(self) -> int:
        return 4

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None):
        return (batch() for _ in range(start, 4 if stop is None else stop))


def test_training_says_it_once_and_stores_the_messages(tmp_path):
    run = RunFolder(tmp_path)
    epochs = LISTEN_EVERY + 1
    fit(
        make("mlp", hidden=[20] * 8, activation="sigmoid"), Feeds(Same()), settings=Settings(epochs=epochs), run=run, engine=Engine("cpu"), monitor="train_loss"
    )
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    assert [e["code"] for e in events if e["event"] == "alert" and e["code"] in ("RUN-VANISH", "RUN-EXPLODE")] == ["RUN-VANISH"]
    told = [e for e in events if e["event"] == "messages"]
    assert [e["epoch"] for e in told] == [1, LISTEN_EVERY + 1]
    assert [layer["name"] for layer in told[0]["layers"]] == [*[f"backbone.layers.{i}" for i in range(8)], "heads.label.output"]


def test_listening_costs_little():
    """A recorded step against a plain one; one step in LISTEN_EVERY epochs is recorded."""
    system, own = make("small", 32), batch(32, 16)

    def step(recorded: bool) -> float:
        began = time.process_time()
        if recorded:
            with Recorder(system) as recorder:
                system(own)["cross_entropy"].backward()
            recorder.messages()
        else:
            system(own)["cross_entropy"].backward()
        return time.process_time() - began

    step(True), step(False)
    pairs = [(step(True), step(False)) for _ in range(5)]
    assert min(a for a, _ in pairs) < 2 * min(b for _, b in pairs)  # of one step in 5 epochs: below 1 % from 20 steps an epoch on
