"""Networks over sequences, volumes and graphs: padding and the order of nodes change nothing; dense matrices as the slow definition."""

import copy

import pytest
import torch

from saccade.core import Batch, Geometry, Meta, Model
from saccade.nn.backbones.convnets import AxesConv, Conv1dNet, Conv3dNet
from saccade.nn.graph import Edges, GraphConvolution, GraphNet, graph_means
from saccade.nn.heads.classify import Classify
from saccade.targets import Label

pytestmark = pytest.mark.oracle
NETS = {
    "sequence": (Conv1dNet, {}, [(13,), (7,), (9,)]),
    "dilated": (Conv1dNet, {"dilated": True, "kernel": 5, "norm": "group"}, [(13,), (7,), (9,)]),
    "volume": (Conv3dNet, {"mean": [0.3, 0.2], "std": [0.5, 2.0]}, [(5, 9, 6), (7, 4, 8), (6, 6, 3)]),
    "volume, no norm": (Conv3dNet, {"norm": "none"}, [(5, 9, 6), (7, 4, 8), (6, 6, 3)]),
}
nets = pytest.mark.parametrize("name", NETS)


def model_of(name: str) -> Model:
    torch.manual_seed(0)
    kind, options, _ = NETS[name]
    backbone = kind(2, widths=(4, 8, 8), **options)
    return Model(backbone, {"label": Classify(backbone.levels[-1], 3, pool="average_max", reach=backbone.reach)}).double()


def batch_of(name: str, more: int = 0) -> Batch:
    """Samples of several sizes in one batch, rubbish around them."""
    torch.manual_seed(1)
    samples = [torch.rand(2, *size, dtype=torch.float64) for size in NETS[name][2]]
    sizes = torch.tensor([sample.shape[1:] for sample in samples])
    inputs = torch.full((len(samples), 2, *(sizes.amax(0) + more).tolist()), 7.7, dtype=torch.float64)
    for row, sample in enumerate(samples):
        inputs[(row, slice(None), *(slice(side) for side in sample.shape[1:]))] = sample
    meta = [Meta(str(i), (1, 1), Geometry.identity((1, 1))) for i in range(len(samples))]
    return Batch(inputs, sizes, {"label": [Label(i % 3) for i in range(len(samples))]}, meta)


@nets
def test_padding_changes_nothing(name):
    model = model_of(name).eval()
    together, both = batch_of(name, 5), model_of(name).train()
    for row, logits in enumerate(model.outputs(together.inputs, together.sizes)["label"].logits):
        size = together.sizes[row].tolist()
        cut = together.inputs[(slice(row, row + 1), slice(None), *(slice(side) for side in size))]
        torch.testing.assert_close(model.outputs(cut, torch.tensor([size]))["label"].logits[0], logits, rtol=1e-9, atol=1e-11)
    tight, wide = copy.deepcopy(both), copy.deepcopy(both)
    losses = [sum(m(b).values()) for m, b in ((tight, batch_of(name)), (wide, together))]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(tight.state_dict(), wide.state_dict(), rtol=1e-9, atol=1e-11)


