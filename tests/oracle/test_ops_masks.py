"""Masks against pycocotools, against the slow definition, and against broken input."""

import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from saccade.ops.masks import (
    Polygons,
    Runs,
    area,
    id_map,
    mask_from_polygons,
    mask_from_runs,
    mask_of,
    outlines,
    runs_from_mask,
    runs_from_text,
    runs_of,
    runs_to_text,
    tight_box,
)
from saccade.ops.rings import LARGEST_PLANE, MOST_CROSSINGS

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))
coordinate = st.one_of(
    st.floats(-30, 60), st.integers(-30, 60).map(float), st.integers(-60, 120).map(lambda n: n / 2), st.integers(-100, 300).map(lambda n: n / 10)
)
ring = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12).map(lambda points: np.array(points, np.float64))


def star(count: int, seed: int = 0, centre: tuple[float, float] = (320.0, 240.0), radius: float = 150.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    angle = np.sort(chance.uniform(0, 2 * np.pi, count))
    reach = radius * chance.uniform(0.6, 1, count)
    return np.stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)], 1)


def by_coco(rings: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools 2.0.11 sets the shape of an array
        return coco.decode(coco.merge(coco.frPyObjects([points.ravel().tolist() for points in rings], *size))).astype(bool)


@given(st.lists(ring, min_size=1, max_size=4), st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=400, deadline=None)
def test_polygons_equal_coco_pixel_for_pixel(rings, size):
    polygons, expected = Polygons(size, tuple(rings)), by_coco(rings, size)
    np.testing.assert_array_equal(mask_from_polygons(polygons), expected)
    np.testing.assert_array_equal(mask_of(polygons), expected)
    assert area(polygons) == expected.sum()
    np.testing.assert_array_equal(runs_of(polygons).counts, runs_from_mask(expected).counts)


@pytest.mark.parametrize("seed", range(6))
def test_large_outlines_equal_coco(seed):
    rings = [star(2000, seed), star(7, seed + 50, (500.0, 100.0), 200.0)]
    np.testing.assert_array_equal(mask_of(Polygons((480, 640), tuple(rings))), by_coco(rings, (480, 640)))


@given(masks)
@settings(max_examples=200, deadline=None)
def test_runs_equal_coco_and_the_way_back(mask):
    runs = runs_from_mask(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert runs_to_text(runs) == theirs["counts"].decode()
    np.testing.assert_array_equal(runs_from_text(theirs["counts"], mask.shape).counts, runs.counts)
    np.testing.assert_array_equal(mask_from_runs(runs), mask)
    assert area(runs) == mask.sum() and coco.area(theirs) == mask.sum()


def slow_runs(mask: np.ndarray) -> list[int]:
    counts, value = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != value:
                counts.append(0)
                value = not value
            counts[-1] += 1
    return counts


@given(masks)
@settings(max_examples=100, deadline=None)
def test_runs_and_boxes_equal_the_slow_definition(mask):
    assert runs_from_mask(mask).counts.tolist() == slow_runs(mask)
    rows, columns = np.nonzero(mask)
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
    assert tight_box(runs_from_mask(mask)) == expected


@given(masks)
@settings(max_examples=300, deadline=None)
def test_outlines_give_the_mask_back(mask):
    found = outlines(mask)
    np.testing.assert_array_equal(mask_of(found), mask)
    assert found.size == mask.shape and tight_box(found) == tight_box(runs_from_mask(mask))
    if found.rings:
        np.testing.assert_array_equal(by_coco(list(found.rings), mask.shape), mask)


def test_an_outline_follows_the_edges_and_a_hole_is_cut_in():
    frame = np.ones((3, 3), bool)
    frame[1, 1] = False
    found = outlines(frame).rings
    assert len(found) == 1 and len(found[0]) == 4 + 6
    assert all((a == b).any() for a, b in pairwise(found[0][:4]))  # sides along the axes
    tips = outlines(np.eye(4, dtype=bool))
    assert len(tips.rings) == 4  # pixels that touch by their tips are regions of their own


def test_numbers_in_front_cover_those_behind():
    shapes = [Polygons((4, 6), (np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]]),)), runs_from_mask(np.pad(np.ones((2, 4), bool), ((1, 1), (2, 0))))]
    expected = np.zeros((4, 6), int)
    for number, shape in enumerate(shapes, 1):
        expected[mask_of(shape)] = number
    assert id_map(shapes, (4, 6)).dtype == np.int32
    np.testing.assert_array_equal(id_map(shapes, (4, 6)), expected)
    assert not id_map([], (4, 6)).any()
    with pytest.raises(ValueError, match=r"size \(4, 6\) in a plane of size \(6, 4\)"):
        id_map(shapes, (6, 4))


