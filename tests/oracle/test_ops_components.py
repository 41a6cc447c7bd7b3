"""Objects in maps: components, separation, matching and measures against loops and scikit-image."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from saccade.ops import components as ops

pytestmark = pytest.mark.oracle
MAPS = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 255]))


def flooded(classes, background):
    """Components by flood fill, as sets of pixels."""
    left = {p for p in np.ndindex(*classes.shape) if classes[p] not in (background, 255)}
    found = []
    while left:
        group, edge = set(), [min(left)]
        while edge:
            y, x = edge.pop()
            if (y, x) in left and (not group or classes[y, x] == classes[next(iter(group))]):
                left.discard((y, x))
                group.add((y, x))
                edge += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        found.append(frozenset(group))
    return set(found)


def sets(ids):
    return {frozenset(zip(*np.nonzero(ids == i), strict=True)) for i in range(1, int(ids.max(initial=0)) + 1)}


@given(MAPS)
@settings(max_examples=60, deadline=None)
def test_components_are_those_of_a_flood(classes):
    assert sets(ops.components(classes, 0)) == flooded(classes, 0)
    assert sets(ops.separated(classes, None, 0)) == flooded(classes, 0)


@given(MAPS, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_separation_loses_no_pixel_and_joins_no_components(classes, seed):
    edges = np.random.default_rng(seed).random(classes.shape).astype(np.float32)
    found = ops.separated(classes, edges, 0)
    front = (classes != 0) & (classes != 255)
    assert ((found > 0) == front).all()
    whole = flooded(classes, 0)
    for pixels in sets(found):
        assert any(pixels <= group for group in whole)
    assert len(sets(found)) >= len(whole) or not front.any()


def test_an_edge_pulls_touching_objects_apart_and_is_given_back():
    classes, edges = np.zeros((9, 12), np.uint8), np.zeros((9, 12), np.float32)
    classes[2:7, 1:11], edges[:, 5:7] = 1, 0.9
    assert ops.components(classes, 0).max() == 1
    found = ops.separated(classes, edges, 0)
    assert sets(found) == {frozenset((y, x) for y in range(2, 7) for x in span) for span in (range(1, 6), range(6, 11))}
    assert ops.separated(classes, edges, 0, least=26).max() == 1  # parts of 20 pixels are no objects of their own
    assert ops.separated(classes, edges, 0, least=51).max() == 0
    assert ops.separated(classes, np.ones_like(edges), 0).max() == 1  # all edge: one object


def blobs(seed, n=7, size=(70, 80)):
    """Overlapping discs."""
    chance, (h, w) = np.random.default_rng(seed), size
    y, x = np.indices(size)
    discs = [((y - chance.integers(8, h - 8)) ** 2 + (x - chance.integers(8, w - 8)) ** 2) < chance.integers(4, 12) ** 2 for _ in range(n)]
    return np.any(discs, axis=0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("depth", [0.3, 1.0, 2.5])
def test_summits_are_those_that_stand_by_their_depth(seed, depth):
    height = cv2.GaussianBlur(cv2.distanceTransform(blobs(seed).astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 1.0)
    found = ops.summits(height, depth)
    tops = [np.unravel_index(np.argmax(np.where(found == i, height, -1)), height.shape) for i in range(1, found.max() + 1)]
    for place, top in enumerate(tops):  # sinking from a summit, the sea joins it to a higher one only below `depth`
        _, above = cv2.connectedComponents((height > height[top] - depth + 1e-3).astype(np.uint8), connectivity=8)
        same = [i for i, other in enumerate(tops) if above[other] == above[top]]
        assert same == [place] and height[above == above[top]].max() == pytest.approx(height[top])
    for y, x in np.argwhere((height > depth) & (height == cv2.dilate(height, np.ones((3, 3))))):  # and every other maximum is joined to one above it
        _, above = cv2.connectedComponents((height > height[y, x] - depth + 1e-3).astype(np.uint8), connectivity=8)
        assert height[above == above[y, x]].max() > height[y, x] or any(above[top] == above[y, x] for top in tops)


def test_discs_that_touch_are_two_objects_and_an_oval_is_one():
    plain = np.zeros((40, 64), np.uint8)
    discs, oval = plain.copy(), plain.copy()
    for x, r in ((18, 11), (37, 9)):
        cv2.circle(discs, (x, 20), r, 1, -1)
    cv2.ellipse(oval, (32, 20), (24, 9), 0, 0, 360, 1, -1)
    nowhere = np.zeros(plain.shape, np.float32)
    found = ops.separated(discs, nowhere, 0)
    assert found.max() == 2 and found[20, 18] != found[20, 37] and abs(int((found == found[20, 18]).sum()) - 380) < 40
    assert ops.separated(oval, nowhere, 0).max() == 1
    assert ops.separated(discs, None, 0).max() == 1


def test_a_relief_is_flooded_from_above():
    height = np.array([[1, 3, 2, 1, 2, 5, 1]], np.float32)
    found = ops.flooded(np.array([[0, 1, 0, 0, 0, 2, 0]], np.int32), height, np.ones((1, 7), bool))
    assert found.tolist() == [[1, 1, 1, 2, 2, 2, 2]]


def test_growing_stops_at_what_is_not_inside():
    seeds = np.array([[1, 0, 0, 0, 2]], np.int32)
    assert ops.grown(seeds, np.array([[1, 1, 0, 1, 1]], bool)).tolist() == [[1, 1, 0, 2, 2]]
    with pytest.raises(ValueError, match="fewer than"):
        ops.grown(np.array([[ops.MOST]], np.int32), np.ones((1, 1), bool))


@pytest.mark.parametrize("radius", [1, 2])
def test_touching_is_near_two_objects(radius):
    objects = torch.from_numpy(np.random.default_rng(radius).integers(0, 3, (2, 9, 8)) * (np.random.default_rng(1).random((2, 9, 8)) < 0.2))
    found = ops.touching(objects, radius)
    for n, y, x in np.ndindex(*objects.shape):
        around = objects[n, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        assert bool(found[n, y, x]) == (len(set(around[around > 0].tolist())) > 1)


def test_matching_is_above_a_half():
    truth, answer = np.zeros((4, 8), np.int32), np.zeros((4, 8), np.int32)
    truth[:, :4], truth[0, 5:7] = 1, 2
    answer[:3, :4], answer[0, 6:8], answer[3, 7] = 2, 1, 3
    shares = ops.overlaps(truth, answer)
    np.testing.assert_allclose(shares, [[0, 12 / 16, 0], [1 / 3, 0, 0]])
    assert ops.matched(truth, answer) == (1, 2, 1)
    answer[:2, :4], answer[2, :4] = 2, 0  # exactly a half is no match
    assert ops.matched(truth, answer) == (0, 3, 2)
    assert ops.matched(np.zeros((2, 2), np.int32), np.zeros((2, 2), np.int32)) == (0, 0, 0)
    with pytest.raises(ValueError, match="unique"):
        ops.matched(truth, answer, 0.3)


def test_measures_are_the_pixels():
    ids = np.zeros((12, 20), np.int32)
    ids[2:5, 3:13], ids[7:11, 1:5], ids[8, 8] = 1, 2, 3
    found = ops.measured(ids)
    assert found.area.tolist() == [30, 16, 1] and found.box.tolist() == [[3, 2, 13, 5], [1, 7, 5, 11], [8, 8, 9, 9]]
    np.testing.assert_allclose(found.centre, [[8, 3.5], [3, 9], [8.5, 8.5]])
    np.testing.assert_allclose(found.length, [10, 4, 1], atol=1e-4)
    np.testing.assert_allclose(found.width, [3, 4, 1], atol=1e-4)
    np.testing.assert_allclose(found.perimeter, [22, 12, 0])
    assert all(len(part) == 0 for part in ops.measured(np.zeros((3, 3), np.int32)))


def test_measures_are_scikit_images():
    measure = pytest.importorskip("skimage.measure")
    chance = np.random.default_rng(0)
    ids = ops.components((chance.random((40, 50)) < 0.3).astype(np.uint8), 0)
    found = ops.measured(ids)
    for i, region in enumerate(measure.regionprops(ids)):
        assert found.area[i] == region.area
        np.testing.assert_allclose(found.centre[i], [region.centroid[1] + 0.5, region.centroid[0] + 0.5])
        y0, x0, y1, x1 = region.bbox
        assert found.box[i].tolist() == [x0, y0, x1, y1]


def test_a_turned_bar_has_its_own_length():
    y, x = np.mgrid[:60, :60]
    along, across = (x - 30 + y - 30) / np.sqrt(2), (x - y) / np.sqrt(2)
    ids = ((np.abs(along) < 20) & (np.abs(across) < 4)).astype(np.int32)
    found = ops.measured(ids)
    assert found.length[0] == pytest.approx(40, abs=2) and found.width[0] == pytest.approx(8, abs=2)
