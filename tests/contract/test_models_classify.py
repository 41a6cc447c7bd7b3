"""What every classifier of the table must do; a new model is tested by being listed there."""

import copy
import functools
import json

import pytest
import torch
from safetensors.torch import load, save
from torch.utils import _pytree

from saccade.core import Batch, Features, Geometry, Inputs, LabelSpace, Meta, Model
from saccade.models.arguments import defaults
from saccade.models.table import MODELS, build
from saccade.nn.blocks import ResidualBlock
from saccade.nn.heads.classify import ClassifyOut
from saccade.targets.label import Label

pytestmark = pytest.mark.contract
SAME_BUT_DEEPER = {"resnet32", "resnet44", "resnet101", "resnet152", "wide_resnet50_2", "vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg16_bn", "vgg19_bn"}
SAME_BUT_DEEPER |= {"densenet161", "densenet169", "densenet201"}
NAMES = [name for name in MODELS["classify"] if name not in SAME_BUT_DEEPER]
SIDES = {"lenet5": 32, "mlp": 9, "alexnet": 63, "vgg11": 32, "vgg11_bn": 32, "googlenet": 15, "inception_v3": 75, "densenet121": 29, "squeezenet1_1": 33}
SIDES |= {"inception_resnet_v2": 75}
"""The smallest side that a network takes; 9 px for all others."""
WIDTHS = {"inception_v3": 0.25, "squeezenet1_1": 0.5, "inception_resnet_v2": 0.05}  # branches that must add up; a ReLU before the logits that may die
COUNTING = {"naive_bayes", "table", "frequencies"}  # they learn by counting black and white, so nothing has a gradient
ONE_SIZE = {"mlp", "logistic", *COUNTING}  # dense over all pixels
SPACE = LabelSpace(("cat", "dog", "owl"))
MODELS_FOR_ARGUMENTS = {
    "small": [{"norm": "group"}, {"norm": "none", "pool": "max"}, {"widths": [8, 12], "blocks": [2, 1], "pool": "average"}],
    "lenet5": [{"subsampling": "max"}, {"subsampling": "trainable", "connections": "table", "output": "rbf"}],
    "resnet20": [{"shortcut": "projection"}],
    "resnet18": [{"stem": "imagenet", "zero_init_residual": True}, {"width": 0.25, "output_stride": 8}],
    "alexnet": [{"towers": 2}],
    "vgg11": [{"dense": 0, "output_stride": 16}],
    "googlenet": [{"auxiliary": False, "norm": "none", "fifth": 5}],
    "mobilenet_v2": [{"output_stride": 8}],
    "densenet121": [{"output_stride": 16}],
    "inception_v2": [{"output_stride": 8}],
    "mlp": [{"activation": "sigmoid", "hidden": [5]}, {"activation": ["tanh", "leaky_relu"], "hidden": [5, 4]}],
    "filter_bank": [{"pool": "average", "over": "orientation"}, {"over": "scale", "grid": 1, "orientations": 3}],
}
VARIANTS = [(name, {}) for name in NAMES] + [(name, arguments) for name, several in MODELS_FOR_ARGUMENTS.items() for arguments in several]
variants = pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=[" ".join([n, *map(str, a.values())]) for n, a in VARIANTS])
names = pytest.mark.parametrize("name", NAMES)


def side(name: str) -> int:
    """The smallest side that is worth a test."""
    return SIDES.get(name, 9)


def several_sizes(name: str) -> None:
    if name in ONE_SIZE:
        pytest.skip("takes inputs of one size only")


def make(name: str, arguments: dict | None = None, channels: int = 3) -> Model:
    """A model in float64 and eval mode, every norm away from its initial state, so that no zero hides a fault. Shared: not to be changed."""
    return _made(name, json.dumps(arguments or {}), channels)


def own(name: str, arguments: dict | None = None) -> Model:
    """The same for a test that changes it."""
    return copy.deepcopy(make(name, arguments)).requires_grad_()


def quick(name: str) -> dict:
    """An eighth of the width where a network has one, and no dropout, which is not the same twice."""
    has = defaults(MODELS["classify"][name])
    return {k: v for k, v in (("width", WIDTHS.get(name, 0.125)), ("dropout", 0.0), ("auxiliary_dropout", 0.0)) if k in has}


@functools.cache
def _made(name: str, arguments: str, channels: int) -> Model:
    torch.manual_seed(5)
    inputs = Inputs(channels, (side(name),) * 2, (0.4,) * channels, (0.3,) * channels)
    model = build("classify", name, inputs, SPACE, quick(name) | json.loads(arguments)).double().eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.GroupNorm):
            torch.nn.init.normal_(part.weight, 0.7, 0.1)
            torch.nn.init.normal_(part.bias, 0.0, 0.2)
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0.0, 0.1)
            part.running_var.uniform_(0.8, 1.2)
        if isinstance(part, ResidualBlock) and isinstance(part.residual[-1].norm, torch.nn.Identity):
            torch.nn.init.normal_(part.residual[-1].conv.weight, 0.0, 0.1)
    return model.requires_grad_(False)


