"""Networks that name the class of every pixel. Each builder is `(inputs, space, **arguments) -> Model` with the head "map"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from saccade.core import Chain, Inputs, LabelSpace, Model
from saccade.models.arguments import ClassWeights, Widths
from saccade.nn.backbones.mobilenet import MobileNetV2
from saccade.nn.backbones.resnet import ResNet
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.unet import UNetEncoder
from saccade.nn.backbones.vgg import VGG
from saccade.nn.blocks import Norm
from saccade.nn.heads.segment import Loss, Output, Segment
from saccade.nn.necks.unet import UNetDecoder, Up

BackboneName = Literal["plain", "resnet18", "resnet34", "resnet50", "resnet101", "vgg11_bn", "vgg16_bn", "vgg16", "mobilenet_v2"]

BACKBONES: Mapping[str, Callable[[Inputs], Staged]] = {
    "resnet18": lambda inputs: ResNet(inputs, depth=18),
    "resnet34": lambda inputs: ResNet(inputs, depth=34),
    "resnet50": lambda inputs: ResNet(inputs, depth=50),
    "resnet101": lambda inputs: ResNet(inputs, depth=101),
    "vgg11_bn": lambda inputs: VGG(inputs, depth=11, norm="batch"),
    "vgg16_bn": lambda inputs: VGG(inputs, depth=16, norm="batch"),
    "vgg16": lambda inputs: VGG(inputs, depth=16),
    "mobilenet_v2": MobileNetV2,
}


def unet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    backbone: BackboneName = "plain",
    widths: Widths = (24, 48, 96, 192, 256),
    decoder: Widths | None = None,
    norm: Norm = "batch",
    upsampling: Up = "bilinear",
    output: Output = "softmax",
    loss: Loss = "cross_entropy_dice",
    edges: bool = False,
    class_weights: ClassWeights = None,
) -> Model:
    """U-Net"""
    body: Staged = UNetEncoder(inputs, widths=widths, norm=norm) if backbone == "plain" else BACKBONES[backbone](inputs)
    neck = UNetDecoder(body.levels, reach=body.reach, widths=decoder, norm=norm, upsampling=upsampling, full=True)
    options: dict[str, Any] = {"background": space.background, "output": output, "loss": loss, "edges": edges, "class_weights": class_weights}
    return Model(Chain(body, neck), {"map": Segment(neck.levels, len(space), **options)})
