"""The filter bank against convolution with the kernels themselves, and as an honest baseline."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from saccade.core import Inputs, LabelSpace
from saccade.models.table import build
from saccade.nn.backbones.filter_bank import FilterBank
from saccade.nn.heads.grid import GridClassify
from saccade.ops.convolution import convolution_matrix
from saccade.ops.filters import gabor_bank
from saccade.ops.pooling import grid_max
from saccade.ops.separable import BINOMIAL, band, blur, gabor_energy, shrink

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(("length", "step"), [(7, 1), (8, 2), (9, 2), (2, 2), (1, 1)])
def test_a_band_is_the_convolution_matrix_turned(length, step):
    taps = torch.arange(1.0, 6.0, dtype=torch.float64)
    matrix = convolution_matrix(taps.view(1, 1, 5), (length,), padding=2, stride=step).to_dense()
    assert torch.equal(band(tuple(taps.tolist()), length, step), matrix.T)


@pytest.mark.parametrize("shape", [(33, 40), (20, 17), (5, 3)])
@pytest.mark.parametrize("orientations", [1, 2, 3, 8])
def test_energies_are_those_of_the_kernels_in_two_dimensions(shape, orientations):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *shape, dtype=torch.float64)
    found = gabor_energy(x, sigma=2.0, frequency=0.28, orientations=orientations, eps=0.0)
    kernels = torch.stack(list(gabor_bank([2.0], orientations, cycles=0.56).values()))[:, None]
    answers = F.conv2d(x.flatten(0, 1)[:, None], kernels, padding=kernels.shape[-1] // 2, stride=2)
    expected = torch.hypot(answers[:, 0::2], answers[:, 1::2]).unflatten(0, (2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)  # the kernels' gain is 1/2 to the last digit, ours almost


def test_the_pyramid_is_torchs_convolution():
    x = torch.randn(2, 3, 11, 14, dtype=torch.float64)
    taps = torch.tensor(BINOMIAL, dtype=torch.float64)
    kernel = torch.outer(taps, taps)[None, None]
    expected = F.conv2d(x.flatten(0, 1)[:, None], kernel, padding=2).reshape(x.shape)
    torch.testing.assert_close(blur(x), expected)
    torch.testing.assert_close(shrink(x), expected[..., ::2, ::2])


def test_nothing_is_learnt_in_the_bank():
    bank = FilterBank(Inputs(3, (32, 32), (0.5,) * 3, (0.25,) * 3))
    assert not list(bank.parameters())
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    bank(image, torch.tensor([[32, 32]])).maps[-1].sum().backward()
    assert image.grad.abs().sum() > 0


def test_a_turned_grating_is_answered_by_the_turned_filter():
    bank = FilterBank(Inputs(1, (64, 64), (0.0,), (1.0,)), orientations=4, octaves=2)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for place, (u, v) in enumerate(((1, 0), (0.7071, 0.7071), (0, 1), (-0.7071, 0.7071))):
        grating = torch.cos(2 * torch.pi * 0.28 * (u * x + v * y))[None, None]
        middle = bank(grating, torch.tensor([[64, 64]])).maps[1][0, :4, 16, 16]
        assert int(middle.argmax()) == place and middle.max() == pytest.approx(0.5, abs=0.01)
        assert middle.sort().values[-2] < 0.1


def test_dots_dark_and_bright_are_told_apart():
    bank = FilterBank(Inputs(1, (32, 32), (0.5,), (1.0,)), orientations=2, octaves=1)
    image = torch.full((1, 1, 32, 32), 0.5)
    image[..., 15:17, 7:9], image[..., 15:17, 23:25] = 0.0, 1.0
    dark, bright = bank(image, torch.tensor([[32, 32]])).maps[-1][0, 2:4]
    assert dark[8, 4] > 2 * max(bright[8, 4], dark[8, 12]) and bright[8, 12] > 2 * max(dark[8, 12], bright[8, 4])  # the rest is the surround


def test_the_largest_over_orientations_and_scales_is_the_largest():
    inputs, x, sizes = Inputs(1, (16, 16), (0.5,), (0.3,)), torch.rand(2, 1, 16, 16), torch.tensor([[16, 16]] * 2)
    plain = FilterBank(inputs, orientations=3, octaves=2)(x, sizes).maps[-1]
    parts = plain[:, :-1].unflatten(1, (2, 5))  # octave, kind
    scale = FilterBank(inputs, orientations=3, octaves=2, over="scale")(x, sizes).maps[-1]
    torch.testing.assert_close(scale, torch.cat([parts.amax(1), plain[:, -1:]], 1))
    place = FilterBank(inputs, orientations=3, octaves=1, over="orientation")(x, sizes).maps[-1]
    single = FilterBank(inputs, orientations=3, octaves=1)(x, sizes).maps[-1]
    torch.testing.assert_close(place, torch.cat([single[:, :3].amax(1, keepdim=True), single[:, 3:]], 1))


def test_windows_of_a_grid_see_valid_cells_only():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert grid_max(x, 2)[0, 0].tolist() == [[5, 7], [13, 15]]
    assert grid_max(x, 1, torch.tensor([[2, 3]])).item() == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FilterBank(Inputs(1, (16, 16), (0.5,), (0.3,)), octaves=0), "at least 1"),
        (lambda: FilterBank(Inputs(1, (16, 16), (0.5,), (0.3,)), sigma=1.0), "at most 0.5"),
        (lambda: GridClassify(FilterBank(Inputs(1, (16, 16), (0.5,), (0.3,))).levels[-1], 2, grid=0), "grid must be"),
        (lambda: band((1.0, 2.0), 4), "odd in number"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_filter_bank_and_logistic_regression_are_an_honest_baseline():
    """On 8x8 digits enlarged to 16: better than the pixels, and convex, so that any start ends there."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits()
    images = F.interpolate(torch.from_numpy(data.images / 16).float()[:, None], (16, 16), mode="bilinear")
    model = build("classify", "filter_bank", Inputs(1, (16, 16), (0.3,), (0.38,)), LabelSpace(tuple("0123456789")))
    with torch.no_grad():
        features = model.heads["label"].pooled(model.backbone(images, torch.tensor([[16, 16]] * len(images)))).numpy()
    pixels = images.flatten(1).numpy()
    accuracy = [LogisticRegression(C=0.02, max_iter=200).fit(x[:1200], data.target[:1200]).score(x[1200:], data.target[1200:]) for x in (features, pixels)]
    assert np.isfinite(features).all() and accuracy[0] > accuracy[1] + 0.02 and accuracy[0] > 0.94