def batch_of(images: list[torch.Tensor], labels: list[Label | None], size: tuple[int, int] | None = None, fill: float = 7.7) -> Batch:
    """The images in the corner of one batch, everything else being rubbish."""
    sizes = torch.tensor([image.shape[1:] for image in images])
    height, width = size or sizes.amax(0).tolist()
    inputs = torch.full((len(images), len(images[0]), height, width), fill, dtype=torch.float64)
    for row, image in enumerate(images):
        inputs[row, :, : image.shape[1], : image.shape[2]] = image
    return Batch(inputs, sizes, {"label": labels}, metas(len(images)))


def metas(count: int) -> list[Meta]:
    return [Meta(f"{i}.png", (8, 8), Geometry.identity((8, 8))) for i in range(count)]


def images(name: str, *extra: tuple[int, int], channels: int = 3) -> list[torch.Tensor]:
    torch.manual_seed(3)
    return [torch.rand(channels, side(name) + h, side(name) + w, dtype=torch.float64) for h, w in extra]


def logits(model: Model, batch: Batch) -> torch.Tensor:
    return model.outputs(batch.inputs, batch.sizes)["label"].logits


@variants
def test_gradients_reach_every_parameter(name, arguments):
    model = own(name, arguments).train()
    sum(model(batch_of(images(name, (0, 0), (0, 0), (0, 0)), [Label(0), Label(1), Label(2)])).values()).backward()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.abs().sum() > 0]
    assert not without


@variants
def test_declared_levels_are_the_measured_ones(name, arguments):
    several_sizes(name)
    model = make(name, arguments)
    strides = [level.stride for level in model.backbone.levels]
    small, large = ([*images(name, (0, 0))], [*images(name, (max(strides), 2 * max(strides)))])
    maps = [model.backbone(b.inputs, b.sizes).maps for b in (batch_of(small, [None]), batch_of(large, [None]))]
    assert torch.equal(maps[0][0], batch_of(small, [None]).inputs)
    for level, coarse, fine in zip(model.backbone.levels, *maps, strict=True):
        assert coarse.shape[1] == fine.shape[1] == level.channels
        more = max(strides) // level.stride
        assert (fine.shape[2] - coarse.shape[2], fine.shape[3] - coarse.shape[3]) == (more, 2 * more)


@variants
def test_padding_changes_nothing(name, arguments):
    several_sizes(name)
    model, several = make(name, arguments), images(name, (3, 1), (8, 9), (0, 6))
    together = logits(model, batch_of(several, [None] * 3))
    for row, image in enumerate(several):
        torch.testing.assert_close(logits(model, batch_of([image], [None]))[0], together[row], rtol=1e-7, atol=1e-9)


@variants
def test_padding_changes_nothing_while_training(name, arguments):
    several_sizes(name)
    model, several, truth = own(name, arguments).train(), images(name, (3, 1), (8, 9)), [Label(0), Label(2)]
    tight, wide = copy.deepcopy(model), copy.deepcopy(model)
    losses = [sum(m(batch_of(several, truth, size)).values()) for m, size in ((tight, None), (wide, (side(name) + 21, side(name) + 14)))]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(tight.state_dict(), wide.state_dict(), rtol=1e-6, atol=1e-9)  # the running statistics too


@variants
def test_no_leak_across_a_batch(name, arguments):
    if name in COUNTING:
        pytest.skip("counts have no gradient")
    model, batch = make(name, arguments), batch_of(images(name, (0, 0), (0, 0)), [None, None])
    batch.inputs.requires_grad_()
    logits(model, batch)[0, 0].backward()
    assert batch.inputs.grad[0].abs().sum() > 0
    assert batch.inputs.grad[1].abs().sum() == 0


@names
def test_the_loss_is_defined_in_eval_mode_and_needs_no_gradient_mode(name):
    model, batch = make(name), batch_of(images(name, (0, 0), (0, 0)), [Label(0), Label(1)])
    with torch.no_grad():
        losses, answers = model.evaluate(batch)
    torch.testing.assert_close(losses, {k: v.detach() for k, v in model(batch).items()})
    assert set(losses) - {"auxiliary"} == {"cross_entropy"} and [a.probabilities.shape for a in answers["label"]] == [(3,), (3,)]


@pytest.mark.parametrize("arguments", [{}, {"output": "rbf"}])
def test_the_loss_is_the_same_in_train_and_eval_mode_without_norm_and_dropout(arguments):
    model, batch = own("lenet5", arguments), batch_of(images("lenet5", (0, 0), (0, 0)), [Label(0), Label(1)])
    assert torch.equal(model.train()(batch)["cross_entropy"], model.eval()(batch)["cross_entropy"])


