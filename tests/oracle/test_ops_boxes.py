"""Boxes against torchvision's stored answers, the slow definitions, and pixels counted one by one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.ops import boxes as ops
from saccade.ops.geometry import Geometry

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ops_boxes.npz"
corner = st.integers(0, 12)
box = st.tuples(corner, corner, corner, corner).map(lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])])
some = st.lists(box, max_size=8).map(lambda b: np.array(b, np.float64).reshape(-1, 4))


def pixels(xyxy: np.ndarray) -> np.ndarray:
    plane = np.zeros((12, 12), bool)
    x1, y1, x2, y2 = xyxy.astype(int)
    plane[y1:y2, x1:x2] = True
    return plane


@given(some, some)
@settings(max_examples=150, deadline=None)
def test_overlaps_equal_counted_pixels(a, b):
    assert ops.area(a).tolist() == [pixels(one).sum() for one in a]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            both, either = (pixels(one) & pixels(other)).sum(), (pixels(one) | pixels(other)).sum()
            assert ops.intersection(a, b)[i, j] == both
            assert ops.iou(a, b)[i, j] == pytest.approx(both / either if either else 0.0)
            assert ops.intersection_over_area(a, b)[i, j] == pytest.approx(both / pixels(one).sum() if pixels(one).any() else 0.0)
    assert ops.iou(a, b).shape == (len(a), len(b))


def test_iou_equals_torchvision():
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(ops.iou(golden["coder_anchors"], golden["coder_boxes"]), golden["pair_iou"], atol=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_suppression_equals_torchvision(case, threshold):
    with np.load(GOLDEN) as golden:
        boxes, scores, classes = (golden[f"nms{case}_{part}"] for part in ("boxes", "scores", "classes"))
        np.testing.assert_array_equal(ops.nms(boxes, scores, threshold), golden[f"nms{case}_keep_{threshold}"])
        np.testing.assert_array_equal(ops.nms(boxes, scores, threshold, classes), golden[f"nms{case}_batched_{threshold}"])


def slow_nms(boxes, scores, threshold, classes):
    kept = []
    for row in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(classes[row] != classes[other] or ops.iou(boxes[[row]], boxes[[other]])[0, 0] <= threshold for other in kept):
            kept.append(row)
    return kept


@given(some, st.data())
@settings(max_examples=200, deadline=None)
def test_suppression_equals_the_slow_definition(boxes, data):
    scores = np.array(data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(boxes), max_size=len(boxes))))
    classes = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes))), int)
    kept, owner = ops.suppression(boxes, scores, 0.4, classes)
    assert kept.tolist() == slow_nms(boxes, scores, 0.4, classes)
    assert all(owner[row] == row for row in kept) and set(owner) <= set(kept)
    for row in set(range(len(boxes))) - set(kept):
        assert classes[owner[row]] == classes[row] and ops.iou(boxes[[row]], boxes[[owner[row]]])[0, 0] > 0.4


@given(some)
@settings(max_examples=50, deadline=None)
def test_notations_and_back(boxes):
    np.testing.assert_allclose(ops.xywh_to_xyxy(ops.xyxy_to_xywh(boxes)), boxes, atol=1e-12)
    np.testing.assert_allclose(ops.cxcywh_to_xyxy(ops.xyxy_to_cxcywh(boxes)), boxes, atol=1e-12)
    assert (ops.xyxy_to_xywh(boxes)[:, 2:] == ops.xyxy_to_cxcywh(boxes)[:, 2:]).all()


def test_clipped_to_the_plane():
    found = ops.clip(np.array([[-5, -5, 3, 3], [8, 1, 20, 2], [30, 30, 40, 40]], np.float32), (10, 12))
    assert found.tolist() == [[0, 0, 3, 3], [8, 1, 12, 2], [12, 10, 12, 10]] and found.dtype == np.float32


def test_first_of_equal_rows():
    assert ops.first_copies(np.array([[1.0, 2], [0, 0], [1.001, 2], [1, 2]]), np.array([7, 7, 7, 8])).tolist() == [0, 1, 3]
    assert ops.first_copies(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def test_warped_boxes_and_their_shares():
    boxes = np.array([[2.0, 2, 6, 4], [0, 0, 4, 8], [20, 20, 30, 30]])
    inside, share = ops.warped(boxes, Geometry.crop(4, 0, (8, 8)))
    assert inside.tolist() == [[0, 2, 2, 4], [0, 0, 0, 8], [8, 8, 8, 8]] and share.tolist() == [0.5, 0, 0]
    quarter = Geometry(np.array([[0.0, -1, 8], [1, 0, 0]]), (8, 8))
    np.testing.assert_allclose(ops.warped(boxes[:1], quarter)[0], [[4, 2, 6, 6]])
    assert ops.warped(np.zeros((0, 4)), quarter)[0].shape == (0, 4)


@pytest.mark.parametrize("seed", range(4))
def test_boxes_under_a_bend_or_a_perspective_hold_their_dense_outline(seed):
    chance = np.random.default_rng(seed)
    matrix = np.eye(3) + np.array([[0.1, 0.1, 5], [0.1, 0.1, 5], [1e-3, 1e-3, 0]]) * chance.uniform(-1, 1, (3, 3))
    bend = chance.uniform(-3, 3, (5, 6, 2)) if seed % 2 else None
    geometry, boxes = Geometry(matrix, (200, 240), bend), np.array([[60.0, 60, 120, 90], [90, 100, 180, 150]])
    found, share = ops.warped(boxes, geometry)
    for row, one in enumerate(boxes):
        t = np.linspace(0, 1, 500)
        x, y = one[0] + t * (one[2] - one[0]), one[1] + t * (one[3] - one[1])
        dense = np.concatenate([np.stack(np.broadcast_arrays(a, b), 1) for a, b in ((x, one[1]), (x, one[3]), (one[0], y), (one[2], y))])
        moved = geometry.points(dense)
        np.testing.assert_allclose(found[row], ops.clip(np.concatenate([moved.min(0), moved.max(0)])[None], geometry.size)[0], atol=0.25)
    assert share == pytest.approx(np.ones(2))


def test_what_is_behind_the_viewer_is_outside():
    horizon = Geometry(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0.02, -1]]), (400, 400))  # in front below y = 50
    found, share = ops.warped(np.array([[0.0, 0, 40, 40], [0, 60, 40, 90], [0, 20, 40, 90]]), horizon)
    assert share[0] == 0 and found[0].tolist() == [0, 0, 0, 0] and share[1] > 0 and np.isfinite(found).all() and share[2] < 0.5
