"""Networks that name the class of every pixel. Each builder is `(inputs, space, **arguments) -> Model` with the head "map"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from saccade.core import Backbone, Chain, Inputs, LabelSpace, Model, Neck, Phase, Stage, decay_groups
from saccade.models.arguments import ClassWeights, Count, Counts, Share, Width, WidthFactor, Widths
from saccade.nn.backbones.context import FullResolution, MultiScale
from saccade.nn.backbones.mobilenet import MobileNetV2
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.unet import UNetEncoder
from saccade.nn.backbones.unpooling import Unpooling, UnpoolingNet
from saccade.nn.backbones.vgg import VGG
from saccade.nn.blocks import Norm
from saccade.nn.heads.segment import Loss, Output, Segment
from saccade.nn.necks.aspp import ASPP
from saccade.nn.necks.fcn import FCNSkips
from saccade.nn.necks.unet import UNetDecoder, Up
from saccade.nn.refine import Refine

BackboneName = Literal["small", "resnet18", "resnet34", "resnet50", "resnet101", "vgg11_bn", "vgg16_bn", "vgg16", "mobilenet_v2"]
UNetBackbone = Literal["plain", "small", "resnet18", "resnet34", "resnet50", "resnet101", "vgg11_bn", "vgg16_bn", "vgg16", "mobilenet_v2"]
Kernel = Annotated[int, Field(ge=1, le=15)]
Dilations = Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=1, max_length=16)]
Hidden = Annotated[int, Field(ge=0, le=8192)]

BACKBONES: Mapping[str, Callable[[Inputs, float], Staged]] = {
    "small": lambda inputs, width: ResNet(inputs, depth=18, stem="imagenet", width=width * 0.5),
    "resnet18": lambda inputs, width: ResNet(inputs, depth=18, stem="imagenet", width=width),
    "resnet34": lambda inputs, width: ResNet(inputs, depth=34, stem="imagenet", width=width),
    "resnet50": lambda inputs, width: ResNet(inputs, depth=50, stem="imagenet", width=width),
    "resnet101": lambda inputs, width: ResNet(inputs, depth=101, stem="imagenet", width=width),
    "vgg11_bn": lambda inputs, width: VGG(inputs, depth=11, norm="batch", width=width),
    "vgg16_bn": lambda inputs, width: VGG(inputs, depth=16, norm="batch", width=width),
    "vgg16": lambda inputs, width: VGG(inputs, depth=16, width=width),
    "mobilenet_v2": lambda inputs, width: MobileNetV2(inputs, width=width),
}
"""Backbones with maps of strides up to 32, at a factor of their channels; "small" is a ResNet-18 of half the width."""


def unet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: UNetBackbone = "plain",
    widths: Widths = (16, 32, 64, 128, 256),
    width: WidthFactor = 1.0,
    stride: Literal[1, 2] = 1,
    upsampling: Up = "bilinear",
    norm: Norm = "batch",
    output: Output = "softmax",
    loss: Loss = "cross_entropy_dice",
    edges: bool = False,
    dropout: Share = 0.0,
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """U-Net: Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015.

    Published: 23 layers, 31.0 million parameters (widths 64 to 1024), IoU 0.92 on PhC-U373 and 0.776 on DIC-HeLa of the ISBI 2015 challenge.
    backbone: "plain" is the paper's path, of these `widths`; any other one brings its own (times `width`) and is followed by one more step to the
    input's resolution. stride: 2 begins (the plain path) and ends at half the input's resolution and enlarges the scores, for a quarter of the
    work. edges: learns besides where objects meet, from truths that tell single objects, and pulls answered objects apart there; stands for the
    paper's weights between touching cells (eq. 2). Deviations: see `nn.backbones.unet`; Dice loss beside cross entropy;
    bilinear enlargement unless told otherwise, and a fourth of the width, for two processor cores.
    """
    body: Staged = UNetEncoder(inputs, widths=widths, norm=norm, stride=stride) if backbone == "plain" else BACKBONES[backbone](inputs, width)
    decoder = [max(16, level.channels // 2) for level in _by_stride(body)[:-1] if level.stride >= stride] if backbone != "plain" else None
    if decoder is not None and body.levels[1].stride > stride:
        decoder = [16, *decoder]
    neck = UNetDecoder(body.levels, reach=body.reach, widths=decoder, norm=norm, upsampling=upsampling, full=stride == 1, finest=stride)
    options: dict[str, Any] = {"background": space.background, "output": output, "loss": loss, "edges": edges, "class_weights": class_weights, "refine": refine}
    return Model(Chain(body, neck), {"map": Segment(neck.levels, len(space), dropout=dropout, **options)})


def _by_stride(body: Backbone) -> list[Any]:
    """The last level of every stride but the input's own."""
    return list({level.stride: level for level in body.levels[1:]}.values())


