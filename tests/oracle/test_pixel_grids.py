"""Grids of pixels against enumeration, junction trees and belief propagation on the same graph; refiners behind a segmenter."""

import pytest
import torch
from torch.autograd import gradcheck

from saccade.core import Inputs, LabelSpace, Meta
from saccade.models.segment import unet
from saccade.nn.refine import DenseCRF, PixelCRF, tune
from saccade.ops.geometry import Geometry
from saccade.structured.belief_propagation import belief_propagation
from saccade.structured.factor_graph import enumerate_states
from saccade.structured.grid import grid_belief_propagation, grid_graph, grid_mean_field
from saccade.structured.junction_tree import JunctionTree
from saccade.structured.mean_field import mean_field
from saccade.targets.segmentation_map import SegmentationMap

pytestmark = pytest.mark.oracle


def problem(h, w, *, same=True, k=3, n=2, scale=1.0, seed=0):
    chance = torch.Generator().manual_seed(seed)

    def some(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=chance) * scale

    right, down = (some(k, k), some(k, k)) if same else (some(n, h, w - 1, k, k), some(1, h - 1, w, k, k))
    return some(n, k, h, w), right, down


def pixels(marginals):
    """A graph's marginals as (N, K, pixels)."""
    return torch.stack(marginals, -1)


@pytest.mark.parametrize("schedule", ["sweeps", "parallel"])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("size", [(1, 6), (6, 1), (1, 1)])
def test_rows_and_columns_are_exact(size, same, schedule):
    given = problem(*size, same=same)
    truth = enumerate_states(grid_graph(*given))
    found = grid_belief_propagation(*given, schedule=schedule, tolerance=1e-14)
    assert torch.allclose(found.log_marginals.exp().flatten(2), pixels(truth.marginals), atol=1e-10)
    assert torch.allclose(found.log_z, truth.log_z, atol=1e-10) and found.settled
    best = grid_belief_propagation(*given, maximise=True, schedule=schedule, tolerance=1e-14)
    assert torch.equal(best.log_marginals.argmax(1).flatten(1), truth.best)


@pytest.mark.parametrize("schedule", ["sweeps", "parallel"])
@pytest.mark.parametrize("same", [True, False])
def test_a_grid_settles_where_the_graph_does(same, schedule):
    given = problem(4, 3, same=same, scale=0.6)
    graph = grid_graph(*given)
    wanted, found = belief_propagation(graph, damping=0.3), grid_belief_propagation(*given, schedule=schedule, damping=0.2, rounds=300, tolerance=1e-13)
    assert found.settled and torch.allclose(found.log_marginals.exp().flatten(2), pixels(wanted.marginals), atol=1e-9)
    assert torch.allclose(found.log_z, wanted.log_z, atol=1e-8)
    exact = JunctionTree.build(graph).infer()
    assert torch.allclose(found.log_marginals.exp().flatten(2), pixels(exact.marginals), atol=0.05)


def test_tables_out_of_the_reach_of_products_give_the_same():
    unary, right, down = problem(1, 5)
    right = right.clone()
    right[0, 1], right[1, 1] = float("-inf"), 900.0
    found = grid_belief_propagation(unary, right, down, tolerance=1e-13)
    truth = enumerate_states(grid_graph(unary, right, down))
    assert torch.allclose(found.log_marginals.exp().flatten(2), pixels(truth.marginals), atol=1e-10)


@pytest.mark.parametrize("same", [True, False])
def test_mean_field_on_a_grid_is_that_of_the_graph(same):
    given = problem(3, 4, same=same, scale=0.4)
    wanted = mean_field(grid_graph(*given), rounds=500)
    assert torch.allclose(grid_mean_field(*given, rounds=300).exp().flatten(2), pixels(wanted.marginals), atol=1e-8)
    assert torch.allclose(grid_mean_field(*given, rounds=0), torch.log_softmax(given[0], 1))


def test_gradients_on_a_grid_are_those_of_finite_differences():
    unary, right, down = (t.requires_grad_() for t in problem(2, 3, same=False, n=1, k=2))
    assert gradcheck(lambda *g: grid_belief_propagation(*g, rounds=2, tolerance=0.0).log_marginals, (unary, right, down))
    assert gradcheck(lambda *g: grid_mean_field(*g, rounds=2), (unary, right, down))


def test_a_speck_is_smoothed_away_and_a_region_is_not():
    unary = torch.full((1, 2, 20, 20), -1.0)
    unary[:, 0] = 1.0
    unary[:, :, 5, 5] = torch.tensor([-1.0, 1.0])
    unary[:, 0, 10:, 10:], unary[:, 1, 10:, 10:] = -1.0, 1.0
    tie = torch.eye(2) * 2
    for found in (grid_belief_propagation(unary, tie, tie).log_marginals, grid_mean_field(unary, tie, tie)):
        labels = found.argmax(1)[0]
        assert labels[5, 5] == 0 and (labels[10:, 10:] == 1).float().mean() > 0.97


