"""Reducing pictures axis by axis, training and evaluating on the same pixels, and values out of range."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.augment import Policy
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import ModelError
from saccade.ops.geometry import Geometry
from saccade.ops.resample import resized, scales
from tests.oracle.test_loader_batches import Arrays


def slow_area(line: np.ndarray, n: int) -> np.ndarray:
    """Each of n cells the mean of the source that it covers, by 1,000 samples a cell."""
    at = (np.arange(n * 1000) + 0.5) / (n * 1000) * len(line)
    return line[at.astype(int)].reshape(n, 1000).mean(1)


def test_an_axis_that_shrinks_is_averaged_though_the_other_grows():
    line = np.random.default_rng(0).random(300).astype(np.float32)
    picture = np.tile(line[None, :, None], (10, 1, 1))  # flat and wide; the input is higher and narrower
    found = resized(picture, (24, 70))
    np.testing.assert_allclose(found[:, :, 0], np.tile(slow_area(line, 70), (24, 1)), atol=2e-3)


@pytest.mark.parametrize("shape", [(100, 1000), (1000, 100)])
def test_a_warp_of_a_long_picture_does_not_alias(shape):
    h, w = shape
    stripes = np.indices(shape)[int(w > h)] % 2
    picture = (255 * stripes[..., None]).astype(np.uint8)  # along the long axis, finer than the input can show
    preprocess = Preprocess((128, 128), 1)
    leaning = Geometry(np.array([[1, 0.002, 0], [0.001, 1, 0]]), (128, 128))
    found = preprocess.warp(picture, preprocess.geometry(shape).then(leaning), cv2.BORDER_REFLECT_101)
    assert found.std() < 8 and found.mean() == pytest.approx(127.5, abs=2)


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(["stretch", "letterbox", "cover"]))
@settings(max_examples=80, deadline=None)
def test_every_shape_becomes_an_input(h, w, mode):
    preprocess = Preprocess((8, 6), 1, mode, fill=0.5)
    found = preprocess.apply(np.full((h, w, 1), 0.5, np.float32), preprocess.geometry((h, w)))
    torch.testing.assert_close(found, torch.full((1, 8, 6), 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "cover"])
def test_a_policy_that_changes_nothing_trains_on_what_is_evaluated(mode):
    class Smooth(Arrays):
        def read(self, i, size=None):
            return cv2.GaussianBlur(np.random.default_rng(i).random((30 + i, 44, 3)).astype(np.float32), (0, 0), 5)

    preprocess = Preprocess((16, 24), 3, mode)
    evaluated, trained = (next(Loader(Smooth(n=6), preprocess, batch_size=6, policy=policy, threads=0).epoch(0)).inputs for policy in (None, Policy()))
    torch.testing.assert_close(trained, evaluated, atol=0.02, rtol=0)


@given(st.floats(-3, 3), st.floats(0.1, 5), st.floats(0.1, 5))
@settings(max_examples=40, deadline=None)
def test_scales_are_the_lengths_of_a_step(angle, across, down):
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos * across, -sin * down, 3], [sin * across, cos * down, -1]])
    np.testing.assert_allclose(scales(matrix), (across, down), rtol=1e-9)


@pytest.mark.parametrize(
    "name, value",
    [
        *[("size", (0, 8)), ("size", (8, 8, 8)), ("size", 8), ("size", "ab"), ("channels", 0), ("channels", True)],
        *[("fill", 1.5), ("fill", float("nan")), ("value_range", (1.0,)), ("value_range", (2.0, 1.0)), ("mode", [])],
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(ModelError, match=f"preprocess {name}") as refused:
        Preprocess.from_dict({"size": [8, 6], "channels": 3, name: value})
    assert refused.value.code == "MODEL-ARGS"


@pytest.mark.parametrize("name", ["size", "channels"])
def test_a_missing_value_is_named(name):
    stored = {"size": [8, 6], "channels": 3}
    del stored[name]
    with pytest.raises(ModelError, match=f"has no {name}"):
        Preprocess.from_dict(stored)


def test_pictures_of_one_size_are_not_padded_and_others_to_steps_of_32():
    keep = Preprocess((416, 416), 3, mode="keep")
    assert keep.plane([(100, 400), (100, 400)]) == (100, 400)
    assert keep.plane([(100, 400), (90, 300)]) == (128, 416)
    assert Preprocess((64, 96), 3).plane([(10, 10)]) == (64, 96)
