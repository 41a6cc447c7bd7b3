"""Convolution: the lectures' worked numbers, torch's own layers, the sparse matrix, and the continuous integral."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.ops.convolution import (
    convolution_matrix,
    convolution_parameters,
    convolve,
    convolve_by_patches,
    convolve_transposed,
    dense_parameters,
    output_shape,
    patches,
)

pytestmark = pytest.mark.oracle
TORCH = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@st.composite
def cases(draw):
    """Any setting in which the kernel fits."""
    dimensions, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dimensions))  # noqa: E731
    kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
    shape = tuple(max(1, d * (k - 1) + 1 - 2 * p) + e for d, k, p, e in zip(dilation, kernel, padding, each(0, 3), strict=True))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    torch.manual_seed(draw(st.integers(0, 99)))
    x = torch.randn(2, inputs, *shape, dtype=torch.float64)
    w, b = torch.randn(outputs, inputs // groups, *kernel, dtype=torch.float64), torch.randn(outputs, dtype=torch.float64)
    return x, w, b, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@settings(max_examples=60, deadline=None)
@given(cases())
def test_all_three_ways_are_torchs_layer_in_every_setting(case):
    x, w, b, setting = case
    expected = TORCH[x.ndim - 2](x, w, b, **setting)
    torch.testing.assert_close(convolve(x, w, b, **setting), expected)
    torch.testing.assert_close(convolve_by_patches(x, w, b, **setting), expected)
    matrix = convolution_matrix(w, x.shape[2:], **setting)
    assert matrix.shape == (expected[0].numel(), x[0].numel())
    product = (matrix @ x.flatten(1).T).T.reshape(expected.shape)
    torch.testing.assert_close(product + b.view(-1, *(1,) * (x.ndim - 2)), expected)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_transposed_convolution_is_the_transposed_matrix(case):
    x, w, _, setting = case
    matrix = convolution_matrix(w, x.shape[2:], **setting)
    cells = output_shape(x.shape[2:], w.shape[2:], **{k: v for k, v in setting.items() if k != "groups"})
    z = torch.randn(2, len(w), *cells, dtype=torch.float64)
    axes = zip(x.shape[2:], w.shape[2:], setting["padding"], setting["dilation"], setting["stride"], strict=True)
    spare = tuple((s + 2 * p - d * (k - 1) - 1) % t for s, k, p, d, t in axes)
    found = convolve_transposed(z, w, output_padding=spare, **setting)
    torch.testing.assert_close(found, (matrix.T @ z.flatten(1).T).T.reshape(x.shape))
    torch.testing.assert_close(found, TRANSPOSED[x.ndim - 2](z, w, output_padding=spare, **setting))
    torch.testing.assert_close((convolve(x, w, **setting) * z).sum(), (x * found).sum())  # what makes it the adjoint


@settings(max_examples=20, deadline=None)
@given(cases())
def test_flipped_turns_the_kernel_and_nothing_else(case):
    x, w, b, setting = case
    turned = w.flip(*range(2, w.ndim))
    expected = TORCH[x.ndim - 2](x, turned, b, **setting)
    torch.testing.assert_close(convolve(x, w, b, flipped=True, **setting), expected)
    torch.testing.assert_close(convolution_matrix(w, x.shape[2:], flipped=True, **setting), convolution_matrix(turned, x.shape[2:], **setting))


def test_flipped_is_the_product_of_polynomials():
    """(1 + 2t + 3t^2)(4 + 5t) = 4 + 13t + 22t^2 + 15t^3: the convolution of mathematics, with every overlap kept."""
    x, w = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[4.0, 5.0]]])
    assert convolve(x, w, padding=1, flipped=True).flatten().tolist() == [4, 13, 22, 15]
    assert convolve(x, w, padding=1).flatten().tolist() == [5, 14, 23, 12]


def test_the_worked_numbers_of_a_3x3_kernel_on_5x6():
    x, w = torch.arange(30.0).view(1, 1, 5, 6), torch.arange(9.0).view(1, 1, 3, 3)
    z = convolve(x, w)
    assert z.shape[2:] == output_shape((5, 6), (3, 3)) == (3, 4)
    by_hand = [[sum(float(3 * u + v) * float(6 * (i + u) + j + v) for u in range(3) for v in range(3)) for j in range(4)] for i in range(3)]
    assert z[0, 0].tolist() == by_hand
    assert convolution_parameters(1, 1, (3, 3)) == 10
    assert dense_parameters(5 * 6, 3 * 4) == 12 * 30 + 12 == 372
    matrix = convolution_matrix(w, (5, 6))
    assert matrix.shape == (12, 30) and matrix.indices().shape[1] == 12 * 9


@pytest.mark.parametrize(("inputs", "outputs", "kernel", "groups"), [(3, 8, (3, 5), 1), (4, 6, (3,), 2), (2, 2, (1, 2, 3), 2)])
def test_parameter_counts_are_those_of_torchs_layers(inputs, outputs, kernel, groups):
    layer = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[len(kernel)](inputs, outputs, kernel, groups=groups)
    assert convolution_parameters(inputs, outputs, kernel, groups=groups) == sum(p.numel() for p in layer.parameters())
    assert convolution_parameters(inputs, outputs, kernel, groups=groups, bias=False) == layer.weight.numel()


def test_the_matrix_is_doubly_block_toeplitz():
    w = torch.randn(1, 1, 2, 3)
    matrix = convolution_matrix(w, (4, 5)).to_dense().view(3, 3, 4, 5)  # block row, row, block column, column
    for block in range(2):
        assert torch.equal(matrix[block, :, block], matrix[block + 1, :, block + 1])
    first = matrix[0, :, 0]
    assert all(torch.equal(first[i, i : i + 3], w[0, 0, 0]) for i in range(3))
    assert (matrix[0, :, 2:] == 0).all()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_shifting_the_input_shifts_the_output(dimensions):
    torch.manual_seed(0)
    x, w = torch.zeros(1, 2, *(14,) * dimensions), torch.randn(3, 2, *(3,) * dimensions)
    x[(..., *(slice(4, 8),) * dimensions)] = torch.randn(1, 2, *(4,) * dimensions)
    moves, axes = tuple(range(2, 2 - dimensions, -1)), tuple(range(2, 2 + dimensions))
    assert torch.equal(convolve(x.roll(moves, axes), w), convolve(x, w).roll(moves, axes))
    by_two = convolve(x.roll((4,) * dimensions, axes), w, stride=2)  # with a stride, only by its multiples
    assert torch.equal(by_two, convolve(x, w, stride=2).roll((2,) * dimensions, axes))


def test_sampled_kernels_approach_the_continuous_integral():
    """A bump of variance 0.3 against a Gaussian of variance 0.5 is a Gaussian of variance 0.8; halving the spacing lowers the error."""

    def bump(t: torch.Tensor, variance: float) -> torch.Tensor:
        return torch.exp(-(t**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    def triangle(t: torch.Tensor) -> torch.Tensor:
        return (1 - t.abs()).clamp_min(0)

    errors, edges = [], []
    for steps in (2, 4, 8, 16):
        spacing = 1 / steps
        t, u = torch.arange(-8, 8 + spacing, spacing, dtype=torch.float64), torch.arange(-5, 5 + spacing, spacing, dtype=torch.float64)
        z = convolve(bump(t, 0.3).view(1, 1, -1), bump(u, 0.5).view(1, 1, -1) * spacing).flatten()
        inside = t[len(u) // 2 : len(t) - len(u) // 2]
        errors.append((z - bump(inside, 0.8)).abs().max().item())
        kinked = convolve(triangle(t).view(1, 1, -1), triangle(u).view(1, 1, -1) * spacing).flatten()  # at 0 the integral is 2/3
        edges.append(abs(kinked[len(kinked) // 2].item() - 2 / 3))
    assert errors[0] < 0.05 and errors[1] < 1e-6  # smooth functions: as soon as the kernel is resolved
    assert all(coarse / fine == pytest.approx(4, rel=0.01) for coarse, fine in pairwise(edges))  # with kinks: as spacing^2


def test_gradients_flow_through_every_way():
    x, w = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True), torch.randn(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: convolve(a, b, groups=2, stride=2), (x, w))
    assert torch.autograd.gradcheck(lambda a, b: convolve_by_patches(a, b, groups=2, padding=1), (x, w))
    assert torch.autograd.gradcheck(lambda a, b: convolve_transposed(a, b, groups=2, stride=2), (x, w))
    assert torch.autograd.gradcheck(lambda b: convolution_matrix(b, (3, 3), groups=2).to_dense(), (w,))


def test_im2col_is_torchs_unfold():
    x = torch.randn(2, 3, 7, 6)
    assert torch.equal(patches(x, (3, 2), stride=2, padding=1, dilation=2).flatten(1, 2), F.unfold(x, (3, 2), dilation=2, padding=1, stride=2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolve(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3, 3)), "does not fit"),
        (lambda: convolve(torch.zeros(1, 3, 4, 4), torch.zeros(2, 2, 1, 1)), "need 2 channels, got 3"),
        (lambda: convolve(torch.zeros(1, 2, 4, 4), torch.zeros(3, 1, 1, 1), groups=2), "groups must divide"),
        (lambda: convolve(torch.zeros(1, 2, 4), torch.zeros(2, 2, 1, 1)), "of as many axes"),
        (lambda: convolve(torch.zeros(1, 1, 4), torch.zeros(1, 1, 1), stride=0), "at least 1"),
        (lambda: convolve(torch.zeros(1, 1, 4), torch.zeros(1, 1, 1), stride=(1, 1)), "must be one number or 1"),
        (lambda: convolve_transposed(torch.zeros(1, 1, 4), torch.zeros(1, 1, 3), output_padding=1), "below the stride"),
        (lambda: convolve_transposed(torch.zeros(1, 2, 4), torch.zeros(1, 1, 3)), "must have the 1 channels"),
    ],
)
def test_what_does_not_go_together_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
