"""Two-stage detectors, RetinaNet and SSD: losses against slow loops, gradients in double precision, ideal outputs, padding, sizes, backbones, four steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from saccade.core import Batch, Features, Level, Meta
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.heads.anchored import AnchorGrid, truth_of
from saccade.nn.heads.retina import RetinaOut
from saccade.nn.heads.rpn import RegionProposals, Regions
from saccade.nn.heads.two_stage import DenseTrunk, Pooler, TwoStageBoxes, TwoStageOut
from saccade.nn.necks.fpn import FPN, enlarged
from saccade.ops.geometry import Geometry
from saccade.ops.iou import overlap
from saccade.ops.matching import Sampler
from tests.support.detectors import BOXES, BUILDERS, INPUTS, SHRUNK, batch, heads, pyramid, truths

pytestmark = pytest.mark.oracle


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
@pytest.mark.parametrize("name", ["faster_rcnn", "c4", "fast_rcnn", "rfcn", "mask_rcnn", "keypoint_rcnn", "retinanet", "ssd"])
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
@pytest.mark.parametrize("name", ["faster_rcnn", "c4", "fast_rcnn", "rfcn", "retinanet", "ssd"])
def test_any_backbone(name, backbone):
    model = BUILDERS[name](backbone=backbone)
    sum(model(batch(model)).values()).backward()


@pytest.mark.parametrize("name", ["faster_rcnn", "rfcn", "retinanet", "ssd"])
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
    assert float(got["objectness"].detach()) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["region"].detach()) == pytest.approx(moved / count, rel=1e-5)


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
    assert float(got["class"].detach()) == pytest.approx(np.mean(scored), rel=1e-5)
    assert float(got["box"].detach()) == pytest.approx(np.mean(moved), rel=1e-5)


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
    assert float(got["class"].detach()) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["box"].detach()) == pytest.approx(moved / count, rel=1e-5)


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
    assert float(got["class"].detach()) == pytest.approx(crossed / count, rel=1e-5)
    assert float(got["box"].detach()) == pytest.approx(moved / count, rel=1e-5)


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
