"""Ways back to a finer grid against their definitions, other libraries, and each other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.autograd import gradcheck

from saccade.ops import upsampling as up
from saccade.ops.convolution import convolution_matrix, convolve, convolve_transposed

pytestmark = pytest.mark.oracle


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(("shape", "factor"), [((1, 2, 5), 3), ((2, 1, 3, 4), 2), ((1, 1, 1, 1), 4), ((1, 1, 2, 3, 2), 2)])
def test_upsampling_is_what_the_fine_centre_sees(mode, shape, factor):
    x = random(*shape)
    found = up.upsample(x, factor, mode)
    assert found.shape == (*shape[:2], *(factor * s for s in shape[2:]))
    for place in np.ndindex(*found.shape[2:]):
        centres = [(i + 0.5) / factor - 0.5 for i in place]
        expected = torch.zeros(shape[:2], dtype=torch.float64)
        for corner in np.ndindex(*shape[2:]):
            clipped = [min(max(c, 0), s - 1) for c, s in zip(centres, shape[2:], strict=True)]
            if mode == "nearest":
                weight = float(all(i // factor == c for i, c in zip(place, corner, strict=True)))
            else:
                weight = np.prod([max(0.0, 1 - abs(c - k)) for c, k in zip(clipped, corner, strict=True)])
            expected += weight * x[(..., *corner)]
        torch.testing.assert_close(found[(..., *place)], expected)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_the_answer_of_a_sample_does_not_depend_on_what_it_is_batched_with(mode):
    x, extent = random(2, 3, 5, 6), torch.tensor([[3, 6], [5, 2]])
    for row, (h, w), size in zip(x, extent.tolist(), [(7, 12), (10, 5)], strict=True):
        alone = up.upsample(row[None, :, :h, :w], 2, mode, size=size)
        whole = up.upsample(x, 2, mode, size=(10, 12), extent=extent)
        index = 0 if h == 3 else 1
        torch.testing.assert_close(whole[index : index + 1, :, : size[0], : size[1]], alone[..., :10, :12])


def test_a_factor_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        up.upsample(random(1, 1, 2), 0)


def test_bed_of_nails_is_the_transpose_of_taking_every_second_cell():
    x, y = random(1, 2, 3, 4), random(1, 2, 6, 8, seed=1)
    assert float((up.bed_of_nails(x, 2) * y).sum()) == pytest.approx(float((x * y[..., ::2, ::2]).sum()))


@pytest.mark.parametrize(("size", "kernel", "stride"), [((6, 8), 2, 2), ((7, 5), 2, 2), ((7, 7), 3, 2), ((2, 2), 2, 2)])
def test_pooling_remembers_where_its_maxima_were(size, kernel, stride):
    x = random(2, 3, *size)
    pooled, switches = up.pool_with_switches(x, kernel, stride)
    for n, c, i, j in np.ndindex(*pooled.shape):
        window = x[n, c, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        y, z = divmod(int(window.argmax()), window.shape[1])
        assert pooled[n, c, i, j] == window.max() and switches[n, c, i, j] == (i * stride + y) * size[1] + j * stride + z
    z = random(*pooled.shape, seed=1)
    # unpooling is the transpose of the linear map that takes the values at the switches
    taken = x.flatten(2).gather(2, switches.flatten(2)).view_as(pooled)
    assert float((up.max_unpool(z, switches, size) * x).sum()) == pytest.approx(float((z * taken).sum()))


def test_switches_of_a_padded_sample_stay_within_it():
    x = random(1, 1, 6, 6)
    x[..., 3:, :] = 9.0
    pooled, switches = up.pool_with_switches(x, extent=torch.tensor([[3, 6]]))
    alone, own = up.pool_with_switches(x[..., :3, :])
    torch.testing.assert_close(pooled[..., :1, :], alone)
    assert switches[..., :1, :].tolist() == own.tolist() and not pooled[..., 2:, :].any()
    with pytest.raises(ValueError, match="differ in shape"):
        up.max_unpool(pooled, own, (6, 6))


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_transposed_convolution_with_the_bilinear_kernel_is_bilinear_interpolation(factor):
    x, kernel = random(1, 1, 6, 5), up.bilinear_kernel(factor).double()[None, None]
    padding = (kernel.shape[-1] - factor) // 2
    found = convolve_transposed(x, kernel, stride=factor, padding=padding)
    expected = F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(found[inner], expected[inner])


@pytest.mark.parametrize(("shape", "stride", "padding"), [((5, 6), 1, 0), ((7, 5), 2, 1), ((6, 6), 3, 0)])
def test_transposed_convolution_is_the_transposed_matrix_and_not_the_inverse(shape, stride, padding):
    kernel = random(2, 3, 3, 3)
    matrix = up.transposed_matrix(kernel, shape, stride=stride, padding=padding).to_dense()
    torch.testing.assert_close(matrix, convolution_matrix(kernel, shape, stride=stride, padding=padding).to_dense().T)
    x = random(1, 3, *shape, seed=1)
    z = convolve(x, kernel, stride=stride, padding=padding)
    cells = z.shape[2:]
    spare = tuple(s - ((c - 1) * stride + 3 - 2 * padding) for s, c in zip(shape, cells, strict=True))
    back = convolve_transposed(z, kernel, stride=stride, padding=padding, output_padding=spare)
    torch.testing.assert_close((matrix @ z.flatten()).view_as(back), back)
    assert not torch.allclose(back, x)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_sub_pixel_is_the_papers_periodic_shuffle(axes, factor):
    x = random(2, 2 * factor**axes, *(2, 3, 2)[:axes])
    found = up.sub_pixel(x, factor)
    for place in np.ndindex(*found.shape[2:]):
        k = int(np.ravel_multi_index([i % factor for i in place], (factor,) * axes))
        torch.testing.assert_close(found[(..., *place)], x[:, k :: factor**axes][(..., *(i // factor for i in place))])
    assert torch.equal(up.space_to_depth(found, factor), x)
    if axes == 2:
        assert torch.equal(found, F.pixel_shuffle(x, factor))


def test_shapes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="shared among"):
        up.sub_pixel(random(1, 3, 2, 2), 2)
    with pytest.raises(ValueError, match="do not divide"):
        up.space_to_depth(random(1, 1, 3, 2), 2)


def test_a_fresh_sub_pixel_layer_is_nearest_neighbour():
    kernel = random(3, 2, 3, 3)
    x = random(1, 2, 6, 6, seed=1)
    fine = up.sub_pixel(F.conv2d(x, up.sub_pixel_kernel(kernel, 2)), 2)
    torch.testing.assert_close(fine, up.upsample(F.conv2d(x, kernel), 2, "nearest"))


def test_the_cubic_kernel_is_keys():
    t = torch.linspace(-3, 3, 61, dtype=torch.float64)
    found = up.cubic(t)
    s = t.abs()
    expected = torch.where(s < 1, 1.5 * s**3 - 2.5 * s**2 + 1, torch.where(s < 2, -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2, 0.0))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("source", "target"), [(7, 14), (9, 20), (20, 7), (5, 5), (1, 3), (4, 1)])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_resizing_is_torchs_and_pillows(kernel, source, target):
    x = random(1, 2, source, source + 2)
    size = (target, target + 3)
    torch.testing.assert_close(up.resize(x, size, kernel, antialias=True), F.interpolate(x, size, mode=kernel, antialias=True))
    plain = up.resize(x, size, kernel, antialias=False, a=-0.75)
    torch.testing.assert_close(plain, F.interpolate(x, size, mode=kernel, align_corners=False))
    image = Image.fromarray(x[0, 0].numpy().astype(np.float32))
    how = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[kernel]
    pillow = np.asarray(image.resize(size[::-1], how))
    np.testing.assert_allclose(up.resize(x, size, kernel)[0, 0], pillow, atol=2e-6)


def test_nearest_resizing_takes_the_cell_of_the_centre():
    x = random(1, 1, 5, 7)
    torch.testing.assert_close(up.resize(x, (10, 3), "nearest"), F.interpolate(x, (10, 3), mode="nearest-exact"))
    with pytest.raises(ValueError, match="at least 1"):
        up.resize_matrix(0, 3)


def test_polynomials_of_the_kernels_order_are_kept():
    t = (torch.arange(12, dtype=torch.float64) + 0.5)[None, None]
    fine = (torch.arange(24, dtype=torch.float64) + 0.5) / 2
    inner = slice(6, -6)
    torch.testing.assert_close(up.resize(t**2, (24,), "bicubic")[0, 0, inner], fine[inner] ** 2)
    torch.testing.assert_close(up.resize(t, (24,), "bilinear")[0, 0, inner], fine[inner])


@pytest.mark.parametrize(("kernel", "even"), [(3, False), (4, True), (2, True), (5, False), (6, True)])
def test_checkerboards_come_from_a_stride_that_does_not_divide_the_kernel(kernel, even):
    x, spread = torch.ones(1, 1, 12, 12, dtype=torch.float64), torch.ones(1, 1, kernel, kernel, dtype=torch.float64)
    found = convolve_transposed(x, spread, stride=2)
    line = up.overlap(12, kernel, 2)
    torch.testing.assert_close(found[0, 0], torch.outer(line, line).double())
    inner = found[..., 6:18, 6:18]
    energy = float(up.checkerboard(found[..., 6:19, 6:18], 2))  # the odd row is cut
    phases = np.array([[inner[0, 0, i::2, j::2].mean() for j in (0, 1)] for i in (0, 1)])
    assert energy == pytest.approx(phases.var() / float(inner.square().mean()), abs=1e-12)
    assert (energy < 1e-12) == even
    assert float(up.checkerboard(torch.zeros(1, 1, 4, 4), 2)) == 0
    with pytest.raises(ValueError, match="no whole period"):
        up.checkerboard(torch.zeros(1, 1, 1, 4), 2)


def test_gradients_are_finite_differences():
    x, extent = random(1, 2, 3, 4).requires_grad_(), torch.tensor([[2, 3]])
    for call in (
        lambda v: up.upsample(v, 2, "bilinear", size=(5, 8), extent=extent),
        lambda v: up.upsample(v, 2, "nearest"),
        lambda v: up.bed_of_nails(v, 2),
        lambda v: up.max_unpool(*up.pool_with_switches(v), (3, 4)),
        lambda v: up.resize(v, (5, 2)),
        lambda v: up.space_to_depth(up.sub_pixel(v.repeat(1, 2, 1, 1), 2), 2),
        lambda v: up.checkerboard(v, 2),
    ):
        assert gradcheck(call, (x,))


def test_empty_batches_pass():
    x = torch.zeros(0, 4, 4, 4)
    assert up.upsample(x, 2).shape == (0, 4, 8, 8) and up.sub_pixel(x, 2).shape == (0, 1, 8, 8) and up.resize(x, (3, 3)).shape == (0, 4, 3, 3)
