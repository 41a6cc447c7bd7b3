"""Strides replaced by dilation: finer maps that hold the old ones, with the same weights; memory for time."""

import pytest
import torch

from saccade.core import Inputs
from saccade.nn.backbones.densenet import DenseNet
from saccade.nn.backbones.mobilenet import MobileNetV1, MobileNetV2
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.backbones.resnet_cifar import CifarResNet
from saccade.nn.backbones.squeezenet import SqueezeNet
from saccade.nn.backbones.vgg import VGG

RGB = Inputs(3, (64, 64), (0.5,) * 3, (0.25,) * 3)
MAKERS = {
    "resnet18": lambda: ResNet(RGB, depth=18, width=0.125),
    "resnet50": lambda: ResNet(RGB, depth=50, width=0.125, stem="imagenet"),
    "resnext": lambda: ResNet(RGB, depth=50, width=0.25, groups=4, width_per_group=16, stem="imagenet"),
    "vgg11": lambda: VGG(RGB, depth=11, width=0.125),
    "densenet": lambda: DenseNet(RGB, depth=121, width=0.125),
    "mobilenet_v1": lambda: MobileNetV1(RGB, width=0.25),
    "mobilenet_v2": lambda: MobileNetV2(RGB, width=0.25),
    "zero_pad": lambda: CifarResNet(RGB, depth=8),
}


def made(name):
    torch.manual_seed(0)
    backbone = MAKERS[name]().double().eval()
    for part in backbone.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return backbone


@pytest.mark.parametrize("stride", [1, 2, 8, 16])
@pytest.mark.parametrize("name", MAKERS)
def test_every_cell_of_the_old_map_is_in_the_new_one(name, stride):
    plain, spread = made(name), made(name)
    spread.dilated(stride)
    assert spread.state_dict().keys() == plain.state_dict().keys()
    images, sizes = torch.rand(1, 3, 96, 64, dtype=torch.float64), torch.tensor([[96, 64]])
    for old, new, before, after in zip(plain(images, sizes).maps, spread(images, sizes).maps, plain.levels, spread.levels, strict=True):
        assert after.stride == min(before.stride, stride) and after.channels == before.channels
        step = before.stride // after.stride
        assert new.shape[-2:] == (old.shape[-2] * step, old.shape[-1] * step) or step == 1 or name in ("vgg11", "densenet")
        held = new[..., ::step, ::step][..., : old.shape[-2], : old.shape[-1]]
        torch.testing.assert_close(held, old, rtol=1e-9, atol=1e-12)


def test_a_pooling_that_counts_cut_windows_is_refused():
    with pytest.raises(ValueError, match="no dilated form"):
        SqueezeNet(RGB).dilated(8)


@pytest.mark.parametrize("name", ["resnet18", "densenet"])
def test_checkpointing_gives_the_same_gradients(name):
    plain, saving = made(name).train(), made(name).train()
    saving.checkpointing = True
    images, sizes = torch.rand(2, 3, 64, 64, dtype=torch.float64), torch.tensor([[64, 64], [48, 40]])
    for backbone in (plain, saving):
        backbone(images, sizes).maps[-1].square().sum().backward()
    for a, b in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
