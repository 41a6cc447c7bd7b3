"""A network made ready to predict gives what the network gives."""

import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.inference.device import Mode
from saccade.inference.fold import folded, ready
from saccade.models.table import build

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("a", "b", "c"))


def made(name, arguments):
    torch.manual_seed(0)
    model = build("classify", name, Inputs(3, (75, 75), (0.4,) * 3, (0.3,) * 3), SPACE, arguments)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for values in (part.weight, part.running_var):
                torch.nn.init.uniform_(values, 0.6, 1.4)
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
            part.running_mean.normal_(0.0, 0.2)
    return model.eval()


NETWORKS = [("resnet18", {"width": 0.25}), ("vgg11_bn", {"width": 0.1}), ("densenet121", {"width": 0.25}), ("inception_resnet_v2", {"width": 0.1})]


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
def test_folding_changes_nothing_but_the_rounding(name, arguments):
    model, x, sizes = made(name, arguments).double(), torch.rand(2, 3, 80, 77, dtype=torch.float64), torch.tensor([[80, 77], [75, 76]])
    with torch.inference_mode():
        own, plain = (m.outputs(x, sizes)["label"].logits for m in (folded(model), model))
    torch.testing.assert_close(own, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "arguments"), NETWORKS[:2])
def test_weights_rounded_once_give_the_bits_of_weights_rounded_at_every_call(name, arguments):
    mode, model = Mode(torch.device("cpu"), "bf16"), made(name, arguments)
    x, sizes = torch.rand(2, 3, 75, 75).to(memory_format=torch.channels_last), torch.tensor([[75, 75], [75, 75]])
    before = [p.clone() for p in model.parameters()]
    with torch.inference_mode(), mode.autocast():
        once, each = (m.outputs(x, sizes)["label"].logits for m in (ready(model, mode), folded(model).to(memory_format=torch.channels_last)))
    assert torch.equal(once, each)
    assert all(torch.equal(p, q) and p.dtype == torch.float32 for p, q in zip(before, model.parameters(), strict=True))
