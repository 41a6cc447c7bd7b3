"""Segmentation networks: padding changes nothing, answers are the source's pixels, weak truths, staged training, sliding windows."""

from functools import partial

import numpy as np
import pytest
import torch

from saccade.core import Batch, Inputs, LabelSpace, Meta, Model, decay_groups
from saccade.models import segment
from saccade.models.windows import by_windows
from saccade.nn.heads.segment import Segment, SegmentOut
from saccade.ops import pixel_losses
from saccade.ops.geometry import Geometry
from saccade.targets import SegmentationMap

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("ground", "tree", "house"), background=0)
RGB = Inputs(3, (64, 64), (0.5,) * 3, (0.25,) * 3)
BUILDERS = {
    "unet": partial(segment.unet, widths=(4, 8, 8), edges=True),
    "unet nearest": partial(segment.unet, widths=(4, 8, 8), upsampling="nearest", norm="group"),
    "unet transposed": partial(segment.unet, widths=(4, 8, 8), upsampling="transposed"),
    "unet sub_pixel": partial(segment.unet, widths=(4, 8, 8), upsampling="sub_pixel"),
    "unet resnet18": partial(segment.unet, backbone="resnet18", width=0.125),
    "unet vgg11": partial(segment.unet, backbone="vgg11_bn", width=0.125),
    "unet mobilenet": partial(segment.unet, backbone="mobilenet_v2", width=0.25),
    "fcn32s": partial(segment.fcn, stride=32, width=0.25, hidden=8),
    "fcn16s": partial(segment.fcn, stride=16, width=0.25, hidden=8),
    "fcn8s": partial(segment.fcn, stride=8, width=0.25, hidden=8),
    "fcn8s vgg": partial(segment.fcn, stride=8, backbone="vgg11_bn", width=0.125, hidden=8, kernel=7),
    "segnet": partial(segment.segnet, widths=(4, 8, 8), counts=(1, 2, 1)),
    "segnet nearest": partial(segment.segnet, widths=(4, 8), counts=(1, 1), unpooling="nearest"),
    "segnet nails": partial(segment.segnet, widths=(4, 8), counts=(1, 1), unpooling="bed_of_nails"),
    "deconvnet": partial(segment.deconvnet, widths=(4, 8), counts=(1, 1), hidden=8),
    "dilated": partial(segment.dilated, width=0.25, hidden=8, auxiliary=True),
    "deeplab": partial(segment.deeplab, width=0.25, channels=8, rates=(1, 2)),
    "full_resolution": partial(segment.full_resolution, width=4, dilations=(1, 2, 1)),
    "multi_scale": partial(segment.multi_scale, width=4, depth=2),
}


def made(name, dtype=torch.float64):
    torch.manual_seed(3)
    model = BUILDERS[name](RGB, SPACE).to(dtype).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
        if isinstance(part, torch.nn.ConvTranspose2d) or (isinstance(part, torch.nn.Conv2d) and not part.weight.any()):
            part.weight.data.normal_(0, 0.2)
    return model


