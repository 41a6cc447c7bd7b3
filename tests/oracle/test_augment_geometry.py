"""Preprocessing and augmentation against slow definitions: inverse mapping by hand, colours step by step."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.augment import COLUMNS, YIQ, Policy, composed, draw, mirrors_change, uniforms
from saccade.data.preprocess import Preprocess
from saccade.errors import ModelError, UsageError
from saccade.ops.geometry import Geometry
from saccade.ops.resample import resized


def slow_warp(pixels: np.ndarray, geometry: Geometry, fill: float) -> np.ndarray:
    """Every target pixel's centre taken back to the source and interpolated between the four pixel centres around it."""
    h, w, depth = pixels.shape
    back = geometry.inverse((h, w))
    out = np.full((*geometry.size, depth), float(fill))
    for i in range(geometry.size[0]):
        for j in range(geometry.size[1]):
            x, y = back.points(np.array([[j + 0.5, i + 0.5]]))[0] - 0.5
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            total = np.zeros(depth)
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
                    inside = 0 <= x0 + dx < w and 0 <= y0 + dy < h
                    total += weight * (pixels[y0 + dy, x0 + dx] if inside else fill)
            out[i, j] = total
    return out


@pytest.mark.parametrize("seed", range(5))
def test_warp_equals_the_inverse_mapping(seed):
    chance = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(chance.random((20, 24, 3)).astype(np.float32), (0, 0), 2)
    preprocess = Preprocess((24, 30), 3, mode="letterbox", fill=0.25)  # larger than the picture: nothing is shrunk first
    policy = Policy(flip=True, rotate_deg=30, scale=0.2, aspect=0.1, shear_deg=10, translate=0.1)
    drawn = draw(policy, uniforms(seed, 0, np.arange(1)), (24, 30), 3)
    geometry = preprocess.geometry((20, 24)).then(drawn.geometry(0, (24, 30)))
    found = preprocess.warp(smooth, geometry)
    np.testing.assert_allclose(found, slow_warp(smooth, geometry, 0.25), atol=0.02)  # OpenCV interpolates in steps of 1/32


def test_resize_and_warp_agree_on_smooth_pictures():
    smooth = cv2.GaussianBlur(np.random.default_rng(0).random((64, 48, 1)).astype(np.float32), (0, 0), 6)[..., None]
    preprocess = Preprocess((32, 24), 1)
    whole = Geometry.resize((64, 48), (32, 24))
    nudged = Geometry(whole.matrix + 1e-9, whole.size)
    np.testing.assert_allclose(preprocess.warp(smooth, whole), preprocess.warp(smooth, nudged), atol=0.01)


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "cover"])
def test_the_modes_do_what_they_say(mode):
    picture = np.full((40, 20, 1), 255, np.uint8)
    preprocess = Preprocess((16, 16), 1, mode=mode, fill=0.0)
    found = preprocess.apply(picture, preprocess.geometry((40, 20)))
    assert found.shape == (1, 16, 16) and found.dtype == torch.float32
    share = float((found > 0.5).float().mean())
    assert share == pytest.approx(0.5, abs=0.07) if mode == "letterbox" else share == 1.0


def test_colour_matrix_equals_the_steps_one_after_another():
    policy, u = Policy(brightness=0.2, contrast=0.3, saturation=0.4, hue=0.1), uniforms(1, 2, np.arange(4))
    matrices = draw(policy, u, (8, 8), 3).colours
    pixel = np.array([0.2, 0.5, 0.7])
    for row, matrix in zip(u, matrices, strict=True):
        y, i, q = YIQ @ pixel
        turn = 2 * np.pi * (2 * row[10] - 1) * 0.1
        factor = 1.4 ** (2 * row[9] - 1)
        i, q = factor * (np.cos(turn) * i - np.sin(turn) * q), factor * (np.sin(turn) * i + np.cos(turn) * q)
        coloured = np.linalg.solve(YIQ, [y, i, q])
        expected = (coloured - 0.5) * 1.3 ** (2 * row[8] - 1) + 0.5 + (2 * row[7] - 1) * 0.2
        np.testing.assert_allclose(matrix[:, :3] @ pixel + matrix[:, 3], expected, atol=1e-12)


