"""The layer table against published receptive fields, hand-made sums and torch's own counter."""

import csv
import io

import pytest
import torch

import saccade
from saccade.core import Inputs, LabelSpace
from saccade.errors import UsageError
from saccade.inference.device import multiply_adds
from saccade.models.summary import receptive_fields, summarise
from saccade.models.table import build

SPACE = LabelSpace(("a", "b", "c"))


def made(name, side=64, channels=3, **arguments):
    inputs = Inputs(channels, (side, side), (0.5,) * channels, (0.25,) * channels)
    return build("classify", name, inputs, SPACE, arguments), inputs


def largest(name, side=64, **arguments):
    fields = receptive_fields(*made(name, side, **arguments))
    return max(field for _, field in fields.values()), max(stride for stride, _ in fields.values())


@pytest.mark.parametrize(
    ("name", "arguments", "field", "stride"),
    [
        ("vgg16", {"width": 0.05}, 212, 32),  # at pool5
        ("vgg19", {"width": 0.05}, 268, 32),
        ("alexnet", {"width": 0.1}, 195, 32),
        ("resnet18", {"width": 0.1, "stem": "imagenet"}, 435, 32),
        ("resnet50", {"width": 0.1, "stem": "imagenet"}, 427, 32),  # with the stride in the 3x3
        ("resnet50", {"width": 0.1, "stem": "imagenet", "output_stride": 8}, 427, 8),  # the same field at a higher resolution
        ("resnet20", {}, 81, 4),  # 3 + 6 x 2 + 2 + 5 x 4 + 4 + 5 x 8
        ("lenet5", {}, 32, 4),
        ("densenet121", {"width": 0.1}, 2071, 32),
    ],
)
def test_the_field_is_the_published_one(name, arguments, field, stride):
    assert largest(name, **arguments) == ((field, field), (stride, stride))


def test_a_field_is_the_pixels_whose_change_is_seen():
    """By changing pixels one at a time, in a network whose kernels do not hide any."""
    model, inputs = made("resnet20", 48, channels=1)
    model = model.double().eval()
    torch.manual_seed(0)
    stage = model.backbone.stages[2]  # stride 2
    seen = {}
    hook = stage.register_forward_hook(lambda m, i, out: seen.update(map=out[0]))
    image, sizes = torch.rand(1, 1, 48, 48, dtype=torch.float64, requires_grad=True), torch.tensor([[48, 48]])
    model.backbone(image, sizes)
    hook.remove()
    weights = torch.rand(seen["map"].shape[1], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((seen["map"][0, :, 12, 12] * weights).sum(), image)
    rows = torch.nonzero(gradient[0, 0].abs().sum(1))
    fields = receptive_fields(model, inputs)
    last = [name for name in fields if name.startswith("backbone.stages.2.")][-1]
    assert int(rows[-1] - rows[0]) + 1 <= fields[last][1][0] <= int(rows[-1] - rows[0]) + 3


@pytest.mark.parametrize("name", ["small", "lenet5", "resnet20", "googlenet", "mobilenet_v2", "densenet121"])
def test_multiply_adds_and_parameters_are_torchs(name):
    model, inputs = made(name, 32, **({"width": 0.25} if name in ("googlenet", "mobilenet_v2", "densenet121") else {}))
    found = summarise(model, inputs)
    assert found.multiply_adds == multiply_adds(model, inputs)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    own = sum(layer.parameters for layer in found.layers)
    assert own <= found.parameters and own > 0.9 * found.parameters  # norms that stand alone have no row
    assert found.memory == sum(4 * torch.Size(layer.output).numel() for layer in found.layers)
    assert model.training and all("forward" not in vars(part) for part in model.modules())


def test_the_table_is_shown_and_written(tmp_path):
    found = saccade.summary("lenet5", input="1,28,28", classes=10, csv=tmp_path / "layers.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "layers.csv").read_text())))
    assert [row["layer"] for row in rows] == [layer.name for layer in found.layers] and rows[0]["receptive_field"] == "5x5"
    assert "61,706 parameters" in found.text() and max(map(len, found.text().splitlines())) <= 100


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("resnt18", {}, "did you mean resnet18"),
        ("lenet5", {"input": "28x28"}, "channels,height,width"),
        ("lenet5", {"input": "1,8,8"}, "at least 28x28"),
        ("lenet5", {"set": ("depth=5",)}, "argument 'depth' of lenet5"),
    ],
)
def test_what_cannot_be_is_told(model, options, message):
    with pytest.raises(UsageError, match=message):
        saccade.summary(model, **options)
