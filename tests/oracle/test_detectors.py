"""Two-stage detectors, RetinaNet and SSD: losses against slow loops, gradients in double precision, ideal outputs, padding, sizes, backbones, four steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from saccade.core import Batch, Features, Inputs, LabelSpace, Level, Meta, Model
from saccade.models import coco, two_stage, weights
from saccade.models.published import published_key
from saccade.models.retina import retinanet
from saccade.models.ssd import ssd, ssd300_vgg16
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.heads.anchored import AnchorGrid, truth_of
from saccade.nn.heads.keypoint_branch import KeypointRCNN, located, point_goals
from saccade.nn.heads.mask_branch import MaskRCNN, mask_goals, pasted
from saccade.nn.heads.retina import Retina, RetinaOut
from saccade.nn.heads.rpn import RegionProposals, Regions
from saccade.nn.heads.ssd import SSD, DefaultBoxes
from saccade.nn.heads.two_stage import DenseTrunk, Pooler, TwoStage, TwoStageBoxes, TwoStageOut
from saccade.nn.necks.fpn import FPN, enlarged
from saccade.ops import masks as mask_ops
from saccade.ops.geometry import Geometry
from saccade.ops.iou import overlap
from saccade.ops.matching import Sampler
from saccade.targets import Boxes, Instances, Keypoints

pytestmark = pytest.mark.oracle

INPUTS = Inputs(3, (96, 128), (0.5,) * 3, (0.25,) * 3)
SPACE = LabelSpace(("a", "b", "c"), keypoints=("left", "right", "nose"), pairs=((0, 1),))
NARROW: dict[str, Any] = {"width": 0.125, "channels": 16}
TWO: dict[str, Any] = NARROW | {"hidden": 16, "samples": 16, "proposals": 30}
BUILDERS = {
    "faster_rcnn": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, **TWO | o),
    "c4": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, neck="c4", **TWO | o),
    "four_step": lambda inputs=INPUTS, **o: two_stage.faster_rcnn(inputs, SPACE, training="four_step", **TWO | o),
    "fast_rcnn": lambda inputs=INPUTS, **o: two_stage.fast_rcnn(inputs, SPACE, **{"width": 0.125, "hidden": 16} | o),
    "mask_rcnn": lambda inputs=INPUTS, **o: two_stage.mask_rcnn(inputs, SPACE, **TWO | {"mask_width": 8, "mask_layers": 1} | o),
    "keypoint_rcnn": lambda inputs=INPUTS, **o: two_stage.keypoint_rcnn(inputs, SPACE, **TWO | {"point_width": 8, "point_layers": 1} | o),
    "retinanet": lambda inputs=INPUTS, **o: retinanet(inputs, SPACE, **NARROW | {"layers": 1} | o),
    "ssd": lambda inputs=INPUTS, **o: ssd(inputs, SPACE, **{"width": 0.125, "extra": (8,)} | o),
}
BOXES = Boxes(torch.tensor([[8.0, 6, 60, 70], [70, 30, 128, 96], [0, 0, 20, 14]]), torch.tensor([0, 2, 1]))


def truths(head: str, size: tuple[int, int] = (96, 128)) -> list[Any]:
    """Some objects (one over the border of the image), then none."""
    ids = np.zeros(size, np.int32)
    for row, (x1, y1, x2, y2) in enumerate(BOXES.xyxy.int().tolist(), 1):
        ids[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2] = row
    xy = BOXES.xyxy[:, None, :2] + torch.tensor([[3.0, 4], [12, 5], [7, 9]])
    points = Keypoints(xy, torch.tensor([[2, 1, 0]] * 3, dtype=torch.uint8), BOXES, None, SPACE.pairs)
    found = {"boxes": [BOXES, Boxes.empty()], "instances": [Instances(BOXES, size, None, torch.from_numpy(ids)), Instances.empty(size)]}
    return (found | {"keypoints": [points, Keypoints.empty(3, SPACE.pairs)]})[head]


def batch(model: Model, size: tuple[int, int] = (96, 128)) -> Batch:
    head = next(iter(model.heads))
    inputs = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    meta = [Meta(str(i), size, Geometry.identity(size)) for i in range(2)]
    return Batch(inputs, torch.tensor([size] * 2), {head: truths(head, size)}, meta)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_losses_are_pure_finite_and_reach_every_weight(name):
    torch.manual_seed(0)
    model = BUILDERS[name]()
    given, every = batch(model), set()
    for stage in model.stages():
        for phase in stage.phases:
            model.zero_grad()
            state = torch.get_rng_state()
            terms = model(given, phase.name)
            assert torch.equal(state, torch.get_rng_state()), "a loss takes nothing from torch's own chance"
            assert terms and all(bool(torch.isfinite(v)) and v.ndim == 0 for v in terms.values())
            sum(terms.values()).backward()
            every |= {key for key, p in model.named_parameters() if p.grad is not None}
    assert every == {key for key, _ in model.named_parameters()}
    model.eval()
    with torch.no_grad():
        first, second = model(given), model(given)
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_batch_without_objects_has_a_gradient(name):
    model = BUILDERS[name]()
    given = batch(model)
    head = next(iter(model.heads))
    empty = Batch(given.inputs, given.sizes, {head: [given.targets[head][1]] * 2}, given.meta)
    terms = model(empty)
    sum(terms.values()).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)
    assert all(float(terms[k].detach()) == 0 for k in terms if k in ("box", "region", "mask", "keypoint"))
    answers = model.eval().evaluate(given)[1][head]
    assert len(answers) == 2 and all(len(getattr(a, "boxes", a).scores) == len(a) for a in answers)


@pytest.mark.parametrize("size", [(97, 131), (33, 250)])
@pytest.mark.parametrize("name", ["faster_rcnn", "c4", "fast_rcnn", "mask_rcnn", "keypoint_rcnn", "retinanet", "ssd"])
def test_any_image_size(name, size):
    model = BUILDERS[name](INPUTS._replace(size=size)).eval()
    given = batch(model, size)
    with torch.inference_mode():
        terms, answers = model.evaluate(given)
    assert all(bool(torch.isfinite(v)) for v in terms.values())
    for answer in next(iter(answers.values())):
        xyxy = getattr(answer, "boxes", answer).xyxy
        assert bool((xyxy >= 0).all()) and bool((xyxy <= torch.tensor([size[1], size[0]] * 2)).all())


@pytest.mark.parametrize("backbone", ["vgg11_bn", "mobilenet_v2"])
@pytest.mark.parametrize("name", ["faster_rcnn", "c4", "fast_rcnn", "retinanet", "ssd"])
def test_any_backbone(name, backbone):
    model = BUILDERS[name](backbone=backbone)
    sum(model(batch(model)).values()).backward()


@pytest.mark.parametrize("name", ["faster_rcnn", "retinanet", "ssd"])
def test_padding_changes_no_answer(name):
    torch.manual_seed(1)
    model = BUILDERS[name](threshold=0.0).eval()
    image, meta = torch.rand(1, 3, 64, 96), [Meta("", (64, 96), Geometry.identity((64, 96)))]
    with torch.inference_mode():
        alone = model.predict(image, torch.tensor([[64, 96]]), meta)["boxes"][0]
        padded = model.predict(F.pad(image, (0, 32, 0, 64), value=0.7), torch.tensor([[64, 96]]), meta)["boxes"][0]
    if name == "ssd":  # its default boxes are shares of the whole input: the answers are others, but none lies in the padding
        assert bool((padded.xyxy[:, 2] <= 96).all()) and bool((padded.xyxy[:, 3] <= 64).all())
        return
    torch.testing.assert_close(padded.scores, alone.scores, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(padded.xyxy, alone.xyxy, rtol=1e-3, atol=1e-2)


# parts -----------------------------------------------------------------------------------------------------------


def test_the_pyramid_equals_its_definition():
    body = ResNet(INPUTS, depth=18, stem="imagenet", width=0.125).eval()
    neck = FPN(body.levels, strides=(8, 16, 32), channels=8, extra="convolutions").eval()
    features = body(torch.rand(1, 3, 96, 128), torch.tensor([[96, 128]]))
    got, maps = neck(features), features.maps[-3:]
    inner = [layer.conv(x) for layer, x in zip(neck.inner, maps, strict=True)]
    inner[1] = inner[1] + inner[2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    inner[0] = inner[0] + inner[1].repeat_interleave(2, 2).repeat_interleave(2, 3)
    want = [layer.conv(x) for layer, x in zip(neck.outer, inner, strict=True)]
    want.append(neck.coarser[0].conv(want[-1]))
    want.append(neck.coarser[1].conv(F.relu(want[-1])))
    for mine, theirs in zip(got.maps[1:], want, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert [level.stride for level in neck.levels] == [1, 8, 16, 32, 64, 128]
    assert enlarged(torch.tensor([[[[1.0, 2]]]]), 2, (3, 5)).tolist() == [[[[1, 1, 2, 2, 2]] * 3]]
    with pytest.raises(ValueError, match="needs maps of them"):
        FPN(body.levels, strides=(8, 24))


def test_proposal_losses_equal_the_slow_definition():
    grid = AnchorGrid.of([Level(4, 16), Level(4, 32)], 4.0, ratios=(1.0, 2.0))
    maps = [torch.randn(2, 4, 6, 8, dtype=torch.float64), torch.randn(2, 4, 3, 4, dtype=torch.float64)]
    net = RegionProposals(4, grid, sampler=Sampler(10_000, 0.5)).double()
    regions, sizes = net(maps), torch.tensor([[96, 128], [96, 128]])
    truth = [truth_of(t, 3, torch.device("cpu")) for t in truths("boxes")]
    got = net.losses(regions, grid(maps), truth, sizes)
    anchors = torch.cat(grid(maps))
    crossed, moved, count = 0.0, 0.0, 0
    for i in range(2):
        boxes = truth[i].boxes
        table = [[float(overlap(anchor, b)) for b in boxes] for anchor in anchors]
        most = [max(column) for column in zip(*table, strict=True)]
        for a, anchor in enumerate(anchors):
            middle = (anchor[:2] + anchor[2:]) / 2
            if not (0 <= middle[0] <= 128 and 0 <= middle[1] <= 96):
                continue
            own = table[a]
            best = max(range(len(own)), key=own.__getitem__) if own else -1
            positive = best >= 0 and (own[best] >= 0.7 or any(o == m and m > 0 for o, m in zip(own, most, strict=True)))
            if not positive and best >= 0 and own[best] >= 0.3:
                continue
            logit = torch.cat([x[i] for x in regions.logits])[a]
            crossed += float(F.softplus(-logit if positive else logit))
            count += 1
            if positive:
                sides, others = anchor[2:] - anchor[:2], boxes[best][2:] - boxes[best][:2]
                shift = (boxes[best][:2] + others / 2 - anchor[:2] - sides / 2) / sides
                for d, w in zip(torch.cat([x[i] for x in regions.deltas])[a], torch.cat([shift, torch.log(others / sides)]), strict=True):
                    far = abs(float(d - w))
                    moved += 4.5 * far**2 if far < 1 / 9 else far - 1 / 18
    assert float(got["objectness"]) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["region"]) == pytest.approx(moved / count, rel=1e-5)


def heads() -> dict[str, Any]:
    grid = AnchorGrid.of([Level(4, 16), Level(4, 32)], 3.0, octaves=2, ratios=(1.0,))
    defaults = DefaultBoxes((0.3, 0.5, 0.9), ((2.0,), (2.0,)), (16.0, 32.0))
    levels = [Level(4, 16), Level(4, 32)]
    return {
        "retina": Retina(levels, 3, grid, layers=1),
        "retina_giou": Retina(levels, 3, grid, layers=1, box="giou"),
        "cross_entropy": Retina(levels, 3, grid, layers=1, loss="cross_entropy"),
        "ssd": SSD(levels, 3, defaults),
    }


def pyramid(rows: int = 2) -> Features:
    chance = torch.Generator().manual_seed(3)
    maps = [torch.rand(rows, 4, 96 // s, 128 // s, generator=chance, dtype=torch.float64) for s in (16, 32)]
    return Features([torch.zeros(rows, 3, 96, 128, dtype=torch.float64), *maps], torch.tensor([[96, 128]] * rows))


@pytest.mark.parametrize("name", ["retina", "retina_giou", "cross_entropy"])
def test_retinanet_losses_equal_the_slow_definition(name):
    head = heads()[name].double()
    out, truth = head(pyramid()), truths("boxes")
    got, anchors = head.loss(out, truth), torch.cat(head.grid(out.maps))
    scored, moved = [], []
    for i, target in enumerate(truth):
        table = torch.tensor([[float(overlap(b, a)) for a in anchors] for b in target.xyxy]).view(len(target), len(anchors))
        total, distance, count = 0.0, 0.0, 0
        for a, anchor in enumerate(anchors):
            column = table[:, a].tolist()
            best = max(range(len(column)), key=column.__getitem__) if column else -1
            tied = any(table[t, a] == table[t].max() and table[t, a] > 0 for t in range(len(target)))
            positive = best >= 0 and (column[best] >= 0.5 or tied)
            if not positive and best >= 0 and column[best] >= 0.4:
                continue
            for k in range(3):
                yes = positive and int(target.classes[best]) == k
                p = float(torch.sigmoid(torch.cat([x[i] for x in out.logits])[a, k]))
                p = p if yes else 1 - p
                total -= math.log(p) if name == "cross_entropy" else (0.25 if yes else 0.75) * (1 - p) ** 2 * math.log(p)
            if positive:
                count += 1
                moves = torch.cat([x[i] for x in out.deltas])[a]
                if name == "retina_giou":
                    distance += 1 - float(overlap(head.coder.decode(anchor, moves), target.xyxy[best], "giou"))
                else:
                    distance += float((moves - head.coder.encode(anchor, target.xyxy[best])).abs().sum())
        scored.append(total / max(1, count))
        moved.append(distance / max(1, count))
    assert float(got["class"]) == pytest.approx(np.mean(scored), rel=1e-5)
    assert float(got["box"]) == pytest.approx(np.mean(moved), rel=1e-5)


def test_ssd_losses_equal_the_slow_definition():
    head = heads()["ssd"].double()
    out, truth = head(pyramid()), truths("boxes")
    got, defaults = head.loss(out, truth), head.boxes(head(pyramid()))
    crossed, moved, count = 0.0, 0.0, 0
    for i, target in enumerate(truth):
        table = torch.tensor([[float(overlap(b, a)) for a in defaults] for b in target.xyxy]).view(len(target), len(defaults))
        owner = [-1] * len(defaults)
        for a in range(len(defaults)):
            middle = (defaults[a][:2] + defaults[a][2:]) / 2
            if len(target) and float(table[:, a].max()) >= 0.5 and 0 <= middle[0] <= 128 and 0 <= middle[1] <= 96:
                owner[a] = int(table[:, a].argmax())
        for t in range(len(target)):
            owner[int(table[t].argmax())] = t
        logs = -torch.log_softmax(out.logits[i], 1)
        positives = [a for a in range(len(defaults)) if owner[a] >= 0]
        hard = sorted((float(logs[a, 0]) for a in range(len(defaults)) if owner[a] < 0), reverse=True)[: 3 * len(positives)]
        crossed += sum(float(logs[a, int(target.classes[owner[a]]) + 1]) for a in positives) + sum(hard)
        for a in positives:
            far = (out.deltas[i, a] - head.coder.encode(defaults[a], target.xyxy[owner[a]])).abs()
            moved += float(torch.where(far < 1, far.square() / 2, far - 0.5).sum())
        count += len(positives)
    assert float(got["class"]) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["box"]) == pytest.approx(moved / count, rel=1e-5)


@pytest.mark.parametrize("name", ["retina", "retina_giou", "ssd"])
@pytest.mark.parametrize("which", [[0, 1], [1, 1], [0]])
def test_gradients_of_dense_losses(name, which):
    head = heads()[name].double()
    out = head(pyramid(len(which)))
    targets = [truths("boxes")[i] for i in which]
    flat = [t.detach().requires_grad_() for t in ([*out.logits, *out.deltas] if isinstance(out, RetinaOut) else [out.logits, out.deltas])]

    def terms(*given):
        again = out._replace(logits=list(given[:2]), deltas=list(given[2:])) if isinstance(out, RetinaOut) else out._replace(logits=given[0], deltas=given[1])
        return tuple(head.loss(again, targets).values())

    assert gradcheck(terms, flat, fast_mode=True)


def second_stage() -> TwoStageBoxes:
    torch.manual_seed(0)
    head = TwoStageBoxes(
        [Level(4, 16), Level(4, 32)],
        3,
        trunk=DenseTrunk(4 * 49, 8),
        pooler=Pooler((16, 32)),
        regions=None,
        propose=lambda image: torch.tensor([[6.0, 4, 62, 72], [60, 20, 120, 90], [30, 30, 50, 50], [0, 0, 22, 15], [0, 80, 20, 96]]),
        sampler=Sampler(1000, 0.5),
    ).double()
    torch.nn.init.normal_(head.deltas.weight, std=0.1)
    return head


def test_second_stage_losses_equal_the_slow_definition():
    head = second_stage()
    out, truth = head(pyramid()), truths("boxes")
    got = head.loss(out, truth)
    crossed, moved, count = 0.0, 0.0, 0
    for i, target in enumerate(truth):
        boxes = torch.cat([out.given[i], target.xyxy.double()])
        alone = TwoStageOut([m[i : i + 1] for m in out.maps], [], [], out.given[i : i + 1], out.sizes[i : i + 1])
        logits, deltas = head.answers(alone, [boxes])
        for k, box in enumerate(boxes):
            own = [float(overlap(box, b.double())) for b in target.xyxy]
            best = max(range(len(own)), key=own.__getitem__) if own else -1
            kind = int(target.classes[best]) + 1 if best >= 0 and own[best] >= 0.5 else 0
            crossed -= float(torch.log_softmax(logits[k], 0)[kind])
            count += 1
            if kind:
                far = (deltas[k, kind] - head.coder.encode(box, target.xyxy[best].double())).abs()
                moved += float(torch.where(far < 1 / 9, far.square() * 4.5, far - 1 / 18).sum())
    assert float(got["class"]) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["box"]) == pytest.approx(moved / count, rel=1e-5)


@pytest.mark.parametrize("which", [[0, 1], [1, 1]])
def test_gradients_of_the_second_stage(which):
    head, targets = second_stage(), [truths("boxes")[i] for i in which]
    out = head(pyramid(2))
    flat = [m.detach().requires_grad_() for m in out.maps]
    assert gradcheck(lambda *maps: tuple(head.loss(out._replace(maps=list(maps)), targets).values()), flat, fast_mode=True)


def test_gradients_of_proposals():
    grid = AnchorGrid.of([Level(4, 16)], 3.0)
    net = RegionProposals(4, grid, sampler=Sampler(10_000, 0.5)).double()
    x, sizes = torch.randn(2, 4, 6, 8, dtype=torch.float64), torch.tensor([[96, 128]] * 2)
    regions, truth = net([x]), [truth_of(t, 3, torch.device("cpu")) for t in truths("boxes")]
    flat = [regions.logits[0].detach().requires_grad_(), regions.deltas[0].detach().requires_grad_()]
    assert gradcheck(lambda a, b: tuple(net.losses(Regions([a], [b]), grid([x]), truth, sizes).values()), flat, fast_mode=True)


# ideal outputs ---------------------------------------------------------------------------------------------------

SHRUNK = Meta("", (192, 256), Geometry.letterbox((192, 256), (96, 128)))


@pytest.mark.parametrize("name", ["retina", "ssd"])
def test_the_ideal_output_decodes_to_the_truth(name):
    head = heads()[name]
    features = pyramid(1)
    out = head(Features([m.float() for m in features.maps], features.sizes))
    anchors = torch.cat(head.grid(out.maps)) if name == "retina" else head.boxes(out)
    rows = [int(overlap(box, anchors).argmax()) for box in BOXES.xyxy]
    deltas = torch.zeros(1, len(anchors), 4)
    deltas[0, rows] = head.coder.encode(anchors[rows], BOXES.xyxy)
    logits = torch.full((1, len(anchors), 3), -9.0)
    logits[0, rows, BOXES.classes] = torch.tensor([9.0, 8, 7])
    if name == "retina":
        counts = [len(a) for a in head.grid(out.maps)]
        ideal = out._replace(logits=list(logits.split(counts, 1)), deltas=list(deltas.split(counts, 1)))
    else:
        ideal = out._replace(logits=torch.cat([torch.zeros(1, len(anchors), 1), logits], 2), deltas=deltas)
    found = head.decode(ideal, [SHRUNK])[0]
    assert found.classes.tolist() == BOXES.classes.tolist()
    np.testing.assert_allclose(found.xyxy, BOXES.xyxy * 2, atol=1e-2)


def test_what_a_mask_learns_and_answers_are_each_other():
    ids = truths("instances")[0].ids
    goals = mask_goals(ids, BOXES.xyxy, torch.arange(3), 28)
    assert goals.shape == (3, 28, 28) and float(goals[0, 14, 14]) == 1 and float(goals[0, 0, 0]) == 0
    for row in range(3):
        x1, y1, x2, y2 = BOXES.xyxy[row].tolist()
        inner = (x2 - x1 - 4) * (y2 - y1 - 4) / ((x2 - x1) * (y2 - y1))
        assert float(goals[row].mean()) == pytest.approx(inner, abs=0.07)
        found = pasted(goals[row], BOXES.xyxy[row].numpy(), BOXES.xyxy[row].numpy() * 2, SHRUNK.geometry, SHRUNK.size)
        seen, want = mask_ops.mask_of(found), np.kron((ids == row + 1).numpy(), np.ones((2, 2), bool))
        assert (seen & want).sum() / (seen | want).sum() > 0.93
    assert pasted(torch.zeros(28, 28), BOXES.xyxy[0].numpy(), BOXES.xyxy[0].numpy() * 2, SHRUNK.geometry, SHRUNK.size) is None
    assert mask_goals(ids, BOXES.xyxy[:0], torch.zeros(0, dtype=torch.int64), 28).shape == (0, 28, 28)


def test_what_a_point_learns_and_answers_are_each_other():
    target = truths("keypoints")[0]
    goals = point_goals(target, BOXES.xyxy, torch.arange(3), 56)
    assert bool((goals[:, :2] >= 0).all()) and bool((goals[:, 2] == -1).all())
    logits = torch.zeros(3, 3, 56 * 56).scatter(2, goals.clamp_min(0)[..., None], 30.0).view(3, 3, 56, 56)
    xy, scores = located(logits, BOXES.xyxy)
    cell = (BOXES.xyxy[:, 2:] - BOXES.xyxy[:, :2])[:, None] / 56
    assert bool(((xy - target.xy).abs()[:, :2] <= cell * 0.51).all()) and bool((scores > 0.99).all())
    assert point_goals(target, BOXES.xyxy[[2]], torch.tensor([0]), 56).tolist()[0][0] >= 0
    assert point_goals(target, torch.tensor([[90.0, 80, 100, 90]]), torch.tensor([0]), 56).tolist() == [[-1, -1, -1]]
    assert located(torch.zeros(0, 3, 56, 56), torch.zeros(0, 4))[0].shape == (0, 3, 2)


def test_masks_and_points_of_a_network_lie_in_their_boxes():
    torch.manual_seed(0)
    for name in ("mask_rcnn", "keypoint_rcnn"):
        model = BUILDERS[name](threshold=0.0, detections=7).eval()
        head = next(iter(model.heads.values()))
        assert isinstance(head, MaskRCNN | KeypointRCNN)
        with torch.inference_mode():
            found = model.predict(torch.rand(1, 3, 96, 128), torch.tensor([[96, 128]]), [SHRUNK])[next(iter(model.heads))][0]
        assert 0 < len(found) <= 7
        for row, (x1, y1, x2, y2) in enumerate(found.boxes.xyxy.tolist()):
            if isinstance(found, Instances):
                rows, columns = np.nonzero(found.mask(row))
                assert found.size == (192, 256) and x1 - 1 <= columns.min() and columns.max() <= x2 and y1 - 1 <= rows.min() and rows.max() <= y2
            else:
                seen = found.xy[row][found.visible[row] > 0]
                assert bool((seen >= torch.tensor([x1 - 1, y1 - 1])).all()) and bool((seen <= torch.tensor([x2 + 1, y2 + 1])).all())


def test_crowds_and_ignored_classes_are_neither_found_nor_missed():
    head = heads()["retina"]
    out = head(Features([m.float() for m in pyramid(1).maps], pyramid(1).sizes))
    loose = Boxes(torch.cat([BOXES.xyxy, torch.tensor([[0.0, 0, 128, 96]])]), torch.tensor([0, 2, 1, -1]))
    crowd = Boxes(loose.xyxy, loose.classes.clamp_min(0), crowd=torch.tensor([False, False, False, True]))
    plain, ignored, crowded = ({name: float(term.detach()) for name, term in head.loss(out, [t]).items()} for t in (BOXES, loose, crowd))
    assert ignored["class"] < plain["class"] and ignored == crowded and ignored["box"] == plain["box"]
    with pytest.raises(ValueError, match=r"class ids must be 0..2, or -1 for ignored, got 0..3"):
        head.loss(out, [Boxes(BOXES.xyxy, torch.tensor([0, 2, 3]))])


# four steps ------------------------------------------------------------------------------------------------------


def test_each_step_of_four_changes_its_own_part_only():
    torch.manual_seed(0)
    model = BUILDERS["four_step"]()
    given = batch(model)
    names = {"proposals": ("first_",), "detector": ("backbone.", "heads.boxes.trunk", "heads.boxes.scores", "heads.boxes.deltas")}
    names |= {"shared_proposals": ("heads.boxes.regions",), "shared_detector": ("heads.boxes.trunk", "heads.boxes.scores", "heads.boxes.deltas")}
    assert sum(stage.epochs for stage in model.stages()) == 1 and [stage.name for stage in model.stages()] == list(names)
    for stage in model.stages():
        before = {key: value.clone() for key, value in model.state_dict().items()}
        optimiser = torch.optim.SGD(stage.phases[0].groups(), lr=0.1)
        sum(model(given, stage.phases[0].name).values()).backward()
        optimiser.step()
        model.zero_grad()
        changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        assert changed and all(key.startswith(names[stage.name]) for key in changed)


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="four_step training needs neck fpn"):
        two_stage.faster_rcnn(INPUTS, SPACE, neck="c4", training="four_step", **TWO)
    with pytest.raises(ValueError, match="names no key points"):
        two_stage.keypoint_rcnn(INPUTS, LabelSpace(("a",)), **TWO)
    with pytest.raises(ValueError, match="one source of regions"):
        TwoStage([Level(4, 16)], 3, trunk=DenseTrunk(4, 4), pooler=Pooler((16,)), regions=None)


# published weights -----------------------------------------------------------------------------------------------


def file_of(network: str, model: Model) -> dict[str, torch.Tensor]:
    """A file's tensors as in `keys` of the golden numbers, made from our own shapes and numbered by class."""
    from tests.golden.test_golden_detect import stored

    return {key: torch.zeros(()).expand(shape) for key, shape in stored(network)["keys"].items()}


