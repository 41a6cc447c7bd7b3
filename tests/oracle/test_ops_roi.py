"""Regions of maps, proposals and losses of detectors against slow loops and finite differences in double precision."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from saccade.ops import roi
from saccade.ops.box_coders import DeltaCoder
from saccade.ops.focal import focal_loss, smooth_l1
from saccade.ops.iou import overlap
from saccade.ops.proposals import Answerer, Proposer

pytestmark = pytest.mark.oracle

REGIONS = torch.tensor(
    [
        [0, 4.0, 4, 30, 22],  # inside
        [1, 0, 0, 48, 40],  # the whole map
        [1, 46, 3, 60, 50],  # over the border
        [0, -9, -7, 3, 5],  # over the other border
        [0, 100, 100, 120, 110],  # outside
        [1, 9, 9, 9, 9],  # a point
        [0, 20, 30, 14, 22],  # exchanged corners
        [1, 0.5, 10.25, 40, 11],  # flat
    ],
    dtype=torch.float64,
)


def features(channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def sampled(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    if y < -1 or x < -1 or y > height or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    fy, fx = y - top, x - left
    return (1 - fy) * ((1 - fx) * plane[top, left] + fx * plane[top, right]) + fy * ((1 - fx) * plane[low, left] + fx * plane[low, right])


def slow_align(maps, regions, output, scale, sampling, aligned):
    found = np.zeros((len(regions), maps.shape[1], *output))
    for k, (row, *box) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        down, along = sampling or max(1, math.ceil(height / output[0])), sampling or max(1, math.ceil(width / output[1]))
        for c in range(maps.shape[1]):
            for i in range(output[0]):
                for j in range(output[1]):
                    ys = [y1 + (i + (s + 0.5) / down) * height / output[0] for s in range(down)]
                    xs = [x1 + (j + (s + 0.5) / along) * width / output[1] for s in range(along)]
                    found[k, c, i, j] = np.mean([sampled(maps[int(row), c].numpy(), y, x) for y in ys for x in xs])
    return found


@pytest.mark.parametrize("output", [(2, 3), (4, 1)])
@pytest.mark.parametrize("sampling", [0, 1, 3])
@pytest.mark.parametrize("aligned", [True, False])
def test_alignment_equals_the_slow_definition(output, sampling, aligned):
    got = roi.roi_align(features(), REGIONS, output, scale=1 / 8, sampling=sampling, aligned=aligned)
    np.testing.assert_allclose(got, slow_align(features(), REGIONS, output, 1 / 8, sampling, aligned), atol=1e-12)


def test_alignment_in_parts_is_the_same(monkeypatch):
    whole = roi.roi_align(features(), REGIONS, (3, 2), scale=1 / 2)
    monkeypatch.setattr(roi, "SAMPLES", 50)
    torch.testing.assert_close(roi.roi_align(features(), REGIONS, (3, 2), scale=1 / 2), whole)


@pytest.mark.parametrize("sampling", [0, 2])
def test_gradients_of_alignment(sampling):
    maps, regions = features(2).requires_grad_(), REGIONS[:5]
    assert gradcheck(lambda m: roi.roi_align(m, regions, (2, 3), scale=1 / 8, sampling=sampling), (maps,))
    if sampling:  # of boxes too: no published code has them
        boxes, rows = torch.tensor([[4.1, 4.3, 30.2, 22.7], [10.3, 2.9, 41, 33]], dtype=torch.float64, requires_grad=True), torch.tensor([[0.0], [1.0]])
        assert gradcheck(lambda b: roi.roi_align(maps.detach(), torch.cat([rows, b], 1), (2, 2), scale=1 / 8, sampling=sampling), (boxes,))


def slow_pool(maps, regions, output, scale):
    found = np.zeros((len(regions), maps.shape[1], *output))
    for k, (row, *box) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (math.floor(abs(v * scale) + 0.5) * (1 if v >= 0 else -1) for v in box)
        height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i in range(output[0]):
            for j in range(output[1]):
                top, end = (min(max(v + y1, 0), maps.shape[2]) for v in (math.floor(i * height / output[0]), math.ceil((i + 1) * height / output[0])))
                left, right = (min(max(v + x1, 0), maps.shape[3]) for v in (math.floor(j * width / output[1]), math.ceil((j + 1) * width / output[1])))
                if end > top and right > left:
                    found[k, :, i, j] = maps[int(row), :, top:end, left:right].amax((1, 2)).numpy()
    return found


@pytest.mark.parametrize("output", [(2, 3), (4, 1)])
def test_pooling_equals_the_slow_definition_and_has_its_gradient(output):
    np.testing.assert_allclose(roi.roi_pool(features(), REGIONS, output, scale=1 / 8), slow_pool(features(), REGIONS, output, 1 / 8), atol=1e-12)
    assert gradcheck(lambda m: roi.roi_pool(m, REGIONS[:5], output, scale=1 / 8), (features(2).requires_grad_(),))


def slow_sensitive(maps, regions, output, scale):
    kinds = maps.shape[1] // (output[0] * output[1])
    found = np.zeros((len(regions), kinds, *output))
    for k, (row, *box) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (math.floor(abs(v * scale) + 0.5) * (1 if v >= 0 else -1) for v in box)
        height, width = max(y2 - y1, 1), max(x2 - x1, 1)
        for c in range(kinds):
            for i in range(output[0]):
                for j in range(output[1]):
                    top, end = (min(max(v + y1, 0), maps.shape[2]) for v in (math.floor(i * height / output[0]), math.ceil((i + 1) * height / output[0])))
                    left, right = (min(max(v + x1, 0), maps.shape[3]) for v in (math.floor(j * width / output[1]), math.ceil((j + 1) * width / output[1])))
                    if end > top and right > left:
                        found[k, c, i, j] = maps[int(row), (c * output[0] + i) * output[1] + j, top:end, left:right].mean()
    return found


def test_position_sensitive_pooling_equals_the_slow_definition_and_has_its_gradient():
    maps = features(12)
    np.testing.assert_allclose(roi.position_sensitive_pool(maps, REGIONS, (3, 2), scale=1 / 8), slow_sensitive(maps, REGIONS, (3, 2), 1 / 8), atol=1e-12)
    assert gradcheck(lambda m: roi.position_sensitive_pool(m, REGIONS[:4], (3, 2), scale=1 / 8), (features(6).requires_grad_(),))
    with pytest.raises(ValueError, match="7 channels for 3x2 bins, expected a multiple of 6"):
        roi.position_sensitive_pool(features(7), REGIONS, (3, 2))


@pytest.mark.parametrize("pool", [roi.roi_align, roi.roi_pool, roi.position_sensitive_pool])
def test_no_regions_give_no_rows(pool):
    maps = features(4).requires_grad_()
    assert pool(maps, REGIONS[:0], (2, 2)).shape == (0, 4 if pool is not roi.position_sensitive_pool else 1, 2, 2)


def test_each_region_from_its_own_map():
    fine, coarse = features(), torch.randn(2, 3, 3, 3, dtype=torch.float64)
    levels = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0])
    got = roi.pyramid_align([fine, coarse], REGIONS, (2, 2), scales=[1 / 8, 1 / 16], levels=levels, sampling=2)
    for row, level in enumerate(levels.tolist()):
        alone = roi.roi_align((fine, coarse)[level], REGIONS[row : row + 1], (2, 2), scale=(1 / 8, 1 / 16)[level], sampling=2)
        torch.testing.assert_close(got[row], alone[0])


def test_regions_are_numbered_by_image():
    got = roi.numbered([torch.ones(2, 4), torch.zeros(0, 4), torch.full((1, 4), 5.0)])
    assert got.tolist() == [[0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [2, 5, 5, 5, 5]]


def test_focal_loss_is_cross_entropy_without_focus():
    logits, truth = torch.randn(20, dtype=torch.float64), torch.rand(20, dtype=torch.float64).round()
    want = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    torch.testing.assert_close(focal_loss(logits, truth, alpha=None, gamma=0.0), want)
    p = torch.where(truth > 0, torch.sigmoid(logits), 1 - torch.sigmoid(logits))
    torch.testing.assert_close(focal_loss(logits, truth), torch.where(truth > 0, 0.25, 0.75).double() * (1 - p) ** 2 * want)
    assert gradcheck(lambda x: focal_loss(x, truth), (logits.requires_grad_(),))


def test_smooth_l1_is_torchs():
    a, b = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    for beta in (0.0, 1 / 9, 1.0):
        torch.testing.assert_close(smooth_l1(a, b, beta), F.smooth_l1_loss(a, b, beta=beta, reduction="none"))


def test_proposals_equal_the_slow_definition():
    chance = torch.Generator().manual_seed(0)
    sizes, size = (40, 12), torch.tensor([60, 80])
    logits = [torch.randn(n, generator=chance) for n in sizes]
    deltas = [torch.randn(n, 4, generator=chance) * 0.3 for n in sizes]
    anchors = [torch.rand(n, 4, generator=chance) * 40 + torch.tensor([0.0, 0, 30, 30]) for n in sizes]
    got = Proposer(each=20, most=15, overlap=0.5, smallest=3.0)(logits, deltas, anchors, size)
    found = []
    for own, moves, cells in zip(logits, deltas, anchors, strict=True):
        kept = []
        for row in sorted(range(len(own)), key=lambda i: -float(own[i]))[:20]:
            box = DeltaCoder().decode(cells[row], moves[row])
            box = torch.stack([box[0].clamp(0, 80), box[1].clamp(0, 60), box[2].clamp(0, 80), box[3].clamp(0, 60)])
            if min(box[2] - box[0], box[3] - box[1]) >= 3 and all(overlap(box, other) <= 0.5 for _, other in kept):
                kept.append((float(torch.sigmoid(own[row])), box))
        found += kept
    found = sorted(found, key=lambda f: -f[0])[:15]
    torch.testing.assert_close(got.boxes, torch.stack([box for _, box in found]))
    torch.testing.assert_close(got.scores, torch.tensor([score for score, _ in found]))


def test_proposals_that_are_not_numbers_are_left_out():
    logits, anchors = torch.tensor([1.0, float("nan"), 2.0]), torch.tensor([[0.0, 0, 9, 9], [20, 20, 29, 29], [40, 40, 49, 49]])
    deltas = torch.zeros(3, 4)
    deltas[2, 0] = float("nan")
    assert Proposer()([logits], [deltas], [anchors], torch.tensor([60, 60])).boxes.tolist() == [[0, 0, 9, 9]]


def test_answers_say_which_box_they_are():
    p = [torch.tensor([[0.9, 0.2], [0.85, 0.01]]), torch.tensor([[0.3, 0.6]])]
    boxes = [torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11]]), torch.tensor([[5.0, 5, 300, 300]])]
    got, origin = Answerer(least=0.15)(p, boxes, torch.tensor([100, 100]))
    np.testing.assert_allclose(got.scores, [0.9, 0.6, 0.3, 0.2])
    assert got.classes.tolist() == [0, 1, 0, 1] and origin.tolist() == [0, 2, 2, 0] and got.boxes[1].tolist() == [5, 5, 100, 100]
    got, origin = Answerer(least=0.15, each=1, most=1)(p, boxes, torch.tensor([100, 100]))
    assert origin.tolist() == [0]
    none, origin = Answerer()([torch.zeros(0, 2)], [torch.zeros(0, 4)], torch.tensor([5, 5]))
    assert len(none.boxes) == 0 and len(origin) == 0