@pytest.mark.parametrize("name", BUILDERS)
def test_an_image_gives_in_a_padded_batch_what_it_gives_alone(name):
    model, chance = made(name), torch.Generator().manual_seed(0)
    sizes = [(70, 45), (41, 96), (33, 37)]
    images = [torch.rand(3, *size, generator=chance, dtype=torch.float64) for size in sizes]
    padded = torch.full((len(sizes), 3, 96, 96), 0.7, dtype=torch.float64)
    for row, image in zip(padded, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    together = model.outputs(padded, torch.tensor(sizes))["map"]
    for i, (image, (h, w)) in enumerate(zip(images, sizes, strict=True)):
        alone = model.outputs(image[None], torch.tensor([[h, w]]))["map"]
        assert alone.logits.shape == (1, 3, h, w)
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(b[i : i + 1, ..., :h, :w], a, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_step_moves_every_parameter_that_its_stages_train(name):
    model = made(name, torch.float32).train()
    ids = torch.randint(0, 3, (2, 64, 64), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    truths = [SegmentationMap(t, objects=(t > 0).int()) for t in ids]
    batch = Batch(torch.rand(2, 3, 64, 64), torch.tensor([[64, 64]] * 2), {"map": truths}, [])
    sum(model(batch).values()).backward()
    idle = [key for key, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not [key for key in idle if not key.endswith("bias")], idle


@pytest.mark.parametrize("source", [(64, 64), (50, 64), (128, 96)])
def test_the_ideal_output_decodes_to_the_truth(source):
    head = Segment(made("unet").backbone.levels, 3, background=0)
    ids = torch.from_numpy(np.kron(np.random.default_rng(0).integers(0, 3, (source[0] // 2, source[1] // 2)), np.ones((2, 2))).astype(np.uint8))
    fit = Geometry.resize(source, (64, 64)) if source[0] > 64 else Geometry(np.eye(2, 3), (64, 64))
    seen = SegmentationMap(ids).warp(fit).ids
    logits = 30.0 * pixel_losses.one_hot(torch.where(seen == 255, 0, seen).long()[None], 3).float()
    out = SegmentOut(logits, logits[:, :0], logits[:, None][:, :0])
    found = head.decode(out, [Meta("a", source, fit)])[0]
    assert found.size == source and found.probabilities.shape == (3, *source)
    torch.testing.assert_close(found.probabilities.sum(0), torch.ones(source))
    assert (found.ids == ids).float().mean() > (0.999 if source[0] <= 64 else 0.5)


def test_pixels_that_the_input_does_not_show_are_ignored_in_the_answer():
    head = Segment(made("unet").backbone.levels, 3, background=0)
    logits = torch.randn(1, 3, 64, 64)
    cover = Geometry.crop(10, 0, (64, 64))
    found = head.decode(SegmentOut(logits, logits[:, :0], logits[:, None][:, :0]), [Meta("a", (64, 80), cover)])[0]
    assert (found.ids[:, :9] == 255).all() and (found.ids[:, 75:] == 255).all() and (found.ids[:, 11:73] != 255).all()


def head_and_out(loss="cross_entropy_dice", **options):
    torch.manual_seed(0)
    head = Segment(made("unet").backbone.levels, 3, background=0, loss=loss, **options)
    logits = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    return head, SegmentOut(logits, logits[:, :1], logits[:, None][:, :0])


@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy_dice", "cross_entropy_lovasz", "focal", "dice", "lovasz"])
def test_ignored_pixels_have_no_gradient_and_a_batch_of_them_no_loss(loss):
    head, out = head_and_out(loss)
    ids = torch.randint(0, 3, (2, 8, 8)).to(torch.uint8)
    ids[0, :4] = 255
    (slope,) = torch.autograd.grad(sum(head.loss(out, [SegmentationMap(t) for t in ids]).values()), out.logits)
    assert bool((slope[0, :, :4] == 0).all()) and bool((slope[0, :, 4:] != 0).any()) and bool((slope[1] != 0).any())
    nothing = head.loss(out, [SegmentationMap.empty((8, 8))] * 2)
    assert float(sum(nothing.values()).detach()) == 0
    (slope,) = torch.autograd.grad(sum(nothing.values()), out.logits)
    assert not bool(slope.any())


def test_an_image_with_a_few_known_pixels_has_the_voice_of_a_full_one():
    head, out = head_and_out("cross_entropy")
    full = SegmentationMap(torch.zeros(8, 8, dtype=torch.uint8))
    ids = torch.full((8, 8), 255, dtype=torch.uint8)
    ids[2, 3], ids[5, 5] = 1, 2
    both = float(head.loss(out, [full, SegmentationMap(ids)])["cross_entropy"].detach())
    rows = [-torch.log_softmax(out.logits.detach()[i], 0) for i in (0, 1)]
    assert both == pytest.approx((float(rows[0][0].mean()) + float(rows[1][1, 2, 3] + rows[1][2, 5, 5]) / 2) / 2)


def test_bounds_are_the_cross_entropy_of_the_classes_that_a_pixel_may_be_of():
    head, out = head_and_out("cross_entropy")
    allowed = torch.zeros(3, 8, 8, dtype=torch.bool)
    allowed[0], allowed[1, 2:5, 2:5] = True, True
    ids = torch.where(allowed.sum(0) == 1, 0, 255).to(torch.uint8)
    losses = head.loss(out, [SegmentationMap(ids, allowed=allowed), SegmentationMap(ids)])
    p = torch.softmax(out.logits.detach()[0], 0)
    assert float(losses["bounds"].detach()) == pytest.approx(float(-(p[0] + p[1])[2:5, 2:5].log().mean()))
    assert "bounds" not in head.loss(out, [SegmentationMap(ids)] * 2)


def test_edges_are_learnt_from_objects_alone():
    head, out = head_and_out("cross_entropy", edges=True)
    plain, objects = torch.zeros(8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.int32)
    objects[:, :4], objects[:, 5:] = 1, 2
    edges = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    out = out._replace(edges=edges)
    losses = head.loss(out, [SegmentationMap(plain), SegmentationMap(plain, objects=objects)])
    between = torch.zeros(8, 8, dtype=torch.bool)
    between[:, 3:6] = True  # within two pixels of both
    share = torch.where(between, 4.0, 1.0)
    terms = torch.nn.functional.binary_cross_entropy_with_logits(edges[1, 0], between.double(), reduction="none")
    assert float(losses["edges"]) == pytest.approx(float((share * terms).sum() / share.sum()))
    assert float(head.loss(out, [SegmentationMap(plain)] * 2)["edges"]) == 0


def test_one_sigmoid_output_is_a_softmax_of_two():
    torch.manual_seed(0)
    for background in (0, 1):
        space = LabelSpace(("a", "b"), background=background)
        model = segment.unet(RGB, space, widths=(4, 8), output="sigmoid").eval()
        logits = model.outputs(torch.rand(1, 3, 16, 16), torch.tensor([[16, 16]]))["map"].logits
        assert not logits[:, background].any() and bool(logits[:, 1 - background].any())
        assert model.heads["map"].classifier[-1].out_channels == 1
    with pytest.raises(ValueError, match="two classes"):
        segment.unet(RGB, SPACE, output="sigmoid")


def test_a_class_that_the_head_does_not_have_is_refused():
    head, out = head_and_out()
    wrong = torch.full((8, 8), 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"class ids must be 0\.\.2"):
        head.loss(out, [SegmentationMap(wrong)] * 2)
    with pytest.raises(ValueError, match="a map of 4x8"):
        head.loss(out, [SegmentationMap(wrong[:4])] * 2)


def test_staged_fcn_learns_its_skips_one_after_another():
    torch.manual_seed(0)
    model = segment.fcn(RGB, SPACE, stride=8, width=0.25, hidden=8)
    stages = model.stages()
    assert [s.name for s in stages] == ["fcn32s", "fcn16s", "fcn8s"] and sum(s.epochs for s in stages) == 1
    trained = [{id(p) for group in s.phases[0].groups() for p in group["params"]} for s in stages]
    neck = model.backbone.necks[0]
    for stage, own in enumerate(trained):
        for i, (skip, up) in enumerate(zip(neck.skips, neck.ups, strict=True)):
            assert (id(skip.weight) in own) == (id(up.weight) in own) == (i < stage)
    assert trained[2] == {id(p) for group in decay_groups(model) for p in group["params"]}


def test_a_fresh_fcn8s_is_its_fcn32s_enlarged():
    torch.manual_seed(0)
    fine, coarse = (segment.fcn(RGB, SPACE, stride=stride, width=0.25, hidden=8).double().eval() for stride in (8, 32))
    coarse.load_state_dict(fine.state_dict(), strict=False)
    images, sizes = torch.rand(1, 3, 128, 128, dtype=torch.float64), torch.tensor([[128, 128]])
    a, b = (model.outputs(images, sizes)["map"].logits.detach() for model in (fine, coarse))
    inner = slice(40, 88)
    assert float((a - b)[..., inner, inner].abs().mean() / b.std()) < 0.1  # bilinear thrice is nearly bilinear once


@pytest.mark.parametrize("name", ["full_resolution", "multi_scale"])
def test_one_pass_equals_the_sliding_window(name):
    model, context = made(name), 11
    images = torch.rand(1, 3, 14, 17, dtype=torch.float64)
    if name == "multi_scale":
        model = segment.multi_scale(RGB, SPACE, width=4, depth=2, scales=(1,)).double().eval()
    assert model.backbone.context <= context
    whole = model.outputs(images, torch.tensor([[14, 17]]))["map"].logits
    found = by_windows(model, images, context)
    assert found.passes == 14 * 17
    torch.testing.assert_close(found.logits, whole, rtol=1e-9, atol=1e-10)
    assert not torch.allclose(by_windows(model, images, 3).logits, whole, rtol=1e-3)
    with pytest.raises(ValueError, match="odd"):
        by_windows(model, images, 4)


def test_any_backbone_dilated_keeps_its_receptive_field_and_weights():
    plain, fine = (segment.dilated(RGB, SPACE, width=0.25, hidden=0, output_stride=stride) for stride in (16, 8))
    assert plain.state_dict().keys() == fine.state_dict().keys()
    assert [model.backbone.levels[-1].stride for model in (plain, fine)] == [16, 8]


@pytest.mark.parametrize(("builder", "name"), [(segment.dilated, "vgg16"), (segment.deeplab, "vgg16")])
def test_backbones_without_a_dilated_form_are_refused(builder, name):
    with pytest.raises(ValueError, match=r"dilated form|no map that fits"):
        builder(RGB, SPACE, backbone=name, width=0.125)


def test_all_models_are_models_with_one_head_of_maps():
    for name in BUILDERS:
        model = made(name)
        assert isinstance(model, Model) and list(model.heads) == ["map"]