@names
def test_a_sample_without_a_label_gives_no_term(name):
    model, (one, two) = make(name), images(name, (0, 0), (0, 0))
    alone = model(batch_of([one], [Label(1)]))["cross_entropy"]
    torch.testing.assert_close(model(batch_of([one, two], [Label(1), None]))["cross_entropy"], alone)
    torch.testing.assert_close(model(batch_of([one, two], [Label(1), Label(-1)]))["cross_entropy"], alone)


@names
def test_a_batch_without_any_label_gives_no_loss(name):
    assert make(name)(batch_of(images(name, (0, 0)), [None])) == {}


@names
def test_ignored_labels_give_a_zero_loss_with_a_zero_gradient(name):
    model = own(name)
    loss = model(batch_of(images(name, (0, 0)), [Label(-1)]))["cross_entropy"]
    loss.backward()
    assert loss == 0 and all(p.grad is None or p.grad.abs().sum() == 0 for p in model.parameters())


@variants
def test_the_ideal_output_decodes_to_the_target(name, arguments):
    truth = [Label(2), Label(0), Label(1)]
    ideal = ClassifyOut(60.0 * torch.eye(3)[[t.index for t in truth]])
    answers = make(name, arguments).heads["label"].decode(ideal, metas(3))
    assert [a.index for a in answers] == [t.index for t in truth]
    assert all(a.score == pytest.approx(1.0) and a.probabilities.device.type == "cpu" for a in answers)


@names
def test_targets_for_an_unknown_head_are_refused(name):
    batch = batch_of(images(name, (0, 0)), [None])
    with pytest.raises(ValueError, match=r"\['labels'\], but the heads are \['label'\]"):
        make(name)(Batch(batch.inputs, batch.sizes, {"labels": [Label(0)]}, batch.meta))


@names
def test_save_and_load_give_the_same_bytes_out(name):
    model, batch = make(name), batch_of(images(name, (0, 0)), [None])
    written = save({k: v.contiguous() for k, v in model.state_dict().items()})
    torch.manual_seed(99)
    inputs = Inputs(3, (side(name),) * 2, (0.1,) * 3, (0.9,) * 3)  # the constants come from the file as well
    other = build("classify", name, inputs, SPACE, quick(name)).double().eval()
    other.load_state_dict(load(written))
    assert save({k: v.contiguous() for k, v in other.state_dict().items()}) == written
    assert torch.equal(logits(other, batch), logits(model, batch))


@names
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels(name, channels):
    model = make(name, channels=channels)
    assert logits(model, batch_of(images(name, (0, 0), channels=channels), [None])).shape == (1, 3)


@names
def test_an_empty_batch_gives_an_empty_answer(name):
    model = make(name)
    inputs = torch.zeros(0, 3, side(name), side(name), dtype=torch.float64)
    assert model.predict(inputs, torch.zeros(0, 2, dtype=torch.long), []) == {"label": []}


@names
def test_features_are_a_tree_of_tensors_that_rows_are_taken_from(name):
    batch = batch_of(images(name, (0, 0), (0, 0)), [None, None])
    features = make(name).backbone(batch.inputs, batch.sizes)
    leaves, shape = _pytree.tree_flatten(features)
    assert isinstance(_pytree.tree_unflatten(leaves, shape), Features) and len(leaves) == len(features.maps) + 1
    assert all(torch.equal(row, whole[[1]]) for row, whole in zip(features[torch.tensor([1])].maps, features.maps, strict=True))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("plain56", "plain110", "resnet110")])
def test_one_batch_can_be_overfitted(name):
    """But for the very deep ones: plain nets that do not train are what the paper shows, and resnet110 is resnet56 and more of it."""
    if name in COUNTING:
        pytest.skip("learns by counting")
    torch.manual_seed(1)
    model = build("classify", name, Inputs(1, (side(name),) * 2, (0.5,), (0.3,)), SPACE, quick(name)).train()
    batch = batch_of(images(name, *[(0, 0)] * 6, channels=1), [Label(i % 3) for i in range(6)])
    batch.inputs = batch.inputs.float()
    optimiser = torch.optim.Adam(model.parameters(), 3e-4 if name == "squeezenet1_1" else 3e-3)  # its ReLU over the logits dies at a high rate
    for _ in range(150):
        loss = model(batch)["cross_entropy"]
        if loss < 0.1:
            return
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pytest.fail(f"the loss is still {loss.item():.3f} after 150 steps")


@pytest.mark.parametrize("sizes", [[[16, 16], [16, 16]], [[16, 11], [9, 16]]])
def test_an_exported_graph_masks_by_the_sizes_it_is_given(sizes):
    class Flat(torch.nn.Module):
        def __init__(self, model: Model) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
            return self.model.outputs(inputs, sizes)["label"].logits

    model, inputs = make("small"), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    graph = torch.export.export(Flat(model), (inputs, torch.tensor([[16, 16], [16, 16]]))).module()
    torch.testing.assert_close(graph(inputs, torch.tensor(sizes)), model.outputs(inputs, torch.tensor(sizes))["label"].logits)
