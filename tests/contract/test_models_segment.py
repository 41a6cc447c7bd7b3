"""Every network of segmentation by name: its levels are measured, its file gives the same answers, a step makes it better, its citation stands."""

import pytest
import torch

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Batch, Inputs, LabelSpace, Meta, decay_groups
from saccade.data.preprocess import Preprocess
from saccade.models.table import MODELS, build, describe
from saccade.ops.geometry import Geometry
from saccade.targets import SegmentationMap

pytestmark = pytest.mark.contract
INPUTS, SPACE = Inputs(3, (64, 64), (0.5,) * 3, (0.25,) * 3), LabelSpace(("ground", "tree", "house"), background=0)
NARROW = {
    "unet": {"widths": [4, 8, 8]},
    "segnet": {"widths": [4, 8], "counts": [1, 1]},
    "deconvnet": {"widths": [4, 8], "counts": [1, 1], "hidden": 8},
    **{f"fcn{stride}s": {"width": 0.25, "hidden": 8} for stride in (8, 16, 32)},
    "dilated": {"width": 0.25, "hidden": 8},
    "deeplab": {"width": 0.25, "channels": 8},
    "full_resolution": {"width": 4},
    "multi_scale": {"width": 4, "depth": 2},
    "superpixels": {},
}


def made(name):
    torch.manual_seed(0)
    return build("segment", name, INPUTS, SPACE, NARROW[name])


def test_every_model_is_tested_here_or_by_its_published_numbers():
    assert set(MODELS["segment"]) == set(NARROW) | {"fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101"}
    assert next(iter(MODELS["segment"])) == "unet"


@pytest.mark.parametrize("name", NARROW)
def test_levels_are_as_measured(name):
    model = made(name).eval()
    maps = model.backbone(torch.rand(1, 3, 64, 64), torch.tensor([[64, 64]])).maps
    assert [(m.shape[1], 64 // m.shape[2]) for m in maps] == [tuple(level) for level in model.backbone.levels]


@pytest.mark.parametrize("name", NARROW)
def test_a_file_gives_the_same_answers(name, tmp_path):
    model, images = made(name).eval(), torch.rand(2, 3, 64, 64)
    preprocess = Preprocess((64, 64), 3, mode="keep")
    bundle.write(tmp_path / "m.saccade", model, Card("segment", name, NARROW[name], INPUTS, {"map": SPACE}, preprocess.to_dict()))
    again = bundle.read(tmp_path / "m.saccade").model.eval()
    meta, sizes = [Meta("a", (64, 64), Geometry.identity((64, 64)))] * 2, torch.tensor([[64, 64]] * 2)
    with torch.inference_mode():
        for a, b in zip(model.predict(images, sizes, meta)["map"], again.predict(images, sizes, meta)["map"], strict=True):
            assert torch.equal(a.ids, b.ids) and torch.equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("name", NARROW)
def test_steps_make_it_better(name):
    model = made(name).train()
    torch.manual_seed(1)
    ids = torch.zeros(2, 64, 64, dtype=torch.uint8)
    ids[:, 16:48, 8:32], ids[:, 24:56, 40:60] = 1, 2
    images = torch.rand(2, 3, 64, 64) * 0.2 + torch.stack([(ids == k).float() for k in range(3)], 1) * 0.8
    batch = Batch(images, torch.tensor([[64, 64]] * 2), {"map": [SegmentationMap(t) for t in ids]}, [])
    optimiser, losses = torch.optim.AdamW(decay_groups(model), 0.01), []
    for _ in range(16):
        loss = torch.stack(list(model(batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", MODELS["segment"])
def test_every_model_says_where_it_comes_from(name):
    text = describe(name, "segment").text
    assert any(str(year) in text for year in range(2010, 2019)) and ("Published" in text or "published" in text)
