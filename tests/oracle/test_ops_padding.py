"""Valid extents, pooling and normalisation against loops over each sample alone."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from saccade.ops.losses import cross_entropy
from saccade.ops.norms import batch_norm, group_norm, normalise
from saccade.ops.padding import cells, clear, inside, through, valid_extent
from saccade.ops.pooling import average_pool, global_average, global_max, max_pool, subsample

pytestmark = pytest.mark.oracle
EXTENT = torch.tensor([[5, 7], [2, 3], [6, 1]])


def padded(channels: int = 2) -> torch.Tensor:
    """(3, C, 6, 7) whose cells beyond EXTENT are rubbish."""
    torch.manual_seed(0)
    return torch.randn(3, channels, 6, 7, dtype=torch.float64) - 3


def alone(x: torch.Tensor) -> list[torch.Tensor]:
    return [x[i : i + 1, :, :h, :w] for i, (h, w) in enumerate(EXTENT.tolist())]


layers = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(0, 3)).filter(lambda a: a[2] < a[0]), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(layers, st.integers(1, 90), st.integers(1, 90))
def test_the_extent_is_that_of_the_sample_alone_through_any_chain(chain, height, width):
    extent, x = torch.tensor([[height, width]]), torch.zeros(1, 1, height, width)
    stride = reach = 1
    for kernel, step, padding in chain:
        if min(x.shape[2:]) + 2 * padding < kernel:
            return  # the sample alone could not pass
        extent = through(extent, kernel, step, padding)
        x = F.conv2d(x, torch.zeros(1, 1, kernel, kernel), stride=step, padding=padding)
        reach, stride = reach + stride * (kernel - 2 * padding - 1), stride * step
        assert extent.tolist() == [list(x.shape[2:])] == cells(torch.tensor([[height, width]]), stride, reach).tolist()


def test_a_kernel_that_does_not_fit_leaves_nothing():
    assert through(torch.tensor([[2, 9]]), 5, 1, 0).tolist() == [[0, 5]] and cells(torch.tensor([[2, 40]]), 4, 32).tolist() == [[0, 3]]


def test_nothing_is_masked_where_nothing_is_padded():
    x = padded()
    assert valid_extent(x, torch.tensor([[6, 7]] * 3)) is None and clear(x, None) is x and through(None, 3, 2, 1) is None
    assert valid_extent(x, EXTENT) is EXTENT


def test_inside_is_true_for_data():
    expected = [[[i < h and j < w for j in range(7)] for i in range(6)] for h, w in EXTENT.tolist()]
    assert inside(EXTENT, 6, 7)[:, 0].tolist() == expected


def test_global_pooling_is_that_of_each_sample_alone():
    x = padded()
    torch.testing.assert_close(global_average(x, EXTENT), torch.cat([a.mean((2, 3)) for a in alone(x)]))
    torch.testing.assert_close(global_max(x, EXTENT), torch.cat([a.amax((2, 3)) for a in alone(x)]))
    torch.testing.assert_close(global_average(x), x.mean((2, 3)))
    torch.testing.assert_close(global_max(x), x.amax((2, 3)))


def test_global_pooling_of_no_cells_is_nought():
    x, none = padded(), torch.zeros(3, 2, dtype=torch.long)
    assert global_average(x, none).abs().sum() == 0 and global_max(x, none).abs().sum() == 0


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (3, 1, 1)])
def test_max_pooling_is_that_of_each_sample_alone(kernel, stride, padding):
    x = padded()[:2]  # the third is narrower than a kernel of 2
    pooled, extent = max_pool(x, kernel, stride=stride, padding=padding, extent=EXTENT[:2])
    for row, one in enumerate(alone(padded())[:2]):
        expected = F.max_pool2d(one, kernel, stride, padding)[0]
        h, w = expected.shape[1:]
        assert extent[row].tolist() == [h, w]
        assert torch.equal(pooled[row, :, :h, :w], expected)
        assert torch.count_nonzero(pooled[row]) == expected.numel()  # zero beyond


def test_average_pooling_is_the_mean_of_each_whole_tile():
    x = padded()
    pooled, extent = average_pool(x, 2, EXTENT)
    for row, (h, w) in enumerate((EXTENT // 2).tolist()):
        assert extent[row].tolist() == [h, w]
        for i in range(3):
            for j in range(3):
                expected = x[row, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)) if i < h and j < w else torch.zeros(2, dtype=x.dtype)
                torch.testing.assert_close(pooled[row, :, i, j], expected)


def test_subsampling_is_its_definition():
    x, coefficient, bias = padded(), torch.tensor([0.3, -1.2]).double(), torch.tensor([0.5, 0.1]).double()
    result = subsample(x, coefficient, bias)
    assert result.shape == (3, 2, 3, 3)
    for n, c, i, j in [(0, 0, 0, 0), (1, 1, 2, 1), (2, 0, 1, 2)]:
        total = sum(float(x[n, c, 2 * i + a, 2 * j + b]) for a in (0, 1) for b in (0, 1))
        assert float(result[n, c, i, j]) == pytest.approx(float(coefficient[c]) * total + float(bias[c]))


def test_batch_normalisation_sees_data_only():
    x, norm = padded(), nn.BatchNorm2d(2).double()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    result = batch_norm(norm, x, EXTENT)
    values = torch.cat([a.movedim(1, -1).reshape(-1, 2) for a in alone(x)])  # every valid cell, one below the other
    mean, variance = values.mean(0), values.var(0, unbiased=False)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * values.var(0))
    for row, one in enumerate(alone(x)):
        expected = (one[0] - mean.view(-1, 1, 1)) / (variance + norm.eps).sqrt().view(-1, 1, 1) * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        torch.testing.assert_close(result[row, :, : one.shape[2], : one.shape[3]], expected)


def test_group_normalisation_is_that_of_each_sample_alone():
    x, norm = padded(4), nn.GroupNorm(2, 4).double()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    result = group_norm(norm, x, EXTENT)
    for row, one in enumerate(alone(x)):
        torch.testing.assert_close(result[row, :, : one.shape[2], : one.shape[3]], norm(one)[0])


def test_other_modules_are_applied_as_they_are():
    x = padded()
    assert normalise(nn.Identity(), x, EXTENT) is x


def test_gradients_of_the_masked_operators():
    x = padded(4).requires_grad_()
    batch, group = nn.BatchNorm2d(4, momentum=0.0).double(), nn.GroupNorm(2, 4).double()
    coefficient = torch.rand(4, dtype=torch.float64, requires_grad=True)
    for function in (
        lambda x: global_average(x, EXTENT),
        lambda x: global_max(x, EXTENT),
        lambda x: max_pool(x, 3, stride=2, padding=1, extent=EXTENT)[0],
        lambda x: average_pool(x, 2, EXTENT)[0],
        lambda x: clear(batch_norm(batch, x, EXTENT), EXTENT)[:, :2, :3, :3],
        lambda x: clear(group_norm(group, x, EXTENT), EXTENT)[:, :2, :3, :3],
    ):
        assert torch.autograd.gradcheck(function, (x,), fast_mode=True)
    assert torch.autograd.gradcheck(subsample, (x, coefficient, coefficient), fast_mode=True)


def test_cross_entropy_is_the_sum_over_the_truth():
    torch.manual_seed(2)
    logits, truth, weights = torch.randn(4, 3).double(), torch.rand(4, 3).double(), torch.tensor([1.0, 0.2, 3.0]).double()
    truth[2] = 0  # ignored
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    top = -sum(float(weights[k] * truth[i, k] * p[i, k].log()) for i in range(4) for k in range(3))
    bottom = sum(float(weights[k] * truth[i, k]) for i in range(4) for k in range(3))
    assert float(cross_entropy(logits.log_softmax(1), truth, weights)) == pytest.approx(top / bottom)


def test_cross_entropy_of_an_impossible_class_is_not_nan():
    assert cross_entropy(torch.tensor([[0.0, -float("inf")]]), torch.tensor([[1.0, 0.0]])) == 0


def test_cross_entropy_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"log_probabilities \(2, 3\) and truth \(2, 4\) differ in shape"):
        cross_entropy(torch.zeros(2, 3), torch.zeros(2, 4))
