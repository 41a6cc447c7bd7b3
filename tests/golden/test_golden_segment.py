"""The published FCN and DeepLab against logits computed with torchvision from the same weights (see README.md here)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.errors import ModelError
from saccade.models import weights
from saccade.models.published import published_key
from saccade.models.segment import published
from tests.golden.test_golden_classify import fill

pytestmark = pytest.mark.golden
NAMES = {"fcn_resnet50": "fcn", "deeplabv3_resnet50": "deeplabv3"}
SPACE = LabelSpace(tuple(str(i) for i in range(21)), background=0)


def stored(name: str) -> dict:
    return json.loads(gzip.decompress((Path(__file__).parent / f"segment_{name}.json.gz").read_bytes()))


def made(name: str, shape: list[int], space: LabelSpace = SPACE) -> torch.nn.Module:
    return published(Inputs(3, tuple(shape[2:]), (0.0,) * 3, (1.0,) * 3), space, kind=NAMES[name], depth=50).eval()


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_torchvisions(name):
    numbers = stored(name)
    label, shape = numbers["input"]
    model = made(name, shape)
    constants = {key: tensor for key, tensor in model.state_dict().items() if key.endswith((".mean", ".std"))}
    model.load_state_dict({published_key(name, key): fill(key, own) for key, own in numbers["keys"].items()} | constants)
    images = torch.from_numpy(np.random.default_rng(zlib.crc32(label.encode())).random(shape).astype(np.float32))
    with torch.inference_mode():
        out = model.outputs(images, torch.tensor([shape[2:]] * shape[0]))["map"]
    for logits, probe in ((out.logits, numbers["out"]), (out.auxiliary[:, 0], numbers["aux"])):
        scale = probe["abs_sum"] / logits.numel()
        assert list(logits.shape) == probe["shape"]
        np.testing.assert_allclose(logits.flatten()[probe["index"]], probe["value"], rtol=1e-4, atol=1e-5 * scale)
        assert float(logits.abs().sum()) == pytest.approx(probe["abs_sum"], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_a_file_are_all_of_our_tensors_once(name):
    numbers = stored(name)
    with torch.device("meta"):
        model = made(name, numbers["input"][1])
    own = {key: list(tensor.shape) for key, tensor in model.state_dict().items() if not key.endswith((".mean", ".std"))}
    assert {published_key(name, key): shape for key, shape in numbers["keys"].items()} == own
    assert numbers["weights"]["COCO_WITH_VOC_LABELS_V1"]["url"].endswith(weights.SEGMENTATION[name].file)
    assert numbers["weights"]["COCO_WITH_VOC_LABELS_V1"]["metrics"]["COCO-val2017-VOC-labels"]["miou"] == weights.SEGMENTATION[name].accuracy


def test_a_file_serves_other_classes_but_not_another_network(tmp_path):
    from safetensors.torch import save_file

    numbers = stored("fcn_resnet50")
    path = tmp_path / "fcn.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in numbers["keys"].items()}, path)
    model = made("fcn_resnet50", [1, 3, 64, 64], LabelSpace(("ground", "tree"), background=0))
    fresh = weights.load(model, "fcn_resnet50", path)
    assert fresh == [f"heads.map.{part}.4.{kind}" for part in ("classifier", "auxiliary.0") for kind in ("weight", "bias")]
    assert float(model.backbone.stages[1][1].residual[0].conv.weight.detach().abs().sum()) == 0
    assert float(model.heads["map"].classifier[4].weight.detach().abs().sum()) > 0
    with pytest.raises(ModelError, match="WEIGHTS-KEYS"):
        weights.load(made("deeplabv3_resnet50", [1, 3, 64, 64]), "deeplabv3_resnet50", path)