def test_hue_keeps_the_luma_and_no_saturation_is_grey():
    drawn = draw(Policy(grey=1.0), uniforms(0, 0, np.arange(3)), (8, 8), 3).colours
    found = drawn[0, :, :3] @ np.array([0.9, 0.1, 0.4])
    np.testing.assert_allclose(found, found[0], atol=1e-9)
    assert found[0] == pytest.approx(YIQ[0] @ [0.9, 0.1, 0.4])


def test_the_default_changes_nothing():
    drawn = draw(Policy(), uniforms(0, 0, np.arange(5)), (8, 6), 3)
    np.testing.assert_allclose(drawn.matrices, np.broadcast_to(np.eye(2, 3), (5, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(drawn.colours, np.broadcast_to(np.eye(3, 4), (5, 3, 4)), atol=1e-12)
    assert not drawn.noise.any() and not drawn.boxes.any()


def test_half_of_the_images_are_mirrored_and_a_mirror_is_a_flip():
    drawn = draw(Policy(flip=True), uniforms(0, 0, np.arange(1000)), (8, 6), 1).matrices
    mirrored = drawn[:, 0, 0] < 0
    assert 430 < mirrored.sum() < 570
    np.testing.assert_allclose(drawn[mirrored][0], Geometry.flip((8, 6)).matrix, atol=1e-12)


def test_uniforms_are_uniform_independent_and_a_function_of_the_place():
    many = uniforms(7, 1, np.arange(20_000))
    assert many.shape == (20_000, COLUMNS) and 0 <= many.min() and many.max() < 1
    np.testing.assert_allclose(many.mean(0), 0.5, atol=0.01)
    assert np.abs(np.corrcoef(many.T) - np.eye(COLUMNS)).max() < 0.03
    np.testing.assert_array_equal(uniforms(7, 1, np.array([5, 3])), many[[5, 3]])
    assert not np.array_equal(uniforms(7, 2, np.arange(3)), many[:3]) and not np.array_equal(uniforms(8, 1, np.arange(3)), many[:3])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_composition_is_the_product_and_inverse_undoes(h, w, th, tw):
    a, b = Geometry.resize((h, w), (th, tw)), Geometry.letterbox((th, tw), (9, 7))
    both = composed(b.matrix[None], a.matrix[None])[0]
    np.testing.assert_allclose(both, a.then(b).matrix, atol=1e-9)
    points = np.array([[0.0, 0.0], [w, h], [w / 3, h / 2]])
    np.testing.assert_allclose(a.then(b).points(points), b.points(a.points(points)), atol=1e-9)
    np.testing.assert_allclose(a.inverse((h, w)).points(a.points(points)), points, atol=1e-9)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_shrink_never_goes_below_the_input_nor_enlarges(h, w):
    pixels = np.zeros((h, w, 1), np.uint8)
    found = Preprocess((8, 6), 1).shrink(pixels).shape
    assert found[0] <= h and found[1] <= w and found[0] >= min(h, 8) and found[1] >= min(w, 6)


def test_area_average_when_shrinking():
    checks = np.indices((16, 16)).sum(0) % 2 * 255
    assert np.ptp(resized(checks[..., None].astype(np.uint8), (8, 8)).astype(int)) <= 1


def test_stored_and_read_again():
    before = Preprocess((8, 6), 3, "cover", 0.5, (0.0, 4095.0))
    assert Preprocess.from_dict(before.to_dict()) == before
    with pytest.raises(ModelError, match="did you mean size"):
        Preprocess.from_dict({"sizes": [1, 1], "channels": 1})
    with pytest.raises(ModelError, match="letterbox"):
        Preprocess((8, 6), 3, "letterbx")
    policy = Policy.named("default", ["cat", "dog"])
    assert Policy.from_dict(policy.to_dict()) == policy
    with pytest.raises(UsageError, match="did you mean flip"):
        Policy.from_dict({"flipp": True})
    with pytest.raises(UsageError, match="did you mean light"):
        Policy.named("ligth")
    with pytest.raises(UsageError, match="expected 0 to 1"):
        Policy(scale=2.0)


@pytest.mark.parametrize(
    "names, expected",
    [("0123456789", True), ("ABC", True), (["0", "1"], False), (["cat", "dog"], False), (["left_hand", "right_hand"], True), (["12", "13", "x"], True)],
)
def test_what_a_mirror_changes(names, expected):
    assert mirrors_change(list(names)) is expected
    assert Policy.named("default", list(names)).flip is not expected
