"""What is known of networks in theory, held in numbers: a deep linear net is a linear model."""

import numpy as np
import pytest
import torch
from torch import nn

from saccade.classic.logistic import LogisticRegression
from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta
from saccade.models.table import build
from saccade.targets.label import Label

pytestmark = pytest.mark.oracle


def minimised(parameters, loss) -> float:
    """The least value that L-BFGS finds."""
    optimiser = torch.optim.LBFGS(list(parameters), max_iter=3000, tolerance_grad=1e-10, tolerance_change=1e-14, history_size=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)
    return loss().item()


def test_a_deep_linear_net_has_the_optimum_of_logistic_regression():
    """The `mlp` with activation linear, two hidden layers and two classes, against Newton's method on d + 1 parameters."""
    torch.manual_seed(0)
    side, count = 3, 120
    images = torch.rand(count, 1, side, side, dtype=torch.float64)
    truth = (torch.rand(count) < torch.sigmoid(3 * (images.flatten(1)[:, 0] - images.flatten(1)[:, 4]))).long()  # no plane divides them
    model = build("classify", "mlp", Inputs(1, (side, side), (0.5,), (0.3,)), LabelSpace(("no", "yes")), {"hidden": [8, 6], "activation": "linear"}).double()
    meta = [Meta(str(i), (side, side), Geometry.identity((side, side))) for i in range(count)]
    batch = Batch(images, torch.tensor([[side, side]] * count), {"label": [Label(int(i)) for i in truth]}, meta)
    least = minimised(model.parameters(), lambda: model(batch)["cross_entropy"])
    x, y = images.flatten(1).numpy(), truth.numpy()
    p = LogisticRegression.fit(x, y).probability(x)
    assert least == pytest.approx(-np.log(np.where(y == 1, p, 1 - p)).mean(), abs=1e-7)
    with torch.no_grad():
        logits = model.outputs(batch.inputs, batch.sizes)["label"].logits
    assert torch.softmax(logits, 1)[:, 1].numpy() == pytest.approx(p, abs=1e-3)


@pytest.mark.parametrize("bottleneck", [1, 2, 5])
def test_a_linear_net_with_a_bottleneck_is_reduced_rank_regression(bottleneck):
    """Baldi and Hornik 1989: the global optimum is least squares projected on its first principal directions, and there is no other minimum."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6))
    y = x @ rng.normal(size=(6, 5)) + 0.5 * rng.normal(size=(80, 5))
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    directions = np.linalg.svd(fitted, full_matrices=False)[2][:bottleneck]
    expected = ((y - fitted @ directions.T @ directions) ** 2).mean()
    torch.manual_seed(bottleneck)
    net = nn.Sequential(*[nn.Linear(a, b, bias=False) for a, b in ((6, 7), (7, bottleneck), (bottleneck, 7), (7, 5))]).double()
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    assert minimised(net.parameters(), lambda: ((net(a) - b) ** 2).mean()) == pytest.approx(expected, rel=1e-6)


def test_a_deep_linear_net_is_one_matrix():
    torch.manual_seed(0)
    model = build("classify", "mlp", Inputs(1, (4, 4), (0.0,), (1.0,)), LabelSpace(tuple("abc")), {"hidden": [9, 2, 7], "activation": "linear"}).double()
    layers = [*model.backbone.layers, model.heads["label"].output]
    matrix, offset = torch.eye(16, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
    for layer in layers:
        matrix, offset = layer.weight @ matrix, layer.weight @ offset + layer.bias
    x = torch.randn(5, 1, 4, 4, dtype=torch.float64)
    found = model.outputs(x, torch.tensor([[4, 4]] * 5))["label"].logits
    torch.testing.assert_close(found, x.flatten(1) @ matrix.T + offset)
    assert torch.linalg.matrix_rank(matrix) == 2  # never more than the narrowest layer
