"""Warping of truths against slow definitions, and the laws that hold for it: composition, mirrors, boxes of what was warped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.preprocess import Preprocess
from saccade.ops.geometry import Geometry
from saccade.ops.masks import Polygons, mask_of, runs_of
from saccade.targets import Boxes, DepthMap, ImageTarget, Instances, Keypoints, Points, RegionCaptions, SceneGraph, SegmentationMap
from saccade.targets.instances import boxes_of
from tests.support.targets import SPACE, differences, example, some_geometry

SIZE = (64, 80)
seeds = st.integers(0, 10**6)
SETTINGS = settings(max_examples=40, deadline=None)


def slow_nearest(plane: np.ndarray, g: Geometry, fill: float) -> tuple[np.ndarray, np.ndarray]:
    """Every target pixel's centre taken back to the source; and where it comes from well inside of a pixel, so that rounding decides nothing."""
    y, x = np.mgrid[: g.size[0], : g.size[1]] + 0.5
    back = g.back(np.stack([x.ravel(), y.ravel()], 1))
    unseen = np.isnan(back).any(1)
    back = np.where(unseen[:, None], -1.0, back)
    column, row = np.floor(back).astype(int).T
    inside = (column >= 0) & (column < plane.shape[1]) & (row >= 0) & (row < plane.shape[0])
    out = np.full(len(back), fill, plane.dtype)
    out[inside] = plane[row[inside], column[inside]]
    part = back - np.floor(back)
    sure = ((part > 0.02) & (part < 0.98)).all(1) | unseen
    return out.reshape(g.size), sure.reshape(g.size)


@pytest.mark.parametrize("kind", ["affine", "projective", "bent"])
@pytest.mark.parametrize("seed", range(5))
def test_maps_take_the_nearest_pixel(kind, seed):
    chance = np.random.default_rng(seed)
    g, ids = some_geometry(chance, SIZE, kind), chance.integers(0, 5, SIZE).astype(np.uint8)
    found = SegmentationMap(torch.from_numpy(ids)).warp(g).ids.numpy()
    expected, sure = slow_nearest(ids, g, 255)
    assert sure.mean() > 0.8 and (found == expected)[sure].all()
    metres = chance.uniform(1, 9, SIZE).astype(np.float32)
    expected, sure = slow_nearest(metres, g, np.nan)
    np.testing.assert_array_equal(DepthMap(torch.from_numpy(metres)).warp(g).metres.numpy()[sure], expected[sure])


def objects(seed: int, count: int = 6) -> Instances:
    chance = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        angle = np.sort(chance.uniform(0, 2 * np.pi, 9))
        reach = chance.uniform(5, 16, 9)
        shapes.append(Polygons(SIZE, (np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1) + chance.uniform(12, 52, 2),)))
    full = [mask_of(shape) for shape in shapes]
    boxes = Instances.from_masks(full, list(range(count))).boxes
    return Instances(boxes, SIZE, tuple(shapes))


@given(seeds)
@SETTINGS
def test_polygons_are_moved_and_rasterised_anew(seed):
    before, g = objects(seed), some_geometry(np.random.default_rng(seed), SIZE)
    found = before.warp(g)
    expected = np.zeros(g.size, int)
    for row, kept in enumerate(before.boxes.moved(g)[1].tolist()):
        if kept:
            expected[mask_of(Polygons(g.size, (g.points(before.shapes[row].rings[0]),)))] = int(before.boxes.classes[row]) + 1
    classes = np.append(0, found.boxes.classes.numpy() + 1)
    np.testing.assert_array_equal(classes[found.ids.numpy()], expected)


@given(seeds, st.sampled_from(["affine", "projective", "bent"]), st.sampled_from(["polygons", "runs", "ids", "mixed"]))
@SETTINGS
def test_boxes_are_tight_around_what_is_seen(seed, kind, how):
    before, g = objects(seed), some_geometry(np.random.default_rng(seed), SIZE, kind)
    if how == "ids":
        before = replace(before, shapes=None, ids=torch.from_numpy(before.id_map()))
    elif how != "polygons":
        before = replace(before, shapes=tuple(runs_of(shape) if how == "runs" or row % 2 else shape for row, shape in enumerate(before.shapes)))
    found = before.warp(g)
    assert found.ids.dtype == torch.int32 and found.ids.max() <= len(found) and found.size == g.size == tuple(found.ids.shape)
    for row in range(len(found)):
        rows, columns = np.nonzero(found.mask(row))
        assert found.boxes.xyxy[row].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    if how != "polygons" or kind != "affine":
        expected, sure = slow_nearest(before.id_map(), g, 0)
        kept = before.boxes.moved(g)[1].numpy()
        if kept.all():
            numbers = np.append(0, found.boxes.classes.numpy() + 1)
            assert (numbers[found.ids.numpy()] == expected)[sure].mean() > (0.999 if kind != "bent" else 0.99)


