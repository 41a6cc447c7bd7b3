"""Counting against slow definitions: density maps, the four losses of LC-FCN, watershed lines, blobs to dots, the errors."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from saccade.core import Batch, Features, Geometry, Inputs, LabelSpace, Level, Meta
from saccade.metrics.counting import Counting
from saccade.models.count import density as density_net
from saccade.models.count import lcfcn as lcfcn_net
from saccade.nn.heads.density import Density, DensityOut
from saccade.nn.heads.lcfcn import LCFCN, BlobsOut
from saccade.ops import counting
from saccade.targets import Points

pytestmark = pytest.mark.oracle
CELLS = LabelSpace(("round", "long"))


def dots(*rows, size=None):
    xy = torch.tensor([row[:2] for row in rows], dtype=torch.float64).reshape(-1, 2)
    return Points(xy, torch.tensor([row[2] for row in rows], dtype=torch.int64), size=size)


def here(size):
    return Meta("a", size, Geometry.identity(size))


def test_a_density_map_is_its_sum_of_gaussians():
    xy, sigma, (h, w) = torch.tensor([[2.5, 3.5], [0.0, 6.9], [11.2, 0.1]]), 1.3, (7, 12)
    expected = np.zeros((h, w))
    for x, y in xy.tolist():
        bell = np.array([[math.exp(-((j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2) / (2 * sigma**2)) for j in range(w)] for i in range(h)])
        expected += bell / bell.sum()
    found = counting.density(xy, sigma, (h, w))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert float(found.sum()) == pytest.approx(3)
    assert counting.density(torch.zeros(0, 2), sigma, (h, w)).abs().sum() == 0


def test_the_ideal_density_gives_its_dots_back():
    chance = np.random.default_rng(0)
    xy = np.stack([chance.permutation(10)[:9] * 9 + 6, chance.permutation(10)[:9] * 7 + 5], 1) + 0.5
    target = dots(*[(x, y, i % 2) for i, (x, y) in enumerate(xy)])
    head = Density(Level(4, 1), 2, sigma=2.0)
    truth = torch.stack([counting.density(target.xy[target.classes == k], 2.0, (80, 100)) for k in (0, 1)]) / head.peak
    out = DensityOut(truth[None].float(), torch.tensor([[80, 100]]))
    losses = head.loss(out, [target])
    assert losses["density"] < 1e-9 and losses["count"] < 1e-9
    found = head.decode(out, [here((80, 100))])[0]
    for k in (0, 1):
        mine = [sorted(map(tuple, p.xy[p.classes == k].tolist())) for p in (found, target)]
        assert mine[0] == mine[1]
    assert found.size == (80, 100) and 0 < found.scores.min() and found.scores.max() <= 1


def test_the_density_loss_is_its_definition_and_ends_at_the_extent():
    head = Density(Level(4, 2), 2, sigma=3.0).double()
    found, extent = torch.rand(2, 2, 5, 6, dtype=torch.float64, requires_grad=True), torch.tensor([[5, 6], [3, 4]])
    targets = [dots((3.0, 4.0, 0), (9.0, 2.0, 1), (1.0, 1.0, -1)), dots((7.0, 5.0, 1))]
    total, counts = 0.0, []
    for i, (h, w) in enumerate(extent.tolist()):
        shares, blocks = 0.0, {1: [], 4: [], 16: [], 64: []}
        for k in (0, 1):
            truth = counting.density(targets[i].xy[targets[i].classes == k] / 2, 1.5, (h, w)).numpy()
            part = found[i, k, :h, :w].detach().numpy()
            wrong = part - truth / head.peak
            for side, sums in blocks.items():
                factor = 1 if side == 1 else 1.5 / side
                sums += [(factor * wrong[y : y + side, x : x + side].sum()) ** 2 for y in range(0, h, side) for x in range(0, w, side)]
            n = int((targets[i].classes == k).sum())
            shares += ((part.sum() * head.peak - n) / (n + 1)) ** 2
        counts.append(shares)
        total += sum(np.mean(sums) for sums in blocks.values())
    terms = head.loss(DensityOut(found, extent), targets)
    assert terms["density"].item() == pytest.approx(total / 2) and terms["count"].item() == pytest.approx(0.1 * np.mean(counts))
    assert torch.autograd.gradcheck(lambda x: sum(head.loss(DensityOut(x, extent), targets).values()), found)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        head.loss(DensityOut(found, extent), [targets[0], dots((1.0, 1.0, 2))])


def pieces(mask):
    """Sets of cells that touch, corners included: found one cell at a time."""
    left, found = {tuple(cell) for cell in np.argwhere(mask).tolist()}, []
    while left:
        grown, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            grown.add((y, x))
            near = {(y + dy, x + dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2)} & left
            left -= near
            edge += near
        found.append(grown)
    return found


@pytest.mark.parametrize("balanced", [False, True])
def test_the_losses_of_lcfcn_are_the_papers(balanced):
    chance = np.random.default_rng(3)
    logits = torch.from_numpy(ndimage.gaussian_filter(chance.standard_normal((3, 18, 22)), (0, 1.5, 1.5)) * 12)
    xy = chance.uniform(0, 1, (7, 2)) * (22, 18)
    classes = np.array([0, 0, 0, 0, 0, 0, 0])  # the second class is not there
    found = counting.point_losses(logits.clone().requires_grad_(), xy, classes, balanced=balanced)
    p = torch.softmax(logits, 0).numpy()
    answer, cells = p.argmax(0), [(int(y), int(x)) for x, y in xy]
    assert found.image.item() == pytest.approx(np.mean([-np.log(p[0].max()), -np.log(p[1].max())]) - np.log(1 - p[2].max()))
    assert found.point.item() == pytest.approx(sum(-np.log(p[1][cell]) for cell in cells))
    wrong = [blob for k in (1, 2) for blob in pieces(answer == k) if k == 2 or not blob & set(cells)]
    assert wrong and found.false_positive.item() == pytest.approx(sum(-np.log(p[0][c]) / (len(b) if balanced else 1) for b in wrong for c in b))
    rows, columns = counting.dots_of(xy, (18, 22))
    weights = counting.watershed_lines(p[1], rows, columns).astype(float)
    weights *= 6 / weights.sum() if balanced else 1
    several = [blob for blob in pieces(answer == 1) if sum(cell in blob for cell in cells) > 1]
    assert several
    for blob in several:
        mine = np.array([cell in blob for cell in cells])
        ys, xs = zip(*blob, strict=True)
        window = np.s_[min(ys) : max(ys) + 1, min(xs) : max(xs) + 1]
        inside = np.zeros((18, 22), bool)
        inside[ys, xs] = True
        lines = np.zeros((18, 22), bool)
        lines[window] = counting.watershed_lines((p[1] * inside)[window], rows[mine] - min(ys), columns[mine] - min(xs))
        weights += (lines & inside) * ((mine.sum() - 1) / (lines & inside).sum() if balanced else mine.sum())
    assert found.split.item() == pytest.approx(float((weights * -np.log(p[0])).sum()))


def test_no_two_dots_stay_connected_beyond_the_watershed_lines():
    chance = np.random.default_rng(4)
    for _ in range(20):
        p = ndimage.gaussian_filter(chance.random((15, 19)), 1.0)
        cells = chance.permutation(15 * 19)[:5]
        rows, columns = np.divmod(cells, 19)
        lines = counting.watershed_lines(p, rows, columns)
        for blob in pieces(~lines):
            assert sum((y, x) in blob for y, x in zip(rows.tolist(), columns.tolist(), strict=True)) <= 1


def flooded(steps, rows, columns):
    """Basins by a queue of cells: the highest step first, then by the round in which they were reached, then the later dot."""
    basins = np.zeros(steps.shape, int)
    basins[rows, columns] = np.arange(1, len(rows) + 1)
    for level in sorted(set(steps.ravel().tolist()), reverse=True):
        while True:
            new = basins.copy()
            for y, x in np.argwhere((basins == 0) & (steps >= level)).tolist():
                new[y, x] = basins[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max()
            if (new == basins).all():
                break
            basins = new
    return basins


def test_the_watershed_is_the_slow_flood():
    chance = np.random.default_rng(6)
    p = ndimage.gaussian_filter(chance.random((12, 14)), 1.2) * 1.4 - 0.2
    rows, columns = np.divmod(chance.permutation(12 * 14)[:4], 14)
    basins = flooded(np.floor(p.clip(0, 1) * 31 + 0.5).astype(int), rows, columns)
    expected = [[len(set(basins[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].ravel())) > 1 for x in range(14)] for y in range(12)]
    assert counting.watershed_lines(p, rows, columns).tolist() == expected


def test_the_watershed_line_lies_in_the_valley_between_two_peaks():
    x = np.arange(31)
    row = np.maximum(np.exp(-((x - 8) ** 2) / 20), np.exp(-((x - 24) ** 2) / 20))
    lines = counting.watershed_lines(np.tile(row, (7, 1)), np.array([3, 3]), np.array([8, 24]))
    assert set(np.flatnonzero(lines[3]).tolist()) <= {14, 15, 16, 17} and lines[3].sum() >= 2 and lines[:, 15:17].all()


def test_the_gradient_of_the_losses_is_that_of_finite_differences_where_no_blob_changes():
    chance = np.random.default_rng(5)
    logits = torch.from_numpy(ndimage.gaussian_filter(chance.standard_normal((2, 9, 10)), (0, 1, 1)) * 8).requires_grad_()
    xy = np.array([[2.5, 2.5], [7.2, 6.1]])

    def total(x):
        return sum(counting.point_losses(x, xy, np.array([0, 0])))

    assert torch.autograd.gradcheck(total, logits, eps=1e-7, atol=1e-4)


def test_every_blob_is_a_dot_at_its_most_probable_cell():
    head = LCFCN(Level(4, 2), 2)
    logits = torch.zeros(1, 3, 8, 10)
    logits[0, 0] = 3.0
    for k, y, x, value in ((1, 1, 1, 5.0), (1, 2, 2, 6.0), (1, 6, 8, 9.0), (2, 6, 1, 7.0)):
        logits[0, k, y, x] = value
    found = head.decode(BlobsOut(logits, torch.tensor([[8, 10]])), [here((16, 20))])[0]
    assert found.xy.tolist() == [[17.0, 13.0], [5.0, 5.0], [3.0, 13.0]] and found.classes.tolist() == [0, 0, 1]
    assert found.scores[0] > found.scores[1]
    cut = head.decode(BlobsOut(logits, torch.tensor([[8, 4]])), [Meta("a", (32, 16), Geometry.resize((32, 16), (16, 8)))])[0]
    assert cut.xy.tolist() == [[10.0, 10.0], [6.0, 26.0]]
    empty = head.decode(BlobsOut(logits.mul(0).add(torch.tensor([1.0, 0, 0]).view(3, 1, 1)), torch.tensor([[8, 10]])), [here((16, 20))])[0]
    assert len(empty) == 0 and empty.xy.shape == (0, 2)


def test_images_without_dots_are_learnt_from_too():
    logits = torch.randn(3, 6, 7, requires_grad=True)
    terms = counting.point_losses(logits, np.zeros((0, 2)), np.zeros(0, np.int64))
    assert terms.point == 0 and terms.split == 0 and terms.image > 0
    sum(terms).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("build", [density_net, lcfcn_net])
def test_padding_changes_nothing_and_dots_go_back_to_their_image(build):
    torch.manual_seed(0)
    model = build(Inputs(3, (32, 48), (0.5,) * 3, (0.25,) * 3), CELLS, widths=(4, 8, 8)).eval()
    with torch.no_grad():
        model.heads["points"].output.weight.mul_(200)
    small = torch.rand(1, 3, 21, 33)
    padded = torch.nn.functional.pad(small, (0, 15, 0, 11), value=0.3)
    alone = model.outputs(small, torch.tensor([[21, 33]]))["points"]
    together = model.outputs(padded.repeat(2, 1, 1, 1), torch.tensor([[21, 33], [32, 48]]))["points"]
    h, w = together.extent[0].tolist()
    torch.testing.assert_close(together[0][0][:, :h, :w], alone[0][0], atol=1e-4, rtol=1e-4)
    found = model.predict(small, torch.tensor([[21, 33]]), [here((21, 33))])["points"][0]
    assert found.size == (21, 33) and (not len(found) or (found.xy.min() >= 0 and found.xy[:, 0].max() <= 33))
    with pytest.raises(ValueError, match="stride must be"):
        build(Inputs(3, (32, 48), (0.5,) * 3, (0.25,) * 3), CELLS, widths=(4, 8), stride=8)


@pytest.mark.parametrize(("build", "steps"), [(density_net, 60), (lcfcn_net, 25)])
def test_bright_discs_are_counted(build, steps):
    torch.manual_seed(0)
    chance = np.random.default_rng(0)

    def scene():
        centres = (np.array([(i, j) for i in range(4) for j in range(4)])[chance.permutation(16)[: chance.integers(2, 9)]] + 0.5) * 16
        y, x = np.indices((64, 64)) + 0.5
        picture = sum((((x - a) ** 2 + (y - b) ** 2) < 16).astype(np.float32) for a, b in centres)
        return torch.from_numpy(picture)[None], dots(*[(a, b, 0) for a, b in centres])

    model = build(Inputs(1, (64, 64), (0.1,), (0.3,)), LabelSpace(("disc",)), widths=(8, 16, 16))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5  # the training is short
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        pictures, targets = zip(*[scene() for _ in range(4)], strict=True)
        optimiser.zero_grad()
        sum(model(Batch(torch.stack(pictures), torch.full((4, 2), 64), {"points": targets}, [])).values()).backward()
        optimiser.step()
    metric = Counting(LabelSpace(("disc",)))
    for picture, target in [scene() for _ in range(12)]:
        metric.update(model.eval().predict(picture[None], torch.tensor([[64, 64]]), [here((64, 64))])["points"][0], target)
    assert metric.points()["mae"] <= 1.0  # the same number for every scene is wrong by 1.8


def test_the_errors_are_their_definitions():
    metric, halves = Counting(CELLS), [Counting(CELLS), Counting(CELLS)]
    cases = [
        (dots((1, 1, 0), (9, 9, 0), size=(10, 10)), dots((1, 9, 0), (9, 1, 0), (5, 5, 1))),
        (dots(size=(10, 10)), dots((2, 2, 0), (3, 3, -1))),
        (dots((1, 1, 1), (1, 2, 1), (1, 3, 1), size=(10, 10)), dots()),
    ]
    for i, (answer, truth) in enumerate(cases):
        for one in (metric, halves[i % 2]):
            one.update(answer, truth)
    metric.update(cases[0][0], None)
    found = metric.compute()
    errors = [2 - 3, 0 - 1, 3 - 0]
    assert found["mae"].value == pytest.approx(5 / 3) and found["rmse"].value == pytest.approx(math.sqrt(11 / 3))
    assert found["bias"].value == pytest.approx(np.mean(errors)) and found["mae_share"].value == pytest.approx(5 / 4)
    assert found["game1"].value == pytest.approx((3 + 1 + 3) / 3)  # of the first three quarters are wrong: (5, 5) is in the last one, where (9, 9) was answered
    assert found["mae"].low <= found["mae"].value <= found["mae"].high and found["mae"].n == 3
    assert (halves[0] + halves[1]).points() == pytest.approx(metric.points())
    rows = metric.per_class()
    assert [row["true"] for row in rows] == [3, 1] and [row["answered"] for row in rows] == [2, 3] and rows[1]["mae"] == pytest.approx((1 + 0 + 3) / 3)
    assert metric.of_image(*cases[2]) == {"error": 3, "answered": 3, "true": 0}
    assert math.isnan(Counting(CELLS).compute()["mae"].value) and Counting(CELLS).per_class() == []
    unsized = Counting(CELLS)
    unsized.update(dots((1, 1, 0)), dots((1, 1, 0)))
    assert "game1" not in unsized.points() and unsized.points()["mae"] == 0


def test_dots_keep_the_size_of_their_image():
    found = dots((1, 1, 0), (8, 8, 0), size=(9, 9)).warp(Geometry.crop(0, 0, (5, 6)))
    assert found.size == (5, 6) and len(found) == 1 and found.select([0]).size == (5, 6)
    assert Points.merge([found], [Geometry.identity((20, 30))]).size == (20, 30)


def test_heads_take_the_map_they_are_told():
    features = Features([torch.rand(1, 3, 9, 9), torch.rand(1, 4, 9, 9), torch.rand(1, 6, 5, 5)], torch.tensor([[9, 9]]))
    assert LCFCN(Level(6, 2), 1, at=2)(features).logits.shape == (1, 2, 5, 5)
    assert Density(Level(4, 1), 3)(features).density.shape == (1, 3, 9, 9)
