"""Losses and decoders of one-stage heads against their slow definitions, in double precision, also without objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.core import Batch, Features, Inputs, LabelSpace, Level, Meta, Model
from saccade.models.detect import nano, yolo
from saccade.models.localize import localizer
from saccade.nn.heads.boxes import Choice, chosen, padded_truths
from saccade.nn.heads.localize import Localize, LocalizeOut
from saccade.nn.heads.nano_detect import CellsOut, NanoDetect
from saccade.nn.heads.yolo import GridOut, Yolo
from saccade.nn.necks.path_aggregation import PathAggregation
from saccade.ops.assignment import Assigned, TaskAligned
from saccade.ops.geometry import Geometry
from saccade.ops.iou import box_loss, overlap
from saccade.targets import Boxes

INPUTS, SPACE = Inputs(3, (64, 96), (0.5,) * 3, (0.25,) * 3), LabelSpace(("a", "b", "c"))
SMALL = {"widths": (8, 8, 16, 16, 16), "blocks": (1, 1, 1, 1)}
BUILDERS: dict[str, Callable[[], Model]] = {
    "nano": lambda: nano(INPUTS, SPACE, neck=(16, 16, 16), head=16, **SMALL),
    "nano_resnet": lambda: nano(INPUTS, SPACE, backbone="small", width=0.125, neck=(16, 16, 16), head=128),
    "yolo": lambda: yolo(INPUTS, SPACE, grid=3, width=0.5, **SMALL),
    "yolo_dense": lambda: yolo(INPUTS, SPACE, grid=3, units=32, dropout=0.0, **SMALL),
    "localizer": lambda: localizer(INPUTS, SPACE, widths=(8, 16), blocks=(1, 1), units=16, dropout=0.0),
}


def truth(*rows: tuple[float, float, float, float, int], **flags: Any) -> Boxes:
    return Boxes(
        torch.tensor([row[:4] for row in rows], dtype=torch.float64).reshape(-1, 4), torch.tensor([row[4] for row in rows], dtype=torch.int64), **flags
    )


TRUTHS = [truth((4, 4, 40, 40, 0), (30, 20, 90, 60, 2)), truth(), truth((50, 10, 70, 34, 1))]


def batch(truths: Sequence[Boxes] = TRUTHS, size: tuple[int, int] = (64, 96)) -> Batch:
    generator = torch.Generator().manual_seed(0)
    meta = [Meta(str(i), size, Geometry.identity(size)) for i in range(len(truths))]
    return Batch(torch.rand(len(truths), 3, *size, generator=generator), torch.tensor([size] * len(truths)), {"boxes": list(truths)}, meta)


# assignment ------------------------------------------------------------------------------------------------------


def slow_assignment(rule: TaskAligned, scores: Tensor, boxes: Tensor, cells: Tensor, truths: Sequence[Boxes]) -> Assigned:
    """Section 3.3 of TOOD, one truth after another."""
    found, quality = torch.full(boxes.shape[:2], -1), torch.zeros(boxes.shape[:2], dtype=boxes.dtype)
    for n, target in enumerate(truths):
        wanted: dict[int, list[tuple[float, int, float]]] = {}
        for m, (box, k) in enumerate(zip(target.xyxy.to(boxes), target.classes.tolist(), strict=True)):
            ranks = []
            for a, (x, y, _) in enumerate(cells.tolist()):
                if box[0] <= x <= box[2] and box[1] <= y <= box[3]:
                    u = max(0.0, float(overlap(boxes[n, a], box)))
                    ranks.append((float(scores[n, a, k]) ** rule.alpha * u**rule.beta, a, u))
            for t, a, u in sorted(ranks, reverse=True)[: rule.most]:
                wanted.setdefault(a, []).append((u, m, t))
        for a, claims in wanted.items():
            found[n, a] = max(claims)[1]
        for m in range(len(target)):
            own = [(a, u, t) for a, claims in wanted.items() for u, row, t in claims if row == m and found[n, a] == m]
            for a, _, t in own:
                quality[n, a] = t / max(t for _, _, t in own) * max(u for _, u, _ in own)
    return Assigned(found, quality)


def random_cells(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    cells = torch.tensor([[x, y, 8.0] for y, x in product(range(4, 64, 8), range(4, 96, 8))], dtype=torch.float64)
    sides = torch.rand(3, len(cells), 4, dtype=torch.float64, generator=generator) * 30 + 2
    boxes = torch.cat([cells[:, :2] - sides[..., :2], cells[:, :2] + sides[..., 2:]], 2)
    return torch.rand(3, len(cells), 3, dtype=torch.float64, generator=generator), boxes, cells


@pytest.mark.parametrize("most", [1, 4, 200])
@pytest.mark.parametrize("seed", [0, 1])
def test_assignment_is_its_definition(seed: int, most: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores, boxes, cells = random_cells(generator)
    corner = torch.rand(3, 5, 2, dtype=torch.float64, generator=generator) * 50
    targets = [Boxes(torch.cat([c, c + 10 + 20 * torch.rand(5, 2, dtype=torch.float64, generator=generator)], 1), torch.arange(5) % 3) for c in corner]
    rule, table = TaskAligned(most), torch.stack([t.xyxy for t in targets])
    own = rule(scores, boxes, cells, table, torch.stack([t.classes for t in targets]), torch.ones(3, 5, dtype=torch.bool))
    slow = slow_assignment(rule, scores, boxes, cells, targets)
    assert torch.equal(own.truth, slow.truth)
    assert torch.allclose(own.quality, slow.quality, atol=1e-12)


def test_a_truth_smaller_than_a_cell_is_answered_for() -> None:
    scores, boxes, cells = random_cells(torch.Generator().manual_seed(2))
    tiny = torch.tensor([[[16.5, 16.5, 17.5, 17.5]]], dtype=torch.float64).expand(3, 1, 4)
    found = TaskAligned()(scores, boxes, cells, tiny, torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1, dtype=torch.bool))
    assert ((found.truth >= 0).sum(1) == 1).all()


def test_without_truths_or_valid_ones_nobody_answers() -> None:
    scores, boxes, cells = random_cells(torch.Generator().manual_seed(3))
    for table, valid in ((torch.zeros(3, 0, 4), torch.zeros(3, 0, dtype=torch.bool)), (torch.ones(3, 2, 4) * 30, torch.zeros(3, 2, dtype=torch.bool))):
        found = TaskAligned()(scores, boxes, cells, table.double(), torch.zeros(table.shape[:2], dtype=torch.int64), valid)
        assert (found.truth == -1).all() and (found.quality == 0).all()


# nano ------------------------------------------------------------------------------------------------------------


def nano_out(seed: int = 0) -> tuple[NanoDetect, CellsOut]:
    scores, boxes, cells = random_cells(torch.Generator().manual_seed(seed))
    return NanoDetect([Level(16, 8)], 3, width=8).double(), CellsOut(torch.logit(scores), boxes, cells.expand(3, -1, -1))


def test_loss_of_the_nano_head_is_its_definition() -> None:
    head, out = nano_out()
    at = slow_assignment(head.assigner, out.logits.sigmoid(), out.boxes, out.cells[0], TRUTHS)
    total, named, placed = max(1.0, float(at.quality.sum())), 0.0, 0.0
    for n, a, k in product(range(3), range(out.cells.shape[1]), range(3)):
        row = int(at.truth[n, a])
        goal = float(at.quality[n, a]) if row >= 0 and int(TRUTHS[n].classes[row]) == k else 0.0
        p = float(out.logits[n, a, k].sigmoid())
        named -= goal * math.log(p) + (1 - goal) * math.log(1 - p)
        if row >= 0 and k == 0:
            placed += float(at.quality[n, a]) * (1 - float(overlap(out.boxes[n, a], TRUTHS[n].xyxy[row], "ciou")))
    own = head.loss(out, TRUTHS)
    assert float(own["class_loss"]) == pytest.approx(head.weights[0] * named / total)
    assert float(own["box_loss"]) == pytest.approx(head.weights[1] * placed / total)


def test_crowds_and_objects_without_a_class_are_no_background() -> None:
    head, out = nano_out()
    loose = truth((0, 0, 96, 64, 0), crowd=torch.tensor([True]))
    for everywhere in (loose, truth((0, 0, 96, 64, -1))):
        assert float(head.loss(out, [everywhere] * 3)["class_loss"]) == 0
    half = head.loss(out, [truth((0, 0, 48, 64, -1))] * 3)["class_loss"]
    assert 0 < float(half) < float(head.loss(out, [truth()] * 3)["class_loss"])


# yolo ------------------------------------------------------------------------------------------------------------


def yolo_out(grid: int = 3) -> tuple[Yolo, GridOut]:
    generator = torch.Generator().manual_seed(4)
    boxes, classes = (
        torch.rand(3, grid, grid, 2, 5, dtype=torch.float64, generator=generator),
        torch.rand(3, grid, grid, 3, dtype=torch.float64, generator=generator),
    )
    return Yolo(Level(16, 8), 3, grid=grid, width=8).double(), GridOut(boxes, classes, torch.tensor([[64, 96]] * 3))


def test_loss_of_yolo_is_equation_3() -> None:
    head, out = yolo_out()
    place = sure = named = 0.0
    for n, row, column in product(range(3), range(3), range(3)):
        boxes, owner = out.boxes[n, row, column], None
        for target, k in zip(TRUTHS[n].xyxy, TRUTHS[n].classes.tolist(), strict=True):
            middle = (target[:2] + target[2:]) / 2
            if int(middle[0] / 96 * 3) == column and int(middle[1] / 64 * 3) == row:
                owner = (target, k) if owner is None or (target[2:] - target[:2]).prod() > (owner[0][2:] - owner[0][:2]).prod() else owner
        if owner is None:
            sure += 0.5 * float(boxes[:, 4].square().sum())
            continue
        target, k = owner
        corners = head.corners(out)[n, row, column]
        shared = [float(overlap(box, target)) for box in corners]
        best = int(torch.tensor(shared).argmax())
        x, y = (target[0] + target[2]) / 2 / 96 * 3 - column, (target[1] + target[3]) / 2 / 64 * 3 - row
        w, h = math.sqrt((target[2] - target[0]) / 96), math.sqrt((target[3] - target[1]) / 64)
        place += 5 * float(sum((a - b) ** 2 for a, b in zip(boxes[best, :4].tolist(), (float(x), float(y), w, h), strict=True)))
        sure += (float(boxes[best, 4]) - shared[best]) ** 2 + 0.5 * float(boxes[1 - best, 4]) ** 2
        named += sum((float(v) - (i == k)) ** 2 for i, v in enumerate(out.classes[n, row, column]))
    own = head.loss(out, TRUTHS)
    assert [float(own[key]) for key in ("place_loss", "confidence_loss", "class_loss")] == pytest.approx([place / 3, sure / 3, named / 3])


def test_ideal_numbers_of_yolo_decode_to_the_truth() -> None:
    head, out = yolo_out(7)
    boxes, classes = torch.zeros_like(out.boxes), torch.zeros_like(out.classes)
    for n, target in enumerate(TRUTHS):
        for (x1, y1, x2, y2), k in zip(target.xyxy.tolist(), target.classes.tolist(), strict=True):
            x, y = (x1 + x2) / 2 / 96 * 7, (y1 + y2) / 2 / 64 * 7
            boxes[n, int(y), int(x), 1] = torch.tensor([x - int(x), y - int(y), math.sqrt((x2 - x1) / 96), math.sqrt((y2 - y1) / 64), 1.0])
            classes[n, int(y), int(x), k] = 1
    ideal = GridOut(boxes, classes, out.sizes)
    for found, target in zip(head.decode(ideal, batch().meta), TRUTHS, strict=True):
        order = torch.argsort(found.classes)
        assert torch.allclose(found.xyxy[order].double(), target.xyxy, atol=1e-4) and torch.equal(found.classes[order], target.classes)
    assert float(sum(head.loss(ideal, TRUTHS).values())) == pytest.approx(0, abs=1e-12)


# localization ----------------------------------------------------------------------------------------------------


def test_loss_of_localization_is_gated() -> None:
    generator = torch.Generator().manual_seed(5)
    out = LocalizeOut(*(torch.rand(3, *shape, dtype=torch.float64, generator=generator) for shape in ((), (3,), (4,))), torch.tensor([[64, 96]] * 3))
    head, one = Localize(Level(16, 8), 3, grid=2, units=8).double(), [truth((30, 20, 90, 60, 2)), truth(), truth((50, 10, 70, 34, 1))]
    own = head.loss(out, one)
    presence = sum(float(F.binary_cross_entropy_with_logits(out.present[i], torch.tensor(float(i != 1), dtype=torch.float64))) for i in range(3))
    named = sum(-float(torch.log_softmax(out.logits[i], 0)[k]) for i, k in ((0, 2), (2, 1)))
    goals = {0: (40 / 64, 60 / 96, 40 / 64, 60 / 96), 2: (22 / 64, 60 / 96, 24 / 64, 20 / 96)}
    place = 0.0
    for i, goal in goals.items():
        apart = [abs(float(v) - g) for v, g in zip(out.place[i], goal, strict=True)]
        place += head.place_weight * sum(a - 0.05 if a > 0.1 else a * a / 0.2 for a in apart)
        place += 1 - float(overlap(head.corners(out)[i], one[i].xyxy[0], "ciou"))
    assert [float(own[k]) for k in ("presence_loss", "class_loss", "place_loss")] == pytest.approx([presence / 3, named / 3, place / 3])
    other = out._replace(logits=out.logits + torch.eye(3).double()[1][:, None] * 5, place=torch.where(torch.eye(3)[1][:, None] > 0, 0.3, out.place))
    changed = head.loss(other, one)
    assert all(float(changed[k]) == pytest.approx(float(own[k])) for k in own)  # nothing but c0 counts for the image without an object


def test_the_largest_of_several_objects_is_learnt_and_crowds_teach_nothing() -> None:
    head = Localize(Level(16, 8), 3, grid=2, units=8).double()
    place = torch.tensor([[40 / 64, 60 / 96, 40 / 64, 60 / 96]], dtype=torch.float64)
    out = LocalizeOut(torch.tensor([20.0]).double(), torch.tensor([[0.0, 0.0, 20.0]]).double(), place, torch.tensor([[64, 96]]))
    assert float(sum(head.loss(out, [TRUTHS[0]]).values())) == pytest.approx(0, abs=1e-6)
    crowd = truth((30, 20, 90, 60, 2), crowd=torch.tensor([True]))
    assert float(sum(head.loss(out, [crowd]).values())) == 0
    found = head.decode(out, batch().meta[:1])[0]
    assert found.classes.tolist() == [2] and torch.allclose(found.xyxy.double(), torch.tensor([[30.0, 20, 90, 60]]).double(), atol=1e-3)


# all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_gradients_are_those_of_finite_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(6)
    model, given = BUILDERS[name]().double().eval(), batch()
    given.inputs = given.inputs.double()
    for p in model.parameters():  # residuals that begin at nought sit in the kink of their ReLU
        p.data += 0.02 * torch.randn_like(p)
    head = model.heads["boxes"]
    for module in ("nano_detect", "localize"):  # the weight of CIoU's aspect term takes no gradient, so its difference would be another
        monkeypatch.setattr(f"saccade.nn.heads.{module}.box_loss", lambda a, b, _: box_loss(a, b, "diou"))
    with torch.no_grad():  # what is to be answered stands still, as it does for the gradient
        out = model.outputs(given.inputs, given.sizes)["boxes"]
        if isinstance(head, NanoDetect):
            fixed = head.assigned(out, given.targets["boxes"])
            head.assigner = lambda *_: fixed  # type: ignore[assignment]
        if isinstance(head, Yolo):
            image, row, column, boxes, _ = head._owners(out, given.targets["boxes"])
            shared = overlap(head.corners(out)[image, row, column], boxes[:, None])
            monkeypatch.setattr("saccade.nn.heads.yolo.overlap", lambda *_: shared)
    weights = list(model.parameters())
    gradients = torch.autograd.grad(torch.stack(list(model(given).values())).sum(), weights)
    for turn in range(3):
        torch.manual_seed(turn)
        direction = [torch.randn_like(p) / p.numel() ** 0.5 for p in weights]
        values = []
        for step in (1e-6, -2e-6):
            torch._foreach_add_([p.data for p in weights], direction, alpha=step)
            values.append(sum(float(v.detach()) for v in model(given).values()))
        torch._foreach_add_([p.data for p in weights], direction, alpha=1e-6)
        along = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
        assert along == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_parameter_is_reached_also_without_objects(name: str) -> None:
    torch.manual_seed(7)
    model = BUILDERS[name]()
    head = model.heads["boxes"]
    if isinstance(head, NanoDetect):
        head.assigner = TaskAligned(1000)  # coarse maps answer too
    optimiser = torch.optim.SGD(model.parameters(), 1e-2)  # residuals begin at nought: after a step everything takes part
    for truths in (TRUTHS, [truth(), truth(), truth()], TRUTHS):
        optimiser.zero_grad()
        loss = torch.stack(list(model(batch(truths)).values())).sum()
        loss.backward()
        optimiser.step()
        assert math.isfinite(float(loss.detach()))
    assert [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)] == []


@pytest.mark.parametrize("name", BUILDERS)
def test_padding_changes_nothing(name: str) -> None:
    torch.manual_seed(8)
    model, given = BUILDERS[name]().eval(), batch()
    wide = torch.rand(3, 3, 96, 128)
    wide[:, :, :64, :96] = given.inputs
    with torch.no_grad():
        alone, padded = model(given), model(Batch(wide, given.sizes, given.targets, given.meta))
        answers = [model.predict(x, given.sizes, given.meta)["boxes"] for x in (given.inputs, wide)]
    assert {k: float(v) for k, v in padded.items()} == pytest.approx({k: float(v) for k, v in alone.items()}, rel=1e-4)
    for one, other in zip(*answers, strict=True):
        assert len(one) == len(other) and torch.allclose(one.xyxy, other.xyxy, atol=1e-3)


@pytest.mark.parametrize("name", BUILDERS)
def test_one_batch_is_learnt(name: str) -> None:
    torch.manual_seed(9)
    model, given = BUILDERS[name](), batch([truth((30, 20, 90, 60, 2)), truth(), truth((50, 10, 70, 34, 1))])
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(150 if name.startswith("yolo") else 80):
        optimiser.zero_grad()
        torch.stack(list(model(given).values())).sum().backward()
        optimiser.step()
    for module in model.modules():  # the statistics of this one batch
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(20):
            model(given)
        found = model.eval().predict(given.inputs, given.sizes, given.meta)["boxes"]
    for answer, target in zip(found, given.targets["boxes"], strict=True):
        assert answer.scores is not None
        sure = answer.select(answer.scores > 0.3)
        assert sure.classes.tolist() == target.classes.tolist()
        assert len(target) == 0 or float(overlap(sure.xyxy[0].double(), target.xyxy[0])) > 0.4


def test_maps_that_do_not_double_are_refused() -> None:
    with pytest.raises(ValueError, match="twice the stride"):
        PathAggregation([Level(3, 1), Level(8, 8), Level(8, 32)], strides=(8, 32), widths=(8, 8))
    with pytest.raises(ValueError, match="at least one class"):
        NanoDetect([], 3)
    with pytest.raises(ValueError, match="at least 1"):
        Yolo(Level(8, 8), 0)
    with pytest.raises(ValueError, match="at least 1"):
        Localize(Level(8, 8), 3, grid=0)


def test_aggregated_maps_have_their_declared_levels() -> None:
    model = BUILDERS["nano"]()
    features: Features = model.backbone(torch.rand(1, 3, 72, 104), torch.tensor([[72, 104]]))
    for level, found in zip(model.backbone.levels, features.maps, strict=True):
        assert found.shape[1:] == (level.channels, -(-72 // level.stride), -(-104 // level.stride))


def test_answers_are_those_of_suppression_class_by_class() -> None:
    generator = torch.Generator().manual_seed(11)
    corner = torch.rand(1, 300, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 3 + 20 * torch.rand(1, 300, 2, generator=generator)], 2)
    scores = torch.rand(1, 300, 3, generator=generator)
    meta = [Meta("0", (96, 192), Geometry.resize((96, 192), (96, 96)))]
    found = chosen(scores, boxes, meta, Choice(threshold=0.3, overlap=0.5, considered=400, limit=60))[0]
    pairs = sorted(((float(scores[0, a, k]), a, k) for a in range(300) for k in range(3) if scores[0, a, k] > 0.3), reverse=True)[:400]
    kept: list[tuple[float, int, int]] = []
    for score, a, k in pairs:
        if all(k != other or float(overlap(boxes[0, a], boxes[0, b])) <= 0.5 for _, b, other in kept):
            kept.append((score, a, k))
    kept = kept[:60]
    assert found.scores is not None and found.scores.tolist() == pytest.approx([score for score, _, _ in kept])
    assert found.classes.tolist() == [k for _, _, k in kept]
    wide = boxes[0, [a for _, a, _ in kept]] * torch.tensor([2.0, 1, 2, 1])
    assert torch.allclose(found.xyxy, wide.clamp_max(torch.tensor([192.0, 96, 192, 96])), atol=1e-3)


def test_truths_of_a_batch_in_one_table() -> None:
    crowd = truth((0, 0, 5, 5, 1), (1, 1, 9, 9, 2), crowd=torch.tensor([True, False]))
    table, ids, counted = padded_truths([crowd, truth(), truth((2, 2, 4, 4, -1))], torch.device("cpu"), 3)
    assert table.shape == (3, 2, 4) and counted.tolist() == [[False, True], [False, False], [False, False]]
    assert ids[0, 1] == 2 and ids.min() >= 0
    assert padded_truths([truth(), truth()], torch.device("cpu"), 3)[0].shape == (2, 0, 4)
    with pytest.raises(ValueError, match="class ids must be"):
        padded_truths([truth((0, 0, 1, 1, 3))], torch.device("cpu"), 3)
