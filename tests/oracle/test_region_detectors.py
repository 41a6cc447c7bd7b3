"""R-CNN, SPP-net, a sliding window and R-FCN: crops and pools by loops, finite differences, and what the heads give for answers that are known."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from saccade import bundle, storage
from saccade.core import Features, Feeds, Level, Meta
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import UsageError
from saccade.jobs.options import make_options
from saccade.jobs.start import begin_with
from saccade.jobs.train import run_train
from saccade.models.proposals import Searched
from saccade.models.region_training import Thinned
from saccade.models.regions import PYRAMID, rcnn, sliding_window, spp
from saccade.models.table import build
from saccade.nn.heads.anchored import AnchorGrid
from saccade.nn.heads.regions import Pooled, RegionHead, batched, overlaps_by_class
from saccade.nn.heads.rfcn import RFCN
from saccade.nn.heads.rpn import RegionProposals
from saccade.ops.crops import warped_crops
from saccade.ops.geometry import Geometry
from saccade.ops.proposals import Answerer, sliding_boxes
from saccade.ops.roi import position_sensitive_pool
from saccade.targets import Boxes
from saccade.tasks.detect import example
from tests.support.detectors import BOXES, BUILDERS, INPUTS, SPACE, batch

pytestmark = pytest.mark.oracle
SMALL = {"width": 0.25, "hidden": 16, "side": 32}
SOLIDS = example(1).spaces["boxes"]
META = [Meta("", (96, 128), Geometry.identity((96, 128)))]


def test_crops_by_loops():
    image = torch.rand(2, 9, 13, dtype=torch.float64)
    boxes = torch.tensor([[0.0, 0, 13, 9], [2.5, 1, 7, 8.5], [-3, -2, 4, 5]], dtype=torch.float64)
    fill, side, context = torch.tensor([0.3, 0.7]).double(), 5, 0.1
    got = warped_crops(image, boxes, side, context=context, fill=fill)
    for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        w, h = (x2 - x1) / (1 - 2 * context), (y2 - y1) / (1 - 2 * context)
        left, top = (x1 + x2 - w) / 2, (y1 + y2 - h) / 2
        for i, j, c in itertools.product(range(side), range(side), range(2)):
            x, y, value = left + (j + 0.5) * w / side - 0.5, top + (i + 0.5) * h / side - 0.5, 0.0
            for row, column in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                inside = 0 <= row < 9 and 0 <= column < 13
                value += share * float(image[c, row, column] if inside else fill[c])
            assert float(got[n, c, i, j]) == pytest.approx(value, abs=1e-9)
    assert warped_crops(image, boxes[:0], 4).shape == (0, 2, 4, 4)
    torch.testing.assert_close(warped_crops(image, torch.tensor([[0.0, 0, 9, 9]]), 9)[0], image[:, :, :9])
    for bad in ({"context": 0.5}, {"side": 0}):
        with pytest.raises(ValueError, match="context is a share"):
            warped_crops(image, boxes, **{"side": 4} | bad)


def test_position_sensitive_pooling_by_loops_and_its_gradient():
    bins, classes, scale = 3, 2, 0.5
    maps = torch.rand(2, classes * bins * bins, 7, 8, dtype=torch.float64, requires_grad=True)
    regions = torch.tensor([[0, 0.0, 0, 16, 14], [1, 3, 2, 9, 13], [1, 0, 0, 1, 1], [0, 30, 30, 40, 44]], dtype=torch.float64)
    got = position_sensitive_pool(maps, regions, (bins, bins), scale=scale)
    for n, (row, *corners) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (math.floor(v * scale + 0.5) for v in corners)
        w, h = max(1, x2 - x1), max(1, y2 - y1)
        for c, i, j in itertools.product(range(classes), range(bins), range(bins)):
            rows = range(max(0, y1 + math.floor(i * h / bins + 1e-6)), min(7, y1 + math.ceil((i + 1) * h / bins - 1e-6)))
            columns = range(max(0, x1 + math.floor(j * w / bins + 1e-6)), min(8, x1 + math.ceil((j + 1) * w / bins - 1e-6)))
            cells = [float(maps[int(row), (c * bins + i) * bins + j, y, x]) for y, x in itertools.product(rows, columns)]
            assert float(got[n, c, i, j]) == pytest.approx(np.mean(cells) if cells else 0.0, abs=1e-12)
    assert gradcheck(lambda m: position_sensitive_pool(m, regions, (bins, bins), scale=scale), (maps,))


def rfcn_head():
    levels = [Level(4, 16), Level(6, 16)]
    return RFCN(levels, 3, bins=2, width=5, regions=RegionProposals(4, AnchorGrid.of(levels[:1], 3.0)), answerer=Answerer(0.0))


def test_rfcn_votes_are_means_over_the_bins_own_maps():
    head = rfcn_head()
    torch.nn.init.normal_(head.score_maps.weight)
    torch.nn.init.normal_(head.box_maps.weight)
    features = Features([torch.zeros(1, 3, 96, 128), torch.rand(1, 4, 6, 8), torch.rand(1, 6, 6, 8)], torch.tensor([[96, 128]]))
    out = head(features)
    assert [m.shape[1] for m in out.maps] == [4, 2 * 2 * 4, 2 * 2 * 4]
    logits, deltas = head.answers(out, [torch.tensor([[16.0, 32, 80, 96]])])  # cells 1 to 4 along and 2 to 5 down, in halves
    assert logits.shape == (1, 4) and deltas.shape == (1, 4, 4) and torch.equal(deltas[:, 0], deltas[:, 3])
    for c in range(4):
        parts = [out.maps[1][0, (c * 2 + i) * 2 + j, 2 + 2 * i : 4 + 2 * i, 1 + 2 * j : 3 + 2 * j].mean() for i in range(2) for j in range(2)]
        assert float(logits[0, c]) == pytest.approx(float(torch.stack(parts).mean()), rel=1e-5)
    with pytest.raises(ValueError, match="two maps of one stride"):
        RFCN([Level(4, 16), Level(4, 32)], 3, regions=head.regions)


def test_rfcn_gradients_are_finite_differences():
    head = rfcn_head().double()
    boxes = [torch.tensor([[3.0, 5, 90, 70], [20, 20, 60, 95]], dtype=torch.float64)]

    def answers(first, last):
        return head.answers(head(Features([torch.zeros(1, 3, 96, 128).double(), first, last], torch.tensor([[96, 128]]))), boxes)

    assert gradcheck(answers, (torch.rand(1, 4, 6, 8).double(), torch.rand(1, 6, 6, 8).double().requires_grad_()))


def test_rfcn_keeps_stride_sixteen_and_works_in_every_backbone():
    model = BUILDERS["rfcn"]()
    assert [level.stride for level in model.backbone.levels[-2:]] == [16, 16]
    assert model.heads["boxes"].score_maps.out_channels == 9 * 4


# regions one by one ----------------------------------------------------------------------------------------------


def known_head(by):
    """Two classes, two features that pass through: class 0 where the first is large, class 1 where the second is."""
    head = RegionHead(2, 2, hidden=2, by=by, answerer=Answerer(0.0, 0.5))
    with torch.no_grad():
        for layer in head.trunk.layers:
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    return head


def test_machines_answer_with_probabilities_and_moved_boxes():
    head = known_head("machines")
    head.hidden_factor.fill_(2.0)
    head.feature_factor.fill_(0.5)
    head.set_machine(0, np.array([1.0, -1.0], np.float32), -0.5, 2.0, 0.25)
    head.set_machine(1, np.array([0.0, 1.0], np.float32), 0.0, 1.0, 0.0)
    head.set_box(1, np.array([[0.2, 0.0], [0, 0], [0, 0], [0, 0]], np.float32), np.array([0, 0.1, 0, math.log(2)], np.float32))
    boxes, features = torch.tensor([[10.0, 10, 30, 50]]), torch.tensor([[1.0, 0.5]])
    out = head(Pooled(boxes, features, torch.tensor([96, 128])))
    assert out.logits[0, 0].tolist() == pytest.approx([2 * (2 * 1.0 - 2 * 0.5 - 0.5) + 0.25, 2 * 0.5])
    answers = head.decode(out, META)[0]
    found = {int(k): (box, float(p)) for k, box, p in zip(answers.classes, answers.xyxy.tolist(), answers.scores, strict=True)}
    assert found[0][0] == [10, 10, 30, 50] and found[0][1] == pytest.approx(1 / (1 + math.exp(-1.25)), abs=1e-6)
    # middle (20, 30), sides 20 and 40: moved by 0.2 x 0.5 of 20 along and 0.1 of 40 down, twice as high
    assert found[1][0] == pytest.approx([12, 0, 32, 74], abs=1e-4)


def test_the_network_answers_with_its_softmax():
    head = known_head("network")
    with torch.no_grad():
        head.scores.weight.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1]]))
    out = head(Pooled(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([[0.7, 0.2]]), torch.tensor([96, 128])))
    expected = torch.softmax(torch.tensor([0.0, 0.7, 0.2]), 0)[1:]
    torch.testing.assert_close(torch.sigmoid(out.logits[0, 0]), expected)
    assert not out.deltas.any()


def test_the_loss_by_loops_and_batches_of_unequal_counts():
    head, size = known_head("machines"), torch.tensor([96, 128])
    head.hidden_factor.fill_(1.0)
    for k in range(2):
        head.set_machine(k, np.eye(2, dtype=np.float32)[k], -0.5, 1.0, 0.0)
    first = head(Pooled(torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [1, 1, 10, 10]]), torch.rand(3, 2), size))
    second = head(Pooled(torch.tensor([[0.0, 0, 10, 10]]), torch.rand(1, 2), size))
    out = batched([first, second])
    assert out.boxes.shape == (2, 3, 4) and not out.boxes[1, 1:].any()
    truths = [Boxes(torch.tensor([[0.0, 0, 10, 9], [40, 40, 61, 61]]), torch.tensor([1, -1])), Boxes.empty()]
    total = 0.0
    for logits, boxes, truth in zip((first.logits[0], second.logits[0]), (first.boxes[0], second.boxes[0]), truths, strict=True):
        shared = overlaps_by_class(boxes, truth, 2)
        for row, k in itertools.product(range(len(boxes)), range(2)):
            p = 1 / (1 + math.exp(-float(logits[row, k])))
            total -= math.log(p) if float(shared[row, k]) >= 0.5 else math.log(1 - p)
    assert overlaps_by_class(first.boxes[0], truths[0], 2)[:, 1].tolist() == pytest.approx([0.9, 0, 72 / 99])
    assert float(head.loss(out, truths)["class"]) == pytest.approx(total / 4, rel=1e-5)
    answers = head.decode(out, META * 2)
    assert len(answers[1]) == 2 and float(head.loss(out, [Boxes.empty()] * 2)["class"]) > 0


def test_one_pass_over_the_image_is_pooled_as_by_loops():
    model = spp(INPUTS, SPACE, **SMALL).eval()
    image, boxes = torch.rand(3, 96, 128), torch.tensor([[0.0, 0, 128, 96], [17, 30, 60, 94]])
    last = model.last_map(image[None])[0]
    got = model.pooled(image, boxes)
    assert got.shape == (2, 50 * len(last))
    for n, corners in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (math.floor(v / 16 + 0.5) for v in corners)
        w, h, place = x2 - x1 + 1, y2 - y1 + 1, 0
        for bins in PYRAMID:
            own = got[n, place : place + len(last) * bins * bins].view(len(last), bins, bins)
            place += own.numel()
            for i, j in itertools.product(range(bins), range(bins)):
                rows = range(y1 + math.floor(i * h / bins), min(6, y1 + math.ceil((i + 1) * h / bins)))
                columns = range(x1 + math.floor(j * w / bins), min(8, x1 + math.ceil((j + 1) * w / bins)))
                cells = [last[:, y, x] for y, x in itertools.product(rows, columns)]
                expected = torch.stack(cells).amax(0) if cells else torch.zeros(len(last))
                torch.testing.assert_close(own[:, i, j], expected)


def test_windows_are_everywhere_and_as_dense_as_asked():
    image = torch.zeros(3, 96, 128)
    counts = {name: len(sliding_boxes(image, step)) for name, step in (("none", 1.0), ("half", 1 / 2), ("two_thirds", 1 / 3))}
    assert 1000 < counts["none"] < 2000 < 5000 < counts["half"] < 6000 < 11_000 < counts["two_thirds"] < 13_000
    for overlap, count in counts.items():
        assert len(sliding_window(INPUTS, SPACE, **SMALL, overlap=overlap).propose(image)) == count


def test_a_picture_and_its_mirror_image_are_searched_once():
    search = Searched(50)
    image = torch.zeros(3, 40, 60)
    image[:, 5:25, 8:20] = 0.8
    boxes = search(image)
    assert search.pictures == 1 and torch.equal(search(image.clone()), boxes) and search.pictures == 1
    turned = search(image.flip(2))
    assert search.pictures == 1
    expected = boxes.clone()
    expected[:, [0, 2]] = 60 - boxes[:, [2, 0]]
    assert torch.equal(turned, expected)
    assert [8.0, 5, 20, 25] in boxes.tolist() and [40.0, 5, 52, 25] in turned.tolist()
    search(image * 0.9)
    assert search.pictures == 2 and search.seconds > 0


@pytest.mark.parametrize("builder", [rcnn, spp, sliding_window])
def test_losses_and_answers_of_any_size_without_objects_too(builder):
    model = builder(INPUTS, SPACE, **SMALL, **({"overlap": "none"} if builder is sliding_window else {"proposals": 80})).eval()
    given = batch(model, (71, 90))
    with torch.no_grad():
        terms, answers = model.evaluate(given)
        assert (
            set(terms) == {"class"}
            and bool(torch.isfinite(terms["class"]))
            and {k: float(v) for k, v in model(given).items()} == {"class": float(terms["class"])}
        )
    assert len(answers["boxes"]) == 2 and bool((answers["boxes"][0].xyxy <= torch.tensor([90.0, 71, 90, 71])).all())
    assert BOXES.xyxy.shape == (3, 4)


# learning --------------------------------------------------------------------------------------------------------


class Told:
    """A run that remembers what it was told."""

    def __init__(self, path):
        self.path, self.phases = path, []

    def event(self, kind, **fields):
        self.phases.append(fields.get("phase"))


@pytest.fixture(scope="module")
def pictures():
    return Loader(example(8), Preprocess((96, 96), 3, mode="letterbox"), batch_size=4, threads=0)


@pytest.mark.parametrize(("name", "phases"), [("rcnn", 3), ("spp", 4), ("sliding_window", 1)])
def test_what_is_learnt_lies_in_the_tensors(name, phases, pictures, tmp_path):
    torch.manual_seed(0)
    few = {"epochs": 1, "samples": 8} | ({"overlap": "none"} if name == "sliding_window" else {"proposals": 60})
    model = build("detect", name, INPUTS._replace(size=(96, 96)), SOLIDS, SMALL | few)
    told = Told(tmp_path)
    model.estimate(Feeds(pictures), told)
    assert len(set(told.phases)) == phases and not list(tmp_path.iterdir()), "the file of features goes"
    state = {k: v.clone() for k, v in model.eval().state_dict().items()}
    assert all(bool(torch.isfinite(v).all()) for v in state.values())
    if name != "sliding_window":
        assert bool((state["heads.boxes.machine_weight"].abs().sum(1) > 0).any()) and bool((state["heads.boxes.slope"] > 0).all())
        assert bool((state["heads.boxes.box_weight"].abs().sum((1, 2)) > 0).any())
    again = build("detect", name, INPUTS._replace(size=(96, 96)), SOLIDS, SMALL | few).eval()
    again.load_state_dict(state)
    given = next(iter(pictures.epoch(0)))
    with torch.no_grad():
        mine, theirs = (m.predict(given.inputs[:1], given.sizes[:1], given.meta[:1])["boxes"] for m in (model, again))
    assert all(torch.equal(a.xyxy, b.xyxy) and torch.equal(a.scores, b.scores) for a, b in zip(mine, theirs, strict=True))


def test_of_many_rows_every_second_fourth_eighth_stays():
    held, rows = Thinned(5), np.arange(37.0)[:, None]
    for part in (rows[:3], rows[3:3], rows[3:14], rows[14:30], rows[30:]):
        held.add(part, -part)
        assert held.count == len(held.columns()[0]) <= 10
    first, second = held.columns()
    assert first.ravel().tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36] and (first == -second).all()


def test_features_that_are_chance_are_refused(pictures, tmp_path):
    model = build("detect", "rcnn", INPUTS, SOLIDS, SMALL | {"epochs": 0, "proposals": 30})
    with pytest.raises(UsageError, match="chance") as refused:
        model.estimate(Feeds(pictures), Told(tmp_path))
    assert refused.value.code == "USE-VALUE"


def test_pictures_without_objects_give_machines_that_answer_nothing(tmp_path):
    data = example(4)
    data = replace(data, records=tuple(replace(record, targets={"boxes": Boxes.empty()}) for record in data.records))
    loader = Loader(data, Preprocess((96, 96), 3, mode="letterbox"), batch_size=4, threads=0)
    model = build("detect", "spp", INPUTS._replace(size=(96, 96)), data.spaces["boxes"], SMALL | {"epochs": 1, "proposals": 30})
    model.estimate(Feeds(loader), Told(tmp_path))
    given = next(iter(loader.epoch(0)))
    with torch.no_grad():
        answers = model.eval().predict(given.inputs, given.sizes, given.meta)["boxes"]
    assert not any(len(answer) for answer in answers)


def test_a_run_goes_from_the_verb_to_a_model_file_and_from_it_to_another(pictures, tmp_path):
    few = {"floors": False, "selftest": False, "threads": 1, "seed": 0, "task": "detect", "val": 8}
    data, network = "world:shapes?n=24&size=64&labels=boxes&objects=1-2&difficulty=easy", ("width=0.25", "hidden=16", "side=32", "proposals=40")
    run_train(make_options(**few, data=data, model="rcnn", out=tmp_path / "first", set=(*network, "epochs=1")))
    values = storage.read_json(tmp_path / "first" / "eval" / "metrics.json")
    assert {"map", "map50"} <= set(values) and (tmp_path / "first" / "report.html").is_file()
    path = tmp_path / "first" / "model.saccade"
    first = bundle.read(path)
    assert first.card.model == "rcnn" and "heads.boxes.machine_weight" in first.model.state_dict()
    space = first.card.spaces["boxes"]
    model = build("detect", "rcnn", first.card.inputs, space, SMALL | {"epochs": 0, "proposals": 30})
    told = Told(tmp_path)
    begin_with(model, SimpleNamespace(task="detect", model="rcnn", start={"from": str(path)}), told, space)
    assert model.warm
    model.estimate(Feeds(pictures), told)
    second, state = model.state_dict(), first.model.state_dict()
    same = [name for name in second if name.startswith(("backbone.", "heads.boxes.trunk"))]
    assert len(same) > 20 and all(torch.equal(second[name], state[name]) for name in same)
    assert not torch.equal(second["heads.boxes.machine_weight"], state["heads.boxes.machine_weight"])
