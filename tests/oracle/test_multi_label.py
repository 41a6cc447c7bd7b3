"""Several labels an image: losses, head, encoders and metric against slow definitions, scikit-learn and finite differences."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from saccade.core import Features, Inputs, LabelSpace, Level
from saccade.data.sampling import positive_weights
from saccade.errors import ModelError, UsageError
from saccade.metrics.multi_label import MultiLabelScores, average_precision, best_threshold
from saccade.models.table import build
from saccade.nn.heads.multi_label import MultiLabel, MultiLabelOut, answers
from saccade.ops.label_losses import asymmetric, binary
from saccade.targets import Labels
from tests.support.made_data import made

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("ant", "bee", "cat"))
INPUTS = Inputs(3, (16, 16), (0.5,) * 3, (0.25,) * 3)


def truths(rows: list[list[int]]) -> list[Labels]:
    return [Labels(torch.tensor(row, dtype=torch.int8)) for row in rows]


def drawn(seed: int, n: int = 6, k: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = np.random.default_rng(seed)
    logits = torch.from_numpy(chance.normal(0, 3, (n, k)))
    values = torch.from_numpy(chance.integers(-1, 2, (n, k)))
    return logits, values.clamp(min=0).double(), values >= 0


# -- losses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_binary_is_the_mean_of_torchs_over_what_is_known(seed):
    logits, truth, known = drawn(seed)
    expected = F.binary_cross_entropy_with_logits(logits[known], truth[known])
    assert float(binary(logits, truth, known)) == pytest.approx(float(expected))
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    each = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="none")
    assert float(binary(logits, truth, known, weights)) == pytest.approx(float(each[known].mean()))
    soft = truth * 0.7 + 0.1
    assert float(binary(logits, soft, known)) == pytest.approx(float(F.binary_cross_entropy_with_logits(logits[known], soft[known])))


@pytest.mark.parametrize(("positive", "negative", "shift"), [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (2.0, 2.0, 0.0), (0.0, 0.0, 0.2), (0.5, 3.0, 0.1)])
def test_asymmetric_follows_its_equations_answer_by_answer(positive, negative, shift):
    logits, truth, known = drawn(7)
    total, count = 0.0, 0
    for i, k in itertools.product(range(6), range(3)):
        if known[i, k]:
            p = 1 / (1 + np.exp(-float(logits[i, k])))
            less = max(p - shift, 0)
            total -= (1 - p) ** positive * np.log(p) if truth[i, k] else less**negative * np.log(1 - less)
            count += 1
    assert float(asymmetric(logits, truth, known, positive=positive, negative=negative, shift=shift)) == pytest.approx(total / count)


def test_asymmetric_without_gammas_and_shift_is_binary_and_an_easy_no_costs_nothing():
    logits, truth, known = drawn(3)
    assert float(asymmetric(logits, truth, known, positive=0, negative=0, shift=0)) == pytest.approx(float(binary(logits, truth, known)))
    easy = torch.full((1, 3), -4.0, requires_grad=True)  # p = 0.018, below the shift
    loss = asymmetric(easy, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0 and not easy.grad.any()


@pytest.mark.parametrize("call", [binary, asymmetric, lambda *a: asymmetric(*a, positive=1.5, negative=2.0, shift=0.0)])
def test_gradients_equal_finite_differences_and_stay_finite_far_out(call):
    logits, truth, known = drawn(11)
    assert torch.autograd.gradcheck(lambda x: call(x, truth, known), logits.requires_grad_())
    far = torch.tensor([[80.0, -80.0, 200.0]], dtype=torch.float32, requires_grad=True)
    for value in (0.0, 1.0):
        far.grad = None
        loss = call(far, torch.full((1, 3), value), torch.ones(1, 3, dtype=torch.bool))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(far.grad).all()


def test_what_is_unknown_costs_nothing_and_gets_no_gradient():
    logits, truth, known = drawn(5)
    logits[~known] = float("inf")
    for call in (binary, asymmetric):
        assert torch.isfinite(call(logits, truth, known))
    empty = torch.zeros(2, 3, requires_grad=True)
    loss = binary(empty, torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0 and not empty.grad.any()
    with pytest.raises(ValueError, match="differ in shape"):
        binary(torch.zeros(2, 3), torch.zeros(2, 2), torch.zeros(2, 3, dtype=torch.bool))


# -- head and networks ------------------------------------------------------------------------------------------------


def test_the_head_reads_truths_and_answers_in_kind():
    values, known = answers([*truths([[1, 0, -1]]), Labels(torch.tensor([1, 0, -1], dtype=torch.int8), torch.tensor([0.7, 0.3, 0.9]))], 3, torch.zeros(1))
    assert torch.allclose(values, torch.tensor([[1.0, 0, 0], [0.7, 0.3, 0]])) and known.tolist() == [[True, True, False]] * 2
    head = MultiLabel(Level(4, 2), 3)
    given = head.decode(MultiLabelOut(torch.tensor([[9.0, -9.0, 0.0]])), [])[0]
    assert given.values.tolist() == [1, 0, 1] and torch.allclose(given.scores, torch.tensor([1.0, 0.0, 0.5]), atol=1e-3)
    ideal = truths([[1, 0, 1], [0, 0, 1]])
    certain = MultiLabelOut(torch.tensor([[50.0, -50, 50], [-50, -50, 50]]))
    assert [a.values.tolist() for a in head.decode(certain, [])] == [t.values.tolist() for t in ideal]
    assert float(head.loss(certain, ideal)["binary_cross_entropy"]) == pytest.approx(0, abs=1e-6)
    assert float(head.loss(certain, truths([[-1, -1, -1]] * 2))["binary_cross_entropy"]) == 0
    with pytest.raises(ValueError, match="2 answers, expected 3"):
        head.loss(certain, truths([[1, 0]] * 2))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": "hinge"}, "binary or asymmetric"),
        ({"loss": "asymmetric", "positive_weights": [1, 1, 1]}, "binary loss"),
        ({"positive_weights": [1, 2]}, "3 non-negative"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        MultiLabel(Level(4, 2), 3, **options)


@pytest.mark.parametrize("name", ["small", "independent"])
@pytest.mark.parametrize("arguments", [{}, {"loss": "asymmetric", "pool": "max"}, {"class_weights": [1.0, 2.0, 3.0], "pool": "average"}])
def test_gradients_reach_every_weight_and_padding_changes_nothing(name, arguments):
    torch.manual_seed(0)
    model = build("multilabel", name, INPUTS, SPACE, {"widths": [4, 6], "blocks": [1, 1], **arguments}).double().eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):  # residual branches start at nought
            torch.nn.init.normal_(part.weight, 0.7, 0.1)
    image = torch.rand(2, 3, 16, 12, dtype=torch.float64)
    padded = torch.full((2, 3, 24, 20), 7.7, dtype=torch.float64)
    padded[:, :, :16, :12] = image
    out, wide = (model.outputs(x, torch.tensor([[16, 12]] * 2))["labels"].logits for x in (image, padded))
    torch.testing.assert_close(out, wide)
    sum(model.heads["labels"].loss(MultiLabelOut(out), truths([[1, 0, 1], [0, 1, 0]])).values()).backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_independent_classifiers_are_independent_and_k_times_as_large():
    torch.manual_seed(1)
    arguments = {"widths": [4, 6], "blocks": [1, 1]}
    model = build("multilabel", "independent", INPUTS, SPACE, arguments).double().eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.weight, 0.7, 0.1)
    images, sizes = torch.rand(2, 3, 16, 16, dtype=torch.float64), torch.tensor([[16, 16]] * 2)
    logits = model.outputs(images, sizes)["labels"].logits
    for k, encoder in enumerate(model.backbone.encoders):  # its own encoder and layer, put together by hand
        last = encoder(images, sizes).maps[-1]
        own = torch.cat([last.mean((2, 3)), last.amax((2, 3))], 1)
        torch.testing.assert_close(logits[:, k], model.heads["labels"].output.layers[k](own)[:, 0])
    logits[:, 1].sum().backward()
    for k, encoder in enumerate(model.backbone.encoders):
        assert any(p.grad is not None and p.grad.any() for p in encoder.parameters()) == (k == 1)
    single = sum(p.numel() for p in build("multilabel", "small", INPUTS, LabelSpace(("ant",)), arguments).parameters())
    assert sum(p.numel() for p in model.parameters()) == 3 * single
    measured = model.backbone(images, sizes).maps
    assert [m.shape[1] for m in measured] == [level.channels for level in model.backbone.levels]
    with pytest.raises(UsageError, match="at most 100"):
        build("multilabel", "independent", INPUTS, LabelSpace(tuple(map(str, range(101)))), arguments)


def test_a_few_images_are_learnt_by_heart():
    torch.manual_seed(2)
    images, wanted = torch.rand(6, 3, 8, 8), truths([[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1], [-1, 1, 0]])
    for name in ("small", "independent"):
        model = build("multilabel", name, INPUTS, SPACE, {"widths": [8], "blocks": [1]}).train()
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(30):
            optimiser.zero_grad()
            out = model.outputs(images, torch.tensor([[8, 8]] * 6))["labels"]
            sum(model.heads["labels"].loss(out, wanted).values()).backward()
            optimiser.step()
        found = model.heads["labels"].decode(out, [])
        assert all(((a.values == t.values) | (t.values < 0)).all() for a, t in zip(found, wanted, strict=True))


def test_features_may_be_padded_maps():
    head = MultiLabel(Level(2, 1), 3, pool="average_max")
    features = Features([torch.zeros(1, 2, 2, 2)], torch.tensor([[2, 2]]))
    assert head(features).logits.shape == (1, 3)


def test_weights_that_make_yeses_and_noes_count_alike():
    records = truths([[1, 0, -1], [0, 0, -1], [0, 0, 1], [0, 0, -1]])
    data = made([{"labels": t} for t in records], {"labels": SPACE})
    assert positive_weights(data) == (3.0, 1.0, 1.0)


# -- metric -----------------------------------------------------------------------------------------------------------


def filled(seed: int, n: int = 40, known: float = 1.0, ties: bool = False, **more: object) -> tuple[MultiLabelScores, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, 2, (n, 3)).astype(np.int8)
    scores = np.clip(truth * 0.3 + chance.random((n, 3)) * 0.7, 0, 1)
    scores = np.round(scores, 1) if ties else scores
    truth[chance.random((n, 3)) > known] = -1
    metric = MultiLabelScores(SPACE, resamples=50, **more)
    for row, own in zip(scores.astype(np.float32), truth, strict=True):
        metric.update(Labels(torch.zeros(3, dtype=torch.int8), torch.from_numpy(row)), Labels(torch.from_numpy(own)))
    return metric, scores.astype(np.float32).astype(np.float64), truth


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_scikit_learns(seed, ties):
    from sklearn.metrics import average_precision_score, roc_auc_score

    metric, scores, truth = filled(seed, known=0.8, ties=ties)
    expected = [average_precision_score(truth[truth[:, k] >= 0, k], scores[truth[:, k] >= 0, k]) for k in range(3)]
    assert metric.compute()["mean_average_precision"].value == pytest.approx(np.mean(expected))
    rows = metric.per_class()
    assert [row["average_precision"] for row in rows] == pytest.approx(expected)
    assert [row["auroc"] for row in rows] == pytest.approx([roc_auc_score(truth[truth[:, k] >= 0, k], scores[truth[:, k] >= 0, k]) for k in range(3)])
    weights = np.random.default_rng(seed).integers(0, 4, len(truth))
    drawn_rows = np.repeat(np.arange(len(truth)), weights)  # as often as drawn, and measured again
    t, s = truth[drawn_rows, 0], scores[drawn_rows, 0]
    value = average_precision(truth[:, 0], scores[:, 0])(weights[:, None].astype(float))[0]
    assert value == pytest.approx(average_precision_score(t[t >= 0], s[t >= 0]))


@pytest.mark.parametrize("seed", range(4))
def test_f1s_are_those_of_counts_made_one_by_one(seed):
    from sklearn.metrics import f1_score

    metric, scores, truth = filled(seed, known=0.7, threshold={"ant": 0.6})
    limits = [0.6, 0.5, 0.5]
    precision, recall, right, given, support = [], [], 0, 0, 0
    for k in range(3):
        own = [(s >= limits[k], t == 1) for s, t in zip(scores[:, k], truth[:, k], strict=True) if t >= 0]
        hits = sum(a and t for a, t in own)
        precision.append(hits / max(1, sum(a for a, _ in own)))
        recall.append(hits / sum(t for _, t in own))
        right, given, support = right + hits, given + sum(a for a, _ in own), support + sum(t for _, t in own)
    found = metric.compute()
    cp, cr = np.mean(precision), np.mean(recall)
    assert found["cf1"].value == pytest.approx(2 * cp * cr / (cp + cr)) and found["of1"].value == pytest.approx(2 * right / (given + support))
    told = (truth >= 0).any(1)
    exact = [all(t < 0 or (s >= limit) == (t == 1) for s, t, limit in zip(a, b, limits, strict=True)) for a, b in zip(scores[told], truth[told], strict=True)]
    assert found["exact_match"].value == pytest.approx(np.mean(exact))
    assert all(value.low <= value.value <= value.high for value in found.values()) and found["cf1"].n == len(metric)
    known = truth[:, 1] >= 0
    row = metric.per_class()[1]
    assert row["f1"] == pytest.approx(f1_score(truth[known, 1], scores[known, 1] >= 0.5)) and row["known"] == known.sum()


@pytest.mark.parametrize("precision", [None, 0.7, 0.95])
@pytest.mark.parametrize("seed", range(6))
def test_thresholds_are_the_best_of_all(seed, precision):
    chance = np.random.default_rng(seed)
    yes, scores = chance.random(25) < 0.4, np.round(chance.random(25), 2)

    def rates_at(limit: float) -> tuple[float, float]:
        answer = scores >= limit
        hits = (answer & yes).sum()
        return 2 * hits / max(1, answer.sum() + yes.sum()), hits / answer.sum() if answer.any() else 0.0

    chosen, every = best_threshold(yes, scores, precision), np.unique(scores)
    if precision is None:
        assert 0 < chosen <= 1 and rates_at(chosen)[0] == pytest.approx(max(rates_at(limit)[0] for limit in every))
        return
    reached = [limit for limit in every if rates_at(limit)[1] >= precision]
    assert (chosen == 1.0 and not reached) or (rates_at(chosen)[1] >= precision and ((scores >= chosen) == (scores >= min(reached))).all())


def test_best_thresholds_go_back_into_the_metric():
    metric, _, _ = filled(3, n=120)
    best = metric.best_thresholds()
    again, _, _ = filled(3, n=120, threshold=best)
    assert set(best) == set(SPACE.names) and again.compute()["cf1"].value >= metric.compute()["cf1"].value
    assert [row["threshold"] for row in again.per_class()] == [best[name] for name in SPACE.names]
    with pytest.raises(UsageError, match="share in"):
        metric.best_thresholds(1.5)
    none = MultiLabelScores(SPACE)
    none.update(Labels(torch.tensor([0, 0, 0], dtype=torch.int8)), Labels(torch.tensor([0, 0, -1], dtype=torch.int8)))
    assert none.best_thresholds() == {} and np.isnan(none.compute()["mean_average_precision"].value)
    assert len(MultiLabelScores(SPACE).per_class()) == 0 and MultiLabelScores(SPACE).compute()["of1"].n == 0


def test_parts_add_up_groups_stay_together_and_what_is_wrong_is_refused():
    whole, scores, truth = filled(9)
    one, two = MultiLabelScores(SPACE, resamples=50), MultiLabelScores(SPACE, resamples=50)
    for i, (row, own) in enumerate(zip(scores, truth, strict=True)):
        answer = Labels(torch.zeros(3, dtype=torch.int8), torch.from_numpy(row.astype(np.float32)))
        (one if i < 13 else two).update(answer, Labels(torch.from_numpy(own)), group=None)
    assert (one + two).compute() == whole.compute()
    with pytest.raises(ValueError, match="same classes"):
        one + MultiLabelScores(SPACE, threshold=0.7)
    grouped = MultiLabelScores(SPACE, resamples=50)
    for i, (row, own) in enumerate(zip(scores, truth, strict=True)):
        grouped.update(Labels(torch.zeros(3, dtype=torch.int8), torch.from_numpy(row.astype(np.float32))), Labels(torch.from_numpy(own)), group=f"{i % 2}")
    wide, narrow = grouped.compute()["of1"], whole.compute()["of1"]
    assert wide.value == narrow.value and (wide.low, wide.high) != (narrow.low, narrow.high)
    bad = Labels(torch.zeros(3, dtype=torch.int8), torch.tensor([0.1, float("nan"), 0.2]))
    with pytest.raises(ModelError, match="MODEL-NAN"):
        one.update(bad, truths([[1, 0, 0]])[0])
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        one.update(Labels(torch.zeros(2, dtype=torch.int8)), truths([[1, 0]])[0])
    before = len(one)
    one.update(bad, None)
    one.update(bad, truths([[-1, -1, -1]])[0])
    assert len(one) == before


def test_facts_of_one_image():
    metric = MultiLabelScores(SPACE)
    facts = metric.of_image(Labels(torch.zeros(3, dtype=torch.int8), torch.tensor([0.8, 0.7, 0.1])), truths([[1, 0, -1]])[0])
    assert facts["wrong"] == 1 and facts["known"] == 2 and facts["cross_entropy"] == pytest.approx(-(np.log(0.8) + np.log(0.3)) / 2, rel=1e-5)
    assert np.isnan(metric.of_image(truths([[1, 0, 0]])[0], truths([[-1, -1, -1]])[0])["cross_entropy"]) and metric.worst == "high"
