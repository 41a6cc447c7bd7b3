"""The models of key points: what they answer, what they refuse, any backbone and any size."""

import json

import pytest
import torch

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta
from saccade.errors import ModelError, UsageError
from saccade.inference.postprocess import Posed
from saccade.models.arguments import checked, defaults
from saccade.models.table import MODELS, build, describe, skeleton
from saccade.targets import Boxes, Keypoints
from saccade.tasks.keypoints import crops, input_size

pytestmark = pytest.mark.contract
SPACE = LabelSpace(("cat", "dog"), keypoints=("nose", "left ear", "right ear"), pairs=((1, 2),))
INPUTS = Inputs(3, (64, 96), (0.5,) * 3, (0.25,) * 3)
NARROW = {"heat_maps": {"widths": [8, 8, 8, 16, 16], "decoder": [8, 8, 8, 8]}, "regression": {"widths": [8, 8, 8, 16, 16], "units": 16}}
SINGLE = list(NARROW)


@pytest.mark.parametrize("name", list(MODELS["keypoints"]))
def test_every_model_describes_itself_and_its_defaults_are_json(name):
    described = describe(name, "keypoints")
    assert described.summary.endswith(".") and len(described.text) > len(described.summary)
    stored = json.loads(json.dumps(described.arguments))
    assert checked(MODELS["keypoints"][name], stored) == defaults(MODELS["keypoints"][name])
    assert all(p.is_meta for p in skeleton("keypoints", name, INPUTS, SPACE).parameters())


def batch(inputs):
    h, w = inputs.size
    xy = torch.tensor([[[5.0, 6.0], [30.0, 20.0], [0.0, 0.0]]])
    truth = Keypoints(xy, torch.tensor([[2, 1, 0]], dtype=torch.uint8), Boxes(torch.tensor([[1.0, 2, 40, 30]]), torch.tensor([1])), pairs=SPACE.pairs)
    meta = [Meta(str(i), (h, w), Geometry.identity((h, w))) for i in range(3)]
    return Batch(torch.rand(3, inputs.channels, h, w), torch.tensor([[h, w]] * 3), {"keypoints": [truth, Keypoints.empty(3, SPACE.pairs), None]}, meta)


@pytest.mark.parametrize("view", ["whole", "objects"])
@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("inputs", [INPUTS, Inputs(1, (33, 50), (0.5,), (0.25,)), Inputs(4, (160, 64), (0.5,) * 4, (0.25,) * 4)], ids=str)
def test_one_object_is_answered_with_all_of_its_points_inside_of_the_image(name, view, inputs):
    model = build("keypoints", name, inputs, SPACE, {**NARROW[name], "view": view})
    given = batch(inputs)
    losses = model(given)
    assert {"place_loss", "flag_loss"} <= set(losses) and ("class_loss" in losses) == (view == "whole")
    sum(losses.values()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    model.eval()
    found = model.predict(given.inputs, given.sizes, given.meta)["keypoints"]
    h, w = inputs.size
    for one in found:
        assert one.xy.shape == (1, 3, 2) and one.scores.shape == (1, 3) and one.pairs == SPACE.pairs and set(one.visible.unique().tolist()) <= {1, 2}
        assert bool((one.xy >= 0).all()) and bool((one.xy <= torch.tensor([w, h])).all()) and 0 <= float(one.boxes.scores[0]) <= 1
        assert 0 <= int(one.boxes.classes[0]) < 2
        if view == "objects":
            assert one.boxes.xyxy.tolist() == [[0, 0, w, h]]


@pytest.mark.parametrize("backbone", ["small", "resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("name", SINGLE)
def test_any_backbone(name, backbone):
    model = build("keypoints", name, INPUTS, SPACE, {"backbone": backbone, "width": 0.25}).eval()
    given = batch(INPUTS)
    assert len(model.predict(given.inputs, given.sizes, given.meta)["keypoints"]) == 3


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_heat_maps_have_the_stride_that_is_asked_for(stride):
    model = build("keypoints", "heat_maps", INPUTS, SPACE, {**NARROW["heat_maps"], "stride": stride})
    assert model.outputs(torch.rand(1, 3, 64, 96), torch.tensor([[64, 96]]))["keypoints"].maps.shape == (1, 3, 64 // stride, 96 // stride)


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("heat_maps", {"view": "some"}, "USE-VALUE"),
        ("heat_maps", {"context": 2.0}, "USE-VALUE"),  # of whole images there is none
        ("heat_maps", {"view": "objects", "context": 9.0}, "USE-VALUE"),
        ("heat_maps", {"sigma": 0.0}, "USE-VALUE"),
        ("heat_maps", {"decoder": [8]}, "USE-VALUE"),
        ("heat_maps", {"stride": 3}, "USE-VALUE"),
        ("regression", {"sigma": 1.0}, "USE-OPTION"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(name, arguments, code):
    with pytest.raises(UsageError) as caught:
        build("keypoints", name, INPUTS, SPACE, arguments)
    assert caught.value.code == code


@pytest.mark.parametrize("name", list(MODELS["keypoints"]))
def test_classes_without_key_points_are_refused(name):
    with pytest.raises(UsageError, match="names no key points"):
        build("keypoints", name, INPUTS, LabelSpace(("cat",)))


def test_what_is_cut_out_follows_from_the_arguments():
    assert crops({"view": "objects", "context": 1.5}).context == 1.5
    assert crops({"view": "whole", "context": 1.25}) is None and crops({"neck": "fpn"}) is None
    assert input_size("heat_maps", (35, 20)) == (128, 96)


def test_the_score_of_a_point_that_is_out_of_sight_is_stored():
    post = Posed.from_dict({"thresholds": {"cat": 0.4}, "point": 0.25}, SPACE)
    assert Posed.from_dict(json.loads(json.dumps(post.to_dict())), SPACE) == post
    one = Keypoints(torch.ones(1, 3, 2), torch.full((1, 3), 2, dtype=torch.uint8), Boxes(torch.ones(1, 4), torch.tensor([0]), torch.tensor([0.5])),
                    torch.tensor([[0.9, 0.2, 0.25]]))  # fmt: skip
    assert post.apply([one], SPACE)[0].visible.tolist() == [[2, 0, 2]] and post.measured(one, SPACE) is one
    assert len(post.with_thresholds(0.6, SPACE).apply([one], SPACE)[0]) == 0 and post.with_thresholds(0.6, SPACE).point == 0.25
    for wrong in ({"point": 2}, {"point": "a"}, {"points": 0.1}):
        with pytest.raises(ModelError):
            Posed.from_dict(wrong, SPACE)
