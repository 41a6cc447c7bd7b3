"""What every kind of truth can do, over the whole table of targets."""

import inspect
from copy import deepcopy
from dataclasses import is_dataclass

import numpy as np
import pytest
import torch

from saccade.label_space import LabelSpace
from saccade.ops.geometry import Geometry
from saccade.targets import TARGETS
from tests.support.targets import SPACE, differences, example, nothing, picture, some_geometry

pytestmark = pytest.mark.contract
SIZE = (64, 80)
heads = pytest.mark.parametrize("head", list(TARGETS))
kinds = pytest.mark.parametrize("scored", [False, True], ids=["truth", "answer"])


@heads
def test_is_a_record_with_the_four_methods(head):
    kind = TARGETS[head]
    assert is_dataclass(kind) and kind.__doc__ and kind.__dataclass_params__.frozen
    for name in ("warp", "to", "draw", "merge"):
        assert inspect.getdoc(getattr(kind, name)) or name == "to"
    assert type(example(head)) is kind and type(example(head, scored=True)) is kind and type(nothing(head)) is kind


@heads
@kinds
def test_the_identity_changes_nothing(head, scored):
    before = example(head, SIZE, scored=scored)
    after = before.warp(Geometry.identity(SIZE))
    assert type(after) is type(before)
    assert not [d for d in differences(before, after) if not d.startswith((".shapes", ".ids", ".boxes.xyxy", ".boxes.areas"))]
    assert not differences(after, after.warp(Geometry.identity(SIZE)))


@heads
@kinds
@pytest.mark.parametrize("kind", ["affine", "projective", "bent"])
def test_warps_under_every_geometry_into_numbers_of_the_right_kind(head, scored, kind):
    before, g = example(head, SIZE, scored=scored), some_geometry(np.random.default_rng(3), SIZE, kind)
    if head == "boxes3d" and kind == "bent":
        with pytest.raises(ValueError, match="matrix only"):
            before.warp(g)
        return
    copy = deepcopy(before)
    after = before.warp(g)
    assert not differences(before, copy)
    for name in ("xyxy", "xy", "metres", "pixels", "centre", "yaw"):
        if hasattr(after, name):
            assert getattr(after, name).dtype == torch.float32
    boxes = after if hasattr(after, "xyxy") else getattr(after, "boxes", None)
    if boxes is not None and len(boxes):
        x1, y1, x2, y2 = boxes.xyxy.unbind(1)
        assert (x1 >= 0).all() and (x2 <= g.size[1]).all() and (y1 >= 0).all() and (y2 <= g.size[0]).all() and (x2 - x1 >= 1).all() and (y2 - y1 >= 1).all()
    if hasattr(after, "size") and isinstance(after.size, tuple):
        assert after.size == g.size


@heads
@kinds
@pytest.mark.parametrize("size", [(64, 80), (300, 200), (8, 5)])
def test_draws_on_a_copy_as_wide_and_at_least_as_high(head, scored, size):
    target, image = example(head, size, scored=scored), picture(size)
    before = image.copy()
    drawn = target.draw(image, SPACE)
    np.testing.assert_array_equal(image, before)
    assert drawn.dtype == np.uint8 and drawn.ndim == 3 and drawn.shape[1:] == (size[1], 3) and drawn.shape[0] >= size[0]
    assert drawn.shape[0] > size[0] or (drawn != image).any()
    assert not np.shares_memory(drawn, image)
    with pytest.raises(ValueError, match="uint8"):
        target.draw(image.astype(np.float32), SPACE)


@heads
def test_classes_without_a_name_are_drawn_too(head):
    assert example(head, SIZE).draw(picture(SIZE), LabelSpace(())).shape[0] >= SIZE[0]


@heads
@kinds
def test_is_the_same_on_the_same_device(head, scored):
    target = example(head, SIZE, scored=scored)
    assert not differences(target, target.to("cpu"))
    meta = target.to("meta")
    assert type(meta) is type(target)
    for name in ("xyxy", "xy", "ids", "metres", "pixels", "centre", "values", "tags", "relations"):
        if isinstance(getattr(target, name, None), torch.Tensor):
            assert getattr(meta, name).device.type == "meta"


@heads
def test_the_empty_one_is_fine_everywhere(head):
    empty, g = nothing(head, SIZE), some_geometry(np.random.default_rng(0), SIZE)
    assert not differences(empty, empty.to("cpu"))
    assert empty.draw(picture(SIZE), SPACE).shape[0] >= SIZE[0]
    for geometry in (g, some_geometry(np.random.default_rng(1), SIZE, "projective")):
        assert type(empty.warp(geometry)) is TARGETS[head]
    assert type(TARGETS[head].merge([empty, empty], [g, g])) is TARGETS[head]
    if hasattr(empty, "__len__"):
        assert len(empty) == (3 if head == "labels" else 0)
    if hasattr(empty, "select"):
        assert len(empty.select([])) == 0


@heads
@kinds
def test_one_view_merged_is_the_view_and_the_same_twice_is_once(head, scored):
    g = Geometry.identity(SIZE)
    view = example(head, SIZE, scored=scored).warp(g)
    once = type(view).merge([view], [g])
    twice = type(view).merge([view, view], [g, g])
    assert not differences(once, twice)
    if hasattr(view, "__len__"):
        assert len(once) == len(view)
    with pytest.raises(ValueError, match="at least one part"):
        type(view).merge([], [])


@heads
@kinds
def test_views_of_both_sides_agree_with_one_of_the_whole(head, scored):
    """A picture and its mirror image: answers come back to where they were."""
    target, mirror = example(head, SIZE, scored=scored), Geometry.flip(SIZE)
    plain = target.warp(Geometry.identity(SIZE))
    back = type(target).merge([plain, target.warp(mirror)], [Geometry.identity(SIZE), mirror.inverse(SIZE)])
    expected = type(target).merge([plain], [Geometry.identity(SIZE)])
    if head != "instances":
        assert not differences(expected, back, 1e-3)
        return
    assert len(back) == len(expected)
    assert all((back.mask(i) == expected.mask(i)).mean() > 0.98 for i in range(len(back)))


@heads
def test_rows_are_chosen_by_number_or_by_flag(head):
    target = example(head, SIZE, scored=True)
    if not hasattr(target, "select"):
        assert head in ("label", "labels", "number", "map", "depth", "image", "caption", "tags", "normals", "flow")
        return
    n = len(target)
    flags = torch.zeros(n, dtype=torch.bool)
    flags[[0, 2]] = True
    by_number = target.select([0, 2])
    assert not differences(by_number, target.select(flags)) and not differences(by_number, target.select(flags.numpy())) and len(by_number) == 2
    assert not differences(target.select([2]), target.select([2 - n])) and len(target.select([])) == 0
    assert not differences(target.select(range(n)), target)
    with pytest.raises(IndexError, match=f"row {n} of {n} rows"):
        target.select([n])
    with pytest.raises(ValueError, match="yes-or-no values"):
        target.select(flags[1:])
