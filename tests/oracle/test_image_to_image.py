"""Networks whose answer is a picture: published sizes, what a fresh one answers, padding, losses by the slow definition, and the metric."""

import numpy as np
import pytest
import torch
from skimage import color, metrics

from saccade.core import Batch, Features, Geometry, Inputs, LabelSpace, Level, Meta
from saccade.metrics.restoration import BEST_DB, Restoration
from saccade.models.image_to_image import denoise_dncnn, denoise_refine, upscale_espcn, upscale_refine, upscale_srcnn
from saccade.nn.backbones.restoration import bicubic, folded, shifted
from saccade.nn.heads.restore import ImageOut, SubPixel
from saccade.ops.colour import luma
from saccade.ops.upsampling import resize
from saccade.targets import ImageTarget

pytestmark = pytest.mark.oracle
RGB, GREY = Inputs(3, (32, 32), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), Inputs(1, (32, 32), (0.5,), (0.25,))
NONE = LabelSpace(())
UPSCALERS, DENOISERS = (upscale_refine, upscale_espcn, upscale_srcnn), (denoise_refine, denoise_dncnn)


def kernels(model):
    return sum(p.numel() for p in model.parameters() if p.ndim == 4)


def whole(pictures):
    return torch.tensor([list(pictures.shape[2:])] * len(pictures))


def own(sizes):
    return [Meta(str(i), (h, w), Geometry.identity((h, w))) for i, (h, w) in enumerate(sizes)]


def test_the_published_networks_have_their_published_numbers_of_weights():
    assert kernels(upscale_srcnn(GREY, NONE)) == kernels(upscale_srcnn(RGB, NONE)) == 8_032  # Dong et al. 2016, section 4.1.2: 9-1-5
    assert kernels(upscale_espcn(GREY, NONE, factor=3)) == 25 * 64 + 9 * 64 * 32 + 9 * 32 * 9
    assert kernels(denoise_dncnn(GREY, NONE)) == 2 * 9 * 64 + 15 * 9 * 64 * 64


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("inputs", [RGB, GREY], ids=["colour", "grey"])
def test_a_fresh_upscaler_is_bicubic_interpolation(factor, inputs):
    x = torch.rand(2, inputs.channels, 9, 14)
    expected = resize(x.double(), (9 * factor, 14 * factor), antialias=False)
    for build in UPSCALERS:
        model = build(inputs, NONE, factor=factor)
        found = model.outputs(x, whole(x))["image"].image
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
        answer = model.predict(x, whole(x), own([(9, 14)] * 2))["image"][1]
        assert answer.scale == factor and answer.size == (9 * factor, 14 * factor) and 0 <= answer.pixels.min() and answer.pixels.max() <= 1


@pytest.mark.parametrize("build", DENOISERS)
@pytest.mark.parametrize("inputs", [RGB, GREY], ids=["colour", "grey"])
def test_a_fresh_denoiser_answers_what_it_is_given(build, inputs):
    x = torch.rand(1, inputs.channels, 7, 13)
    assert torch.equal(build(inputs, NONE).eval().outputs(x, whole(x))["image"].image, x)


@pytest.mark.parametrize("build", [*UPSCALERS, *DENOISERS])
def test_padding_changes_nothing(build):
    torch.manual_seed(0)
    model = build(RGB, NONE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.05)
    sizes = [(16, 24), (11, 24), (9, 5), (1, 1)]
    pictures = [torch.rand(3, *size) for size in sizes]
    padded = torch.full((4, 3, 16, 24), 0.7)
    for row, picture in zip(padded, pictures, strict=True):
        row[:, : picture.shape[1], : picture.shape[2]] = picture
    together = model.outputs(padded, torch.tensor(sizes))["image"].image
    for row, picture in zip(together, pictures, strict=True):
        alone = model.outputs(picture[None], whole(picture[None]))["image"].image[0]
        torch.testing.assert_close(row[:, : alone.shape[1], : alone.shape[2]], alone, atol=1e-5, rtol=1e-4)


def test_bicubic_and_folding_are_what_they_say():
    x = torch.rand(2, 3, 6, 5)
    torch.testing.assert_close(bicubic(x, 3).double(), resize(x.double(), (18, 15), antialias=False), atol=1e-5, rtol=0)
    assert bicubic(x, 1) is x
    cells = folded(x, 4)
    assert cells.shape == (2, 48, 2, 2) and cells[0, 16 * 2 + 4 * 1 + 3, 1, 0] == x[0, 2, 5, 3] and cells[0, 3 * 4 + 2, 1, 1] == 0
    wanted = torch.rand(2, 1, 6, 5)
    moved = shifted(x, wanted)
    torch.testing.assert_close(luma(moved), wanted)
    torch.testing.assert_close(moved[:, 0] - moved[:, 1], x[:, 0] - x[:, 1])


