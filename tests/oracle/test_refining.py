"""A dense CRF set on validation images: what it is told, what it may not lower, how it is stored, and that evaluate and predict apply it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from saccade import api, bundle
from saccade.core import Batch, Inputs, LabelSpace, Meta
from saccade.metrics.segmentation import Segmentation
from saccade.models.segment import full_resolution
from saccade.models.table import MODELS, build
from saccade.models.weights import REFINER
from saccade.nn.refine import REFINERS, STARTS
from saccade.ops.geometry import Geometry
from saccade.targets.segmentation_map import SegmentationMap
from saccade.training.refining import parts_of, quality, refine, tunable

SPACE = LabelSpace(("ground", "thing"), background=0)
INPUTS = Inputs(3, (32, 32), (0.5,) * 3, (0.25,) * 3)


def scene(i):
    """A bright disc on dark ground (32, 32, 3), under noise, and its map."""
    chance = np.random.default_rng(i)
    y, x = np.mgrid[:32, :32]
    inside = np.hypot(y - chance.integers(10, 22), x - chance.integers(10, 22)) < 7
    return (60 + 130 * inside[..., None] + chance.normal(0, 12, (32, 32, 3))).clip(0, 255).astype(np.uint8), inside.astype(np.uint8)


class Blurred(torch.nn.Module):
    """A head whose scores are the truth, blurred over 9 pixels and noisy: what a coarse network answers."""

    def __init__(self, refiner):
        super().__init__()
        self.refine = refiner

    def forward(self, features):
        image = features.maps[0]
        bright = (image.mean(1, keepdim=True) > 0.5).float()
        soft = torch.nn.functional.avg_pool2d(bright, 9, 1, 4, count_include_pad=False) - 0.35
        return self.scores(torch.cat([-4 * soft, 4 * soft], 1), image)

    def scores(self, logits, image):
        from saccade.nn.heads.segment import SegmentOut

        return SegmentOut(self.refine(logits, image), logits[:, :0], logits[:, None][:, :0])


def batches(n=6):
    for first in range(0, n, 3):
        made = [scene(i) for i in range(first, first + 3)]
        inputs = torch.from_numpy(np.stack([pixels for pixels, _ in made])).permute(0, 3, 1, 2).float() / 255
        truth = [SegmentationMap(torch.from_numpy(ids)) for _, ids in made]
        meta = [Meta(str(first + i), (32, 32), Geometry.identity((32, 32))) for i in range(3)]
        yield Batch(inputs, torch.tensor([[32, 32]] * 3), {"map": truth}, meta)


def coarse():
    model = full_resolution(INPUTS, SPACE, width=4, dilations=(1,), refine="dense_crf").eval()
    model.heads["map"] = Blurred(model.heads["map"].refine)
    return model


def test_it_is_set_to_what_helps_and_lowers_neither_number():
    model = coarse()
    found = refine(model, batches(), SPACE)
    assert found.used and found.images == 6 and found.after["boundary_iou"] > found.before["boundary_iou"] + 0.05
    assert found.after["mean_iou"] >= found.before["mean_iou"] and found.trials[0]["appearance"] == found.trials[0]["smoothness"] == 0
    assert model.heads["map"].refine.settings() == pytest.approx(found.settings), "what was found is what the model has from now on"
    again = parts_of(model, batches())
    assert quality([part.logits[0] for part in again], again, SPACE) == pytest.approx(found.after)
    assert all(any(trial[k] == start[k] for trial in found.trials) for start in STARTS for k in ("position", "colour"))


def test_what_is_measured_is_what_the_metric_says():
    model = coarse()
    parts = parts_of(model, batches())
    metric = Segmentation(SPACE, resamples=0)
    for part in parts:
        metric.update(SegmentationMap(part.logits[0].argmax(0).to(torch.uint8)), SegmentationMap(torch.from_numpy(part.truth)))
    found, wanted = quality([part.logits[0] for part in parts], parts, SPACE), metric.points()
    assert found["mean_iou"] == pytest.approx(wanted["mean_iou"]) and found["boundary_iou"] == pytest.approx(wanted["boundary_iou"])


def test_the_parts_are_those_with_most_boundaries():
    pixels, ids = torch.zeros(1, 3, 300, 300), torch.zeros(300, 300, dtype=torch.uint8)
    ids[200:240, 200:250], ids[:10] = 1, 255
    model = full_resolution(INPUTS, SPACE, width=4, dilations=(1,), refine="dense_crf").eval()
    meta = [Meta("a", (300, 300), Geometry.identity((300, 300)))]
    unknown = SegmentationMap(torch.full((300, 300), 255, dtype=torch.uint8))
    (part,) = parts_of(model, [Batch(pixels, torch.tensor([[300, 300]]), {"map": [t]}, meta) for t in (unknown, SegmentationMap(ids), None)])
    assert part.truth.shape == (128, 128) and part.truth.sum() == 2000 and part.logits.shape == (1, 2, 128, 128)
    assert refine(model, [], SPACE) is None and refine(full_resolution(INPUTS, SPACE, width=4, dilations=(1,)), batches(), SPACE) is None


@pytest.mark.parametrize("name", REFINERS)
@pytest.mark.parametrize("model", ["unet", "fcn16s", "segnet", "deconvnet", "dilated", "deeplab", "full_resolution", "multi_scale", "fcn_resnet50"])
def test_every_segmenter_takes_one(model, name):
    plain, refined = (build_on_meta(model, arguments) for arguments in ({}, {"refine": name}))
    added = set(refined) - set(plain)
    assert set(plain) <= set(refined) and added and all(key.startswith(REFINER) for key in added)


def build_on_meta(name, arguments):
    from saccade.models.table import skeleton

    return skeleton("segment", name, INPUTS, SPACE, arguments).state_dict()


def test_off_it_changes_no_bit_and_has_no_gradient():
    torch.manual_seed(0)
    plain = build("segment", "full_resolution", INPUTS, SPACE, {"width": 4, "dilations": [1, 1]}).eval()
    refined = build("segment", "full_resolution", INPUTS, SPACE, {"width": 4, "dilations": [1, 1], "refine": "dense_crf"}).eval()
    refined.load_state_dict(plain.state_dict(), strict=False)
    x, sizes = torch.rand(2, 3, 32, 32), torch.tensor([[32, 32]] * 2)
    assert torch.equal(plain.outputs(x, sizes)["map"].logits, refined.outputs(x, sizes)["map"].logits)
    assert {name for name, _ in plain.named_parameters()} == {name for name, _ in refined.named_parameters()}
    assert set(MODELS["segment"]) and tunable(refined) is not None and tunable(plain) is None


def written(root, count):
    """Scenes as pictures with masks beside them."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("ground\nthing\n")
    for i in range(count):
        for folder, pixels in zip(("images", "masks"), scene(i), strict=True):
            Image.fromarray(pixels).save(root / folder / f"{i:02d}.png")
    return root


