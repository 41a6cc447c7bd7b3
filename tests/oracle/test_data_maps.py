"""Maps made of masks of objects, boxes and dots, mixed in one data set."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from saccade.core import Geometry, LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.data.maps import joined, map_of_boxes, map_of_instances, map_of_points, map_space, tells_objects, with_maps
from saccade.errors import DataError
from saccade.targets import Boxes, Instances, Points, SegmentationMap

pytestmark = pytest.mark.oracle
CELLS = LabelSpace(("red", "white"))


def boxes(rows, classes):
    return Boxes(torch.tensor(rows, dtype=torch.float64).reshape(-1, 4), torch.tensor(classes, dtype=torch.int64))


def made(targets, spaces, tmp_path):
    records = []
    for i, target in enumerate(targets):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.zeros((20, 30, 3), np.uint8))
        records.append(Record(path.name, path, targets=target))
    return ImageDataset("made", tmp_path, "made", "made", tuple(records), spaces)


def test_the_background_comes_before_the_classes_unless_they_name_it():
    assert map_space({"points": CELLS}) == LabelSpace(("background", "red", "white"), background=0)
    named = LabelSpace(("red", "background"))
    assert map_space({"boxes": named}).background == 1 and map_space({"boxes": named}).names == named.names
    own = LabelSpace(("sky", "ground"))
    assert map_space({"map": own, "boxes": CELLS}) is own
    with pytest.raises(DataError, match="DATA-TASK"):
        map_space({"label": CELLS})


def test_masks_of_objects_give_classes_and_objects():
    first, second = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    first[2:8, 3:9], second[5:10, 8:20] = True, True
    truth = Instances.from_masks([first, second], [1, 0])
    found = map_of_instances(truth)
    assert (found.ids.numpy() == np.where(second, 1, np.where(first, 2, 0))).all()
    assert (found.objects.numpy() == np.where(second, 2, np.where(first, 1, 0))).all()


def test_a_dot_tells_of_its_neighbours_and_of_nothing_else():
    found = map_of_points(Points(torch.tensor([[4.5, 6.2], [30.0, 0.0]]), torch.tensor([0, 1])), (20, 30)).ids
    assert found[6, 4] == 1 and found[5, 4] == 1 and found[6, 5] == 1 and found[0, 29] == 2
    assert int((found != 255).sum()) == 5 + 3


def test_boxes_are_outer_bounds():
    found = map_of_boxes(boxes([[2, 3, 10, 8], [8.5, 5, 20, 12]], [0, 1]), (20, 30), 3)
    allowed = found.allowed.numpy()
    assert allowed[0].all() and allowed[1].sum() == 8 * 5 and allowed[2].sum() == 12 * 7
    assert ((found.ids.numpy() == 0) == ~(allowed[1] | allowed[2])).all() and set(np.unique(found.ids)) == {0, 255}


def test_dots_and_boxes_tell_together():
    bounds = map_of_boxes(boxes([[2, 3, 10, 8]], [0]), (20, 30), 3)
    both = joined(map_of_points(Points(torch.tensor([[5.5, 5.5]]), torch.tensor([0])), (20, 30)), bounds)
    assert both.ids[5, 5] == 1 and both.ids[0, 0] == 0 and both.ids[4, 4] == 255 and both.allowed is bounds.allowed


def test_a_data_set_may_mix_them(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[2:5, 2:5] = True
    dots = Points(torch.tensor([[5.0, 5.0]]), torch.tensor([1]))
    targets = [{"points": dots}, {"instances": Instances.from_masks([mask], [0]), "points": dots}, {"boxes": boxes([[1, 1, 5, 5]], [1])}, {}]
    dataset = made(targets, {"points": CELLS, "instances": CELLS, "boxes": CELLS}, tmp_path)
    found = with_maps(dataset)
    assert list(found.spaces) == ["map"] and found.spaces["map"].names == ("background", "red", "white")
    weak, full, bounded, nothing = (found.truth(i)["map"] for i in range(4))
    assert set(np.unique(weak.ids)) == {2, 255} and set(np.unique(full.ids)) == {0, 1} and full.objects.max() == 1
    assert bounded.allowed is not None and nothing is None
    assert tells_objects(found) and not tells_objects(found.subset([0, 2]))
    assert found.fingerprint != with_maps(dataset.subset([0, 2, 3])).fingerprint


def test_full_maps_stay_as_they_are(tmp_path):
    ids = torch.zeros(20, 30, dtype=torch.uint8)
    dataset = made([{"map": SegmentationMap(ids)}], {"map": LabelSpace(("a", "b"))}, tmp_path)
    assert with_maps(dataset).records == dataset.records


def test_what_is_known_of_a_map_moves_with_it():
    bounds = map_of_boxes(boxes([[2, 3, 10, 8]], [0]), (20, 30), 3)
    flipped = bounds.warp(Geometry.flip((20, 30)))
    assert torch.equal(flipped.allowed, bounds.allowed.flip(2)) and torch.equal(flipped.ids, bounds.ids.flip(1))
    moved = SegmentationMap(bounds.ids, objects=(bounds.ids == 255).int()).warp(Geometry.crop(5, 0, (20, 30)))
    assert moved.objects[4, 0] == 1 and moved.ids[4, 29] == 255 and moved.objects[4, 29] == 0
    crop = bounds.warp(Geometry.crop(5, 0, (20, 30)))
    assert crop.allowed[:, :, 29].all()  # beyond the image nothing is forbidden
    whole = SegmentationMap.merge([bounds.warp(Geometry.crop(x, 0, (20, 15))) for x in (0, 15)], [Geometry.crop(-x, 0, (20, 30)) for x in (0, 15)])
    assert torch.equal(whole.ids, bounds.ids) and torch.equal(whole.allowed, bounds.allowed)


def test_an_image_of_a_weak_truth_that_is_gone_is_told(tmp_path):
    dataset = with_maps(made([{"points": Points(torch.tensor([[5.0, 5.0]]), torch.tensor([1]))}], {"points": CELLS}, tmp_path))
    Path(dataset.records[0].path).unlink()
    with pytest.raises(DataError, match="IMG-MISSING"):
        dataset.truth(0)
