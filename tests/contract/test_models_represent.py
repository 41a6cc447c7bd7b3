"""The models of codes in the table: described, built without memory in the shapes that they have, refused out of range."""

import json

import pytest
import torch

from saccade.core import Inputs, LabelSpace
from saccade.errors import ModelError, UsageError
from saccade.models.arguments import checked, defaults
from saccade.models.table import MODELS, build, describe, skeleton
from saccade.tasks import TASKS

pytestmark = pytest.mark.contract
NONE, GREY = LabelSpace(()), Inputs(1, (12, 10), (0.5,), (0.25,))
NARROW = {"autoencoder": {"hidden": [6, 5]}, "denoising_autoencoder": {"hidden": [6]}, "stacked_autoencoder": {"hidden": [6, 5]}, "pca": {}}


@pytest.mark.parametrize("name", MODELS["represent"])
def test_every_model_describes_itself_and_has_the_shapes_of_its_skeleton(name):
    described = describe(name, "represent")
    assert described.summary.endswith(".") and described.arguments["codes"] == 30
    builder = MODELS["represent"][name]
    assert checked(builder, json.loads(json.dumps(described.arguments))) == defaults(builder)
    arguments = {**NARROW[name], "codes": 4}
    empty, real = skeleton("represent", name, GREY, NONE, arguments), build("represent", name, GREY, NONE, arguments)
    assert all(p.is_meta for p in empty.parameters())
    assert {k: v.shape for k, v in empty.state_dict().items()} == {k: v.shape for k, v in real.state_dict().items()}
    assert tuple(real.backbone.levels[-1]) == (4, 12) and real.encode(torch.rand(2, 1, 12, 10)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "inputs", "message"),
    [
        ("autoencoder", {"kind": "convolutional"}, Inputs(5, (1, 1), (0.0,) * 5, (1.0,) * 5), "vectors need kind = dense"),
        ("autoencoder", {"criterion": "logistic", "standardise": True}, GREY, "standardise is for squared differences"),
        ("autoencoder", {"codes": 0}, GREY, "codes = 0"),
        ("stacked_autoencoder", {"hidden": []}, GREY, "hidden"),
        ("stacked_autoencoder", {"pretrain": 1.0}, GREY, "pretrain = 1.0"),
        ("denoising_autoencoder", {"sigma": 0}, GREY, "sigma = 0"),
    ],
)
def test_values_out_of_range_are_refused_before_building(name, arguments, inputs, message):
    with pytest.raises(UsageError) as usage:
        build("represent", name, inputs, NONE, arguments)
    with pytest.raises(ModelError) as stored:
        build("represent", name, inputs, NONE, arguments, stored=True)
    assert (usage.value.code, stored.value.code) == ("USE-VALUE", "MODEL-ARGS") and message in str(usage.value)


@pytest.mark.parametrize("name", MODELS["represent"])
def test_inputs_of_another_size_are_refused(name):
    model = build("represent", name, GREY, NONE, {**NARROW[name], "codes": 4})
    with pytest.raises(ValueError, match="12x10"):
        model.encode(torch.rand(2, 1, 9, 10))


def test_the_task_learns_from_pictures_alone():
    task = TASKS["represent"]
    example = task.example()
    assert not example.spaces and task.degrading("autoencoder", {}) is not None and task.size("pca", (8, 8)) == (8, 8)
    assert task.suggests(example, "autoencoder") == {} and task.suggests(example, "pca") == {}