@given(seeds)
@SETTINGS
def test_the_box_of_a_warped_outline_is_the_warped_mask_s(seed):
    chance = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False) + chance.uniform(0, 0.5)  # round, without tips that are thinner than a pixel
    ring = np.stack([12 * np.cos(angle), 9 * np.sin(angle)], 1) + chance.uniform(15, 50, 2)
    before = Instances(Boxes(torch.from_numpy(np.concatenate([ring.min(0), ring.max(0)])[None]), torch.tensor([0])), SIZE, (Polygons(SIZE, (ring,)),))
    g = some_geometry(chance, SIZE)
    points = g.points(ring)
    found, hull = before.warp(g), np.concatenate([points.min(0), points.max(0)]).clip(0, [g.size[1], g.size[0]] * 2)
    boxed = before.boxes.warp(g)
    assert len(found) == len(boxed)
    if len(found) and (hull[2:] - hull[:2]).min() > 4:
        tight, upright_box = found.boxes.xyxy[0].numpy(), boxed.xyxy[0].numpy()
        np.testing.assert_allclose(tight, hull, atol=1.5)
        assert (upright_box[:2] <= tight[:2] + 1).all() and (upright_box[2:] >= tight[2:] - 1).all()  # a turned box is wider than what is in it


@pytest.mark.parametrize("seed", range(5))
def test_many_objects_have_the_boxes_that_a_search_finds(seed):
    chance = np.random.default_rng(seed)
    ids = chance.integers(0, 5, (9, 7)) * (chance.random((9, 7)) < 0.4)
    expected = np.zeros((5, 4))
    for number in range(1, 6):
        rows, columns = np.nonzero(ids == number)
        if len(rows):
            expected[number - 1] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    np.testing.assert_array_equal(boxes_of(ids.astype(np.uint8), 5), expected)
    assert not boxes_of(np.zeros((0, 3), np.uint8), 2).any() and not boxes_of(np.zeros((2, 3), np.uint8), 2).any()
    numbers = torch.arange(1600).reshape(40, 40).int() % 401
    many = Instances(Boxes(torch.rand(400, 4, dtype=torch.float64) + torch.tensor([0.0, 0, 30, 30]), torch.arange(400)), (40, 40), None, numbers)
    assert len(many.warp(Geometry.flip((40, 40)))) == 400  # more than a byte can number


# laws --------------------------------------------------------------------------------------------------------------


def upright(chance: np.random.Generator, source: tuple[int, int]) -> Geometry:
    """Scaled, mirrored and moved by a margin, so that all of the source is inside."""
    target = (source[0] + 30, source[1] + 30)
    flip = Geometry.flip(source) if chance.random() < 0.5 else Geometry.identity(source)
    return flip.then(Geometry.resize(source, source)).then(Geometry.crop(*-chance.uniform(0, 30, 2), target))


@pytest.mark.parametrize("head", ["boxes", "keypoints", "points", "regions", "graph", "boxes3d", "instances"])
@pytest.mark.parametrize("seed", range(8))
def test_one_after_the_other_is_the_product(head, seed):
    chance = np.random.default_rng(seed)
    first = upright(chance, SIZE)
    second = upright(chance, first.size)
    before = example(head, SIZE)
    step, once = before.warp(first).warp(second), before.warp(first.then(second))
    if head == "instances":  # outlines are rasterised once or twice
        assert (step.ids == once.ids).float().mean() > 0.97
        assert (step.boxes.xyxy - once.boxes.xyxy).abs().max() <= 2
    else:
        assert not differences(step, once, 2e-3)


@pytest.mark.parametrize("head", ["keypoints", "points"])
@pytest.mark.parametrize("seed", range(5))
def test_points_compose_under_turns_and_perspectives(head, seed):
    chance = np.random.default_rng(seed)
    first, second = (some_geometry(chance, SIZE, "projective") for _ in range(2))
    wide = Geometry(np.eye(2, 3) + np.array([[0, 0, 500], [0, 0, 500]]), (1200, 1200))
    first = first.then(wide)
    before = example(head, SIZE)
    step, once = before.warp(first).warp(second), before.warp(first.then(second))
    np.testing.assert_allclose(step.xy.numpy(), once.xy.numpy(), atol=0.02)
    assert head == "points" or torch.equal(step.visible, once.visible)


