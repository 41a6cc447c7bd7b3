"""Overlaps, suppression, coding, anchors, matching and sampling against slow definitions and finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from saccade.ops import anchors, box_coders, iou, matching
from saccade.ops import boxes as arrays
from saccade.ops.nms import nms, soft_nms

pytestmark = pytest.mark.oracle

corner = st.integers(0, 12)
box = st.tuples(corner, corner, corner, corner).map(lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])])
some = st.lists(box, max_size=8).map(lambda b: torch.tensor(b, dtype=torch.float64).reshape(-1, 4))


def random_boxes(count: int, seed: int = 0, side: float = 60) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=chance, dtype=torch.float64) * 200
    half = (torch.rand(count, 2, generator=chance, dtype=torch.float64) * side + 4) / 2
    return torch.cat([middle - half, middle + half], 1)


def slow_overlap(a, b, kind):
    (ax, ay, ar, ab), (bx, by, br, bb) = a, b
    shared = max(0, min(ar, br) - max(ax, bx)) * max(0, min(ab, bb) - max(ay, by))
    union = (ar - ax) * (ab - ay) + (br - bx) * (bb - by) - shared
    value = shared / union if union else 0.0
    width, height = max(ar, br) - min(ax, bx), max(ab, bb) - min(ay, by)
    if kind == "giou":
        return value - ((width * height - union) / (width * height) if width * height else 0)
    if kind in ("diou", "ciou"):
        apart = (ax + ar - bx - br) ** 2 / 4 + (ay + ab - by - bb) ** 2 / 4
        value, plain = value - (apart / (width**2 + height**2) if width or height else 0), value
        if kind == "ciou":
            aspects = [math.atan((r - x) / (b - y)) if b > y else math.pi / 2 for x, y, r, b in (a, b)]
            v = 4 / math.pi**2 * (aspects[0] - aspects[1]) ** 2
            value -= v * v / (1 - plain + v) if v else 0
    return value


@pytest.mark.parametrize("kind", iou.KINDS)
@given(some, some)
@settings(max_examples=60, deadline=None)
def test_overlaps_equal_the_slow_definition(kind, a, b):
    got = iou.pairwise(a, b, kind)
    assert got.shape == (len(a), len(b))
    for i, one in enumerate(a.tolist()):
        for j, other in enumerate(b.tolist()):
            assert float(got[i, j]) == pytest.approx(slow_overlap(one, other, kind), abs=1e-9)
            assert float(iou.covered(a, b)[i, j]) == pytest.approx(arrays.intersection_over_area(a.numpy(), b.numpy())[i, j])


@pytest.mark.parametrize("kind", iou.KINDS)
def test_gradients_of_overlaps(kind):
    a, b = random_boxes(6, 1).requires_grad_(), random_boxes(6, 2).requires_grad_()
    if kind != "ciou":  # alpha takes no gradient, so that of the whole is not the slope
        assert gradcheck(lambda x, y: iou.overlap(x, y, kind), (a, b))
    far = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0, 0], [3, 3, 3, 3]], requires_grad=True)
    near = torch.tensor([[5.0, 5, 6, 6], [0, 0, 0, 0], [0, 0, 5, 5]])
    iou.box_loss(far, near, kind).sum().backward()
    assert bool(torch.isfinite(far.grad).all())
    if kind != "iou":
        assert bool((far.grad[0] != 0).any()), "boxes apart are drawn together"


def test_the_gradient_of_ciou_is_that_with_alpha_held():
    a, b = random_boxes(5, 3).requires_grad_(), random_boxes(5, 4)
    with torch.no_grad():
        plain = iou.overlap(a, b)
        v = (iou.overlap(a, b, "diou") - iou.overlap(a, b, "ciou")).clamp_min(0)  # alpha v = v^2 / (1 - iou + v)
        v = (v + (v.square() + 4 * v * (1 - plain)).sqrt()) / 2
        alpha = v / (1 - plain + v)

    def held(x):
        turn = [torch.atan((y[:, 2] - y[:, 0]) / (y[:, 3] - y[:, 1])) for y in (x, b)]
        return iou.overlap(x, b, "diou") - alpha * 4 / math.pi**2 * (turn[0] - turn[1]).square()

    assert gradcheck(held, (a,))
    (mine,) = torch.autograd.grad(iou.overlap(a, b, "ciou").sum(), a)
    (theirs,) = torch.autograd.grad(held(a).sum(), a)
    torch.testing.assert_close(mine, theirs)


def test_an_unknown_overlap_is_refused():
    with pytest.raises(ValueError, match="kind must be one of iou, giou, diou, ciou, got 'siou'"):
        iou.overlap(torch.zeros(1, 4), torch.zeros(1, 4), "siou")


@given(some, st.data())
@settings(max_examples=150, deadline=None)
def test_suppression_equals_the_array_form(boxes, data):
    scores = torch.tensor(data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(boxes), max_size=len(boxes))))
    classes = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes))), dtype=torch.int64)
    assert nms(boxes, scores, 0.4, classes).tolist() == arrays.nms(boxes.numpy(), scores.numpy(), 0.4, classes.numpy()).tolist()
    assert nms(boxes, scores, 0.4).tolist() == arrays.nms(boxes.numpy(), scores.numpy(), 0.4).tolist()


@pytest.mark.parametrize("count", [127, 128, 129, 1000])
@pytest.mark.parametrize("limit", [None, 5, 200])
def test_suppression_over_many_blocks(count, limit):
    boxes, scores = random_boxes(count, count), torch.rand(count, generator=torch.Generator().manual_seed(count)).round(decimals=2)
    want = arrays.nms(boxes.numpy(), scores.numpy(), 0.3)[:limit]
    assert nms(boxes.float(), scores, 0.3, limit=limit).tolist() == want.tolist()


def test_a_chain_of_boxes_keeps_every_second():
    along = torch.arange(300, dtype=torch.float64)[:, None] * torch.tensor([3.0, 0, 3, 0])
    boxes = along + torch.tensor([0.0, 0, 10, 10])  # neighbours overlap by 7 / 13, others by less than a half
    assert nms(boxes, torch.linspace(1, 0, 300), 0.5).tolist() == list(range(0, 300, 2))


def slow_soft(boxes, scores, classes, weigh, least):
    scores, left, found = scores.tolist(), set(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        if scores[best] < least:
            break
        left.remove(best)
        found.append((best, scores[best]))
        for i in left:
            if classes[i] == classes[best]:
                scores[i] *= weigh(slow_overlap(boxes[i].tolist(), boxes[best].tolist(), "iou"))
    return found


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression_equals_the_slow_definition(method):
    boxes, chance = random_boxes(60, 7), torch.Generator().manual_seed(1)
    scores, classes = torch.rand(60, generator=chance, dtype=torch.float64), torch.randint(0, 2, (60,), generator=chance)
    weigh = (lambda o: 1 - o if o > 0.3 else 1.0) if method == "linear" else (lambda o: math.exp(-o * o / 0.5))
    want = slow_soft(boxes, scores, classes, weigh, 0.01)
    got = soft_nms(boxes, scores, classes, method=method, least=0.01)
    assert got.rows.tolist() == [row for row, _ in want]
    np.testing.assert_allclose(got.scores, [score for _, score in want])
    assert soft_nms(boxes, scores, classes, method=method, limit=3).rows.tolist() == got.rows[:3].tolist()
    assert len(soft_nms(boxes[:0], scores[:0]).rows) == 0
    with pytest.raises(ValueError, match="linear or gaussian"):
        soft_nms(boxes, scores, method="cubic")


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_deltas_and_back(weights):
    coder, references, boxes = box_coders.DeltaCoder(weights), random_boxes(40, 1), random_boxes(40, 2)
    torch.testing.assert_close(coder.decode(references, coder.encode(references, boxes)), boxes)
    deltas = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda d: coder.decode(references[:3], d), (deltas,))
    assert bool(torch.isfinite(coder.decode(references, torch.full((40, 4), 1e3, dtype=torch.float64))).all())
    assert bool(torch.isfinite(coder.encode(references, torch.zeros(40, 4, dtype=torch.float64))).all())
    assert coder.encode(references[:0], boxes[:0]).shape == (0, 4)


def test_sides_and_back():
    coder, points, boxes = box_coders.SideCoder(8.0), torch.rand(9, 2) * 100, random_boxes(9).float()
    torch.testing.assert_close(coder.decode(points, coder.encode(points, boxes)), boxes)
    assert coder.encode(torch.tensor([4.0, 6]), torch.tensor([0.0, 0, 16, 8])).tolist() == [0.5, 0.75, 1.5, 0.25]


def test_clipped_to_each_image():
    boxes = torch.tensor([[[-5.0, -5, 3, 30]], [[-5, -5, 300, 3]]])
    assert box_coders.clip(boxes, torch.tensor([[[20, 10]], [[20, 40]]])).tolist() == [[[0, 0, 3, 20]], [[0, 0, 40, 3]]]


def test_anchors_have_their_areas_and_ratios():
    cells = anchors.cell_anchors([8, 32], [0.5, 1, 2])
    sides = cells[:, 2:] - cells[:, :2]
    assert (sides.prod(1)).tolist() == pytest.approx([64, 1024] * 3, rel=1e-5)
    assert (sides[:, 1] / sides[:, 0]).tolist() == pytest.approx([0.5, 0.5, 1, 1, 2, 2], rel=1e-5)
    grid = anchors.grid_anchors(cells, (3, 5), (4, 8))
    middles = ((grid[:, :2] + grid[:, 2:]) / 2).view(3, 5, 6, 2)
    assert middles[2, 3, 4].tolist() == pytest.approx([28, 10]) and middles[0, 0, 0].tolist() == pytest.approx([4, 2])
    inside = anchors.around_data(grid, torch.tensor([6, 16])).view(3, 5, 6)
    assert inside[:, :, 0].tolist() == [[True, True, False, False, False]] * 2 + [[False] * 5]


def test_default_boxes_of_one_map():
    cells = anchors.default_cells(0.2, 0.8, [2, 3], (100, 200))
    sides = (cells[:, 2:] - cells[:, :2]).tolist()
    shares = [0.2, 0.4, 0.2 * 2**0.5, 0.2 / 2**0.5, 0.2 * 3**0.5, 0.2 / 3**0.5]
    want = [(0, 0), (1, 1), (2, 3), (3, 2), (4, 5), (5, 4)]
    np.testing.assert_allclose(sides, [[200 * shares[w], 100 * shares[h]] for w, h in want], rtol=1e-6)
    assert float(anchors.default_cells(1.05, 1.3, [3], (10, 10)).abs().max()) == 5.0
    assert anchors.default_scales(4, first=0.1)[:2] == [0.1, 0.2] and len(anchors.default_scales(4, first=0.1)) == 5


def slow_match(overlaps, high, low, rescue):
    truths, count = overlaps.shape
    found = []
    for box in range(count):
        column = overlaps[:, box].tolist()
        best = max(column, default=0)
        found.append(column.index(best) if truths and best >= high else -1 if best < low else -2)
    for truth in range(truths):
        row = overlaps[truth].tolist()
        most = max(row, default=0)
        if not most or rescue == "none":
            continue
        for box in range(count):
            if rescue == "ties" and row[box] == most:
                found[box] = int(overlaps[:, box].argmax())
            if rescue == "force" and box == row.index(most):
                found[box] = truth
    return found


@pytest.mark.parametrize("rescue", ["none", "ties", "force"])
@given(some, some)
@settings(max_examples=80, deadline=None)
def test_matching_equals_the_slow_definition(rescue, truths, boxes):
    matcher = matching.Matcher(0.6, 0.3, rescue)
    got = matcher(boxes, truths)
    overlaps = iou.pairwise(truths, boxes)
    assert got.truth.tolist() == slow_match(overlaps, 0.6, 0.3, rescue)
    assert got.overlap.tolist() == (overlaps.max(0).values.tolist() if len(truths) and len(boxes) else [0.0] * len(boxes))


def test_crowds_are_answered_by_nobody_and_hide_background():
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [52, 52, 58, 58], [90, 90, 99, 99]])
    truths = torch.tensor([[40.0, 40, 80, 80], [0, 0, 10, 9], [50, 50, 60, 60]])
    got = matching.Matcher(0.5, 0.5)(boxes, truths, torch.tensor([True, False, False]))
    assert got.truth.tolist() == [1, 2, matching.IGNORED, matching.BACKGROUND]
    only = matching.Matcher(0.5, 0.5)(boxes, truths[:1], torch.tensor([True]))
    assert only.truth.tolist() == [-1, -2, -2, -1] and not bool(only.positive.any())


@pytest.mark.parametrize(
    ("positives", "negatives", "want"), [(0, 0, (0, 0)), (3, 0, (3, 0)), (0, 20, (0, 8)), (3, 20, (3, 5)), (9, 20, (4, 4)), (9, 2, (4, 2))]
)
def test_a_sample_has_its_counts(positives, negatives, want):
    truth = torch.tensor([0] * positives + [-1] * negatives + [-2] * 5)
    found = matching.Matching(truth, torch.zeros(len(truth)))
    chosen = matching.Sampler(8, 0.5)(found, torch.Generator().manual_seed(0))
    assert tuple(len(rows) for rows in chosen) == want
    assert bool((truth[chosen[0]] >= 0).all()) and bool((truth[chosen[1]] == -1).all())
    assert all(len(set(rows.tolist())) == len(rows) for rows in chosen)


def test_samples_are_fair_and_seeded_by_the_numbers():
    found = matching.Matching(torch.full((10,), -1), torch.zeros(10))
    counts = sum(torch.bincount(matching.Sampler(2, 0.5)(found, matching.seeded(torch.tensor([float(i)])))[1], minlength=10) for i in range(500))
    assert counts.sum() == 1000 and 60 < counts.min() and counts.max() < 140
    again = [matching.Sampler(2, 0.5)(found, matching.seeded(torch.tensor([3.5])))[1].tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_the_hardest_negatives():
    losses = torch.tensor([[5.0, 1, 2, 3, 4], [5, 4, 3, 2, 1], [1, 1, 1, 9, 1]])
    positive = torch.tensor([[True, False, False, False, False], [False] * 5, [True, True, False, False, False]])
    negative = ~positive
    negative[2, 3] = False
    assert matching.hard_negatives(losses, positive, negative, ratio=2).tolist() == [
        [False, False, False, True, True],
        [False] * 5,
        [False, False, True, False, True],
    ]
    assert matching.hard_negatives(losses, positive, negative, ratio=2, least=1)[1].tolist() == [True, False, False, False, False]
    assert matching.hard_negatives(losses[:0], positive[:0], negative[:0]).shape == (0, 5)