def trained(data, out, told, **options):
    settings = {"model": "full_resolution", "tile": 32, "threads": 1, "selftest": False, "set": ("width=4", "dilations=[1]", "refine=dense_crf")}
    return api.train(data, task="segment", out=out, listeners=(told.append,), **settings, **options)


def test_from_training_to_prediction(tmp_path):
    data, told = written(tmp_path / "data", 20), []
    run = trained(data, tmp_path / "run", told, epochs="2", test=0.2)
    (event,) = [each for each in told if each["event"] == "refined"]
    (split,) = [each for each in told if each["event"] == "split"]
    table = (run.path / "refine.csv").read_text().splitlines()
    assert event["images"] == split["val"] and len(table) == event["trials"] + 1 and table[0].startswith("appearance,smoothness")
    off = [each for each in told if each["event"] == "alert" and each["code"] == "REFINE-OFF"]
    stored = bundle.read(run.model).model.heads["map"].refine.settings()
    assert stored == pytest.approx(event["settings"]) and bool(off) == (stored["appearance"] == stored["smoothness"] == 0)
    page = run.report.read_text()
    assert "The random field behind the network" in page and ("it stays off" in page) == bool(off)
    assert api.evaluate(run.path, data).metrics["mean_iou"]["n"] == 20
    found = api.predict(run.path, data / "images", out=tmp_path / "out", threads=1)
    assert found.failed == 0 and len([json.loads(line) for line in found.path.read_text().splitlines()]) == 20


def test_without_validation_images_it_stays_off_and_says_so(tmp_path):
    told = []
    trained(written(tmp_path / "data", 6), tmp_path / "run", told, epochs="1", val=0.0)
    assert [each["code"] for each in told if each["event"] == "alert" and each["code"].startswith("REFINE")] == ["REFINE-OFF"]
