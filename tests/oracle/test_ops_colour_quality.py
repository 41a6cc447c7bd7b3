"""Colour spaces and measures of likeness against scikit-image, and gradients against finite differences."""

import math

import numpy as np
import pytest
import torch
from skimage import color, metrics

from saccade.ops import colour, image_quality


@pytest.fixture
def picture():
    """(3, 9, 14) float64 with the corners of the cube among the colours."""
    chance = np.random.default_rng(0)
    pixels = chance.random((9, 14, 3))
    pixels[0, :8] = [[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)]
    pixels[1, :4] = [[v, v, v] for v in (0.01, 0.04045, 0.0031308, 0.5)]
    return pixels


def planes(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@pytest.mark.parametrize(
    ("ours", "theirs", "scale"),
    [(colour.lab_of_rgb, color.rgb2lab, 1), (colour.ycbcr_of_rgb, color.rgb2ycbcr, 255)],
)
def test_colour_spaces_are_those_of_scikit_image(picture, ours, theirs, scale):
    found = ours(planes(picture)).numpy().transpose(1, 2, 0) * scale
    np.testing.assert_allclose(found, theirs(picture), atol=1e-3)  # it rounds the constants of the cube root


@pytest.mark.parametrize(("there", "back"), [(colour.lab_of_rgb, colour.rgb_of_lab), (colour.ycbcr_of_rgb, colour.rgb_of_ycbcr)])
def test_the_way_back_is_the_way_back(picture, there, back):
    pixels = planes(picture)
    np.testing.assert_allclose(back(there(pixels)).numpy(), pixels.numpy(), atol=2e-6)
    batch = torch.stack([pixels, pixels.flip(0)]).float()
    torch.testing.assert_close(there(batch)[1], there(batch[1]))
    np.testing.assert_allclose(back(there(batch)).numpy(), batch.numpy(), atol=2e-4)


def test_lab_to_rgb_is_that_of_scikit_image(picture):
    lab = color.rgb2lab(picture)
    np.testing.assert_allclose(colour.rgb_of_lab(planes(lab)).numpy().transpose(1, 2, 0), color.lab2rgb(lab), atol=1e-6)


def test_the_gradients_are_those_of_finite_differences(picture):
    pixels = planes(picture)[:, :2, :3].clone().clamp(0.1, 0.9).requires_grad_()
    for function in (colour.lab_of_rgb, colour.ycbcr_of_rgb, lambda x: colour.rgb_of_lab(x * 50 + 20)):
        assert torch.autograd.gradcheck(function, pixels)


def test_a_grey_picture_has_the_luma_of_its_colours():
    grey = torch.rand(2, 1, 4, 5)
    torch.testing.assert_close(colour.luma(grey), colour.luma(grey.expand(2, 3, 4, 5)))
    torch.testing.assert_close(colour.luma(grey.expand(2, 4, 4, 5)), colour.luma(grey))


def test_the_difference_of_colours_is_that_of_scikit_image(picture):
    lab = color.rgb2lab(picture)
    expected = color.deltaE_cie76(lab, lab[::-1])
    np.testing.assert_allclose(colour.colour_difference(planes(lab), planes(lab[::-1])).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(11, 11), (11, 37), (64, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(size, channels):
    chance = np.random.default_rng(1)
    one = chance.random((channels, *size))
    two = np.clip(one + 0.1 * chance.standard_normal(one.shape), 0, 1)
    assert image_quality.psnr(torch.from_numpy(one), torch.from_numpy(two)) == pytest.approx(metrics.peak_signal_noise_ratio(one, two, data_range=1))
    expected = metrics.structural_similarity(one, two, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0)
    assert image_quality.ssim(torch.from_numpy(one), torch.from_numpy(two)) == pytest.approx(expected, abs=1e-9)
    levels = [torch.from_numpy(x * 255) for x in (one, two)]
    assert image_quality.ssim(*levels, peak=255) == pytest.approx(expected, abs=1e-9)


def test_equal_and_tiny_pictures():
    one = torch.rand(3, 4, 7)
    assert image_quality.psnr(one, one) == math.inf
    assert image_quality.ssim(one, one) == pytest.approx(1.0)
    for size in ((1, 1), (2, 5), (4, 7)):  # the window is what fits
        assert 0 < image_quality.ssim(torch.full((1, *size), 0.5), torch.full((1, *size), 0.6)) < 1
    for other in (torch.rand(3, 4, 6), torch.rand(1, 4, 7)):
        with pytest.raises(ValueError, match="one shape"):
            image_quality.psnr(one, other)
    with pytest.raises(ValueError, match="with pixels"):
        image_quality.ssim(torch.rand(3, 0, 5), torch.rand(3, 0, 5))
