"""The networks of the ImageNet years by name. Each builder is `(inputs, space, **arguments) -> Model` with the head "label"."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import ClassWeights, OutputStride, Share, WidthFactor
from saccade.nn.backbones.alexnet import AlexNet
from saccade.nn.backbones.densenet import DenseNet
from saccade.nn.backbones.googlenet import Fifth, GoogLeNet
from saccade.nn.backbones.inception import InceptionV3
from saccade.nn.backbones.inception_resnet import InceptionResNetV2
from saccade.nn.backbones.inception_v2 import InceptionV2
from saccade.nn.backbones.mobilenet import MobileNetV1, MobileNetV2
from saccade.nn.backbones.squeezenet import SqueezeNet
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.vgg import VGG
from saccade.nn.blocks import ConvNorm, Norm, scaled
from saccade.nn.heads.auxiliary import AuxiliaryClassify, Early, Late
from saccade.nn.heads.classify import Classify
from saccade.nn.heads.dense import DenseClassify, MapClassify


def alexnet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    towers: Literal[1, 2] = 1,
    width: WidthFactor = 1.0,
    dropout: Share = 0.5,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012.

    Published: two towers, 60 million parameters, ImageNet top-1 59.3 % (one net, five crops and their flips averaged); one tower
    (Krizhevsky 2014), 61,100,840 parameters, 56.52 % of one 224 px crop with today's weights.
    Deviations: see `nn.backbones.alexnet`. Raises ValueError for inputs below 63 px.
    """
    backbone = AlexNet(inputs, towers=towers, width=width)
    hidden = (scaled(4096, width), scaled(4096, width))
    return _model(backbone, DenseClassify, space, grid=6, hidden=hidden, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def vgg(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    norm: Norm = "none",
    dense: Literal[0, 1, 2] = 2,
    width: WidthFactor = 1.0,
    output_stride: OutputStride = 32,
    checkpointing: bool = False,
    dropout: Share = 0.5,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.

    Published (parameters with 1000 classes; ImageNet top-1 of one 224 px crop, today's weights): vgg11 132,863,336, 69.02 %;
    vgg13 133,047,848, 69.93 %; vgg16 138,357,544, 71.59 %; vgg19 143,667,240, 72.38 %; with batch normalisation 1 to 2 % more.
    dense: dense layers of 4,096 units before the last; 0 pools globally instead, as is usual today.
    """
    backbone = VGG(inputs, depth=depth, norm=norm, width=width).arranged(output_stride=output_stride, checkpointing=checkpointing)
    common: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    if not dense:
        return _model(backbone, Classify, space, **common)
    return _model(backbone, DenseClassify, space, grid=7, hidden=(scaled(4096, width),) * dense, **common)


def squeezenet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    checkpointing: bool = False,
    dropout: Share = 0.5,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv:1602.07360, 2016.

    Published: 1,235,496 parameters with 1000 classes, ImageNet top-1 58.18 %. Raises ValueError for inputs below 17 px.
    """
    backbone = SqueezeNet(inputs, width=width).arranged(checkpointing=checkpointing)
    return _model(backbone, MapClassify, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def googlenet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    norm: Norm = "batch",
    fifth: Fifth = 3,
    width: WidthFactor = 1.0,
    auxiliary: bool = True,
    auxiliary_dropout: Share = 0.7,
    checkpointing: bool = False,
    dropout: Share = 0.4,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """GoogLeNet: Szegedy et al., "Going deeper with convolutions", CVPR 2015.

    Published: 6.8 million parameters without the auxiliary classifiers (13,004,888 with them and 1000 classes, as today's weights),
    ImageNet top-1 69.78 % of one crop. auxiliary: the two classifiers half-way, whose losses count 0.3 each.
    Deviations, those of today's weights: batch normalisation (`norm="none"` is the paper's), 3x3 in the place of 5x5 (`fifth=5` is
    the paper's). Raises ValueError for inputs below 15 px.
    """
    net = GoogLeNet(inputs, norm=norm, fifth=fifth, width=width)
    backbone = net.arranged(checkpointing=checkpointing)
    common: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    if not auxiliary:
        return _model(backbone, Classify, space, **common)
    conv = partial(ConvNorm, norm=norm, eps=1e-3)
    early: dict[str, Any] = {
        "kind": Early,
        "places": GoogLeNet.auxiliary,
        "reaches": [backbone.reach] * 2,
        "share": 0.3,
        "convolution": conv,
        "auxiliary_dropout": auxiliary_dropout,
    }
    return Model(backbone, {"label": AuxiliaryClassify(backbone.levels, len(space), reach=backbone.reach, **early, **common)})


def inception_v2(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    output_stride: OutputStride = 32,
    checkpointing: bool = False,
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """Inception-v2: Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015.

    Published: ImageNet top-1 74.8 % of one 224 px crop (figure 4). 11,285,224 parameters with 1000 classes; the published weights' 11,295,240
    count a bias in each of 69 convolutions, which the normalisation behind it takes away. No dropout, as the paper advises (section 4.2.1).
    Deviations: see `nn.backbones.inception_v2`; without the auxiliary classifiers.
    """
    backbone = InceptionV2(inputs, width=width).arranged(output_stride=output_stride, checkpointing=checkpointing)
    return _model(backbone, Classify, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def inception_resnet_v2(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    checkpointing: bool = False,
    dropout: Share = 0.2,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """Inception-ResNet-v2: Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the impact of residual connections", AAAI 2017.

    Published: 55,843,464 parameters with 1000 classes, ImageNet top-1 error 19.9 % of one crop of 299 px (table 2).
    The paper keeps 0.8 of the features (dropout 0.2). Deviations: see `nn.backbones.inception_resnet`. Raises ValueError for inputs below 75 px.
    """
    backbone = InceptionResNetV2(inputs, width=width).arranged(checkpointing=checkpointing)
    return _model(backbone, Classify, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def inception_v3(
    inputs: Inputs,
    space: LabelSpace,
    *,
    width: WidthFactor = 1.0,
    auxiliary: bool = True,
    checkpointing: bool = False,
    dropout: Share = 0.5,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """Inception-v3: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016.

    Published: 27,161,264 parameters with the auxiliary classifier and 1000 classes, ImageNet top-1 77.29 % at 299 px.
    The paper trains with label_smoothing 0.1. Raises ValueError for inputs below 75 px, or a width that does not divide its branches.
    """
    backbone = InceptionV3(inputs, width=width).arranged(checkpointing=checkpointing)
    common: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    if not auxiliary:
        return _model(backbone, Classify, space, **common)
    late: dict[str, Any] = {
        "kind": Late,
        "places": InceptionV3.auxiliary,
        "reaches": [backbone.reach - 32],
        "share": 0.4,
        "convolution": partial(ConvNorm, eps=1e-3),
    }
    return Model(backbone, {"label": AuxiliaryClassify(backbone.levels, len(space), reach=backbone.reach, **late, **common)})


def densenet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    width: WidthFactor = 1.0,
    output_stride: OutputStride = 32,
    checkpointing: bool = False,
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """DenseNet: Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017.

    Published (parameters with 1000 classes, ImageNet top-1 of one crop with today's weights): densenet121 7,978,856, 74.43 %;
    densenet161 28,681,000, 77.14 %; densenet169 14,149,480, 75.60 %; densenet201 20,013,928, 76.90 %.
    """
    backbone = DenseNet(inputs, depth=depth, width=width).arranged(output_stride=output_stride, checkpointing=checkpointing)
    return _model(backbone, Classify, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def mobilenet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    version: Literal[1, 2],
    width: WidthFactor = 1.0,
    output_stride: OutputStride = 32,
    checkpointing: bool = False,
    dropout: Share = 0.2,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """MobileNet: Howard et al., arXiv:1704.04861, 2017 (v1); Sandler et al., "MobileNetV2: Inverted residuals", CVPR 2018 (v2).

    Published (parameters with 1000 classes, ImageNet top-1): v1 4.2 million, 70.6 %; v2 3,504,872, 72.0 % (today's weights 71.88 %).
    width: the papers' width multiplier; channels stay multiples of 8.
    """
    net = MobileNetV1(inputs, width=width) if version == 1 else MobileNetV2(inputs, width=width)
    backbone = net.arranged(output_stride=output_stride, checkpointing=checkpointing)
    return _model(backbone, Classify, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def _model(backbone: Staged, head: type[Classify], space: LabelSpace, **options: Any) -> Model:
    return Model(backbone, {"label": head(backbone.levels[-1], len(space), reach=backbone.reach, **options)})