@nets
def test_levels_are_measured_and_gradients_reach_every_parameter(name):
    model, batch = model_of(name).train(), batch_of(name)
    for level, found in zip(model.backbone.levels, model.backbone(batch.inputs, batch.sizes).maps, strict=True):
        assert found.shape[1] == level.channels
        assert list(found.shape[2:]) == [-(-side // level.stride) for side in batch.inputs.shape[2:]]
    sum(model(batch).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@nets
def test_one_batch_can_be_learned_and_no_sample_leaks_into_another(name):
    model, batch = model_of(name).train(), batch_of(name)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(80):
        loss = sum(model(batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2
    batch.inputs.requires_grad_()
    model.eval().outputs(batch.inputs, batch.sizes)["label"].logits[0].sum().backward()
    assert batch.inputs.grad[0].abs().sum() > 0 == batch.inputs.grad[1:].abs().sum()


def test_a_volume_of_one_line_is_a_sequence():
    """The 3-D convolution of (1, 1, T) with the middle of its kernel is the 1-D one."""
    torch.manual_seed(0)
    line, volume = AxesConv(1, 2, 3, dilation=2, norm="none").double(), AxesConv(3, 2, 3, dilation=2, norm="none").double()
    with torch.no_grad():
        line.conv.weight.copy_(volume.conv.weight[:, :, 1, 1])
    x = torch.rand(2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(volume(x[:, :, None, None])[0][:, :, 0, 0], line(x)[0])


def test_inputs_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"takes \(N, C, T\) and sizes \(N, 1\), got \(1, 2, 4, 4\)"):
        Conv1dNet(2)(torch.zeros(1, 2, 4, 4), torch.tensor([[4, 4]]))
    with pytest.raises(ValueError, match="kernel be odd"):
        Conv3dNet(2, kernel=4)
    with pytest.raises(ValueError, match=r"one number a channel \(2\), got 3 and 2"):
        Conv1dNet(2, mean=[0.0, 0.0, 0.0])


LINKS = torch.tensor([[0, 1, 2, 0, 5, 3, 3, 1], [1, 2, 0, 3, 4, 3, 0, 0]])  # a loop at 3, 0-1 and 0-3 twice; node 6 alone


def dense(links: torch.Tensor, nodes: int) -> torch.Tensor:
    matrix = torch.eye(nodes, dtype=torch.float64)
    for i, j in links.T.tolist():
        matrix[i, j] = matrix[j, i] = 1.0
    root = matrix.sum(1).rsqrt().diag()
    return root @ matrix @ root


def test_graph_convolution_is_the_product_of_dense_matrices():
    torch.manual_seed(0)
    layer, x = GraphConvolution(4, 3).double(), torch.rand(7, 4, dtype=torch.float64, requires_grad=True)
    torch.nn.init.normal_(layer.linear.bias)
    edges = Edges(LINKS, 7).double()
    wanted = dense(LINKS, 7) @ x @ layer.linear.weight.T + layer.linear.bias
    torch.testing.assert_close(layer(x, edges), wanted, rtol=1e-6, atol=1e-7)  # factors are made in float32
    assert torch.autograd.gradcheck(lambda t: layer(t, edges), (x,))


def test_the_order_of_the_nodes_does_not_matter():
    torch.manual_seed(0)
    net, x, order = GraphNet((4, 5, 3)).double().eval(), torch.rand(7, 4, dtype=torch.float64), torch.randperm(7)
    place = torch.argsort(order)
    plain, mixed = net(x, Edges(LINKS, 7)), net(x[order], Edges(place[LINKS], 7))
    torch.testing.assert_close(mixed, plain[order])


def test_two_graphs_in_one_are_two_graphs_and_their_means():
    torch.manual_seed(0)
    net, x = GraphNet((4, 3)).eval(), torch.rand(10, 4)
    small = torch.tensor([[0, 1], [1, 2]])
    together = net(x, Edges(torch.cat([LINKS, small + 7], 1), 10))
    apart = [net(x[:7], Edges(LINKS, 7)), net(x[7:], Edges(small, 3))]
    torch.testing.assert_close(together, torch.cat(apart))
    means = graph_means(together, torch.tensor([0] * 7 + [2] * 3), 3)
    torch.testing.assert_close(means, torch.stack([apart[0].mean(0), torch.zeros(3), apart[1].mean(0)]))


def test_a_few_labels_spread_over_two_communities():
    """A net that sees the edges beats one that sees the features alone (the paper's figure of merit, on a planted partition)."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(120) % 2
    linked = torch.rand(120, 120, generator=generator) < torch.where(truth[:, None] == truth, 0.12, 0.01)
    x = torch.randn(120, 8, generator=generator) + 0.4 * truth[:, None]
    known, score = slice(0, 6), {}
    for name, links in (("edges", linked.triu(1).nonzero().T), ("none", torch.zeros(2, 0, dtype=torch.long))):
        torch.manual_seed(0)
        net, edges = GraphNet((8, 16, 2)), Edges(links, 120)
        optimiser = torch.optim.Adam(net.parameters(), 0.01, weight_decay=5e-4)
        for _ in range(100):
            loss = torch.nn.functional.cross_entropy(net(x, edges)[known], truth[known])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        score[name] = (net.eval()(x, edges).argmax(1) == truth)[6:].double().mean().item()
    assert score["edges"] > 0.9 and score["edges"] > score["none"] + 0.15, score


def test_links_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.1, got 0\.\.2"):
        Edges(torch.tensor([[0], [2]]), 2)
    with pytest.raises(ValueError, match=r"\(2, E\)"):
        Edges(torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match="inputs and the outputs"):
        GraphNet((3,))
