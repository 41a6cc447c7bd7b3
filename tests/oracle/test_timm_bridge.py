"""Networks of the package timm: without it a clear refusal, with it the same maps as its own."""

import importlib.util

import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.errors import UsageError
from saccade.models.table import build, input_size
from saccade.nn.backbones import timm_bridge

INPUTS = Inputs(3, (64, 64), (0.5,) * 3, (0.25,) * 3)
SPACE = LabelSpace(("a", "b"))
there = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


def test_without_the_package_it_says_what_to_install(monkeypatch):
    def none(name):
        raise ImportError(name)

    monkeypatch.setattr(timm_bridge.importlib, "import_module", none)
    with pytest.raises(UsageError) as caught:
        build("classify", "timm:resnet18", INPUTS, SPACE)
    assert caught.value.code == "USE-EXTRA" and "saccade[timm]" in str(caught.value)


@there
@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "mobilenetv3_small_050"])
def test_its_maps_are_those_of_timm(name):
    torch.manual_seed(0)
    model = build("classify", f"timm:{name}", INPUTS, SPACE).eval()
    inputs = torch.rand(2, 3, 64, 64)
    maps = model.backbone(inputs, torch.tensor([[64, 64]] * 2)).maps
    for found, level, own in zip(maps[1:], model.backbone.levels[1:], model.backbone.net((inputs - 0.5) / 0.25), strict=True):
        assert torch.allclose(found, own) and found.shape[1] == level.channels and found.shape[2] == 64 // level.stride
    assert model.outputs(inputs, torch.tensor([[64, 64]] * 2))["label"].logits.shape == (2, 2)
    assert input_size(f"timm:{name}", (480, 640)) == (224, 224)


@there
def test_a_name_that_timm_does_not_have_is_refused():
    with pytest.raises(UsageError) as caught:
        build("classify", "timm:no_such_net", INPUTS, SPACE)
    assert caught.value.code == "USE-VALUE"
