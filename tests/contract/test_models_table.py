"""The table: names, arguments, limits, sizes, and the published numbers of parameters."""

import json

import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.errors import ModelError, UsageError
from saccade.models.arguments import checked, defaults
from saccade.models.table import MODELS, build, describe, input_size, parameter_count, skeleton

pytestmark = pytest.mark.contract
RGB, GREY = Inputs(3, (32, 32), (0.5,) * 3, (0.25,) * 3), Inputs(1, (28, 28), (0.5,), (0.25,))
SPACE = LabelSpace(tuple("0123456789"))
NAMES = list(MODELS["classify"])


@pytest.mark.parametrize(
    ("name", "inputs", "arguments", "count"),
    [
        ("lenet5", GREY, {}, 61_706),
        ("lenet5", GREY, {"connections": "table", "subsampling": "trainable", "output": "rbf"}, 60_000),
        ("lenet5", GREY, {"subsampling": "max"}, 61_706),
        ("resnet20", RGB, {}, 269_722),  # the paper: 0.27 M
        ("resnet32", RGB, {}, 464_154),  # 0.46 M
        ("resnet44", RGB, {}, 658_586),  # 0.66 M
        ("resnet56", RGB, {}, 853_018),  # 0.85 M
        ("resnet110", RGB, {}, 1_727_962),  # 1.7 M
        ("plain20", RGB, {}, 269_722),  # shortcuts of option A have no parameters
        ("plain56", RGB, {}, 853_018),
        ("plain110", RGB, {}, 1_727_962),
        ("mlp", GREY, {}, 266_610),  # 784-300-100-10 of LeCun 1998
    ],
)
def test_parameters_are_those_published(name, inputs, arguments, count):
    assert parameter_count(skeleton("classify", name, inputs, SPACE, arguments)) == count


@pytest.mark.parametrize(
    ("name", "side", "count", "biases"),
    [
        ("inception_v2", 224, 11_295_240, True),  # the published file has a bias in each convolution, which its normalisation takes away
        ("inception_resnet_v2", 299, 55_843_464, False),
    ],
)
def test_parameters_for_a_thousand_classes_are_those_of_the_published_files(name, side, count, biases):
    model = skeleton("classify", name, RGB._replace(size=(side, side)), LabelSpace(tuple(map(str, range(1000)))))
    without = sum(part.out_channels for part in model.modules() if isinstance(part, torch.nn.Conv2d) and part.bias is None)
    assert parameter_count(model) + without * biases == count


def test_the_deepest_published_network_can_be_built():
    from saccade.nn.backbones.resnet_cifar import CifarResNet

    with torch.device("meta"):
        assert parameter_count(CifarResNet(RGB, depth=1202)) == pytest.approx(19.4e6, rel=0.005)  # table 6


@pytest.mark.parametrize("name", NAMES)
def test_every_model_describes_itself_and_its_defaults_are_json(name):
    described = describe(name)
    assert described.summary.endswith(".") and len(described.text) > len(described.summary)
    assert "depth" not in described.arguments
    stored = json.loads(json.dumps(described.arguments))
    builder = MODELS["classify"][name]
    assert checked(builder, stored) == defaults(builder)
    assert set(stored) <= set(described.arguments)


@pytest.mark.parametrize("name", NAMES)
def test_a_skeleton_holds_no_memory_and_has_the_shapes_of_the_model(name):
    inputs = RGB._replace(size=input_size(name, (32, 32)))
    narrow = {"width": 0.25} if "width" in describe(name).arguments else {}
    empty, real = skeleton("classify", name, inputs, SPACE, narrow), build("classify", name, inputs, SPACE, narrow)
    assert all(p.is_meta for p in empty.parameters())
    assert {k: v.shape for k, v in empty.state_dict().items()} == {k: v.shape for k, v in real.state_dict().items()}


def test_checking_first_draws_no_random_number():
    torch.manual_seed(0)
    skeleton("classify", "small", RGB, SPACE)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)


