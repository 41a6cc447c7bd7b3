"""Colours as numbers and as classes against slow definitions; grey pictures keep their lightness; the metric against scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage import color

from saccade.core import Batch, Features, Geometry, Inputs, LabelSpace, Level, Meta
from saccade.data.degrade import Degrade
from saccade.metrics.colours import Colours
from saccade.models.colorize import global_local
from saccade.nn.heads.colorize import Colorize, ColourOut
from saccade.nn.necks.global_fusion import GlobalFusion
from saccade.ops import colour_bins
from saccade.ops.colour import lab_of_rgb
from saccade.targets import ImageTarget

pytestmark = pytest.mark.oracle
RGB, NONE = Inputs(3, (64, 64), (0.5,) * 3, (0.25,) * 3), LabelSpace(())


def own(*sizes):
    return [Meta(str(i), size, Geometry.identity(size)) for i, size in enumerate(sizes)]


def test_every_colour_of_srgb_has_a_class_nearby_and_every_class_a_colour():
    centres = colour_bins.centres()
    assert 200 < len(centres) < 330 and len(set(map(tuple, centres.tolist()))) == len(centres)
    colours = torch.rand(3, 4000, 1)
    ab = lab_of_rgb(colours)[1:, :, 0].T
    distance = torch.cdist(ab, centres).amin(1)
    assert distance.max() < 7.9  # half the diagonal of a cell, and a little where the cube was looked through coarsely
    assert [0.0, 0.0] in centres.tolist()


def test_shares_and_rarity_are_those_of_the_paper():
    ab = torch.tensor([[3.0, -4.0], [57.3, 41.2]])
    found, centres = colour_bins.shares(ab), colour_bins.centres()
    for row, point in zip(found, ab, strict=True):
        distances = sorted((math.dist(point.tolist(), c), q) for q, c in enumerate(centres.tolist()))[:5]
        weights = {q: math.exp(-(d**2) / 50) for d, q in distances}
        for q in range(len(centres)):
            assert row[q].item() == pytest.approx(weights.get(q, 0.0) / sum(weights.values()), abs=1e-5)
    prior = np.array([math.exp(-math.hypot(*c) / 12) for c in centres.tolist()])
    prior /= prior.sum()
    weights = 1 / (0.5 * prior + 0.5 / len(prior))
    np.testing.assert_allclose(colour_bins.rarity(12.0).numpy(), weights / (weights * prior).sum(), rtol=1e-4)


def test_the_annealed_mean_goes_from_the_mean_to_the_mode():
    logits = torch.zeros(1, len(colour_bins.centres()), 1, 1)
    logits[0, 7], logits[0, 200] = 3.0, 2.9
    p = torch.softmax(logits / 0.38, 1)[0, :, 0, 0]
    torch.testing.assert_close(colour_bins.annealed_mean(logits)[0, :, 0, 0], (p[:, None] * colour_bins.centres()).sum(0), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(colour_bins.annealed_mean(logits, 1e-3)[0, :, 0, 0], colour_bins.centres()[7])


@pytest.mark.parametrize("rebalanced", [False, True])
def test_the_loss_is_its_definition_over_known_pixels(rebalanced):
    head = Colorize(Level(4, 2), rebalanced=rebalanced)
    q = len(colour_bins.centres()) if rebalanced else 2
    colours = (torch.randn(2, q, 2, 3) if rebalanced else 20 * torch.randn(2, 2, 4, 5)).double().requires_grad_()
    out = ColourOut(torch.full((2, 1, 4, 5), 50.0), colours)
    targets = [ImageTarget(torch.rand(3, 4, 5)), ImageTarget(torch.rand(3, 3, 2))]
    targets[0].pixels[:, 0, 0] = torch.nan
    total, count = 0.0, 0
    for i, target in enumerate(targets):
        h, w = target.size
        cells = [(y, x) for y in range(0, h, 2) for x in range(0, w, 2)] if rebalanced else [(y, x) for y in range(h) for x in range(w)]
        for y, x in cells:
            part = target.pixels[:, y : y + 2, x : x + 2] if rebalanced else target.pixels[:, y : y + 1, x : x + 1]
            known = part[:, ~part.isnan().any(0)]
            if not known.numel():
                continue
            ab = lab_of_rgb(known.mean(1).view(3, 1, 1))[1:, 0, 0]
            if rebalanced:
                wanted = colour_bins.shares(ab[None])[0]
                log_p = torch.log_softmax(colours[i, :, y // 2, x // 2].detach(), 0)
                total, count = total - float(head.rarity[wanted.argmax()] * (wanted * log_p).sum()), count + 1
            else:
                total, count = total + float(((colours[i, :, y, x].detach() - ab) ** 2).sum()) / 100**2, count + 2
    (value,) = head.loss(out, targets).values()
    assert value.item() == pytest.approx(total / count, rel=1e-4)
    gradient = torch.autograd.grad(value, colours)[0]
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    nothing = head.loss(out, [ImageTarget(torch.full((3, 4, 5), torch.nan))] * 2)
    assert all(v.item() == 0 for v in nothing.values())


@pytest.mark.parametrize("rebalanced", [False, True])
def test_a_fresh_network_answers_grey_and_keeps_the_lightness(rebalanced):
    torch.manual_seed(0)
    model = global_local(RGB, NONE, width=0.125, global_width=8, rebalanced=rebalanced).eval()
    grey = torch.rand(1, 1, 37, 50).expand(1, 3, -1, -1)
    answer = model.predict(grey, torch.tensor([[37, 50]]), own((37, 50)))["image"][0]
    assert answer.size == (37, 50)
    lightness = lab_of_rgb(answer.pixels)[0]
    inside = (answer.pixels > 0.001).all(0) & (answer.pixels < 0.999).all(0)  # other colours are not in sRGB and were cut
    assert (lightness - lab_of_rgb(grey[0])[0]).abs()[inside].max() < 0.1
    if not rebalanced:
        assert (answer.pixels - grey[0]).abs().max() < 0.05
    with pytest.raises(ValueError, match="three channels"):
        global_local(RGB._replace(channels=1), NONE)


@pytest.mark.parametrize("rebalanced", [False, True])
def test_padding_changes_nothing(rebalanced):
    torch.manual_seed(0)
    model = global_local(RGB, NONE, width=0.125, global_width=8, rebalanced=rebalanced).eval()
    torch.nn.init.normal_(model.heads["image"].output.weight, 0.0, 0.05)
    small = torch.rand(1, 3, 40, 33)
    padded = torch.nn.functional.pad(small, (0, 31, 0, 24), value=0.4)
    alone = model.outputs(small, torch.tensor([[40, 33]]))["image"].colours
    together = model.outputs(padded.repeat(2, 1, 1, 1), torch.tensor([[40, 33], [64, 64]]))["image"].colours[:1]
    h, w = alone.shape[2:]
    torch.testing.assert_close(together[..., :h, :w], alone, atol=2e-3, rtol=1e-3)


def test_the_global_features_reach_every_cell():
    neck = GlobalFusion((Level(3, 1), Level(4, 2)), width=5).eval()
    maps = [torch.rand(1, 3, 12, 12), torch.rand(1, 4, 6, 6)]
    changed = maps[1].clone()
    changed[0, :, 5, 5] += 9.0
    found = [neck(Features([maps[0], last], torch.tensor([[12, 12]]))).maps for last in (maps[1], changed)]
    assert found[0][0] is maps[0] and (found[0][1] != found[1][1]).flatten(2).any(1).all()


@pytest.mark.parametrize(("rebalanced", "steps"), [(False, 20), (True, 30)])
def test_red_and_blue_are_learnt_from_their_lightness(rebalanced, steps):
    torch.manual_seed(0)
    chance = np.random.default_rng(0)

    def picture():
        red = torch.from_numpy(chance.random((4, 4)) < 0.5).repeat_interleave(16, 0).repeat_interleave(16, 1)
        clean = torch.where(red, torch.tensor([0.9, 0.2, 0.2]).view(3, 1, 1), torch.tensor([0.1, 0.1, 0.6]).view(3, 1, 1))
        grey = torch.from_numpy(Degrade(grey=True, spread=True)(clean.permute(1, 2, 0).numpy(), chance)).permute(2, 0, 1)
        return clean, grey

    model = global_local(RGB, NONE, width=0.125, global_width=8, rebalanced=rebalanced)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        cleans, greys = zip(*[picture() for _ in range(4)], strict=True)
        optimiser.zero_grad()
        sum(model(Batch(torch.stack(greys), torch.full((4, 2), 64), {"image": [ImageTarget(c) for c in cleans]}, [])).values()).backward()
        optimiser.step()
    answered, grey = Colours(), Colours()
    for _ in range(4):
        clean, given = picture()
        answer = model.eval().predict(given[None], torch.tensor([[64, 64]]), own((64, 64)))["image"][0]
        answered.update(answer, ImageTarget(clean))
        grey.update(ImageTarget(given), ImageTarget(clean))
    assert answered.points()["delta_e"] < 0.6 * grey.points()["delta_e"] and grey.points()["chroma_share"] < 0.01


def test_the_metric_is_that_of_scikit_image_and_has_its_reference():
    chance = np.random.default_rng(0)
    right, answer = chance.random((12, 13, 3)), chance.random((12, 13, 3))
    targets = [ImageTarget(torch.from_numpy(x.transpose(2, 0, 1))) for x in (answer, right)]
    metric = Colours(reference=Colours())
    facts = metric.of_image(*targets)
    assert facts["delta_e"] == pytest.approx(color.deltaE_cie76(color.rgb2lab(answer), color.rgb2lab(right)).mean(), abs=1e-3)
    assert facts["psnr_rgb"] == pytest.approx(-10 * math.log10(((right - answer) ** 2).mean()))
    chroma = [np.hypot(*color.rgb2lab(x)[..., 1:].transpose(2, 0, 1)).mean() for x in (answer, right)]
    assert facts["chroma_share"] == pytest.approx(chroma[0] / chroma[1], abs=1e-3)
    metric.update(*targets)
    metric.reference.update(ImageTarget(targets[1].pixels * 0.9), targets[1])
    found = metric.points()
    assert found["psnr_rgb_gain"] == pytest.approx(found["psnr_rgb"] - found["psnr_rgb_unchanged"]) and (metric + metric).points() == pytest.approx(found)
    with pytest.raises(ValueError, match="three channels"):
        metric.update(ImageTarget(torch.rand(1, 3, 3)), ImageTarget(torch.rand(1, 3, 3)))


def test_grey_may_be_spread_over_all_channels():
    clean = np.random.default_rng(0).random((4, 5, 3), np.float32)
    spread, alone = (Degrade(grey=True, spread=s)(clean, np.random.default_rng(0)) for s in (True, False))
    assert spread.shape == (4, 5, 3) and np.array_equal(spread, np.repeat(alone, 3, axis=2))
    assert Degrade(grey=True, spread=True).channels(3) == 3 and Degrade(grey=True).channels(3) == 1