@pytest.mark.parametrize("head", ["boxes", "instances", "keypoints", "map", "points", "depth", "image", "regions", "graph", "boxes3d"])
@pytest.mark.parametrize("scored", [False, True])
def test_mirrored_twice_is_what_it_was(head, scored):
    flip = Geometry.flip(SIZE)
    before = example(head, SIZE, scored=scored).warp(Geometry.identity(SIZE))
    assert not differences(before, before.warp(flip).warp(flip), 1e-3)
    assert differences(before, before.warp(flip), 1e-3)


def test_a_mirror_exchanges_left_and_right_points():
    before = example("keypoints", SIZE, scored=True)
    after = before.warp(Geometry.flip(SIZE))
    left, right = SPACE.pairs[0]
    assert after.visible[1].tolist() == [2, 2, 1] and before.visible[1].tolist() == [2, 1, 2]
    np.testing.assert_allclose(after.xy[0, left], [SIZE[1] - before.xy[0, right, 0], before.xy[0, right, 1]], rtol=1e-6)
    np.testing.assert_allclose(after.xy[:, 0, 0], SIZE[1] - before.xy[:, 0, 0], rtol=1e-6)
    assert torch.equal(after.scores[:, left], before.scores[:, right])
    turned = before.warp(Geometry(np.array([[-1.0, 0, SIZE[1]], [0, -1, SIZE[0]]]), SIZE))  # half a turn is no mirror
    assert torch.equal(turned.visible, before.visible)


# what goes and what stays ------------------------------------------------------------------------------------------


def test_boxes_with_less_than_a_tenth_inside_go_with_all_they_have():
    boxes = Boxes(
        torch.tensor([[0.0, 0, 100, 10], [0, 20, 100, 30], [85, 40, 95, 50], [0, 60, 100, 70], [91, 80, 99, 80.9]], dtype=torch.float64),
        torch.tensor([4, 5, 6, 7, 8]),
        crowd=torch.tensor([False, False, False, True, False]),
        difficult=torch.tensor([True, False, True, False, False]),
        areas=torch.tensor([900.0, 800, 50, float("nan"), 5]),
        ids=torch.tensor([11, 12, 13, 14, 15]),
        attributes=({"a": 1}, {}, {"c": 3}, {"d": 4}, {}),
    )
    found = boxes.warp(Geometry.crop(90.5, 0, (100, 100)))
    assert found.classes.tolist() == [6, 7]  # 9.5 % of the first two is left, of the crowd as well; the last is too thin
    assert found.xyxy.tolist() == [[0, 40, 4.5, 50], [0, 60, 9.5, 70]] and found.ids.tolist() == [13, 14]
    assert found.difficult.tolist() == [True, False] and found.crowd.tolist() == [False, True] and found.attributes == ({"c": 3}, {"d": 4})
    assert found.areas[0] == pytest.approx(50 * 0.45) and found.areas[1].isnan()
    assert boxes.warp(Geometry.crop(89.5, 0, (100, 100))).classes.tolist() == [4, 5, 6, 7]
    doubled = boxes.warp(Geometry.resize((100, 100), (200, 200)))
    assert doubled.areas[:3].tolist() == [3600, 3200, 200] and len(doubled) == 5


def test_areas_of_masks_are_counted_anew():
    block = np.zeros((20, 20), bool)
    block[5:15, 5:15] = True
    made = Instances.from_masks([block], [0])
    made = replace(made, boxes=replace(made.boxes, areas=torch.tensor([1.0], dtype=torch.float64)))
    assert made.warp(Geometry.crop(10, 0, (20, 20))).boxes.areas.tolist() == [50.0]


def test_what_is_covered_goes():
    small, large = np.zeros((2, 20, 20), bool)
    small[8:10, 8:10] = True
    large[5:15, 5:15] = True
    identity = Geometry.identity((20, 20))
    assert Instances.from_masks([small, large], [0, 1]).warp(identity).boxes.classes.tolist() == [1]
    kept = Instances.from_masks([large, small], [1, 0]).warp(identity)
    assert kept.boxes.classes.tolist() == [1, 0] and kept.mask(0).sum() == 96 and kept.ids.max() == 2


