"""A classifier as a score map against the classifier moved over the picture, window by window."""

import pytest
import torch

from saccade.core import Inputs, LabelSpace, Level, Model
from saccade.models.fully_convolutional import FullyConvolutional, sliding_window
from saccade.models.table import build
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, MaxPool
from saccade.nn.heads.classify import Classify
from saccade.nn.heads.dense import DenseClassify, MapClassify
from saccade.nn.heads.radial import RadialBasis

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("a", "b", "c"))


def without_padding(size=(21, 29)) -> tuple[Staged, Inputs]:
    """3x3, 2x2 pooling, 3x3 of stride 2, nothing padded: stride 4, reach 3 + 1 + 2 x 2 = 8."""
    inputs = Inputs(2, size, (0.4, 0.5), (0.3, 0.2))
    stages = [Flow(ConvNorm(2, 5, padding=0), MaxPool(2, stride=2)), Flow(ConvNorm(5, 6, padding=0, stride=2))]
    return Staged(inputs, stages, [Level(5, 2), Level(6, 4)], reach=8), inputs


HEADS = {
    "average": lambda level, reach: Classify(level, 3, reach=reach),
    "max": lambda level, reach: Classify(level, 3, reach=reach, pool="max", hidden=7, dropout=0.5),
    "both": lambda level, reach: Classify(level, 3, reach=reach, pool="average_max"),
    "map": lambda level, reach: MapClassify(level, 3, reach=reach),
    "dense": lambda level, reach: DenseClassify(level, 3, grid=4, hidden=(9, 8), reach=reach),
    "dense, coarser": lambda level, reach: DenseClassify(level, 3, grid=3, hidden=(9,), reach=reach),
    "dense, finer": lambda level, reach: DenseClassify(level, 3, grid=7, hidden=(9,), reach=reach),
    "radial": lambda level, reach: RadialBasis(level, 3, reach=reach),
}


def lively(model: Model) -> Model:
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0.0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return model.double().eval()


@pytest.mark.parametrize("head", HEADS)
def test_without_padding_the_map_is_the_sliding_window(head):
    torch.manual_seed(0)
    backbone, inputs = without_padding()
    model = lively(Model(backbone, {"label": HEADS[head](backbone.levels[-1], backbone.reach)}))
    dense, x = FullyConvolutional(model, inputs), torch.rand(2, 2, 41, 53, dtype=torch.float64)
    assert dense.grid == (4, 6) and dense.stride == 4
    found, extent = dense(x, torch.tensor([[41, 53]] * 2))
    slow = sliding_window(model, x, window=inputs.size, stride=4)
    assert extent is None and found.shape == slow.shape == (2, 3, 6, 7) and slow.std() > 0
    torch.testing.assert_close(found, slow, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "arguments", "side"),
    [
        ("lenet5", {}, 32),
        ("lenet5", {"subsampling": "trainable", "connections": "table", "output": "rbf"}, 32),
        ("mlp", {"hidden": [11, 9], "dropout": 0.3}, 12),
    ],
)
def test_networks_of_the_table_without_padding(name, arguments, side):
    torch.manual_seed(0)
    inputs = Inputs(1, (side, side), (0.3,), (0.4,))
    model = lively(build("classify", name, inputs, SPACE, arguments))
    dense, x = FullyConvolutional(model, inputs), torch.rand(1, 1, side + 9, side + 13, dtype=torch.float64)
    found = dense(x, torch.tensor([x.shape[-2:]])).logits
    torch.testing.assert_close(found, sliding_window(model, x, window=inputs.size, stride=dense.stride), rtol=1e-9, atol=1e-9)


PADDED = [("small", {}, 40), ("resnet18", {"width": 0.1}, 65), ("vgg11", {"width": 0.05}, 96), ("vgg11", {"width": 0.05, "dense": 0}, 64)]
PADDED += [("alexnet", {"width": 0.1}, 127), ("squeezenet1_1", {"width": 0.2}, 81), ("googlenet", {"width": 0.1}, 64), ("densenet121", {"width": 0.1}, 64)]
PADDED += [("mobilenet_v2", {"width": 0.2}, 64), ("inception_v2", {"width": 0.1}, 64), ("lenet5", {}, 28), ("resnet20", {}, 32)]