class StagedFCN(Model):
    """A fully convolutional network that learns its skips one after another: FCN-32s first, then 16s, then 8s. Long et al. 2015, section 4.2.

    Every stage goes on with all that the ones before have learnt. Half of the epochs are the first stage's, the others share the rest.
    Deviation: every stage has the same rate, warmed up and annealed anew; the paper divides it by 100 for the skips.
    """

    def __init__(self, backbone: Chain, neck: FCNSkips, heads: Mapping[str, Any]) -> None:
        super().__init__(backbone, heads)
        self._skips = [neck]  # in a list, because the backbone holds it as a module already

    def stages(self) -> Sequence[Stage]:
        count = len(self._skips[0].skips)
        names = [f"fcn{stride}s" for stride in self._skips[0].strides]
        shares = [1.0] if not count else [0.5, *[0.5 / count] * count]

        def groups(stage: int) -> Callable[[], list[dict[str, Any]]]:
            return lambda: _without(decay_groups(self), self._skips[0].stage_parameters(stage))

        return tuple(Stage(name, share, (Phase(name, groups(i)),)) for i, (name, share) in enumerate(zip(names, shares, strict=True)))


def _without(groups: list[dict[str, Any]], left_out: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameter groups without some parameters, and without the groups that hold no others."""
    out = {id(p) for p in left_out}
    kept = [{**group, "params": [p for p in group["params"] if id(p) not in out]} for group in groups]
    return [group for group in kept if group["params"]]


def fcn(
    inputs: Inputs,
    space: LabelSpace,
    *,
    stride: Literal[8, 16, 32],
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    hidden: Hidden = 256,
    kernel: Kernel = 3,
    staged: bool = True,
    dropout: Share = 0.0,
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """FCN: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015.

    Published (VGG-16, PASCAL VOC 2011 validation, mean IoU): FCN-32s 59.4 %, FCN-16s 62.4 %, FCN-8s 62.7 %. The paper's own net is
    `backbone="vgg16", hidden=4096, kernel=7, dropout=0.5`. staged: each finer network starts from the coarser one, within one run.
    Deviations: convolutions keep the size, so that no border of 100 pixels is needed; normalised small backbone unless told otherwise; see `StagedFCN`.
    """
    body = BACKBONES[backbone](inputs, width)
    norm: Norm = "none" if backbone == "vgg16" else "batch"
    neck = FCNSkips(body.levels, len(space), stride=stride, reach=body.reach, hidden=hidden, kernel=kernel, dropout=dropout, norm=norm)
    options: dict[str, Any] = {
        "background": space.background,
        "scores": True,
        "reach": body.reach,
        "loss": loss,
        "class_weights": class_weights,
        "refine": refine,
    }
    heads = {"map": Segment(neck.levels, len(space), **options)}
    return StagedFCN(Chain(body, neck), neck, heads) if staged else Model(Chain(body, neck), heads)


def segnet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 96, 128),
    counts: Counts = (2, 2, 2, 2),
    unpooling: Unpooling = "switches",
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """SegNet: Badrinarayanan, Kendall, Cipolla, "SegNet: a deep convolutional encoder-decoder architecture", PAMI 2017.

    Published: 29.5 million parameters, CamVid mean IoU 60.1 %. The paper's own net is `widths=(64, 128, 256, 512, 512), counts=(2, 2, 3, 3, 3)`.
    Deviation: fewer and narrower layers for two processor cores.
    """
    body = UnpoolingNet(inputs, widths=widths, counts=counts, unpooling=unpooling)
    return Model(body, {"map": Segment(body.levels, len(space), background=space.background, loss=loss, class_weights=class_weights, refine=refine)})


def deconvnet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 96, 128),
    counts: Counts = (2, 2, 2, 2),
    unpooling: Unpooling = "switches",
    hidden: Width = 256,
    kernel: Kernel = 3,
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """DeconvNet: Noh, Hong, Han, "Learning deconvolution network for semantic segmentation", ICCV 2015.

    Published: PASCAL VOC 2012 test mean IoU 69.6 % (with a CRF 70.5 %). The paper's own net is `widths=(64, 128, 256, 512, 512),
    counts=(2, 2, 3, 3, 3), hidden=4096, kernel=7`. Deviations: whole images instead of object proposals; see `nn.backbones.unpooling`.
    """
    body = UnpoolingNet(inputs, widths=widths, counts=counts, unpooling=unpooling, hidden=hidden, hidden_kernel=kernel)
    return Model(body, {"map": Segment(body.levels, len(space), background=space.background, loss=loss, class_weights=class_weights, refine=refine)})


def dilated(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    output_stride: Literal[8, 16] = 8,
    hidden: Hidden = 128,
    dropout: Share = 0.0,
    auxiliary: bool = False,
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """A classifier's network dilated to stride 8 or 16 with a small fully convolutional head: Yu, Koltun, Funkhouser, "Dilated residual networks", CVPR 2017.

    Published weights: fcn_resnet50 and fcn_resnet101 of torchvision are of this form, mean IoU on COCO val2017 with PASCAL VOC's classes 60.5 % and
    63.7 %; they are the models of those names. auxiliary: a second classifier on the map before the last. hidden: channels of the 3x3 convolution.
    """
    body = BACKBONES[backbone](inputs, width).arranged(output_stride=output_stride)
    early = [(len(body.levels) - 2, max(1, hidden // 2))] if auxiliary else []
    return _stretched(body, None, space, hidden=hidden, dropout=dropout, auxiliary=early, loss=loss, class_weights=class_weights, refine=refine)


def deeplab(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "small",
    width: WidthFactor = 1.0,
    output_stride: Literal[8, 16] = 8,
    rates: Dilations | None = None,
    channels: Width = 128,
    image: bool = True,
    dropout: Share = 0.1,
    auxiliary: bool = False,
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """DeepLabv3: Chen, Papandreou, Schroff, Adam, "Rethinking atrous convolution for semantic image segmentation", 2017.

    Published: PASCAL VOC 2012 test mean IoU 85.7 % (ResNet-101, JFT); torchvision's weights on COCO val2017 with PASCAL VOC's classes 66.4 %
    (deeplabv3_resnet50) and 67.4 % (deeplabv3_resnet101), which are the models of those names. rates: 12, 24, 36 for stride 8, half of it for 16.
    Answers may be sharpened by a dense CRF (`structured`). Deviation: bilinear enlargement of the scores, as published, without a decoder.
    """
    body = BACKBONES[backbone](inputs, width).arranged(output_stride=output_stride)
    spread = rates or tuple(rate * 8 // output_stride for rate in (12, 24, 36))
    neck = ASPP(body.levels, rates=spread, channels=channels, dropout=dropout, image=image, reach=body.reach)
    early = [(len(body.levels) - 2, channels)] if auxiliary else []
    return _stretched(body, neck, space, hidden=channels, dropout=0.0, auxiliary=early, loss=loss, class_weights=class_weights, refine=refine)


def published(
    inputs: Inputs,
    space: LabelSpace,
    *,
    kind: Literal["fcn", "deeplabv3"],
    depth: Literal[50, 101],
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """The fully convolutional ResNet and the DeepLabv3 whose weights torchvision publishes: stride 8, an auxiliary classifier, scores stretched to the image.

    Published (COCO val2017 with PASCAL VOC's 21 classes, mean IoU, pixel accuracy): fcn_resnet50 60.5 %, 91.4 %; fcn_resnet101 63.7 %, 91.9 %;
    deeplabv3_resnet50 66.4 %, 92.4 %; deeplabv3_resnet101 67.4 %, 92.4 %. Chen et al. 2017; Long et al. 2015.
    """
    body = ResNet(inputs, depth=depth, stem="imagenet").arranged(output_stride=8)
    early = [(len(body.levels) - 2, 256)]
    if kind == "fcn":
        return _stretched(body, None, space, hidden=512, dropout=0.1, auxiliary=early, loss=loss, class_weights=class_weights, refine=refine)
    neck = ASPP(body.levels, reach=body.reach)
    return _stretched(body, neck, space, hidden=256, dropout=0.0, auxiliary=early, loss=loss, class_weights=class_weights, refine=refine)


def _stretched(body: Staged, neck: Neck | None, space: LabelSpace, *, auxiliary: Sequence[tuple[int, int]], **options: Any) -> Model:
    levels = body.levels if neck is None else neck.levels
    if body.reach != 1:
        raise ValueError("a backbone whose poolings round down has no dilated form; choose a ResNet or a MobileNet")
    head = Segment(levels, len(space), background=space.background, at=len(levels) - 1, enlarging="stretch", auxiliary=auxiliary, **options)
    return Model(body if neck is None else Chain(body, neck), {"map": head})


def full_resolution(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: Width = 32,
    dilations: Dilations = (1, 1, 2, 4, 8, 16, 1),
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """Convolutions at full resolution without pooling; context grows with the dilations alone: Yu, Koltun, "Multi-scale context aggregation", ICLR 2016.

    Published: a context module of seven such layers on a front end, PASCAL VOC 2012 test mean IoU 67.6 % for the front end alone and 73.5 %
    with it. With dilations of 1 it is what a sliding window computes (see `models.windows`).
    """
    body = FullResolution(inputs, width=width, dilations=dilations)
    return Model(body, {"map": Segment(body.levels, len(space), background=space.background, loss=loss, class_weights=class_weights, refine=refine)})


def multi_scale(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: Width = 32,
    depth: Count = 4,
    scales: Counts = (1, 2, 4),
    loss: Loss = "cross_entropy",
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """One small network over several scales of the image: Farabet, Couprie, Najman, LeCun, "Learning hierarchical features for scene labeling", PAMI 2013.

    Published: Stanford background, 78.8 % of pixels (81.4 % with superpixels and a tree). Deviations: see `nn.backbones.context`.
    """
    body = MultiScale(inputs, width=width, depth=depth, scales=scales)
    return Model(body, {"map": Segment(body.levels, len(space), background=space.background, loss=loss, class_weights=class_weights, refine=refine)})
