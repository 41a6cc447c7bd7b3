"""Tiles and views put together again: each rule on numbers worked out by hand, and whole pictures cut up and rejoined."""

import numpy as np
import pytest
import torch

from saccade.ops.geometry import Geometry
from saccade.targets import (
    Boxes,
    Caption,
    DepthMap,
    ImageTarget,
    Instances,
    Keypoints,
    Labels,
    Number,
    Points,
    RegionCaptions,
    SceneGraph,
    SegmentationMap,
    TagSequence,
)
from tests.support.targets import differences, example

WHOLE = (64, 80)
CORNERS = [(0, 0), (40, 0), (0, 24), (40, 24)]
TILES = [Geometry.crop(x, y, (40, 40)) for x, y in CORNERS]  # overlapping by 16 rows
PLACES = [tile.inverse(WHOLE) for tile in TILES]
HERE = Geometry.identity(WHOLE)


@pytest.mark.parametrize("head", ["map", "depth", "image", "points"])
@pytest.mark.parametrize("scored", [False, True])
def test_cut_into_tiles_and_rejoined(head, scored):
    whole = example(head, WHOLE, scored=scored).warp(HERE)
    found = type(whole).merge([whole.warp(tile) for tile in TILES], PLACES)
    if head == "points":
        order = np.lexsort(found.xy.numpy().T), np.lexsort(whole.xy.numpy().T)
        found, whole = found.select(order[0]), whole.select(order[1])
    assert not differences(found, whole, 1e-4)


def test_probabilities_are_averaged_where_tiles_meet():
    first = SegmentationMap(torch.tensor([[0, 0]], dtype=torch.uint8), torch.tensor([[[0.9, 0.8]], [[0.1, 0.2]]]))
    second = SegmentationMap(torch.tensor([[1, 1]], dtype=torch.uint8), torch.tensor([[[0.1, 0.4]], [[0.9, 0.6]]]))
    found = SegmentationMap.merge([first, second], [Geometry(np.eye(2, 3), (1, 4)), Geometry(np.array([[1.0, 0, 1], [0, 1, 0]]), (1, 4))])
    assert found.ids.tolist() == [[0, 1, 1, 255]]  # 0.8 and 0.1 in the middle: 0.45 against 0.55
    np.testing.assert_allclose(found.probabilities[:, 0, :3], [[0.9, 0.45, 0.4], [0.1, 0.55, 0.6]], atol=1e-6)
    truth = SegmentationMap.merge([SegmentationMap(first.ids), SegmentationMap(second.ids)], [Geometry(np.eye(2, 3), (1, 2))] * 2)
    assert truth.ids.tolist() == [[0, 0]]  # the first that knows
    assert SegmentationMap.merge([SegmentationMap.empty((1, 2)), second], [Geometry(np.eye(2, 3), (1, 2))] * 2).ids.tolist() == [[1, 1]]


def test_known_values_are_averaged():
    depth = DepthMap.merge(
        [DepthMap(torch.tensor([[1.0, torch.nan, torch.nan]])), DepthMap(torch.tensor([[3.0, 5, torch.nan]]))], [Geometry.identity((1, 3))] * 2
    )
    np.testing.assert_array_equal(depth.metres.numpy(), [[2, 5, np.nan]])
    picture = ImageTarget.merge([ImageTarget(torch.zeros(3, 1, 2)), ImageTarget(torch.ones(3, 1, 2))], [Geometry.identity((1, 2))] * 2)
    assert picture.pixels.tolist() == torch.full((3, 1, 2), 0.5).tolist()


def test_boxes_on_two_tiles_are_found_once():
    left = Boxes(torch.tensor([[10.0, 10, 36, 30], [1, 1, 5, 5]]), torch.tensor([0, 1]), torch.tensor([0.8, 0.3]))
    right = Boxes(torch.tensor([[0.0, 10, 16, 30], [1, 11, 15, 29]]), torch.tensor([0, 1]), torch.tensor([0.9, 0.7]))
    places = [Geometry.crop(0, 0, (40, 60)), Geometry.crop(-20, 0, (40, 60))]
    found = Boxes.merge([left, right], places)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.3]) and found.classes.tolist() == [0, 1, 1]
    assert found.xyxy[0].tolist() == [20, 10, 36, 30]  # the whole object's worse answer went: IoU 320 / 520
    truths = Boxes.merge([Boxes(left.xyxy, left.classes), Boxes(left.xyxy + torch.tensor([0.001, 0, 0, 0]), left.classes)], [places[0]] * 2)
    assert truths.xyxy.tolist() == left.xyxy.tolist()


def test_boxes_of_which_some_say_more_are_joined():
    plain = Boxes(torch.tensor([[0.0, 0, 4, 3]], dtype=torch.float64), torch.tensor([5]))
    told = Boxes(
        torch.tensor([[1.0, 1, 2, 2]]), torch.tensor([6]), torch.tensor([0.5]), crowd=torch.tensor([True]), areas=torch.tensor([0.5]), attributes=({"a": 1},)
    )
    found = Boxes.joined([plain, Boxes.empty(), told])
    assert found.scores.tolist() == [1, 0.5] and found.crowd.tolist() == [False, True] and found.areas.tolist() == [12, 0.5]
    assert found.attributes == ({}, {"a": 1}) and found.ids is None and found.difficult is None and len(Boxes.joined([])) == 0


