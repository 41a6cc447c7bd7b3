"""Gamma, blur, strokes, noise, JPEG and channels of augmentation against other libraries and slow definitions."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import exposure

from saccade.core import LabelSpace
from saccade.data.augment import COLUMNS, LIMITS, POLICIES, Policy, draw, mirrors_allowed, uniforms
from saccade.data.augment_pixels import coloured, compressed, finish, gaussian, stroked
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import UsageError
from tests.oracle.test_loader_batches import SIZE, Arrays


def picture(*shape, seed=0):
    return cv2.GaussianBlur(np.random.default_rng(seed).random(shape).astype(np.float32), (0, 0), 1.5).reshape(shape)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_blur_is_the_gaussian_of_another_library(depth):
    pixels = picture(30, 40, depth)
    expected = ndimage.gaussian_filter(pixels, (1.7, 1.7, 0), mode="mirror", truncate=6)
    np.testing.assert_allclose(gaussian(pixels, 1.7), expected, atol=2e-3)


@given(st.floats(0.5, 30), st.floats(0, np.pi))
@settings(max_examples=30, deadline=None)
def test_a_stroke_spreads_a_point_along_its_line(length, angle):
    pixels = np.zeros((61, 61, 1), np.float32)
    pixels[30, 30] = 1
    found = stroked(pixels, length, angle)[..., 0]
    assert found.sum() == pytest.approx(1, abs=1e-4)
    y, x = np.indices(found.shape) - 30
    across, along = np.abs(-x * np.sin(angle) + y * np.cos(angle)), x * np.cos(angle) + y * np.sin(angle)
    assert across[found > 1e-6].max() <= 1.5  # bilinear: a pixel to each side of the line at most
    spread = np.sqrt((found * along**2).sum())
    assert spread == pytest.approx(np.sqrt(length**2 / 12), abs=0.45)  # of an even stroke, widened by the pixels


def test_gamma_is_the_power_of_another_library():
    policy, u = Policy(gamma=0.5), uniforms(0, 0, np.arange(4))
    drawn, pixels = draw(policy, u, (8, 8), 3), np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)
    out = pixels.copy()
    finish(out, drawn, 0, 0, np.arange(4))
    for i, exponent in enumerate(drawn.gamma):
        assert 1 / 1.5 <= exponent <= 1.5
        np.testing.assert_allclose(out[i], exposure.adjust_gamma(pixels[i], exponent), atol=1e-5)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_jpeg_keeps_the_picture_and_loses_more_at_lower_quality(depth):
    pixels = picture(64, 48, depth)
    errors = [np.abs(compressed(pixels, quality) - pixels).mean() for quality in (5, 40, 98)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01


def test_jpeg_keeps_red_red():
    red = np.zeros((16, 16, 3), np.float32)
    red[..., 0] = 0.9
    np.testing.assert_allclose(compressed(red, 95)[8, 8], [0.9, 0, 0], atol=0.02)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 9])
def test_colours_of_any_number_of_channels(depth):
    policy = Policy(brightness=0.2, contrast=0.3, saturation=0.2, hue=0.1)
    matrix = draw(policy, uniforms(0, 0, np.arange(1)), (8, 8), depth).colours[0].astype(np.float32)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, depth)).astype(np.uint8)
    out = np.empty(pixels.shape, np.float32)
    coloured(pixels, matrix, 255.0, out)
    np.testing.assert_allclose(out, pixels / 255 @ matrix[:, :-1].T + matrix[:, -1], atol=1e-5)


@pytest.mark.parametrize("depth", [5, 8])
def test_many_channels_are_warped_like_each_alone(depth):
    policy = Policy.named("camera")
    data = Arrays(n=6, channels=depth)
    whole = next(Loader(data, Preprocess(SIZE, depth, fill=0.3), batch_size=6, policy=replace(policy, noise=0.0), threads=0).epoch(0)).inputs

    class One(Arrays):
        def read(self, i, size=None):
            return np.ascontiguousarray(data.read(i)[..., 4:5])

    alone = next(Loader(One(n=6, channels=1), Preprocess(SIZE, 1, fill=0.3), batch_size=6, policy=replace(policy, noise=0.0), threads=0).epoch(0)).inputs
    np.testing.assert_allclose(whole[:, 4:5], alone, atol=1e-5)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_of_the_table_gives_inputs(name):
    data = Arrays(n=5)
    if Policy.named(name).mosaic:
        with pytest.raises(UsageError, match="mosaic puts boxes"):
            Loader(data, Preprocess(SIZE, 3), batch_size=5, policy=Policy.named(name))
        return
    inputs = next(Loader(data, Preprocess(SIZE, 3), batch_size=5, policy=Policy.named(name), threads=0).epoch(0)).inputs
    assert inputs.isfinite().all() and 0 <= inputs.min() and inputs.max() <= 1
    assert Policy.from_dict(Policy.named(name).to_dict()) == Policy.named(name)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [-0.1, 1000.0, float("nan"), True, "0.1", None])
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(UsageError, match=f"augment {name} = .*expected"):
        Policy(**{name: value})


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="did you mean elastic"):
        Policy.from_dict({"elastics": 0.1})
    with pytest.raises(UsageError, match="true or false"):
        Policy(flip_vertical=1)


def test_each_kind_of_change_comes_to_about_half_of_the_images():
    drawn = draw(Policy(blur=2.0, motion=9.0, jpeg=0.9), uniforms(3, 0, np.arange(2000)), (32, 32), 3)
    for column in (drawn.blur, drawn.motion[:, 0], drawn.jpeg):
        assert 900 < (column > 0).sum() < 1100
    assert drawn.jpeg[drawn.jpeg > 0].min() >= 14 and drawn.jpeg.max() <= 100 and drawn.motion[:, 0].max() <= 9
    assert COLUMNS == uniforms(0, 0, np.arange(1)).shape[1]


SPACES = {
    "plain": ({"boxes": LabelSpace(("cat", "dog"))}, (), True),
    "digits": ({"boxes": LabelSpace(tuple("0123456789"))}, (), False),
    "sides": ({"keypoints": LabelSpace(("person",), keypoints=("left_eye", "right_eye"), pairs=((0, 1),))}, (), False),
    "no sides": ({"keypoints": LabelSpace(("mouse",), keypoints=("snout", "tail"))}, (), True),
    "spoken": ({"label": LabelSpace(("left turn", "right turn"))}, (), False),
    "relations": ({"graph": LabelSpace(("cup", "table"), relations=("left of", "on"))}, (), False),
    "sentences": ({}, ("caption",), False),
    "space": ({"boxes3d": LabelSpace(("car",))}, (), False),
}


@pytest.mark.parametrize("case", SPACES)
def test_mirrors_come_only_where_no_answer_changes(case):
    spaces, heads, allowed = SPACES[case]
    assert mirrors_allowed(spaces, heads) is allowed
    policy = Policy.suited("cells", spaces, heads)
    assert (policy.flip, policy.flip_vertical, policy.quarter_turns) == (allowed,) * 3
