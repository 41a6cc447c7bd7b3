"""What is drawn: colours where they belong, names that can be read, text of any length in bounded time."""

import time

import numpy as np
import pytest
import torch

from saccade.label_space import LabelSpace
from saccade.targets import Boxes, Caption, DepthMap, Instances, Points, SegmentationMap, TagSequence
from saccade.targets.paint import MOST_LINES, WHITE, Canvas, depth_colours, ink_on
from tests.support.targets import SPACE, picture

BLACK = np.zeros((200, 300, 3), np.uint8)


def colours(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


def test_a_box_is_a_line_of_its_class_s_colour():
    drawn = Boxes(torch.tensor([[50.0, 60, 200, 150]]), torch.tensor([1])).draw(BLACK, SPACE)
    assert tuple(drawn[100, 50]) == tuple(drawn[150, 120]) == SPACE.rgb(1)
    assert not drawn[80:140, 60:190].any() and not drawn[160:, :].any()
    assert ink_on(SPACE.rgb(1)) in colours(drawn[40:60, 50:90])  # its name, above the corner
    dashed = Boxes(torch.tensor([[50.0, 60, 200, 150]]), torch.tensor([1]), crowd=torch.tensor([True])).draw(BLACK, SPACE)
    on_line = (dashed[150, 60:190] == SPACE.rgb(1)).all(1).mean()
    assert 0.2 < on_line < 0.8


def test_on_a_small_picture_names_stand_below():
    small = np.zeros((64, 64, 3), np.uint8)
    drawn = Boxes(torch.tensor([[5.0, 5, 40, 40]]), torch.tensor([2]), torch.tensor([0.5])).draw(small, SPACE)
    assert drawn.shape[0] > 64 and ink_on(SPACE.rgb(2)) not in colours(drawn[:64]) and ink_on(SPACE.rgb(2)) in colours(drawn[64:])


def test_many_objects_are_counted_below():
    corner = torch.arange(60)[:, None] * torch.tensor([4.0, 2.5])
    boxes = Boxes(torch.cat([corner, corner + 30], 1), torch.arange(60) % 2)
    drawn = boxes.draw(BLACK, SPACE)
    assert drawn.shape[0] > 200 and {SPACE.rgb(0), SPACE.rgb(1)} <= colours(drawn[200:]) and ink_on(SPACE.rgb(1)) in colours(drawn[200:])
    assert boxes.select(range(5)).draw(BLACK, SPACE).shape[0] == 200


def test_a_mask_is_a_veil_with_an_edge():
    mask = np.zeros((200, 300), bool)
    mask[50:100, 50:100] = True
    drawn = Instances.from_masks([mask], [0]).draw(BLACK, SPACE)
    np.testing.assert_array_equal(drawn[75, 75], np.round(0.45 * np.array(SPACE.rgb(0))).astype(np.uint8))
    assert tuple(drawn[50, 75]) == SPACE.rgb(0) and not drawn[75, 120].any()
    with pytest.raises(ValueError, match=r"size \(200, 300\) on an image of size \(64, 64\)"):
        Instances.from_masks([mask], [0]).draw(BLACK[:64, :64], SPACE)


def test_the_background_is_left_clear_and_the_ignored_is_grey():
    ids = torch.zeros(200, 300, dtype=torch.uint8)
    ids[:, 100:200], ids[:, 200:] = 1, 255
    drawn = SegmentationMap(ids).draw(BLACK, LabelSpace(("ground", "tree"), background=0, colours=("#000000", "#00ff00")))
    assert drawn[:200, :100].max() == 0 and tuple(drawn[100, 150]) == (0, 153, 0) and len(set(drawn[100, 250].tolist())) == 1
    assert (0, 255, 0) in colours(drawn[200:])


def test_near_is_bright_and_unknown_is_clear():
    metres = np.full((200, 300), 20.0, np.float32)
    metres[:, :100], metres[:, 200:] = 2, np.nan
    shown, near, far = depth_colours(metres)
    assert shown[0, 0].sum() > shown[0, 150].sum() > shown[0, 250].sum() == 0 and near == 2 and far == 20
    drawn = DepthMap(torch.from_numpy(metres)).draw(BLACK, SPACE)
    assert not drawn[:200, 200:].any() and drawn[:200, :100].all(0).any()
    assert depth_colours(np.full((2, 2), np.nan))[1:] == (0.0, 0.0)


def test_text_of_any_length_is_wrapped_and_ends():
    began = time.process_time()
    for text in ("word " * 20_000, "x" * 100_000, "a\u202eb\x00c\n\td", "", "ä é ж ✓ 猫", "y" * 400):
        drawn = Caption((text,) * 3).draw(picture((64, 64)), SPACE)
        assert drawn.shape[1] == 64 and 64 <= drawn.shape[0] <= 64 + 3 * 12 * MOST_LINES
    assert time.process_time() - began < 2
    canvas = Canvas(BLACK)
    canvas.below("one two three four five six seven eight nine ten " * 2)
    lines = canvas.finish().shape[0] - 200
    assert 2 * 9 <= lines <= 4 * 14


@pytest.mark.parametrize("corner", [(0, 0), (299, 199), (-50, -50), (400, 400), (150, 3), (np.nan, 1), (1e30, 5)])
def test_names_stay_inside_of_the_picture(corner):
    canvas = Canvas(BLACK)
    canvas.tag(np.array(corner), "a rather long name of a class that goes on and on and does not end so soon", WHITE)
    drawn = canvas.finish()
    assert drawn.shape == BLACK.shape and drawn.any() == np.isfinite(corner).all()


def test_ink_can_be_read_on_its_ground():
    for index in range(12):
        ground = np.array(SPACE.rgb(index), float)
        assert abs(np.array(ink_on(SPACE.rgb(index))) - ground).mean() > 70


def test_counts_and_steps():
    drawn = Points(torch.tensor([[10.0, 10], [50, 50]]), torch.tensor([0, 1])).draw(BLACK, SPACE)
    assert tuple(drawn[10, 10]) == SPACE.rgb(0) and tuple(drawn[50, 50]) == SPACE.rgb(1) and drawn.shape[0] > 200
    strip = TagSequence(torch.tensor([0, 1, 2])).draw(BLACK, SPACE)[202]
    assert [tuple(strip[x]) for x in (10, 150, 290)] == [SPACE.rgb(k) for k in range(3)]
    Points(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)).draw(BLACK, SPACE)


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 1), np.uint8), np.zeros((0, 5, 3), np.uint8), np.zeros((5, 5, 3))])
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match="expected \\(H, W, 3\\) uint8"):
        Canvas(image)