@pytest.mark.parametrize(("name", "arguments", "side"), PADDED)
def test_at_the_training_size_any_network_scores_as_it_did(name, arguments, side):
    torch.manual_seed(0)
    inputs = Inputs(3, (side, side), (0.4,) * 3, (0.3,) * 3)
    model = lively(build("classify", name, inputs, SPACE, arguments))
    dense, x, sizes = FullyConvolutional(model, inputs), torch.rand(2, 3, side, side, dtype=torch.float64), torch.tensor([[side, side]] * 2)
    with torch.no_grad():
        plain = model.outputs(x, sizes)["label"].logits
        found = dense(x, sizes).logits
        size = (side + 2 * dense.stride, side + dense.stride)
        wider = dense(torch.rand(1, 3, *size, dtype=torch.float64), torch.tensor([size]))
    torch.testing.assert_close(found, plain[..., None, None], rtol=1e-8, atol=1e-10)
    assert wider.logits.shape == (1, 3, 3, 2)


def test_with_padding_a_window_in_its_place_sees_its_neighbours():
    """The two differ, which the documentation says: this keeps it true."""
    torch.manual_seed(0)
    inputs = Inputs(1, (16, 16), (0.5,), (0.3,))
    model = lively(build("classify", "resnet20", inputs, SPACE))
    dense, x = FullyConvolutional(model, inputs), torch.rand(1, 1, 32, 28, dtype=torch.float64)
    with torch.no_grad():
        difference = (dense(x, torch.tensor([[32, 28]])).logits - sliding_window(model, x, window=(16, 16), stride=dense.stride)).abs().amax(1)[0]
    assert difference.min() > 1e-6


def test_padding_of_a_batch_changes_nothing():
    torch.manual_seed(0)
    backbone, inputs = without_padding()
    dense = FullyConvolutional(lively(Model(backbone, {"label": HEADS["both"](backbone.levels[-1], backbone.reach)})), inputs)
    images = [torch.rand(2, h, w, dtype=torch.float64) for h, w in ((21, 40), (35, 29), (33, 31))]
    together = torch.full((3, 2, 38, 44), 9.9, dtype=torch.float64)
    for row, image in enumerate(images):
        together[row, :, : image.shape[1], : image.shape[2]] = image
    found, extent = dense(together, torch.tensor([i.shape[1:] for i in images]))
    for row, image in enumerate(images):
        alone = dense(image[None], torch.tensor([image.shape[1:]])).logits[0]
        assert extent[row].tolist() == list(alone.shape[1:])
        torch.testing.assert_close(found[row, :, : alone.shape[1], : alone.shape[2]], alone, rtol=1e-9, atol=1e-11)
        assert found[row, :, alone.shape[1] :].abs().sum() == 0 == found[row, :, :, alone.shape[2] :].abs().sum()


def test_what_cannot_be_done_is_refused():
    backbone, inputs = without_padding()
    model = Model(backbone, {"label": Classify(backbone.levels[-1], 3)})
    dense = FullyConvolutional(model, inputs)
    with pytest.raises(ValueError, match="20x29 px is smaller than the window, which is 21x29"):
        dense(torch.rand(1, 2, 20, 29), torch.tensor([[20, 29]]))
    with pytest.raises(ValueError, match="smaller than the window"):
        dense(torch.rand(2, 2, 40, 40), torch.tensor([[40, 40], [40, 28]]))
    with pytest.raises(ValueError, match="smaller than the window"):
        sliding_window(model, torch.rand(1, 2, 20, 29), window=(21, 29), stride=4)
    with pytest.raises(ValueError, match=r"no head 'labels'; it has \['label'\]"):
        FullyConvolutional(model, inputs, head="labels")
    with pytest.raises(ValueError, match="Linear has no convolutional form"):
        FullyConvolutional(Model(backbone, {"label": torch.nn.Linear(2, 2)}), inputs)
