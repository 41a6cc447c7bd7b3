"""The columns that every format fills: each object checked once, each finding named, each image given its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import LabelSpace
from saccade.data.formats.lookup import Lookup
from saccade.data.formats.objects import Objects
from saccade.ops.masks import Polygons, Runs

BOX = (1.0, 2.0, 30.0, 40.0)
RING = np.array([[1.0, 1.0], [9.0, 1.0], [5.0, 8.0]])


def finished(*boxes, size=(50, 100), **more):
    objects, problems = Objects(), []
    for number, box in enumerate(boxes):
        objects.add(0, 0, box, f"labels.json:{number}", **more)
    (share,) = objects.finish(["a.png"], [size], problems)
    return share, problems


@pytest.mark.parametrize(
    ("box", "code", "kept", "image_kept"),
    [
        (BOX, None, True, True),
        ((np.nan, 2, 30, 40), "ANN-NUMBER", False, False),
        ((1, 2, np.inf, 40), "ANN-NUMBER", False, False),
        ((30, 2, 1, 40), "ANN-BOX-NEGATIVE", False, False),
        ((1, 40, 30, 2), "ANN-BOX-NEGATIVE", False, False),
        ((100, 2, 130, 40), "ANN-BOX-OUT", False, False),
        ((-30, 2, -1, 40), "ANN-BOX-OUT", False, False),
        ((-5, 2, 30, 40), "ANN-BOX-CLIP", True, True),
        ((1, 2, 130, 40), "ANN-BOX-CLIP", True, True),
        ((-0.005, 0, 100.005, 50), None, True, True),
        ((5, 5, 5, 40), "ANN-BOX-SMALL", False, True),
        ((5, 5, 5.5, 40), "ANN-BOX-SMALL", False, True),
        ((99.5, 5, 130, 40), "ANN-BOX-CLIP", False, True),
    ],
)
def test_each_kind_of_box_has_its_finding(box, code, kept, image_kept):
    share, problems = finished(box)
    assert (share is not None) == image_kept
    assert [p.code for p in problems][:1] == ([code] if code else [])
    assert all(p.where == "labels.json:0" and p.image == "a.png" for p in problems)
    if share is not None:
        assert len(share.boxes) == kept


def test_without_a_size_nothing_is_clipped():
    share, problems = finished((-5, 2, 3000, 40), size=None)
    assert share.boxes.xyxy.tolist() == [[0, 2, 3000, 40]] and [p.code for p in problems] == ["ANN-BOX-CLIP"]


def test_a_copy_is_used_once_and_other_masks_make_other_objects():
    share, problems = finished(BOX, BOX)
    assert len(share.boxes) == 1 and [(p.code, p.where) for p in problems] == [("ANN-BOX-DUP", "labels.json:1")]
    objects, problems = Objects(), []
    objects.add(0, 0, BOX, "x:1", shape=Polygons((50, 100), (RING,)))
    objects.add(0, 0, BOX, "x:2", shape=Polygons((50, 100), (RING + 1,)))
    objects.add(0, 0, BOX, "x:3", shape=Runs((50, 100), np.array([5000])))
    objects.add(0, 1, BOX, "x:4")
    (share,) = objects.finish(["a"], [(50, 100)], problems)
    assert len(share.boxes) == 4 and not problems
    assert share.instances((50, 100)).shapes[3].rings[0].tolist() == [[1, 2], [30, 2], [30, 40], [1, 40]]


def test_a_crowd_is_never_left_out():
    share, problems = finished((5, 5, 5.2, 40), (5, 5, 5.2, 40), crowd=True)
    assert len(share.boxes) == 2 and share.boxes.crowd.all() and not problems


def test_columns_follow_their_objects():
    objects, problems = Objects(), []
    points = np.array([[3.0, 4.0, 2.0], [0.0, 0.0, 0.0]])
    objects.add(1, 0, BOX, "x:0", id=7)
    objects.add(0, 1, (0, 0, 9, 9), "x:1", attributes={"pose": "left"}, points=points)
    objects.add(1, 2, (5, 5, 5, 9), "x:2", id=9)  # too small: goes
    objects.add(1, 1, (2, 2, 8, 8), "x:3", id=11, difficult=True, area=12.5)
    first, second = objects.finish(["a", "b"], [(50, 100)] * 2, problems)
    assert second.boxes.ids.tolist() == [7, 11] and second.boxes.difficult.tolist() == [False, True]
    assert second.boxes.areas.isnan().tolist() == [True, False] and second.boxes.areas[1] == 12.5
    assert first.boxes.attributes == ({"pose": "left"},) and second.boxes.attributes == ({}, {})
    space = LabelSpace(("a", "b", "c"), keypoints=("nose", "tail"), pairs=((0, 1),))
    held = first.keypoints(space)
    assert held.xy.tolist() == [[[3, 4], [0, 0]]] and held.visible.tolist() == [[2, 0]] and held.pairs == ((0, 1),)
    assert len(second.keypoints(space)) == 0
    with pytest.raises(ValueError, match="colour is no column, expected one of crowd"):
        objects.add(0, 0, BOX, "x", colour=1)


numbers = st.one_of(st.floats(-200, 400), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0, 100.0, 50.0, 1e308]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=12))
def test_what_is_left_is_finite_inside_and_not_too_small(boxes):
    share, problems = finished(*boxes)
    errors = {p.where for p in problems if p.severity == "error"}
    assert (share is None) == bool(errors)
    if share is not None:
        kept = share.boxes.xyxy.numpy()
        assert np.isfinite(kept).all() and (kept >= 0).all() and (kept[:, 2] <= 100).all() and (kept[:, 3] <= 50).all()
        assert ((kept[:, 2:] - kept[:, :2]) >= 1 - 1e-6).all()
        lost = [p for p in problems if p.code in ("ANN-BOX-SMALL", "ANN-BOX-DUP")]
        assert len(kept) + len(lost) == len(boxes)


@pytest.mark.parametrize(
    ("name", "near", "found"),
    [
        ("a.jpg", "train", "train/a.jpg"),
        ("./a.jpg", "train", "train/a.jpg"),
        ("train/a.jpg", "", "train/a.jpg"),
        ("a.jpg", "", None),  # in two folders
        ("C:\\data\\set\\images\\b.png", "labels", "images/b.png"),
        ("/somewhere/else/images/b.png", "", "images/b.png"),
        ("../images/b.png", "labels", "images/b.png"),
        ("b", "labels", "images/b.png"),
        ("b.tif", "labels", "images/b.png"),
        ("deep/er/c.1.png", "", "deep/er/c.1.png"),
        ("c.1", "", "deep/er/c.1.png"),
        ("", "", None),
        ("no.png", "", None),
        ("a\0b", "", None),
    ],
)
def test_an_image_is_found_by_every_name_that_only_it_has(name, near, found):
    assert Lookup(["train/a.jpg", "val/a.jpg", "images/b.png", "deep/er/c.1.png"]).find(name, near) == found


@pytest.mark.parametrize(
    ("name", "code"), [("no.png", "IMG-MISSING"), ("", "IMG-MISSING"), ("/etc/passwd", "ANN-PATH"), ("../../x.png", "ANN-PATH"), ("D:/x.png", "ANN-PATH")]
)
def test_a_name_without_an_image_is_told(name, code):
    assert Lookup(["a.png"]).missing(name, "labels.json:1").code == code
