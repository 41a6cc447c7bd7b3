"""Ensembles, views and weighted box fusion: against sums by hand, the slow definition, and the members themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Geometry, Inputs, LabelSpace, Meta
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import UsageError
from saccade.inference.ensemble import Ensemble, Member, combined_labels, fused_boxes, join
from saccade.inference.evaluate import answers_of
from saccade.inference.predict import Predictor
from saccade.inference.views import VIEWS, seen, views_named
from saccade.models.table import build
from saccade.ops.boxes import iou
from saccade.ops.fusion import weighted_box_fusion
from saccade.targets import Boxes, Label
from tests.oracle.test_loader_batches import Arrays

SPACE = LabelSpace(("a", "b", "c"))
INPUTS = Inputs(3, (16, 16), (0.5,) * 3, (0.3,) * 3)


def net(seed, size=(16, 16), space=SPACE):
    torch.manual_seed(seed)
    made = build("classify", "small", INPUTS._replace(size=size), space, {"widths": [8, 12], "blocks": [1, 1]})
    with torch.no_grad():
        made.heads["label"].output.weight.mul_(20)  # so that the members differ
    return made.eval()


def batch(n=4, plane=(16, 16)):
    generator = torch.Generator().manual_seed(0)
    meta = [Meta(str(i), plane, Geometry.identity(plane)) for i in range(n)]
    return torch.rand(n, 3, *plane, generator=generator), torch.tensor([plane] * n), meta


def label(*p):
    return Label(int(np.argmax(p)), torch.tensor(p))


def test_the_three_ways_by_hand():
    parts = [label(0.6, 0.3, 0.1), label(0.1, 0.7, 0.2), label(0.5, 0.4, 0.1)]
    ones = [1.0] * 3
    mean, vote, product = (combined_labels(parts, ones, how) for how in ("mean", "vote", "geometric"))
    assert mean.index == 1 and mean.probabilities.tolist() == pytest.approx([0.4, 1.4 / 3, 0.4 / 3])
    assert vote.index == 0 and vote.probabilities.tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    logs = np.array([0.6 * 0.1 * 0.5, 0.3 * 0.7 * 0.4, 0.1 * 0.2 * 0.1]) ** (1 / 3)
    assert product.probabilities.tolist() == pytest.approx((logs / logs.sum()).tolist(), rel=1e-5)
    assert combined_labels(parts, [1.0, 0.01, 1.0], "mean").index == 0
    assert combined_labels(parts[:2], [1.0, 1.0], "vote").index == 1  # one voice each: the larger mean


def test_an_ensemble_is_the_mean_of_its_members_and_stands_where_a_model_does():
    inputs, sizes, meta = batch()
    nets = [net(0), net(1), net(2)]
    with torch.inference_mode():
        single = [torch.stack([t.probabilities for t in n.predict(inputs, sizes, meta)["label"]]) for n in nets]
        found = torch.stack([t.probabilities for t in Ensemble([Member(n) for n in nets]).predict(inputs, sizes, meta)["label"]])
    torch.testing.assert_close(found, torch.stack(single).mean(0))
    loader = Loader(Arrays(12), Preprocess((16, 16), 3), batch_size=5, threads=0)
    answers = [label.probabilities for _, label in answers_of(Ensemble([Member(n) for n in nets]), loader, "label")]
    alone = [torch.stack([label.probabilities for _, label in answers_of(n, loader, "label")]) for n in nets]
    torch.testing.assert_close(torch.stack(answers), torch.stack(alone).mean(0))


def as_bundle(model, *, size=(16, 16), space=SPACE, temperature=1.0, **changes):
    preprocess = Preprocess(size, 3).to_dict() | changes
    given = {"label": space}, preprocess, {"temperature": temperature, "thresholds": {}}
    return bundle.Bundle(model, Card("classify", "small", {"widths": [8, 12], "blocks": [1, 1]}, INPUTS._replace(size=size), *given))


def test_members_keep_their_temperature_their_order_of_classes_and_their_size():
    inputs, sizes, meta = batch()
    other = LabelSpace(("c", "a", "b"))
    first, second = net(0), net(1, space=other)
    joined = join([as_bundle(first), as_bundle(second, space=other, temperature=3.0)])
    with torch.inference_mode():
        p = torch.stack([t.probabilities for t in first.predict(inputs, sizes, meta)["label"]])
        q = torch.stack([t.probabilities for t in second.predict(inputs, sizes, meta)["label"]])
        found = torch.stack([t.probabilities for t in joined.model.predict(inputs, sizes, meta)["label"]])
    q = torch.softmax(q.double().log() / 3, 1).float()[:, [1, 2, 0]]
    torch.testing.assert_close(found, (p + q) / 2, atol=1e-5, rtol=0)
    assert joined.card.postprocess == {} and joined.card.extra["ensemble"]["combine"] == "mean"
    large = join([as_bundle(first), as_bundle(net(2, (32, 32)), size=(32, 32))])
    assert large.card.inputs.size == (32, 32) and large.card.preprocess["size"] == [32, 32]
    wide, extents, told = batch(plane=(32, 32))
    with torch.inference_mode():
        assert len(large.model.predict(wide, extents, told)["label"]) == 4
        resized = torch.nn.functional.interpolate(wide, (16, 16), mode="bilinear", antialias=True)
        alone = first.predict(resized, sizes, meta)["label"][0].probabilities
        pair = net(2, (32, 32)).predict(wide, extents, told)["label"][0].probabilities
        torch.testing.assert_close(large.model.predict(wide, extents, told)["label"][0].probabilities, (alone + pair) / 2)


def test_a_predictor_takes_an_ensemble(tmp_path):
    from saccade.inference.predict import predict
    from saccade.inference.sources import Input
    from tests.support.data_files import picture

    files = [Input(str(i), picture(tmp_path / f"{i}.png", seed=i, size=20)) for i in range(3)]
    bundles = [as_bundle(net(seed)) for seed in (0, 1)]
    found = [r.answer.probabilities for rows in predict(Predictor(join(bundles, views="flip"), device="cpu", precision="fp32"), files) for r in rows]
    alone = [
        torch.stack([r.answer.probabilities for rows in predict(Predictor(join([b], views="flip"), device="cpu", precision="fp32"), files) for r in rows])
        for b in bundles
    ]
    torch.testing.assert_close(torch.stack(found), (alone[0] + alone[1]) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", ["fill", "classes", "channels"])
def test_models_that_were_made_otherwise_are_not_joined(change):
    first, second = as_bundle(net(0)), as_bundle(net(1))
    others = {
        "fill": as_bundle(net(1), fill=0.0),
        "classes": as_bundle(net(1), space=LabelSpace(("a", "b", "d"))),
        "channels": bundle.Bundle(second.model, replace(second.card, inputs=second.card.inputs._replace(channels=1))),
    }
    with pytest.raises(UsageError) as refused:
        join([first, others[change]])
    assert refused.value.code == "USE-OPTION"


@pytest.mark.parametrize(
    ("given", "what"),
    [({"combine": "max"}, "--combine"), ({"views": "ten"}, "--views"), ({"weights": [1.0]}, "--weights"), ({"weights": [1.0, 0.0]}, "--weights")],
)
def test_what_is_no_ensemble_is_refused(given, what):
    with pytest.raises(UsageError, match=what):
        Ensemble([Member(net(0)), Member(net(1))], **given)
    with pytest.raises(UsageError):
        Ensemble([])
    with pytest.raises(UsageError):
        join([])


# views -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("plane", [(16, 16), (12, 20)])
def test_what_a_view_shows_is_where_its_geometry_says(name, plane):
    """A picture of its own coordinates: x in the first channel and y in the second, seen through each view, whole and padded."""
    h, w = plane
    y, x = np.mgrid[:h, :w] + 0.5
    picture = torch.from_numpy(np.stack([x, y])).float()
    for extent in (plane, (9, 8)):
        meta = [Meta("a", plane, Geometry.identity(plane))]
        for view in views_named(name):
            inputs, sizes, told = seen(view, picture[None], torch.tensor([extent]), meta)
            rows, columns = sizes[0].tolist()
            assert sorted((rows, columns)) == sorted(extent) and told[0].geometry.size == tuple(inputs.shape[2:])
            points = np.stack(np.meshgrid(np.arange(1, columns - 1) + 0.5, np.arange(1, rows - 1) + 0.5), -1).reshape(-1, 2)
            shown = inputs[0][:, 1 : rows - 1, 1 : columns - 1].flatten(1).T.numpy()
            np.testing.assert_allclose(shown, told[0].geometry.back(points), atol=1e-4)
            assert not inputs[0][:, rows:].any() and not inputs[0][:, :, columns:].any()


def test_views_are_averaged_and_a_symmetric_answer_is_symmetric():
    inputs, sizes, meta = batch(6)
    turned = Ensemble([Member(net(3))], views="flip")
    with torch.inference_mode():
        a = [t.probabilities for t in turned.predict(inputs, sizes, meta)["label"]]
        b = [t.probabilities for t in turned.predict(inputs.flip(3), sizes, meta)["label"]]
    torch.testing.assert_close(torch.stack(a), torch.stack(b), atol=1e-6, rtol=1e-5)
    assert len(VIEWS["ten_crop"]) == 10


# boxes -----------------------------------------------------------------------------------------------------------


def slow_fusion(boxes, scores, classes, weights, overlap):
    """Section 3 of the paper, step by step, one box after another."""
    every = sorted(
        ((s * w, k, i, tuple(b)) for i, w in enumerate(weights) for b, s, k in zip(boxes[i], scores[i], classes[i], strict=True)), key=lambda e: -e[0]
    )
    clusters = []
    for score, kind, _, box in every:
        best, most = None, overlap
        for cluster in clusters:
            share = iou(np.array([cluster["box"]]), np.array([box]))[0, 0]
            if cluster["kind"] == kind and share > most:
                best, most = cluster, share
        if best is None:
            clusters.append({"kind": kind, "box": box, "members": [(score, box)]})
        else:
            best["members"].append((score, box))
            mass = sum(s for s, _ in best["members"])
            best["box"] = tuple(sum(s * b[j] for s, b in best["members"]) / mass for j in range(4))
    total = sum(weights)
    found = []
    for cluster in clusters:
        mean = sum(s for s, _ in cluster["members"]) / len(cluster["members"])
        found.append((min(1.0, mean * min(len(cluster["members"]), total) / total), cluster["kind"], *cluster["box"]))
    return sorted(found, key=lambda e: (-round(e[0], 9), e[1], e[2]))


corner = st.integers(0, 12)
one_box = st.tuples(corner, corner, st.integers(1, 10), st.integers(1, 10), st.integers(1, 1000), st.integers(0, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(one_box, max_size=6, unique_by=lambda b: b[4]), min_size=1, max_size=3))
def test_fusion_is_the_papers(detectors):
    seen_scores = [b[4] for boxes in detectors for b in boxes]
    if len(set(seen_scores)) < len(seen_scores):
        return  # equal scores: the order is not said
    boxes = [np.array([[x, y, x + w, y + h] for x, y, w, h, _, _ in d], float).reshape(-1, 4) for d in detectors]
    scores = [np.array([s / 1000 for *_, s, _ in d]) for d in detectors]
    classes = [np.array([k for *_, k in d], int) for d in detectors]
    expected = slow_fusion(boxes, scores, classes, [1.0] * len(detectors), 0.55)
    found = weighted_box_fusion(boxes, scores, classes)
    rows = sorted(zip(found.scores.tolist(), found.classes.tolist(), *found.xyxy.T.tolist(), strict=True), key=lambda e: (-round(e[0], 9), e[1], e[2]))
    np.testing.assert_allclose(np.array(rows).reshape(-1, 6), np.array(expected).reshape(-1, 6), atol=1e-9)
    assert (np.diff(found.scores) <= 0).all()


def test_two_detectors_that_agree_are_surer_than_one():
    """By hand: two boxes of scores 0.9 and 0.6 meet at their weighted mean with the score 0.75; a box that one of two saw has half of its score."""
    a = Boxes(torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]]), torch.tensor([1, 0]), torch.tensor([0.9, 0.8]))
    b = Boxes(torch.tensor([[0.0, 0, 10, 12]]), torch.tensor([1]), torch.tensor([0.6]))
    fused = fused_boxes([a, b], [1.0, 1.0])
    assert fused.classes.tolist() == [1, 0] and fused.scores.tolist() == pytest.approx([0.75, 0.4])
    assert fused.xyxy[0].tolist() == pytest.approx([0, 0, 10, (0.9 * 10 + 0.6 * 12) / 1.5])
    with pytest.raises(ValueError, match="scores"):
        fused_boxes([Boxes.empty(), b], [1.0, 1.0])
    with pytest.raises(ValueError, match="weights"):
        weighted_box_fusion([np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0)], weights=[0.0])
    assert len(weighted_box_fusion([], [], []).scores) == 0
