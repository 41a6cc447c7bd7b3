"""Fixed filters: what they must sum to, what they answer most to, and the pictures of them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.ops.convolution import convolve
from saccade.ops.filters import draw_bank, gabor, gabor_bank, gaussian, gaussian_2d, gaussian_derivative, laplacian_of_gaussian, noise_gain, signed, smooth

pytestmark = pytest.mark.oracle
scales = st.floats(0.8, 5)
angles = st.floats(-math.pi, math.pi)


def coordinates(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    cells = torch.arange(side, dtype=torch.float64) - side // 2
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    return x, y


def answer(image: torch.Tensor, kernel: torch.Tensor) -> float:
    """The filter's answer in the middle of an image of odd sides."""
    z = convolve(image[None, None], kernel[None, None])[0, 0]
    return z[z.shape[0] // 2, z.shape[1] // 2].item()


@settings(max_examples=25, deadline=None)
@given(scales, angles, st.floats(0.3, 1.0))
def test_derivative_filters_sum_to_nought_and_smoothing_ones_to_one(sigma, angle, cycles):
    assert gaussian(sigma).sum().item() == pytest.approx(1, abs=1e-12)
    assert gaussian_2d(sigma).sum().item() == pytest.approx(1, abs=1e-12)
    derivatives = [gaussian_derivative(sigma, order=n, angle=angle) for n in (1, 2)]
    derivatives += [laplacian_of_gaussian(sigma), laplacian_of_gaussian(sigma, normalised=True)]
    frequency = min(0.45, cycles / sigma)
    derivatives += [gabor(sigma, frequency=frequency, angle=angle, phase=phase) for phase in (0, -math.pi / 2, 0.7)]
    for kernel in derivatives:
        assert kernel.sum().item() == pytest.approx(0, abs=1e-10)
        assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1


@settings(max_examples=20, deadline=None)
@given(scales, angles, st.floats(-2, 2), st.floats(-2, 2))
def test_derivatives_are_those_of_polynomials(sigma, angle, slope, bend):
    x, y = coordinates(51)
    u = x * math.cos(angle) + y * math.sin(angle)
    image = 3 + slope * u + bend * u**2 / 2
    assert answer(image, gaussian_derivative(sigma, angle=angle)) == pytest.approx(slope, abs=2e-3)
    assert answer(image, gaussian_derivative(sigma, order=2, angle=angle)) == pytest.approx(bend, abs=2e-3)
    assert answer(image, laplacian_of_gaussian(sigma)) == pytest.approx(bend, abs=5e-3)
    assert answer(image, gaussian_derivative(sigma, angle=angle + math.pi / 2)) == pytest.approx(0, abs=2e-3)  # across


def test_derivatives_are_scipys():
    from scipy.ndimage import gaussian_filter, gaussian_laplace

    image = np.random.default_rng(0).random((61, 61))
    torch_image = torch.from_numpy(image)
    for sigma in (1.5, 3.0):
        middle = (30, 30)
        assert answer(torch_image, gaussian_2d(sigma)) == pytest.approx(gaussian_filter(image, sigma)[middle], rel=1e-3)
        assert answer(torch_image, gaussian_derivative(sigma)) == pytest.approx(gaussian_filter(image, sigma, order=(0, 1))[middle], rel=5e-3, abs=1e-5)
        assert answer(torch_image, laplacian_of_gaussian(sigma)) == pytest.approx(
            gaussian_laplace(image, sigma)[middle], abs=1e-4
        )  # theirs does not quite sum to 0


@settings(max_examples=25, deadline=None)
@given(scales, scales)
def test_a_gaussian_of_a_gaussian_adds_the_variances(one, two):
    both = convolve(gaussian(one).view(1, 1, -1), gaussian(two).view(1, 1, -1), padding=len(gaussian(two)) - 1).flatten()
    cells = torch.arange(len(both), dtype=torch.float64) - len(both) // 2
    assert (both * cells**2).sum().item() == pytest.approx(one**2 + two**2, rel=0.02)
    direct = gaussian(math.hypot(one, two))
    reach = min(len(direct), len(both)) // 2
    middle = lambda t: t[len(t) // 2 - reach : len(t) // 2 + reach + 1]  # noqa: E731
    assert (middle(both) - middle(direct)).abs().max() < 5e-3


def test_noise_variance_falls_by_the_sum_of_squares():
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 600, 600, dtype=torch.float64) * 0.3
    for kernel in (gaussian_2d(1.0), gaussian_2d(2.0), torch.full((5, 5), 1 / 25, dtype=torch.float64), laplacian_of_gaussian(1.5)):
        left = F.conv2d(noise, kernel[None, None]).var().item()
        assert left / noise.var().item() == pytest.approx(noise_gain(kernel), rel=0.05)
    assert noise_gain(gaussian_2d(2.0)) == pytest.approx(1 / (4 * math.pi * 2.0**2), rel=1e-3)  # the continuous integral


@pytest.mark.parametrize("radius", [4.0, 6.0, 9.0])
def test_log_answers_most_to_a_dark_dot_of_its_scale(radius):
    x, y = coordinates(121)
    dot = 1 - ((radius + 0.5 - torch.hypot(x, y)).clamp(0, 1))  # dark on bright, its edge a pixel soft
    sigmas = radius / math.sqrt(2) * 2 ** torch.arange(-1, 1.01, 0.125, dtype=torch.float64)
    answers = [answer(dot, laplacian_of_gaussian(float(s), normalised=True)) for s in sigmas]
    assert int(np.argmax(answers)) == len(sigmas) // 2 and max(answers) > 0.5
    z = convolve(dot[None, None], laplacian_of_gaussian(radius / math.sqrt(2))[None, None])[0, 0]
    assert divmod(int(z.argmax()), z.shape[1]) == (z.shape[0] // 2, z.shape[1] // 2)  # and in its middle
    assert answer(1 - dot, laplacian_of_gaussian(radius / math.sqrt(2))) < 0  # a bright one below 0


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, math.pi / 2, 2.5])
def test_gabors_answer_most_to_their_own_wave(angle):
    x, y = coordinates(41)

    def wave(frequency: float, turn: float, phase: float = 0.0) -> torch.Tensor:
        return torch.cos(2 * math.pi * frequency * (x * math.cos(turn) + y * math.sin(turn)) + phase)

    even, odd = gabor(3.0, frequency=0.2, angle=angle), gabor(3.0, frequency=0.2, angle=angle, phase=-math.pi / 2)
    assert answer(wave(0.2, angle), even) == pytest.approx(0.5, abs=1e-6)
    assert answer(wave(0.2, angle, -math.pi / 2), odd) == pytest.approx(0.5, abs=1e-6)

    def energy(image: torch.Tensor) -> float:
        return math.hypot(answer(image, even), answer(image, odd))

    own = energy(wave(0.2, angle, 1.1))
    assert own == pytest.approx(0.5, abs=5e-3)  # whatever the phase
    for frequency, turn in ((0.1, angle), (0.33, angle), (0.2, angle + math.pi / 6), (0.2, angle + math.pi / 2)):
        assert energy(wave(frequency, turn, 1.1)) < 0.5 * own


