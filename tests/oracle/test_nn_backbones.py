"""Layers and initialisations against their definitions in the papers."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.lenet import TABLE, LeNet5, TableConvolution
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.backbones.resnet_cifar import CifarResNet
from saccade.nn.backbones.small import Small
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import BasicBlock, Bottleneck, ConvNorm, Flow, ScaledTanh, ZeroPadShortcut, kaiming

pytestmark = pytest.mark.oracle
RGB = Inputs(3, (32, 32), (0.5,) * 3, (0.25,) * 3)


def test_the_table_of_c3_is_the_papers():
    assert [len(sources) for sources in TABLE] == [3] * 6 + [4] * 9 + [6]
    assert TABLE[4] == (0, 4, 5) and TABLE[9] == (0, 3, 4, 5) and TABLE[12:15] == ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5))
    assert [sum(i in sources for sources in TABLE) for i in range(6)] == [10] * 6 and len(set(TABLE)) == 16


def test_c3_is_the_sum_over_its_connected_maps():
    torch.manual_seed(0)
    layer, x = TableConvolution().double(), torch.randn(1, 6, 7, 6, dtype=torch.float64)
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    result, kernels = layer(x)[0], iter(layer.weight)
    for output, sources in enumerate(TABLE):
        chosen = {source: next(kernels) for source in sources}
        for i, j in itertools.product(range(3), range(2)):
            total = layer.bias[output] + sum((kernel * x[0, source, i : i + 5, j : j + 5]).sum() for source, kernel in chosen.items())
            torch.testing.assert_close(result[0, output, i, j], 1.7159 * torch.tanh(2 / 3 * total))
    assert sum(p.numel() for p in layer.parameters()) == 1516


@pytest.mark.parametrize(("subsampling", "parameters"), [("trainable", 12), ("average", 0), ("max", 0)])
def test_lenet_has_the_maps_of_figure_2(subsampling, parameters):
    backbone = LeNet5(Inputs(1, (32, 32), (0.0,), (1.0,)), subsampling=subsampling)
    maps = backbone(torch.rand(1, 1, 32, 32), torch.tensor([[32, 32]])).maps
    assert [tuple(m.shape[1:]) for m in maps] == [(1, 32, 32), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (84, 1, 1)]
    assert sum(p.numel() for p in backbone.stages[1].parameters()) == parameters


def test_lenet_of_28_px_is_lenet_of_32_px_with_a_border_of_two():
    torch.manual_seed(0)
    small, large = (LeNet5(Inputs(1, (side, side), (0.0,), (1.0,))).eval() for side in (28, 32))
    large.load_state_dict(small.state_dict())
    x = torch.rand(1, 1, 28, 28)
    a = small(x, torch.tensor([[28, 28]])).maps[-1]
    torch.testing.assert_close(a, large(F.pad(x, (2, 2, 2, 2)), torch.tensor([[32, 32]])).maps[-1])


@pytest.mark.parametrize("connections", ["full", "table"])
def test_lenet_weights_start_within_their_fan_in(connections):
    torch.manual_seed(0)
    backbone = LeNet5(RGB, connections=connections)
    weights = {25 * 3: backbone.stages[0][0].conv.weight, 16 * 25: backbone.stages[4][0].conv.weight, 120: backbone.stages[4][1].conv.weight}
    if connections == "table":
        weights |= {75.0001: backbone.stages[2][0].weight[0], 100: backbone.stages[2][0].weight[-10], 150: backbone.stages[2][0].weight[-1]}
    for fan_in, weight in weights.items():
        assert 0.7 * 2.4 / fan_in < weight.abs().max() <= 2.4 / int(fan_in)


def test_scaled_tanh_has_its_published_points():
    f = ScaledTanh()
    x = torch.tensor([-1.0, 0.0, 1.0, 100.0], dtype=torch.float64)
    torch.testing.assert_close(f(x), torch.tensor([-1.0, 0.0, 1.0, 1.7159], dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_residual_of_nought_leaves_the_block_an_identity(block):
    torch.manual_seed(0)
    part = block(16 if block is BasicBlock else 64, 16)
    part.zero_last()
    x = torch.rand(2, part.residual[0].conv.in_channels, 5, 6)  # not negative, so the last ReLU does nothing
    assert torch.equal(part(x)[0], x)
    part.train().residual[-1].norm.weight.data.fill_(0.5)
    assert not torch.equal(part(x)[0], x)


def test_a_residual_of_nought_without_norm_is_a_kernel_of_nought():
    part = BasicBlock(4, 4, norm="none")
    part.zero_last()
    x = torch.rand(1, 4, 5, 5)
    assert torch.equal(part(x)[0], x)


def test_zero_init_residual_changes_the_start_and_nothing_else():
    def zeros(model: nn.Module) -> int:
        return sum(not p.any() for n, p in model.named_parameters() if n.endswith("norm.weight"))

    assert (zeros(ResNet(RGB, depth=18)), zeros(ResNet(RGB, depth=18, zero_init_residual=True))) == (0, 8)


def test_the_shortcut_without_parameters_takes_every_second_cell_and_adds_zeros():
    x = torch.rand(1, 2, 5, 4)
    y, extent = ZeroPadShortcut(2, 5, 2)(x, torch.tensor([[5, 3]]))
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2]) and y.shape == (1, 5, 3, 2) and not y[:, 2:].any() and extent.tolist() == [[3, 2]]


def test_a_plain_net_is_a_residual_net_without_what_is_added():
    torch.manual_seed(0)
    residual, plain = CifarResNet(RGB, depth=8).eval(), CifarResNet(RGB, depth=8, plain=True).eval()
    plain.load_state_dict(residual.state_dict())
    x, size = torch.rand(1, 3, 8, 8), torch.tensor([[8, 8]])
    assert not torch.allclose(residual(x, size).maps[-1], plain(x, size).maps[-1])
    block = plain.stages[1][0]
    y = plain.stages[0](plain.normalise(x))[0]
    torch.testing.assert_close(block(y)[0], F.relu(block.residual(y)[0]))


def test_layers_number_as_many_as_the_name_says():
    for depth in (20, 56, 110):
        kernels = [m for m in CifarResNet(RGB, depth=depth).modules() if isinstance(m, nn.Conv2d)]
        assert len(kernels) + 1 == depth  # and the linear layer of the head


def test_kaiming_is_normal_with_variance_two_over_fan_out():
    torch.manual_seed(0)
    layer = ConvNorm(64, 128, norm="none")
    kaiming(layer)
    assert float(layer.conv.weight.detach().std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02) and not layer.conv.bias.any()


@pytest.mark.parametrize(
    ("size", "stem_strides", "stage_strides"),
    [
        ((8, 8), [1], [1, 2, 1, 1]),
        ((28, 40), [1], [1, 2, 2, 1]),
        ((64, 64), [2], [1, 2, 2, 2]),
        ((128, 128), [2, 2], [1, 2, 2, 2]),
        ((300, 224), [2, 2], [1, 2, 2, 2]),
    ],
)
def test_the_default_strides_by_the_size_of_its_input(size, stem_strides, stage_strides):
    backbone = Small(RGB._replace(size=size))
    assert [part.conv.stride[0] for part in backbone.stages[0]] == stem_strides
    assert [stage[0].residual[0].conv.stride[0] for stage in list(backbone.stages)[1:]] == stage_strides


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_memory_format_is_kept_through_a_network(dtype):
    backbone = Small(RGB).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        for sizes in ([[32, 32], [32, 32]], [[32, 32], [20, 9]]):
            last = backbone(x, torch.tensor(sizes)).maps[-1]
            assert last.is_contiguous(memory_format=torch.channels_last) and torch.isfinite(last).all() and last.dtype in (dtype, torch.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet(RGB, depth=19), "depth must be one of"),
        (lambda: CifarResNet(RGB, depth=21), r"depth must be 6n \+ 2 \(8, 14, 20, ...\), got 21"),
        (lambda: Staged(RGB, [Flow()], []), "got 1 stages and 0 levels"),
        (lambda: Staged(RGB, [], [Level(1, 1)]), "got 0 stages and 1 levels"),
    ],
)
def test_impossible_shapes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
