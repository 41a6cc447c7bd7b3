"""ResNet-18, 34 and 50 against logits computed with torchvision from the same weights (see README.md here)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.published import resnet_key
from saccade.models.table import build, parameter_count

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


def published(name: str) -> tuple[Model, dict]:
    """The model with 1000 classes, filled, and the stored numbers. The input is not normalised: mean 0, deviation 1."""
    stored = json.loads(gzip.decompress((Path(__file__).parent / f"classify_{name}.json.gz").read_bytes()))
    space = LabelSpace(tuple(str(i) for i in range(1000)))
    model = build("classify", name, Inputs(3, (224, 224), (0.0,) * 3, (1.0,) * 3), space).eval()
    tensors = {resnet_key(key): fill(key, shape) for key, shape in stored["keys"].items()}
    model.load_state_dict(tensors | {"backbone.mean": torch.zeros(3), "backbone.std": torch.ones(3)})
    return model, stored


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_logits_and_parameters_are_torchvisions(name):
    model, stored = published(name)
    label, shape = stored["input"]
    images = torch.from_numpy(np.random.default_rng(zlib.crc32(label.encode())).random(shape).astype(np.float32))
    with torch.inference_mode():
        logits = model.outputs(images, torch.tensor([shape[2:]] * shape[0]))["label"].logits
    probe = stored["logits"]
    scale = probe["abs_sum"] / logits.numel()
    assert list(logits.shape) == probe["shape"] and parameter_count(model) == stored["parameters"]
    np.testing.assert_allclose(logits.flatten()[probe["index"]], probe["value"], rtol=1e-4, atol=1e-5 * scale)
    assert float(logits.abs().sum()) == pytest.approx(probe["abs_sum"], rel=1e-4)


@pytest.mark.parametrize("key", ["layer5.0.conv1.weight", "layer1.0.conv4.weight", "head.weight", ""])
def test_an_unknown_published_name_is_refused(key):
    with pytest.raises(KeyError, match="not a tensor of a published ResNet file"):
        resnet_key(key)