def test_long_gabors_are_more_choosy_of_orientation():
    x, y = coordinates(81)
    tilted = torch.cos(2 * math.pi * 0.2 * (x * math.cos(0.3) + y * math.sin(0.3)))
    assert answer(tilted, gabor(3.0, frequency=0.2, aspect=0.5)) < 0.5 * answer(tilted, gabor(3.0, frequency=0.2))


def test_smoothing_by_rows_and_columns_is_the_kernel_in_two_dimensions():
    torch.manual_seed(0)
    image = torch.rand(2, 30, 27, dtype=torch.float64)
    reach = len(gaussian(1.3)) // 2
    padded = F.pad(image[:, None], (reach,) * 4, mode="replicate")
    torch.testing.assert_close(smooth(image, 1.3), convolve(padded, gaussian_2d(1.3)[None, None])[:, 0])
    torch.testing.assert_close(smooth(torch.ones(9, 9), 2.0), torch.ones(9, 9))


def test_signed_images_show_nought_as_mid_grey():
    image = np.array([[-1.0, 0.0, 0.5], [2.0, 0.0, -2.0]])
    assert (signed(image)[:, 1] == 128).all()
    assert signed(image)[1, 0].tolist() == [255] * 3 and signed(image)[1, 2].tolist() == [1] * 3
    coloured = signed(torch.from_numpy(image), palette="red_blue")
    assert (coloured[:, 1] == 255).all() and coloured[1, 0].tolist() == [255, 0, 0] and coloured[1, 2].tolist() == [0, 0, 255]
    assert signed(image, largest=4.0)[1, 0, 0] == 192 and (signed(np.zeros((2, 2))) == 128).all()
    for bad in (np.zeros(3), np.array([[np.nan]])):
        with pytest.raises(ValueError, match="a signed image is"):
            signed(bad)
    with pytest.raises(ValueError, match="grey or red_blue"):
        signed(image, palette="jet")


def test_a_bank_is_drawn_tile_by_tile():
    bank = gabor_bank([1.5, 3.0], 3)
    assert len(bank) == 12
    sheet = draw_bank(list(bank.values()), columns=6, zoom=2)
    side = 25 * 2
    assert sheet.shape == (2 * (side + 2) + 2, 6 * (side + 2) + 2, 3) and sheet.dtype == np.uint8
    assert sheet[2 + side // 2, 2 + side // 2, 0] == 255 and sheet[2, 2, 0] == 128  # the bright bar in the middle, grey around
    with pytest.raises(ValueError, match="at least one kernel"):
        draw_bank([])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian(0), "sigma must be"),
        (lambda: gaussian(float("inf")), "sigma must be"),
        (lambda: gaussian_derivative(1.0, order=3), "order must be 1 or 2"),
        (lambda: gabor(1.0, frequency=0.6), "at most 0.5"),
        (lambda: gabor(1.0, frequency=0.2, aspect=2), "aspect above 0"),
        (lambda: gabor(1.0, frequency=0.5, phase=-math.pi / 2), "constant or nought"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
