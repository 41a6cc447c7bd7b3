"""The fully connected CRF against mean field over all pairs of pixels, its lattice against direct sums, gradients against finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from saccade.structured.dense_crf import Kernel, all_pairs, dense_crf, features, naive_mean_field, potts
from saccade.structured.permutohedral import gaussian_sum, lattice

pytestmark = pytest.mark.oracle
KERNELS = [Kernel(8.0, 16.0, 0.06), Kernel(3.0, 2.0)]


def photograph(name, side):
    """(1, 3, side, side) float64 of one of scikit-image's photographs, or of scikit-learn's."""
    import cv2
    from sklearn.datasets import load_sample_image

    picture = cv2.resize(load_sample_image(name)[:400, 100:500], (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]


def doubtful(image, classes, seed=0):
    """(1, classes, H, W): how near each pixel's brightness is to one of some levels, under strong noise."""
    levels = torch.linspace(0.1, 0.9, classes, dtype=torch.float64)[:, None, None]
    noise = torch.randn(classes, *image.shape[2:], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (-6 * (image.mean(1) - levels).abs() + noise)[None]


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_marginals_on_forty_pixels_are_those_of_all_pairs(name, dtype):
    image = photograph(name, 40)
    unary = doubtful(image, 4)
    cost = potts(4, unary) + torch.rand(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = naive_mean_field(unary[0], image[0], KERNELS, cost, 5).exp()
    found = dense_crf(unary.to(dtype), image.to(dtype), KERNELS, compatibility=cost.to(dtype))[0].exp()
    assert (found - wanted).abs().max() < (1e-10 if dtype == torch.float64 else 1e-4)  # 1e-3 is asked for
    assert (wanted.argmax(0) != unary[0].argmax(0)).double().mean() > 0.05  # it does something


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_the_lattice_is_as_near_as_it_says(name):
    image = photograph(name, 64)
    unary = doubtful(image, 4)
    exact, found = (dense_crf(unary, image, KERNELS, sums=sums)[0].exp() for sums in ("exact", "lattice"))
    assert (found - exact).abs().mean() < 0.01 and (found.argmax(0) == exact.argmax(0)).double().mean() > 0.97
    assert (found - exact).abs().max() > 1e-3  # said of it too: single pixels are further off


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_the_lattice_sums_like_all_pairs(d):
    chance = torch.Generator().manual_seed(d)
    f = torch.rand(1500, d, dtype=torch.float64, generator=chance) * 3
    x = torch.rand(1500, 2, dtype=torch.float64, generator=chance)
    found, wanted = gaussian_sum(x, lattice(f)), all_pairs(f) @ x
    assert ((found / wanted - 1).abs() < 0.4).all() and abs(float((found / wanted).median()) - 1) < 0.02 and float((found / wanted).std()) < 0.05


def test_shares_sum_to_one_and_rebuild_the_point():
    f = torch.randn(300, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = lattice(f)
    assert torch.allclose(found.shares.sum(1), torch.ones(300, dtype=torch.float64)) and (found.shares > -1e-9).all()
    assert (found.corners < len(found.starts)).all() and len(found.points) == 300 * 5
    # corners and their neighbours know each other
    for front in found.near:
        has = front[:, 1] < len(front)
        assert has.any() and torch.equal(front[front[has, 1], 2], front[has, 0])


def test_the_adjoint_is_exact():
    chance = torch.Generator().manual_seed(3)
    found = lattice(torch.randn(60, 3, dtype=torch.float64, generator=chance))
    a, b = (torch.randn(60, 2, dtype=torch.float64, generator=chance).requires_grad_() for _ in range(2))
    (slope,) = torch.autograd.grad((gaussian_sum(a, found) * b.detach()).sum(), a)
    matrix = gaussian_sum(torch.eye(60, dtype=torch.float64), found)
    assert torch.allclose(slope, matrix.T @ b.detach())
    assert gradcheck(lambda x: gaussian_sum(x, found), (a,))


@pytest.mark.parametrize("sums", ["exact", "lattice"])
def test_gradients_are_those_of_finite_differences(sums):
    image = photograph("china.jpg", 4)
    unary, cost = doubtful(image, 3).requires_grad_(), potts(3, image).requires_grad_()
    weights = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)

    def run(unary, cost, weights):
        return dense_crf(unary, image, [Kernel(weights[0], 4.0, 0.1), Kernel(weights[1], 1.5)], compatibility=cost, rounds=2, sums=sums)

    assert gradcheck(run, (unary, cost, weights))


def test_exact_sums_learn_widths_and_the_image_too():
    image = photograph("flower.jpg", 4).requires_grad_()
    unary = doubtful(image.detach(), 2)
    widths = torch.tensor([3.0, 0.1, 1.5], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda i, w: dense_crf(unary, i, [Kernel(2.0, w[0], w[1]), Kernel(1.0, w[2])], rounds=2), (image, widths))


def test_an_image_by_itself_and_in_a_batch_are_the_same():
    images = torch.cat([photograph("china.jpg", 12), photograph("flower.jpg", 12)])
    unary = torch.cat([doubtful(images[:1], 3), doubtful(images[1:], 3)])
    both = dense_crf(unary, images, KERNELS)
    assert torch.allclose(both[1:], dense_crf(unary[1:], images[1:], KERNELS)) and torch.allclose(both.exp().sum(1), torch.ones(2, 12, 12).double())
    assert torch.allclose(dense_crf(unary, images, KERNELS, rounds=0), torch.log_softmax(unary, 1))


def test_one_class_one_pixel_and_grey():
    one = dense_crf(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), KERNELS)
    assert one.tolist() == [[[[0.0]]]]
    for sums in ("exact", "lattice"):
        assert torch.isfinite(dense_crf(torch.zeros(1, 2, 3, 5), torch.full((1, 1, 3, 5), 0.5), KERNELS, sums=sums)).all()


def test_features_are_x_y_and_colours_over_their_widths():
    f = features(torch.arange(6.0).reshape(1, 2, 3), Kernel(1.0, 2.0, 0.5))
    assert f.tolist() == [[0, 0, 0], [0.5, 0, 2], [1, 0, 4], [0, 0.5, 6], [0.5, 0.5, 8], [1, 0.5, 10]]


def test_what_does_not_fit_is_refused():
    unary, image = torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3, 3)
    with pytest.raises(ValueError, match="unary scores are"):
        dense_crf(unary, image[..., :2], KERNELS)
    with pytest.raises(ValueError, match="rounds of 0 or more"):
        dense_crf(unary, image, [], rounds=1)
    with pytest.raises(ValueError, match="widths of a kernel"):
        dense_crf(unary, image, [Kernel(1.0, 0.0)])
    with pytest.raises(ValueError, match="is square"):
        dense_crf(unary, image, KERNELS, compatibility=torch.zeros(3, 3))
    with pytest.raises(ValueError, match="finite numbers"):
        lattice(torch.tensor([[float("nan")]]))
    with pytest.raises(ValueError, match="too many to number"):
        lattice(torch.randn(10, 8, dtype=torch.float64) * 1e4)
