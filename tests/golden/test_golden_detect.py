"""The published detectors against numbers computed with torchvision from the same weights (see README.md here)."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from saccade.core import Inputs, LabelSpace, Model
from saccade.models import retina, ssd, two_stage, weights
from saccade.models.published import published_key
from saccade.nn.heads.anchored import by_cell
from saccade.nn.heads.retina import Retina
from saccade.nn.heads.ssd import SSD
from saccade.nn.heads.two_stage import TwoStage
from tests.golden.test_golden_classify import fill

pytestmark = pytest.mark.golden

BUILDERS = {
    "fasterrcnn_resnet50_fpn": (two_stage.fasterrcnn_resnet50_fpn, 90),
    "maskrcnn_resnet50_fpn": (two_stage.maskrcnn_resnet50_fpn, 90),
    "keypointrcnn_resnet50_fpn": (two_stage.keypointrcnn_resnet50_fpn, 1),
    "retinanet_resnet50_fpn": (retina.retinanet_resnet50_fpn, 91),
    "ssd300_vgg16": (ssd.ssd300_vgg16, 90),
}
TWO_STAGE = ("fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn")


def stored(name: str) -> dict:
    return json.loads(gzip.decompress((Path(__file__).parent / f"detect_{name}.json.gz").read_bytes()))


def built(name: str, size: tuple[int, int]) -> Model:
    builder, classes = BUILDERS[name]
    mean, std = weights.constants(name, 3)
    space = LabelSpace(tuple(str(i) for i in range(classes)), keypoints=tuple(f"k{i}" for i in range(17)))
    return builder(Inputs(3, size, mean, std), space)


def loaded(name: str) -> tuple[Model, torch.Tensor, dict]:
    """The model with the weights of the numbers, its input as torchvision resizes it, and the numbers."""
    numbers = stored(name)
    label, shape = numbers["input"]
    size = tuple(numbers["image_sizes"][0])
    model = built(name, size).eval()
    own = model.state_dict()
    constants = {key: own[key] for key in weights.CONSTANTS if key in own}
    model.load_state_dict({published_key(name, key): fill(key, given) for key, given in numbers["keys"].items()} | constants)
    images = torch.from_numpy(np.random.default_rng(zlib.crc32(label.encode())).random(shape).astype(np.float32))
    return model, F.interpolate(images, size=size, mode="bilinear", align_corners=False), numbers


def close(got: torch.Tensor, probe: dict) -> None:
    assert list(got.shape) == probe["shape"]
    scale = probe["abs_sum"] / max(1, got.numel())
    np.testing.assert_allclose(got.flatten()[probe["index"]], probe["value"], rtol=1e-4, atol=1e-5 * scale)
    assert float(got.double().abs().sum()) == pytest.approx(probe["abs_sum"], rel=1e-4)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_names_of_a_file_are_all_of_our_tensors_once(name):
    numbers = stored(name)
    with torch.device("meta"):
        model = built(name, tuple(numbers["image_sizes"][0]))
    own = {key: list(tensor.shape) for key, tensor in model.state_dict().items() if key not in weights.CONSTANTS}
    assert {published_key(name, key): shape for key, shape in numbers["keys"].items()} == own


@pytest.mark.parametrize(
    ("name", "old", "now"),
    [
        ("fasterrcnn_resnet50_fpn", "rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
        ("fasterrcnn_resnet50_fpn", "backbone.fpn.inner_blocks.2.bias", "backbone.fpn.inner_blocks.2.0.bias"),
        ("retinanet_resnet50_fpn", "backbone.fpn.layer_blocks.1.weight", "backbone.fpn.layer_blocks.1.0.weight"),
        ("maskrcnn_resnet50_fpn", "roi_heads.mask_head.mask_fcn4.weight", "roi_heads.mask_head.3.0.weight"),
        ("retinanet_resnet50_fpn", "head.regression_head.conv.6.bias", "head.regression_head.conv.3.0.bias"),
    ],
)
def test_files_of_the_first_kind_are_read(name, old, now):
    assert published_key(name, old) == published_key(name, now)


@pytest.mark.parametrize("key", ["rpn.head.conv.1.0.weight", "backbone.fpn.extra_blocks.p6.weight", "roi_heads.mask_head.0.0.weight", "fc.weight"])
def test_an_unknown_name_is_refused(key):
    with pytest.raises(KeyError, match="not a tensor of a published fasterrcnn_resnet50_fpn file"):
        published_key("fasterrcnn_resnet50_fpn", key)


def test_every_published_detector_has_its_file():
    assert set(weights.DETECTION) == set(BUILDERS)
    for name in BUILDERS:
        listed = stored(name)["weights"]["COCO_V1"]
        assert listed["url"].endswith("/" + weights.DETECTION[name].file) and listed["metrics"]["COCO-val2017"]["box_map"] == weights.DETECTION[name].accuracy


@pytest.mark.slow
@pytest.mark.parametrize("name", TWO_STAGE)
def test_two_stages_are_torchvisions(name):
    model, images, numbers = loaded(name)
    head = next(iter(model.heads.values()))
    assert isinstance(head, TwoStage) and head.regions is not None
    with torch.inference_mode():
        close(model.backbone.backbone.normalise(images), numbers["resized"])
        features = model.backbone(images, torch.tensor(numbers["image_sizes"]))
        for x, probe in zip(features.maps[1:], numbers["features"].values(), strict=True):
            close(x, probe)
        out = head(features)
        maps = [x.shape[-2:] for x in out.maps]
        for own, moves, (h, w), logit, delta in zip(out.logits, out.deltas, maps, numbers["rpn"]["objectness"], numbers["rpn"]["deltas"], strict=True):
            close(own.view(1, h, w, 3).permute(0, 3, 1, 2), logit)
            close(moves.view(1, h, w, 3, 4).permute(0, 3, 4, 1, 2).flatten(1, 2), delta)
        anchors = head.regions.grid(out.maps)
        close(torch.cat(anchors), numbers["rpn"]["anchors"])
        proposals = head.proposals(out)
        assert len(proposals[0]) == numbers["proposals"]["count"]
        close(proposals[0], numbers["proposals"]["head"])
        boxes = [torch.tensor(numbers["roi"]["boxes"])]
        close(head.pooler(out.maps, boxes, (7, 7), out.sizes), numbers["roi"]["pooled"])
        logits, deltas = head.answers(out, boxes)
        close(logits, numbers["roi"]["class_logits"])
        close(deltas.flatten(1), numbers["roi"]["box_deltas"])
        if "mask_logits" in numbers:
            close(head.mask_logits(out, boxes), numbers["mask_logits"])
        if "keypoint_logits" in numbers:
            close(head.point_logits(out, boxes), numbers["keypoint_logits"])


@pytest.mark.slow
def test_retinanet_is_torchvisions():
    model, images, numbers = loaded("retinanet_resnet50_fpn")
    head = model.heads["boxes"]
    assert isinstance(head, Retina)
    with torch.inference_mode():
        features = model.backbone(images, torch.tensor(numbers["image_sizes"]))
        for x, probe in zip(features.maps[1:], numbers["features"].values(), strict=True):
            close(x, probe)
        out = head(features)
        close(torch.cat(out.logits, 1), numbers["class_logits"])
        close(torch.cat(out.deltas, 1), numbers["box_deltas"])
        close(torch.cat(head.grid(out.maps)), numbers["anchors"])


def test_ssd300_is_torchvisions():
    model, images, numbers = loaded("ssd300_vgg16")
    head = model.heads["boxes"]
    assert isinstance(head, SSD)
    with torch.inference_mode():
        close(model.backbone.backbone.normalise(images), numbers["resized"])
        features = model.backbone(images, torch.tensor(numbers["image_sizes"]))
        for x, probe in zip(features.maps[1:], numbers["features"].values(), strict=True):
            close(x, probe)
        out = head(features)
        close(out.logits, numbers["class_logits"])
        close(out.deltas, numbers["box_deltas"])
        close(head.boxes(out), numbers["default_boxes"])


def test_values_lie_cell_by_cell():
    x = torch.arange(2 * 6 * 2 * 2).view(2, 6, 2, 2)
    got = by_cell(x, 3)
    assert got.shape == (2, 12, 2) and got[1, 5].tolist() == x.view(2, 3, 2, 2, 2)[1, 2, :, 0, 1].tolist()