def test_grids_that_do_not_fit_are_refused():
    unary, right, down = problem(3, 3)
    with pytest.raises(ValueError, match="ties right are"):
        grid_belief_propagation(unary, right[:2], down)
    with pytest.raises(ValueError, match="schedule sweeps or parallel"):
        grid_belief_propagation(unary, right, down, damping=1.0)
    with pytest.raises(ValueError, match="hard constraints"):
        grid_mean_field(unary, torch.full((3, 3), float("-inf")), down)


# behind a segmenter ---------------------------------------------------------------------------------------------


def segmenter(side=16):
    torch.manual_seed(0)
    return unet(Inputs(3, (side, side), (0.5,) * 3, (0.2,) * 3), LabelSpace(("a", "b", "c")), widths=(8, 16))


REFINERS = [lambda: DenseCRF(3), lambda: PixelCRF(3), lambda: PixelCRF(3, inference="mean_field")]


@pytest.mark.parametrize("make", REFINERS)
def test_a_refiner_learns_behind_a_segmenter(make):
    model = segmenter().eval()
    model.heads["map"].refine = make()
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    truth = [SegmentationMap((image.mean(0) > 0.5).to(torch.uint8)) for image in images]
    learnt = list(model.heads["map"].refine.parameters())
    optimiser = torch.optim.SGD(learnt, 0.05)
    losses = []
    for _ in range(4):
        out = model.outputs(images, torch.tensor([[16, 16], [16, 16]]))["map"]
        loss = sum(model.heads["map"].loss(out, truth).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and all(p.grad is not None and p.grad.abs().sum() > 0 for p in learnt)
    answers = model.heads["map"].decode(out, [Meta(str(i), (16, 16), Geometry.identity((16, 16))) for i in range(2)])
    assert torch.allclose(answers[0].probabilities, out.logits[0].detach().exp(), atol=1e-5)


@pytest.mark.parametrize("make", REFINERS)
def test_padding_changes_nothing(make):
    refiner = make()
    logits, image = torch.randn(2, 3, 12, 10), torch.rand(2, 3, 12, 10)
    with torch.no_grad():
        alone = refiner(logits[1:, :, :7, :6], image[1:, :, :7, :6])
        padded = refiner(logits, image, torch.tensor([[12, 10], [7, 6]]))
        assert torch.allclose(padded[1:, :, :7, :6], alone, atol=1e-5)
        assert torch.allclose(padded[1, :, 7:], torch.log_softmax(logits[1], 0)[:, 7:], atol=1e-6)
        assert torch.allclose(padded[:1], refiner(logits[:1], image[:1]), atol=1e-5)


def test_tuning_finds_what_helps_and_never_harms():
    chance = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 3, 20, 20)
    image[..., 8:] = 1.0
    truth = (image[0, 0] > 0.5).long()
    logits = torch.stack([1 - 2 * truth.float(), 2 * truth.float() - 1])[None] + torch.randn(1, 2, 20, 20, generator=chance) * 2

    def accuracy(found):
        return float((found[0].argmax(0) == truth).float().mean())

    refiner = DenseCRF(2, position=5.0)
    before = accuracy([logits[0]])
    trials = tune(refiner, [(logits, image)], accuracy, search={"appearance": (0.0, 2.0, 8.0), "colour": (0.05, 5.0)}, passes=1)
    assert trials[0]["appearance"] == 0 and trials[0]["score"] == pytest.approx(before) and max(t["score"] for t in trials) > before + 0.1
    with torch.no_grad():
        assert accuracy([refiner(logits, image)[0]]) == pytest.approx(max(t["score"] for t in trials))
    tune(refiner, [(logits, image)], lambda found: -float((found[0].argmax(0) != logits[0].argmax(0)).sum()), search={"appearance": (4.0,)})
    assert refiner.settings()["appearance"] == refiner.settings()["smoothness"] == 0  # where nothing helps nothing is done
    with pytest.raises(ValueError, match="at least one image"):
        tune(refiner, [], accuracy)


def test_refiners_out_of_range_are_refused():
    with pytest.raises(ValueError, match="widths above 0"):
        DenseCRF(2, colour=0.0)
    with pytest.raises(ValueError, match="inference bp or mean_field"):
        PixelCRF(2, inference="exact")
    with pytest.raises(KeyError):
        DenseCRF(2).set({"colours": 1.0})