BAD = [
    ("small", {"widths": [0, 3], "blocks": [1, 1]}, RGB, "widths.0 = 0: input should be greater than or equal to 1"),
    ("small", {"widths": [8, 8], "blocks": [1]}, RGB, "widths and blocks must be of one length"),
    ("small", {"norm": "layer"}, RGB, "norm = layer: input should be 'batch', 'group' or 'none'"),
    ("small", {"pool": "sum"}, RGB, "pool = sum"),
    ("small", {"dropout": 1.0}, RGB, "dropout = 1.0: input should be less than 1"),
    ("small", {"dropout": float("nan")}, RGB, "dropout = nan"),
    ("small", {"class_weights": [1.0, 2.0]}, RGB, "class_weights must be 10 non-negative numbers"),
    ("small", {"class_weights": [0.0] * 10}, RGB, "class_weights must be 10 non-negative numbers that are not all 0"),
    ("small", {"widths": [4096] * 8, "blocks": [64] * 8}, RGB, "the limit is 2,000,000,000"),
    ("small", {"widths": [10**9], "blocks": [1]}, RGB, "widths.0 = 1000000000: input should be less than or equal to 4096"),
    ("small", {}, RGB._replace(channels=10**9), "channels must be 1 to 4096, got 1000000000"),
    ("small", {}, RGB._replace(size=(0, 4)), "the input size must be two sides of 1 to 65536 px"),
    ("small", {}, RGB._replace(mean=(0.5,)), "mean and std must have one number a channel"),
    ("small", {}, RGB._replace(std=(0.25, 0.0, 0.25)), "std above 0"),
    ("small", {}, RGB._replace(mean=(0.25, float("nan"), 0.25)), "mean must be finite"),
    ("lenet5", {}, RGB._replace(size=(27, 32)), "LeNet-5 needs inputs of at least 28x28 px, got 27x32"),
    ("lenet5", {"output": "rbf", "label_smoothing": 0.1}, RGB, "label_smoothing is for the linear output"),
]


@pytest.mark.parametrize(("name", "arguments", "inputs", "message"), BAD, ids=[case[3][:30] for case in BAD])
def test_values_out_of_range_are_refused_before_building(name, arguments, inputs, message):
    with pytest.raises(UsageError) as usage:
        build("classify", name, inputs, SPACE, arguments)
    with pytest.raises(ModelError) as stored:
        build("classify", name, inputs, SPACE, arguments, stored=True)
    assert (usage.value.code, stored.value.code) == ("USE-VALUE", "MODEL-ARGS")
    assert message in str(usage.value) and message in str(stored.value)


def test_no_class_at_all_is_refused():
    with pytest.raises(UsageError, match="the number of classes must be 1 to 1000000, got 0"):
        build("classify", "small", RGB, LabelSpace(()))


@pytest.mark.parametrize(
    ("task", "name", "arguments", "message", "code"),
    [
        ("clasify", "small", {}, "did you mean classify?", "MODEL-ARCH"),
        ("classify", "resnt18", {}, "did you mean resnet18? The options are small, lenet5", "MODEL-ARCH"),
        ("classify", "yolov8n-cls", {}, "did you mean small?", "MODEL-ARCH"),
        ("classify", "LeNet", {}, "did you mean lenet5?", "MODEL-ARCH"),
        ("classify", "small", {"width": [8]}, "argument 'width' of small: did you mean widths? The options are widths, blocks", "MODEL-ARGS"),
        ("classify", "resnet20", {"depth": 26}, "argument 'depth' of resnet20", "MODEL-ARGS"),
        ("classify", "resnet18", {"drop_rate": 0.1}, "did you mean dropout?", "MODEL-ARGS"),
    ],
)
def test_unknown_names_list_the_options(task, name, arguments, message, code):
    with pytest.raises(UsageError) as usage:
        build(task, name, RGB, SPACE, arguments)
    with pytest.raises(ModelError) as stored:
        build(task, name, RGB, SPACE, arguments, stored=True)
    assert usage.value.code == "USE-OPTION" and message in str(usage.value)
    assert stored.value.code == code and message in str(stored.value)


@pytest.mark.parametrize(
    ("name", "typical", "size"),
    [
        ("lenet5", (28, 28), (28, 28)),
        ("lenet5", (480, 640), (32, 32)),
        ("small", (8, 8), (16, 16)),
        ("small", (28, 28), (28, 28)),
        ("small", (5, 30), (16, 30)),
        ("small", (1024, 1024), (64, 64)),
        ("small", (60000, 1), (16, 16)),
        ("small", (100, 1000), (64, 128)),
        ("resnet56", (480, 640), (32, 32)),
        ("resnet18", (480, 640), (224, 224)),
        ("resnet50", (8, 8), (32, 32)),
    ],
)
def test_the_preferred_size_of_an_input(name, typical, size):
    assert input_size(name, typical) == size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("typical", [(1, 1), (8, 8), (97, 33), (28, 28), (2000, 3000)])
def test_every_model_can_be_built_at_the_size_that_it_prefers(name, typical):
    model = skeleton("classify", name, RGB._replace(size=input_size(name, typical)), SPACE)
    assert parameter_count(model) > 0


def test_the_last_map_of_the_default_has_four_to_seven_cells():
    for side in [*range(4, 70), 95, 96, 127, 128, 224, 259]:
        stride = skeleton("classify", "small", RGB._replace(size=(side, side + 9)), SPACE).backbone.levels[-1].stride
        assert 4 <= -(-side // stride) <= 8
