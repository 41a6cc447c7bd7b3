"""Every published network against logits computed with torchvision from the same weights (see README.md here)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.models.published import published_key, tables
from saccade.models.table import build, parameter_count, skeleton

pytestmark = pytest.mark.golden


def fill(key: str, shape: list[int]) -> torch.Tensor:
    """The value that a tensor had when the numbers were made: README.md, FILL."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("running_var"):
        z = 1 + 0.1 * abs(z)
    elif key.endswith("running_mean"):
        z = 0.1 * z
    elif len(shape) > 1:
        z = z / np.sqrt(np.prod(shape[1:]))
    else:
        z = 0.05 * z if key.endswith("bias") else 1 + 0.1 * z
    return torch.from_numpy(z).float()


def stored(name: str) -> dict:
    return json.loads(gzip.decompress((Path(__file__).parent / f"classify_{name}.json.gz").read_bytes()))


NAMES = sorted(path.name[len("classify_") : -len(".json.gz")] for path in Path(__file__).parent.glob("classify_*.json.gz"))
SLOW = {"vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "densenet161", "densenet201", "densenet169", "resnet101", "resnet152", "wide_resnet50_2"}
"""The same code as another one that is always tested; filling their weights takes seconds each."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NAMES])
def test_logits_and_parameters_are_torchvisions(name):
    numbers = stored(name)
    label, shape = numbers["input"]
    space = LabelSpace(tuple(str(i) for i in range(1000)))
    model = build("classify", name, Inputs(3, tuple(shape[2:]), (0.0,) * 3, (1.0,) * 3), space).eval()
    tensors = {published_key(name, key): fill(key, own) for key, own in numbers["keys"].items()}
    model.load_state_dict(tensors | {"backbone.mean": torch.zeros(3), "backbone.std": torch.ones(3)})
    images = torch.from_numpy(np.random.default_rng(zlib.crc32(label.encode())).random(shape).astype(np.float32))
    with torch.inference_mode():
        logits = model.outputs(images, torch.tensor([shape[2:]] * shape[0]))["label"].logits
    probe = numbers["logits"]
    scale = probe["abs_sum"] / logits.numel()
    assert list(logits.shape) == probe["shape"] and parameter_count(model) == numbers["parameters"]
    np.testing.assert_allclose(logits.flatten()[probe["index"]], probe["value"], rtol=1e-4, atol=1e-5 * scale)
    assert float(logits.abs().sum()) == pytest.approx(probe["abs_sum"], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_a_file_are_all_of_our_tensors_once(name):
    shape = stored(name)["input"][1]
    model = skeleton("classify", name, Inputs(3, tuple(shape[2:]), (0.0,) * 3, (1.0,) * 3), LabelSpace(tuple(str(i) for i in range(1000))))
    own = {key: list(tensor.shape) for key, tensor in model.state_dict().items() if key not in ("backbone.mean", "backbone.std")}
    assert {published_key(name, key): shape for key, shape in stored(name)["keys"].items()} == own


def test_densenet_files_of_the_first_kind_are_read():
    old = "features.denseblock1.denselayer2.norm.1.weight"
    assert published_key("densenet121", old) == published_key("densenet121", old.replace("norm.1", "norm1"))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("resnet18", "layer5.0.conv1.weight"),
        ("resnet18", "layer1.2.conv1.weight"),
        ("resnet18", "head.weight"),
        ("vgg11", "features.1.weight"),
        ("alexnet", ""),
    ],
)
def test_an_unknown_published_name_is_refused(name, key):
    with pytest.raises(KeyError, match=f"not a tensor of a published {name} file"):
        published_key(name, key)


def test_a_network_without_published_weights_is_refused():
    with pytest.raises(KeyError, match="no published weights of 'lenet5'"):
        tables("lenet5")
