"""Published weights: fetched from a server, held to their hash, mapped by name, refused when they are anything else."""

import functools
import hashlib
import http.server
import pickle
import threading
import zipfile
import zlib

import numpy as np
import pytest
import torch

from saccade import storage
from saccade.core import Inputs, LabelSpace
from saccade.errors import ModelError, ResourceError, UsageError
from saccade.models import weights
from saccade.models.import_weights import import_weights
from saccade.models.published import published_key, tables
from saccade.models.table import build
from tests.golden.test_golden_classify import fill, stored

pytestmark = pytest.mark.contract
NAME = "squeezenet1_1"
RGB = Inputs(3, (64, 64), (0.0,) * 3, (1.0,) * 3)
THOUSAND = LabelSpace(tuple(str(i) for i in range(1000)))


@functools.cache
def tensors(name=NAME):
    return {key: fill(key, shape) for key, shape in stored(name)["keys"].items()}


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server on loopback with a file of the published layout; its folder, and the network's entry in the table."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *a: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def publish(content, digits=8, **saving):
        torch.save(content, folder / "made.pth", **saving)
        data = (folder / "made.pth").read_bytes()
        name = f"{NAME}-{hashlib.sha256(data).hexdigest()[:digits]}.pth"
        (folder / name).write_bytes(data)
        monkeypatch.setattr(weights, "IMAGENET", {NAME: weights.Weights(name, 58.178)})
        return name

    yield folder, publish, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("saving", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "first kind"])
def test_weights_are_fetched_once_and_give_the_published_logits(served, tmp_path, saving):
    folder, publish, source = served
    name = publish(tensors(), **saving)
    path = weights.fetch(NAME, source=source, cache=tmp_path / "cache")
    (folder / name).unlink()
    assert weights.fetch(NAME, source=source, cache=tmp_path / "cache") == path
    model = build("classify", NAME, RGB._replace(size=(224, 224)), THOUSAND).eval()
    assert weights.load(model, NAME, path) == []
    probe, shape = stored(NAME)["logits"], stored(NAME)["input"][1]
    images = torch.from_numpy(np.random.default_rng(zlib.crc32(b"input")).random(shape).astype(np.float32))
    with torch.inference_mode():
        logits = model.outputs(images, torch.tensor([shape[2:]] * shape[0]))["label"].logits
    np.testing.assert_allclose(logits.flatten()[probe["index"]], probe["value"], rtol=1e-4, atol=1e-5 * probe["abs_sum"] / logits.numel())


def test_a_checkpoint_holds_its_tensors_under_a_key_and_a_prefix(tmp_path):
    torch.save({"state_dict": {f"module.{key}": value for key, value in tensors().items()}, "epoch": 3}, tmp_path / "w.pth")
    read = import_weights(tmp_path / "w.pth")
    assert read.keys() == tensors().keys() and torch.equal(read["features.0.weight"], tensors()["features.0.weight"])


def test_other_classes_start_afresh_and_grey_images_see_the_summed_kernels(tmp_path):
    storage.save_tensors(tmp_path / "w.safetensors", tensors())
    model = build("classify", NAME, Inputs(1, (64, 64), (0.0,), (1.0,)), LabelSpace(("a", "b"))).eval()
    before = model.heads["label"].output.weight.clone()
    assert weights.load(model, NAME, tmp_path / "w.safetensors") == ["heads.label.output.weight", "heads.label.output.bias"]
    assert torch.equal(model.heads["label"].output.weight, before)
    colour = build("classify", NAME, RGB, LabelSpace(("a", "b"))).eval()
    weights.load(colour, NAME, tmp_path / "w.safetensors")
    grey, sizes = torch.rand(1, 1, 64, 64), torch.tensor([[64, 64]])
    torch.testing.assert_close(model.backbone(grey, sizes).maps[-1], colour.backbone(grey.expand(1, 3, 64, 64), sizes).maps[-1], rtol=1e-4, atol=1e-5)


def test_a_wrong_hash_is_refused_and_nothing_is_kept(served, tmp_path):
    folder, publish, source = served
    name = publish(tensors())
    (folder / name).write_bytes((folder / name).read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError) as refused:
        weights.fetch(NAME, source=source, cache=tmp_path / "cache")
    assert refused.value.code == "WEIGHTS-HASH" and not list((tmp_path / "cache").glob("*"))


def test_a_server_without_the_file_and_no_server(served, tmp_path):
    folder, publish, source = served
    (folder / publish(tensors())).unlink()
    for place in (source, "http://127.0.0.1:1/"):
        with pytest.raises(ResourceError) as refused:
            weights.fetch(NAME, source=place, cache=tmp_path / "cache")
        assert refused.value.code == "WEIGHTS-FETCH" and place in refused.value.where


def test_a_network_without_weights_lists_those_with():
    with pytest.raises(UsageError, match=r"no published weights of resnt18.*\n.*did you mean resnet18"):
        weights.fetch("resnt18")


def change(**changes):
    made = dict(tensors())
    for key, value in changes.items():
        if value is None:
            del made[key.replace("__", ".")]
        else:
            made[key.replace("__", ".")] = value
    return made


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (change(features__0__weight=None), "backbone.stages.0.0.conv.weight is missing"),
        (change(features__99__weight=torch.zeros(1)), "features.99.weight is not of squeezenet1_1"),
        (change(features__0__bias=torch.zeros(5)), r"backbone.stages.0.0.conv.bias is \(5,\), expected \(64,\)"),
        ({"fc.weight": torch.zeros(1)}, "fc.weight is not of squeezenet1_1; .* and 46 more"),
    ],
    ids=["missing", "unknown", "shape", "another network"],
)
def test_tensors_of_another_network_are_refused_by_name(tmp_path, content, got):
    storage.save_tensors(tmp_path / "w.safetensors", content)
    with pytest.raises(ModelError, match=got) as refused:
        weights.load(build("classify", NAME, RGB, THOUSAND), NAME, tmp_path / "w.safetensors")
    assert refused.value.code == "WEIGHTS-KEYS"


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"features.0.weight": Canary(str(canary))}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Canary(str(canary))))
    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(ModelError) as refused:
            import_weights(tmp_path / name)
        assert refused.value.code == "MODEL-UNSAFE" and not canary.exists()


def test_what_is_no_table_of_tensors_is_refused(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (64 << 20))
    codes = {}
    for name in ("text", "list", "bomb", "none"):
        with pytest.raises(ModelError) as refused:
            import_weights(tmp_path / f"{name}.pth")
        codes[name] = refused.value.code
    assert codes == {"text": "MODEL-CORRUPT", "list": "MODEL-CORRUPT", "bomb": "MODEL-UNSAFE", "none": "MODEL-MISSING"}


@pytest.mark.parametrize("network", weights.IMAGENET)
def test_every_published_file_has_a_table_of_names(network):
    assert tables(network) and published_key(network, next(iter(stored(network)["keys"])))