@pytest.mark.parametrize("criterion", ["l1", "l2"])
@pytest.mark.parametrize("planes", ["all", "luma"])
def test_the_loss_is_its_definition_over_known_values(criterion, planes):
    head = SubPixel(Level(4, 1), 3, scale=2, planes=planes, criterion=criterion).double()
    image = torch.rand(2, 3, 6, 8, dtype=torch.float64, requires_grad=True)
    targets = [ImageTarget(torch.rand(3, 6, 8), 2), ImageTarget(torch.rand(3, 4, 2), 2)]
    targets[0].pixels[1, 2, 3] = torch.nan  # a channel that is not known makes the pixel unknown
    total, count = 0.0, 0
    for answer, target in zip(image.detach(), targets, strict=True):
        for y in range(target.size[0]):
            for x in range(target.size[1]):
                right = target.pixels[:, y, x].double()
                if right.isnan().any():
                    continue
                pair = [v.view(3, 1, 1) for v in (answer[:, y, x], right)]
                one, two = (pair[0], pair[1]) if planes == "all" else (luma(pair[0]), luma(pair[1]))
                for a, b in zip(one.flatten().tolist(), two.flatten().tolist(), strict=True):
                    total, count = total + (abs(a - b) if criterion == "l1" else (a - b) ** 2), count + 1
    assert head.loss(ImageOut(image), targets)[criterion].item() == pytest.approx(total / count, rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: head.loss(ImageOut(x), targets)[criterion], image)
    nothing = head.loss(ImageOut(image), [ImageTarget(torch.full((3, 6, 8), torch.nan), 2)] * 2)[criterion]
    assert nothing == 0 and torch.autograd.grad(nothing, image)[0].abs().sum() == 0
    with pytest.raises(ValueError, match="enlarges by 2"):
        head.loss(ImageOut(image), [ImageTarget(torch.rand(3, 6, 8))] * 2)
    with pytest.raises(ValueError, match="does not fit"):
        head.loss(ImageOut(image), [ImageTarget(torch.rand(3, 7, 8), 2)] * 2)


def test_answers_go_back_into_pictures_that_were_scaled():
    head = SubPixel(Level(4, 1), 3)
    image = torch.rand(1, 3, 8, 8)
    found = head.decode(ImageOut(image), [Meta("a", (16, 16), Geometry.resize((16, 16), (8, 8)))])[0]
    assert found.size == (16, 16)
    torch.testing.assert_close(found.pixels[:, 8, 8], (image[0, :, 3:5, 3:5] * torch.tensor([[0.0625, 0.1875], [0.1875, 0.5625]])).sum((1, 2)))


@pytest.mark.parametrize(("build", "options"), [(upscale_refine, {"blocks": 1, "width": 8}), (denoise_refine, {"blocks": 1, "width": 16})])
def test_a_few_steps_improve_the_picture(build, options):
    """Stripes, blurred by the loss of every second pixel or hidden in noise, come back by 3 dB."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    clean = torch.stack([(torch.sin((x + k * y) * 0.9) > 0).float() for k in (0, 1, 2)])
    scale = 2 if build is upscale_refine else 1
    inputs = clean[None, :, ::2, ::2] if scale == 2 else clean[None] + 0.3 * torch.randn(1, 3, 48, 48)
    model, batch = build(RGB, NONE, **options), Batch(inputs, whole(inputs), {"image": [ImageTarget(clean, scale)]}, [])
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    scores = []
    for _ in range(2):
        metric = Restoration()
        metric.update(model.eval().predict(inputs, whole(inputs), own([tuple(inputs.shape[2:])]))["image"][0], ImageTarget(clean, scale))
        scores.append(metric.points()["psnr"])
        model.train()
        for _ in range(60 if len(scores) == 1 else 0):
            optimiser.zero_grad()
            sum(model(batch).values()).backward()
            optimiser.step()
    assert scores[1] > scores[0] + 3


def test_the_metric_is_that_of_scikit_image():
    chance = np.random.default_rng(0)
    right, answer = chance.random((3, 40, 37)), chance.random((3, 40, 37))
    found = Restoration().of_image(ImageTarget(torch.from_numpy(answer), 3), ImageTarget(torch.from_numpy(right), 3))
    cut = [x[:, 3:-3, 3:-3].transpose(1, 2, 0) for x in (right, answer)]
    lumas = [color.rgb2ycbcr(x)[..., 0] / 255 for x in cut]
    assert found["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(*lumas, data_range=1), rel=1e-6)
    assert found["psnr_rgb"] == pytest.approx(metrics.peak_signal_noise_ratio(*cut, data_range=1), rel=1e-6)
    expected = metrics.structural_similarity(*lumas, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert found["ssim"] == pytest.approx(expected, abs=1e-6)


def test_the_metric_adds_up_and_leaves_out_what_is_not_known():
    pictures = [torch.rand(1, 12, 13) for _ in range(6)]
    truths = [picture + 0.05 * torch.randn_like(picture) for picture in pictures]
    one, two, both = Restoration(), Restoration(), Restoration()
    for i, (picture, truth) in enumerate(zip(pictures, truths, strict=True)):
        for metric in ((one, two)[i % 2], both):
            metric.update(ImageTarget(picture), ImageTarget(truth))
    assert (one + two).points() == pytest.approx(both.points())
    value = both.compute()["psnr"]
    assert value.low < value.value < value.high and value.n == 6 and "psnr_rgb" not in both.points()
    hole = truths[0].clone()
    hole[:, :6] = torch.nan
    half = Restoration().of_image(ImageTarget(pictures[0]), ImageTarget(hole))["psnr"]
    assert half == pytest.approx(Restoration().of_image(ImageTarget(pictures[0][:, 6:]), ImageTarget(truths[0][:, 6:]))["psnr"])
    both.update(ImageTarget(pictures[0]), None)
    both.update(ImageTarget(pictures[0]), ImageTarget(torch.full((1, 12, 13), torch.nan)))
    assert len(both) == 6 and Restoration().compute()["psnr"].n == 0
    assert Restoration().of_image(ImageTarget(hole.nan_to_num(0.0)), ImageTarget(hole.nan_to_num(0.0)))["psnr"] == BEST_DB
    with pytest.raises(ValueError, match="compared"):
        both.update(ImageTarget(pictures[0]), ImageTarget(torch.rand(1, 12, 12)))


def test_features_without_a_map_are_not_needed():
    head = SubPixel(Level(2, 2), 3)
    out = head(Features([torch.rand(1, 3, 5, 7), torch.rand(1, 2, 3, 4)], torch.tensor([[5, 7]])))
    assert out.image.shape == (1, 3, 5, 7)