def test_masks_of_two_views_may_overlap():
    first, second = np.zeros((2, 20, 20), bool)
    first[2:12, 2:12] = True
    second[2:13, 2:12] = True
    other = np.zeros((20, 20), bool)
    other[5:18, 5:18] = True
    g = Geometry.identity((20, 20))
    views = [Instances.from_masks([first, other], [0, 1], torch.tensor([0.8, 0.6])), Instances.from_masks([second], [0], torch.tensor([0.9]))]
    found = Instances.merge(views, [g, g])
    assert found.boxes.scores.tolist() == pytest.approx([0.9, 0.6])
    np.testing.assert_array_equal(found.mask(0), second)
    np.testing.assert_array_equal(found.mask(1), other)


def test_key_points_of_two_views():
    answer = example("keypoints", WHOLE, scored=True)
    assert len(Keypoints.merge([answer, answer], [HERE, HERE])) == 3
    truth = example("keypoints", WHOLE)
    moved = Keypoints(truth.xy + 1 * (truth.visible > 0)[..., None], truth.visible, truth.boxes, None, truth.pairs)
    assert len(Keypoints.merge([truth, moved, truth], [HERE] * 3)) == 6  # another pose in the same box is another object


def test_dots_of_several_parts_within_the_radius_are_one():
    xy = torch.tensor([[10.0, 10], [12, 10], [30, 30], [10, 13]])
    each = [Points(xy[i : i + 1], torch.tensor([k]), torch.tensor([p])) for i, (k, p) in enumerate(((0, 0.5), (0, 0.6), (0, 0.9), (1, 0.1)))]
    assert Points.merge(each, [HERE] * 4).scores.tolist() == pytest.approx([0.9, 0.6, 0.1])
    one = Points(xy, torch.tensor([0, 0, 0, 1]), torch.tensor([0.5, 0.6, 0.9, 0.1]))
    assert len(Points.merge([one], [HERE])) == 4  # what one part told apart stays apart
    assert len(Points.merge([one, one], [HERE, HERE])) == 4


def test_regions_and_graphs():
    regions = example("regions", WHOLE, scored=True)
    other = RegionCaptions(regions.xyxy + 1, ("x", "y", "z"), regions.scores - 0.1)
    assert RegionCaptions.merge([other, regions], [HERE, HERE]).texts == (regions.texts[0], regions.texts[2], regions.texts[1])
    boxes = Boxes(torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]]), torch.tensor([0, 1]), torch.tensor([0.9, 0.8]))
    worse = Boxes(torch.tensor([[20.0, 0, 30, 11], [0, 0, 10, 11]]), torch.tensor([1, 0]), torch.tensor([0.3, 0.2]))
    first = SceneGraph(boxes, (("a",), ()), torch.tensor([[0, 4, 1]]), torch.tensor([0.5]))
    second = SceneGraph(worse, ((), ("b",)), torch.tensor([[1, 4, 0], [0, 2, 1]]), torch.tensor([0.7, 0.6]))
    found = SceneGraph.merge([first, second], [HERE, HERE])
    assert found.attributes == (("a",), ()) and len(found) == 2
    assert found.relations.tolist() == [[0, 4, 1], [1, 2, 0]] and found.scores.tolist() == pytest.approx([0.7, 0.6])


def test_words_and_numbers():
    captions = [Caption(("a", "b"), (-1.0, -3.0)), Caption(("b", "c"), (-0.5, -2.0))]
    assert Caption.merge(captions, [HERE, HERE]) == Caption(("b", "a", "c"), (-0.5, -1.0, -2.0))
    assert Caption.merge([Caption(("a", "b")), Caption(("b", "c"))], [HERE, HERE]) == Caption(("a", "b", "c"))
    assert Number.merge([Number(1.0), Number(4.0)], [HERE, HERE]) == Number(2.5)
    mixed = Number.merge([Number(1.0, 3.0), Number(5.0, 4.0)], [HERE, HERE])
    assert mixed.value == 3 and mixed.deviation == pytest.approx(np.sqrt((9 + 16) / 2 + 4))
    labels = [Labels(torch.tensor([1, 0, -1, -1], dtype=torch.int8)), Labels(torch.tensor([0, -1, -1, 1], dtype=torch.int8))]
    assert Labels.merge(labels, [HERE, HERE]).values.tolist() == [1, 0, -1, 1]
    scored = [Labels(torch.tensor([1, 0], dtype=torch.int8), torch.tensor(s)) for s in ([0.9, 0.2], [0.2, 0.7])]
    assert Labels.merge(scored, [HERE, HERE]).values.tolist() == [1, 0]


def test_tags_of_several_views():
    views = [TagSequence(torch.tensor(tags)) for tags in ([0, 1, -1, 2], [0, 2, -1, 1], [1, 2, -1, -1])]
    assert TagSequence.merge(views, [HERE] * 3).tags.tolist() == [0, 2, -1, 1]
    scored = [TagSequence(torch.tensor([0]), torch.tensor([[0.6, 0.4]])), TagSequence(torch.tensor([1]), torch.tensor([[0.1, 0.9]]))]
    found = TagSequence.merge(scored, [HERE, HERE])
    assert found.tags.tolist() == [1] and found.scores[0].tolist() == pytest.approx([0.35, 0.65])
    with pytest.raises(ValueError, match="steps"):
        TagSequence.merge([views[0], TagSequence(torch.tensor([0]))], [HERE, HERE])