def test_a_file_serves_other_classes_and_coco_classes_take_their_rows(monkeypatch, tmp_path):
    network, inputs = "ssd300_vgg16", Inputs(3, (300, 300), (0.5,) * 3, (0.25,) * 3)
    tensors = file_of(network, None)
    score = "head.classification_head.module_list.4.bias"
    tensors[score] = torch.arange(364.0)
    monkeypatch.setattr(weights, "import_weights", lambda path: tensors)
    with torch.device("meta"):
        model = ssd300_vgg16(inputs, SPACE)
    model = model.to_empty(device="cpu")
    fresh = weights.load(model, network, tmp_path, SPACE.names)
    assert {key.split(".")[2] for key in fresh} == {"scores"} and len(fresh) == 12
    known = ssd300_vgg16
    with torch.device("meta"):
        model = known(inputs, LabelSpace(("dog", "person")))
    model = model.to_empty(device="cpu")
    assert weights.load(model, network, tmp_path, ("dog", "person")) == []
    own = published_key(network, score)
    assert model.state_dict()[own].tolist() == [91.0 * a + c for a in range(4) for c in (0, 18, 1)]


def test_rows_of_two_stage_and_retina_files():
    given = {"heads.boxes.scores.weight": torch.arange(91.0)[:, None], "heads.boxes.deltas.bias": torch.arange(364.0)}
    own = {"heads.boxes.scores.weight": torch.zeros(3, 1), "heads.boxes.deltas.bias": torch.zeros(12)}
    got = coco.chosen(given, own, ["dog", "person"])
    assert got["heads.boxes.scores.weight"].flatten().tolist() == [0, 18, 1]
    assert got["heads.boxes.deltas.bias"].tolist() == [*range(4), *range(72, 76), *range(4, 8)]
    retina = {"heads.boxes.scores.output.bias": torch.arange(819.0)}
    got = coco.chosen(retina, {"heads.boxes.scores.output.bias": torch.zeros(18)}, ["dog", "person"])
    assert got["heads.boxes.scores.output.bias"].tolist() == [91.0 * a + c for a in range(9) for c in (18, 1)]
    points = coco.chosen({"heads.keypoints.scores.bias": torch.arange(2.0)}, {"heads.keypoints.scores.bias": torch.zeros(2)}, ["person"])
    assert points["heads.keypoints.scores.bias"].tolist() == [0, 1]
    assert coco.chosen(given, own, ["cell", "person"]) == given
