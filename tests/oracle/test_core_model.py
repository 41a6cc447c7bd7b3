"""The signatures that everything meets in: several heads, missing labels, weights, necks, and features as a tree."""

import pytest
import torch
from torch.utils import _pytree

from saccade.core import Backbone, Batch, Chain, Features, Inputs, LabelSpace, Level, Meta, Model, Neck, decay_groups
from saccade.models.table import build
from saccade.nn.heads.classify import Classify
from saccade.ops.geometry import Geometry
from saccade.targets import Label

INPUTS = Inputs(1, (16, 16), (0.5,), (0.25,))


class Doubled(Neck):
    """A neck with one map more, of twice the channels."""

    def __init__(self, levels):
        super().__init__()
        self.levels = (*levels, Level(2 * levels[-1].channels, levels[-1].stride))

    def forward(self, features: Features) -> Features:
        return Features([*features.maps, torch.cat([features.maps[-1]] * 2, 1)], features.sizes)


def two_heads(weights=None) -> Model:
    torch.manual_seed(0)
    single = build("classify", "small", INPUTS, LabelSpace(("a", "b", "c")), {"widths": [4, 8], "blocks": [1, 1]})
    backbone = single.backbone
    assert isinstance(backbone, Backbone)
    heads = {"kind": Classify(backbone.levels[-1], 3), "side": Classify(backbone.levels[-1], 2)}
    return Model(backbone, heads, weights or {}).eval()


def batch(kinds, sides) -> Batch:
    torch.manual_seed(1)
    n = len(kinds)
    meta = [Meta(str(i), (16, 16), Geometry.identity((16, 16))) for i in range(n)]
    targets = {"kind": [None if k is None else Label(k) for k in kinds], "side": [None if s is None else Label(s) for s in sides]}
    return Batch(torch.rand(n, 1, 16, 16), torch.full((n, 2), 16), targets, meta)


def test_each_head_sees_the_rows_that_it_has_labels_for():
    model, given = two_heads(), batch([0, None, 2, 1], [None, 1, None, None])
    losses = model(given)
    assert set(losses) == {"kind.cross_entropy", "side.cross_entropy"}
    logits = model.outputs(given.inputs, given.sizes)
    expected = torch.nn.functional.cross_entropy(logits["kind"].logits[[0, 2, 3]], torch.tensor([0, 2, 1]))
    torch.testing.assert_close(losses["kind.cross_entropy"], expected)
    torch.testing.assert_close(losses["side.cross_entropy"], torch.nn.functional.cross_entropy(logits["side"].logits[1:2], torch.tensor([1])))


def test_a_head_without_any_label_gives_no_term_and_no_gradient():
    model, given = two_heads(), batch([0, 1], [None, None])
    losses = model(given)
    assert set(losses) == {"kind.cross_entropy"}
    sum(losses.values()).backward()
    assert all(p.grad is None for p in model.heads["side"].parameters())
    assert all(p.grad is not None for p in model.heads["kind"].parameters())
    assert model(batch([None, None], [None, None])) == {}


def test_weights_multiply_the_terms_and_evaluate_gives_both():
    given = batch([0, 1], [1, 0])
    plain, weighted = two_heads()(given), two_heads({"side": 0.25})(given)
    torch.testing.assert_close(weighted["side.cross_entropy"], 0.25 * plain["side.cross_entropy"])
    torch.testing.assert_close(weighted["kind.cross_entropy"], plain["kind.cross_entropy"])
    losses, answers = two_heads().evaluate(given)
    torch.testing.assert_close(losses["kind.cross_entropy"], plain["kind.cross_entropy"])
    assert [len(answers[name]) for name in ("kind", "side")] == [2, 2] and answers["side"][0].probabilities.shape == (2,)


def test_a_name_that_is_no_head_is_refused_with_the_heads():
    with pytest.raises(ValueError, match=r"\['sid'\], but the heads are \['kind', 'side'\]"):
        two_heads({"sid": 1.0})
    given = batch([0], [1])
    given.targets = {**given.targets, "sid": [Label(0)]}
    with pytest.raises(ValueError, match=r"\['sid'\], but the heads are"):
        two_heads()(given)


def test_necks_chain_and_declare_their_levels():
    backbone = two_heads().backbone
    chain = Chain(backbone, Doubled(backbone.levels), Doubled(Doubled(backbone.levels).levels))
    found = chain(torch.rand(2, 1, 16, 16), torch.full((2, 2), 16))
    assert [m.shape[1] for m in found.maps] == [level.channels for level in chain.levels]
    assert Chain(backbone).levels == backbone.levels


def test_features_are_a_tree_with_rows():
    features = Features([torch.arange(6.0).view(3, 2)], torch.tensor([[1], [2], [3]]))
    rows = features[torch.tensor([2, 0])]
    assert rows.maps[0].tolist() == [[4, 5], [0, 1]] and rows.sizes.tolist() == [[3], [1]]
    doubled = _pytree.tree_map(lambda t: t * 2, features)
    assert isinstance(doubled, Features) and doubled.maps[0][2].tolist() == [8, 10]


def test_decay_is_for_matrices_alone():
    groups = decay_groups(two_heads())
    assert all(p.ndim > 1 for p in groups[0]["params"]) and "weight_decay" not in groups[0]
    assert all(p.ndim <= 1 for p in groups[1]["params"]) and groups[1]["weight_decay"] == 0
    assert sum(len(g["params"]) for g in groups) == len(list(two_heads().parameters()))


def test_labels_merge_by_the_mean_or_by_vote_and_are_drawn():
    import numpy as np

    merged = Label.merge([Label(0, torch.tensor([0.6, 0.4])), Label(1, torch.tensor([0.1, 0.9]))], [])
    assert merged.index == 1 and merged.probabilities.tolist() == pytest.approx([0.35, 0.65])
    assert Label.merge([Label(1), Label(0), Label(1), Label(-1)], []).index == 1 and Label.merge([Label(-1)], []).index == -1
    with pytest.raises(ValueError, match="at least one part"):
        Label.merge([], [])
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = Label(1, torch.tensor([0.2, 0.8])).draw(image, LabelSpace(("cat", "dog")))
    assert drawn.shape[0] > 40 and drawn.shape[1:] == (60, 3) and drawn[40:].any() and not image.any()
    assert Label(1, torch.tensor([0.2, 0.8])).top(2) == [(1, pytest.approx(0.8)), (0, pytest.approx(0.2))]
    with pytest.raises(ValueError, match="must differ"):
        LabelSpace(("a", "a"))


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (0, 3, 4, 4), (2, 1, 5, 4), (1, 4, 1, 1), (2, 3, 6), (2, 2, 3, 4, 5)])
def test_normalising_gives_the_same_bits_however_the_batch_lies_in_memory(shape):
    torch.manual_seed(0)
    channels = shape[1]
    backbone = Backbone(Inputs(channels, (4, 4), tuple(0.1 * i for i in range(channels)), tuple(0.3 + 0.1 * i for i in range(channels))))
    x = torch.rand(shape)
    wanted = torch.stack([(x[:, i] - backbone.mean[i]) / backbone.std[i] for i in range(channels)], 1)
    assert torch.equal(backbone.normalise(x), wanted)
    if x.ndim == 4:
        last = x.to(memory_format=torch.channels_last).requires_grad_()
        normed = backbone.normalise(last)
        assert torch.equal(normed, wanted) and normed.is_contiguous(memory_format=torch.channels_last)
        normed.sum().backward()
        torch.testing.assert_close(last.grad, (1 / backbone.std).view(1, -1, 1, 1).expand(shape))
