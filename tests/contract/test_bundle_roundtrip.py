"""A model file gives back what was written, bytes and answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Inputs, LabelSpace
from saccade.errors import ResourceError
from saccade.models.arguments import defaults
from saccade.models.table import MODELS, build, input_size
from tests.support.bundle_files import SPACE, split_file, tamper_card, tiny_card, tiny_model, write_tiny

ROOT = Path(__file__).resolve().parents[2]
SIZES = torch.tensor([[32, 32]] * 2)


SAME_BUT_DEEPER = {"resnet32", "resnet44", "resnet56", "resnet110", "plain56", "plain110", "resnet34", "resnet101", "resnet152", "wide_resnet50_2"}
SAME_BUT_DEEPER |= {"vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg16_bn", "vgg19_bn", "densenet161", "densenet169", "densenet201"}


@pytest.mark.parametrize("name", [name for name in MODELS["classify"] if name not in SAME_BUT_DEEPER])
def test_every_model_gives_the_same_bytes_out(name, tmp_path):
    side = max(32, input_size(name, (32, 32))[0])
    inputs, narrow = Inputs(1, (side, side), (0.5,), (0.25,)), {"width": 0.125} if "width" in defaults(MODELS["classify"][name]) else {}
    model, pictures = build("classify", name, inputs, SPACE, narrow).eval(), torch.rand(2, 1, side, side)
    bundle.write(tmp_path / "m.saccade", model, tiny_card(model=name, arguments=narrow, inputs=inputs))
    read = bundle.read(tmp_path / "m.saccade")
    with torch.inference_mode():
        sizes = torch.tensor([[side, side]] * 2)
        expected, got = model.outputs(pictures, sizes)["label"], read.model.outputs(pictures, sizes)["label"]
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    assert not read.model.training and not any(p.requires_grad for p in read.model.parameters())


def test_arguments_that_become_buffers_come_back(tmp_path):
    weights = {"widths": [4], "blocks": [1], "class_weights": [1.0, 2.0, 3.0]}
    inputs = Inputs(1, (16, 16), (0.5,), (0.25,))
    model = build("classify", "small", inputs, SPACE, weights)
    bundle.write(tmp_path / "m.saccade", model, tiny_card(arguments=weights))
    before = torch.random.get_rng_state()
    read = bundle.read(tmp_path / "m.saccade").model
    assert read.heads["label"].weights.tolist() == [1, 2, 3]
    assert torch.equal(before, torch.random.get_rng_state()), "reading draws no random number"


def test_the_card_comes_back_and_is_read_without_weights(tmp_path):
    written = bundle.write(tmp_path / "m.saccade", tiny_model(), tiny_card(extra={"note": "naïve \u2028", "loss": float("nan")}))
    assert len(written.sha256) == 64 and written.saccade
    read = bundle.read_card(tmp_path / "m.saccade")
    assert read.spaces == {"label": SPACE} and read.inputs == Inputs(1, (16, 16), (0.5,), (0.25,)) and read.licence == "CC0-1.0"
    assert read.extra == {"note": "naïve \u2028", "loss": None} and read.sha256 == written.sha256
    assert bundle.verify(tmp_path / "m.saccade") == read == Card.from_dict(read.to_dict())
    _, data = split_file(tmp_path / "m.saccade")
    (tmp_path / "blank.saccade").write_bytes((tmp_path / "m.saccade").read_bytes()[: -len(data)] + bytes(len(data)))
    assert bundle.read_card(tmp_path / "blank.saccade") == read


def test_the_same_model_is_the_same_file(tmp_path):
    assert write_tiny(tmp_path / "a.saccade").read_bytes() == write_tiny(tmp_path / "b.saccade").read_bytes()
    assert os.listdir(tmp_path) and not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_channels_last_weights_are_the_same_weights(tmp_path):
    model = tiny_model()
    first = bundle.write(tmp_path / "a.saccade", model, tiny_card())
    assert bundle.write(tmp_path / "b.saccade", model.to(memory_format=torch.channels_last), tiny_card()).sha256 == first.sha256


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = write_tiny(tmp_path / "m.saccade")
    before = path.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path; from saccade.errors import ResourceError; from tests.support.bundle_files import write_tiny\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try: write_tiny(Path(sys.argv[1]), licence='other')\nexcept ResourceError as error: print(error.code)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "RUN-DISK"
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.saccade"]


def test_a_read_only_place_is_named(tmp_path):
    with pytest.raises((ResourceError, FileNotFoundError)):
        write_tiny(tmp_path / "no" / "m.saccade")


@pytest.mark.parametrize(("changed", "message"), [({"spaces": {"label": LabelSpace(("",))}}, "class names"), ({"licence": "x" * 1_000_001}, "1000")])
def test_a_card_that_could_not_be_read_again_is_not_written(changed, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        bundle.write(tmp_path / "m.saccade", tiny_model(), tiny_card(**changed))
    assert not (tmp_path / "m.saccade").exists()


def test_a_later_minor_version_is_read(tmp_path):
    path = tamper_card(write_tiny(tmp_path / "m.saccade"), lambda card: json.dumps({**card, "format": [1, 9], "novelty": 1}))
    assert bundle.read(path).card.model == "small"