@pytest.mark.parametrize("count", [3, 40, 300])  # few and many, large ones and small ones: the ways to paint agree
def test_an_id_map_is_the_masks_one_over_the_other(count):
    shapes: list[Polygons | Runs] = [
        Polygons((240, 320), (star(12, i, (320.0 * (i * 0.37 % 1), 240.0 * (i * 0.61 % 1)), 900.0 / count),)) for i in range(count)
    ]
    shapes[1] = runs_of(shapes[1])
    expected = np.zeros((240, 320), int)
    for number, shape in enumerate(shapes, 1):
        expected[mask_of(shape)] = number
    np.testing.assert_array_equal(id_map(shapes, (240, 320)), expected)


def test_empty_masks_are_masks():
    none = Polygons((5, 7), ())
    assert mask_of(none).shape == (5, 7) and not mask_of(none).any() and tight_box(none) is None and area(none) == 0
    assert tight_box(Runs((2, 2), np.array([4]))) is None and runs_to_text(runs_from_mask(np.zeros((0, 3)))) == "0"
    assert mask_from_runs(Runs((0, 3), np.array([], np.int64))).shape == (0, 3)


@pytest.mark.parametrize(
    "counts, message",
    [
        ([3], "add up to 3, expected 2 x 2 = 4"),
        ([5], "expected 0 to 4"),
        ([-1, 5], "from -1 to 5"),
        ([1.0, 3.0], "whole numbers"),
        ([[4]], "a list of whole numbers"),
        ([2**62, 2**62, 2**62, 2**62, 4], "expected 0 to 4"),
        (["4"], "whole numbers"),
    ],
)
def test_counts_that_do_not_fill_the_plane_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        mask_from_runs(Runs((2, 2), np.array(counts)))
    with pytest.raises(ValueError, match=message):
        runs_to_text(Runs((2, 2), np.array(counts)))


@pytest.mark.parametrize("size", [(10**9, 10**9), (-1, 4), (LARGEST_PLANE, 2)])
def test_huge_planes_are_refused_at_once(size):
    began = time.process_time()
    for act in (
        lambda: mask_from_runs(Runs(size, np.array([size[0] * size[1]]))),
        lambda: runs_from_text("0", size),
        lambda: mask_of(Polygons(size, (star(5),))),
        lambda: id_map([], size),
        lambda: tight_box(Runs(size, np.array([4]))),
    ):
        with pytest.raises(ValueError, match="expected at most"):
            act()
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    "text, message",
    [
        ("1P", "cut short"),
        ("1\n", "the character '\\\\n'"),
        ("1€", "the character '€'"),
        ("1~", "the character '~'"),
        ("oooooooo0", "of 9 characters"),
        ("0" * 1000, "1000 characters"),
        ("", "add up to 0"),
        ("9", "expected 0 to 4|add up to"),
        ("O5", "from -1"),
    ],
)
def test_broken_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        runs_from_text(text, (2, 2))


@given(st.text(max_size=40) | st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_by_ValueError(text):
    try:
        runs = runs_from_text(text, (5, 6))
    except ValueError:
        return
    assert mask_from_runs(runs).shape == (5, 6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e12, -1e300])
def test_points_that_lie_nowhere_are_refused(value):
    points = star(5)
    points[3, 1] = value
    with pytest.raises(ValueError, match="expected finite coordinates"):
        mask_of(Polygons((480, 640), (points,)))


@pytest.mark.parametrize("shape", [(2, 2), (0, 2), (6,), (4, 3)])
def test_what_is_no_ring_is_refused(shape):
    with pytest.raises(ValueError, match="at least 3 points"):
        mask_of(Polygons((480, 640), (np.zeros(shape),)))
    with pytest.raises(ValueError, match="expected \\(h, w\\)"):
        runs_from_mask(np.zeros((2, 2, 2)))


def test_a_million_points_take_less_than_a_second():
    angle = np.linspace(0, 2 * np.pi, 10**6, endpoint=False)
    circle = np.stack([320 + 200 * np.cos(angle) + np.random.default_rng(0).normal(0, 0.5, 10**6), 240 + 200 * np.sin(angle)], 1)
    began = time.process_time()
    found = mask_of(Polygons((480, 640), (circle,)))
    assert time.process_time() - began < 1
    assert found.sum() == pytest.approx(np.pi * 200**2, rel=0.01)
    began = time.process_time()
    with pytest.raises(ValueError, match=f"at most {MOST_CROSSINGS:,}"):
        mask_of(Polygons((2000, 2000), (np.random.default_rng(0).uniform(0, 2000, (10**6, 2)),)))
    assert time.process_time() - began < 1