def test_points_outside_are_no_longer_labelled():
    xy = torch.tensor([[[5.0, 5], [50, 5], [0, 0]], [[60, 60], [70, 70], [0, 0]]], dtype=torch.float64)
    visible = torch.tensor([[2, 1, 0], [2, 2, 0]], dtype=torch.uint8)
    boxes = Boxes(torch.tensor([[0.0, 0, 60, 10], [40, 40, 75, 75]], dtype=torch.float64), torch.tensor([0, 0]))
    before = Keypoints(xy, visible, boxes)
    found = before.warp(Geometry.crop(0, 0, (55, 55)))  # the second object keeps its box, and none of its points
    assert found.visible.tolist() == [[2, 1, 0], [0, 0, 0]] and found.xy[1].abs().max() == 0 and found.xy[0, 1].tolist() == [50, 5]
    found = before.warp(Geometry.crop(49, 0, (5, 5)))  # three hundredths of the first box, but with a point
    assert found.visible.tolist() == [[0, 1, 0]] and found.boxes.xyxy.tolist() == [[0, 0, 5, 5]]
    assert len(before.warp(Geometry.crop(90, 90, (5, 5)))) == 0


def test_dots_outside_go():
    found = Points(torch.tensor([[1.0, 1], [9, 9], [4, 0]]), torch.tensor([0, 1, 2]), torch.tensor([0.1, 0.2, 0.3])).warp(Geometry.crop(2, 0, (5, 5)))
    assert found.classes.tolist() == [2] and found.xy.tolist() == [[2, 0]] and found.scores.tolist() == pytest.approx([0.3])


def test_relations_go_with_their_objects():
    boxes = Boxes(torch.tensor([[0.0, 0, 10, 10], [50, 0, 60, 10], [0, 50, 10, 60]], dtype=torch.float64), torch.arange(3))
    graph = SceneGraph(boxes, (("a",), ("b",), ()), torch.tensor([[0, 5, 1], [2, 6, 0], [2, 7, 2]]), torch.tensor([0.1, 0.2, 0.3]))
    found = graph.warp(Geometry.crop(0, 0, (45, 100)))
    assert found.attributes == (("a",), ("b",)) and found.relations.tolist() == [[0, 5, 1]] and found.scores.tolist() == pytest.approx([0.1])
    found = graph.select([2, 0])
    assert found.relations.tolist() == [[0, 6, 1], [0, 7, 0]] and found.attributes == ((), ("a",))
    with pytest.raises(ValueError, match="each once"):
        graph.select([0, 0])
    regions = RegionCaptions(boxes.xyxy, ("a", "b", "c")).warp(Geometry.crop(40, 0, (30, 60)))
    assert regions.texts == ("b",) and regions.xyxy.tolist() == [[10, 0, 20, 10]]


# pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "cover", "pad"])
@pytest.mark.parametrize("size", [(24, 40), (64, 80), (100, 90)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_picture_as_truth_is_resampled_like_an_input(mode, size, turned):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / 80
    pixels = np.stack([x, y, 0.5 + 0.4 * np.sin(9 * x * y)], -1).astype(np.float32)
    preprocess = Preprocess(size, 3, mode=mode)
    g = preprocess.geometry(SIZE)
    if turned:
        g = g.then(Geometry(np.array([[0.95, -0.2, 8], [0.2, 0.95, -5]]), size))
    expected = preprocess.apply(pixels, g).numpy()
    found = ImageTarget(torch.from_numpy(pixels).permute(2, 0, 1)).warp(g).pixels.numpy()
    inside = ~np.isnan(found[0])
    back = g.back((np.argwhere(inside)[:, ::-1] + 0.5).astype(float))
    deep = ((back > 1.6) & (back < np.array([SIZE[1], SIZE[0]]) - 1.6)).all(1)  # nearer to the edge the input is mixed with its fill
    assert deep.sum() > 200
    np.testing.assert_allclose(found[:, inside][:, deep], expected[:, inside][:, deep], atol=1e-6)
    assert inside.all() if mode == "stretch" and not turned else True


def test_probabilities_stay_a_distribution():
    before = example("map", SIZE, scored=True)
    found = before.warp(some_geometry(np.random.default_rng(1), SIZE))
    total = found.probabilities.sum(0)
    outside = found.ids == 255
    assert (total[outside] == 0).all() and torch.allclose(total[~outside], torch.ones(1), atol=1e-4) and outside.any()
