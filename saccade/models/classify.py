"""Networks that name the class of a whole image. Each builder is `(inputs, space, **arguments) -> Model` with the head "label"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import ClassWeights, Count, Counts, OutputStride, Share, Width, WidthFactor, Widths
from saccade.nn.backbones.lenet import Connections, LeNet5, Subsampling
from saccade.nn.backbones.mlp import MLP, Activation
from saccade.nn.backbones.resnet import ResNet, Stem
from saccade.nn.backbones.resnet_cifar import CifarResNet
from saccade.nn.backbones.small import Small
from saccade.nn.backbones.staged import Staged
from saccade.nn.backbones.timm_bridge import Timm
from saccade.nn.blocks import Norm
from saccade.nn.heads.classify import Classify, Pool
from saccade.nn.heads.radial import RadialBasis
from saccade.nn.heads.tree import TreeClassify


def small(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    pool: Pool = "average_max",
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """The default: a compact residual network for training from scratch on two processor cores.

    Strides follow from the input's size so that the last map has 4 to 7 cells a side; 8x8 digits and 224 px photographs
    both fit. widths and blocks: one entry a stage. 1.2 million parameters as it stands.
    """
    backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
    return _model(backbone, space, pool=pool, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def tree(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (32, 64, 128, 256),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    pool: Pool = "average_max",
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """Classes that form a tree: the default network with a softmax among the children of every node, for names such as dog/beagle.

    Nested folders are read so by `--label path`. Names without a / make a flat tree, which is the usual softmax. Redmon and Farhadi,
    "YOLO9000: better, faster, stronger", CVPR 2017, section 4: a class's probability is the product along its path.
    """
    backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
    options: dict[str, Any] = {"pool": pool, "dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    return Model(backbone, {"label": TreeClassify(backbone.levels[-1], space.names, reach=backbone.reach, **options)})


def lenet5(
    inputs: Inputs,
    space: LabelSpace,
    *,
    subsampling: Subsampling = "average",
    connections: Connections = "full",
    output: Literal["linear", "rbf"] = "linear",
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (11), 1998.

    Published: 60,000 trainable parameters, MNIST test error 0.95 % (0.8 % with distorted training images).
    The paper's own net is `subsampling="trainable", connections="table", output="rbf"` and has exactly those 60,000.

    Deviations: the default has plain averages, all connections from S2 to C3 and a linear output with cross entropy
    (61,706 parameters for ten classes of grey images), which is what the field calls LeNet-5 today and is easier to train.
    28x28 images are padded by 2 in the first layer instead of being stored as 32x32. With "rbf" see `nn.heads.radial`;
    label_smoothing is of the linear output only. Raises ValueError for inputs below 28 px.
    """
    backbone = LeNet5(inputs, subsampling=subsampling, connections=connections)
    if output == "linear":
        return _model(backbone, space, label_smoothing=label_smoothing, class_weights=class_weights)
    if label_smoothing:
        raise ValueError("label_smoothing is for the linear output; the rbf output has its own criterion")
    return Model(backbone, {"label": RadialBasis(backbone.levels[-1], len(space), reach=backbone.reach, class_weights=class_weights)})


def mlp(
    inputs: Inputs,
    space: LabelSpace,
    *,
    hidden: Widths = (300, 100),
    activation: Activation | tuple[Activation, ...] = "relu",
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """A multilayer perceptron over all pixels, the baseline of LeCun, Bottou, Bengio, Haffner, "Gradient-based learning", 1998, section III-C.

    Published: 784-300-100-10, 266,610 parameters, MNIST test error 3.05 % (with distortions 2.5 %).
    Deviation: ReLU and cross entropy unless told otherwise. Takes inputs of one size only.
    """
    backbone = MLP(inputs, hidden=hidden, activation=activation)
    head = Classify(backbone.levels[-1], len(space), dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)
    return Model(backbone, {"label": head})


def resnet_cifar(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    shortcut: Literal["zero_pad", "projection"] = "zero_pad",
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """The CIFAR-10 networks of He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2 and table 6.

    Published (parameters, test error on CIFAR-10): resnet20 0.27 M, 8.75 %; resnet32 0.46 M, 7.51 %; resnet44 0.66 M, 7.17 %;
    resnet56 0.85 M, 6.97 %; resnet110 1.7 M, 6.43 %.
    shortcut: option A ("zero_pad", the paper's here) or B ("projection").
    Deviation: images are normalised by the mean and deviation of each channel, not by the mean image.
    """
    backbone = CifarResNet(inputs, depth=depth, shortcut=shortcut)
    return _model(backbone, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def plain_cifar(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """The plain networks of He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2 and figure 6.

    The layers and parameters of the residual networks of the same depth, without shortcuts: from 20 to 56 layers the
    training error rises (figure 6, left), and with 110 layers it stays above 60 %. Deviation: as for `resnet_cifar`.
    """
    return _model(CifarResNet(inputs, depth=depth, plain=True), space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def resnet(
    inputs: Inputs,
    space: LabelSpace,
    *,
    depth: int,
    stem: Stem = "auto",
    groups: Count = 1,
    width_per_group: Width = 64,
    width: WidthFactor = 1.0,
    output_stride: OutputStride = 32,
    checkpointing: bool = False,
    zero_init_residual: bool = False,
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """ResNet: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.

    Published (parameters with 1000 classes, ImageNet top-1 of one 224 px centre crop, weights of torchvision):
    resnet18 11,689,512, 69.76 %; resnet34 21,797,672, 73.31 %; resnet50 25,557,032, 76.13 %; resnet101 44,549,160, 77.37 %;
    resnet152 60,192,808, 78.31 %. ResNeXt (Xie et al. 2017): resnext50_32x4d 25,028,904, 77.62 %. Wide (Zagoruyko and
    Komodakis 2016): wide_resnet50_2 68,883,240, 78.47 %. output_stride: 8 or 16 dilates instead of striding, with the same weights.
    Deviations: the bottleneck strides in its 3x3 (see `nn.blocks.Bottleneck`); images below 64 px get a stem of one
    3x3 convolution unless `stem="imagenet"`, because the published one would shrink them to a single cell.
    """
    shape: dict[str, Any] = {"groups": groups, "width_per_group": width_per_group, "width": width, "zero_init_residual": zero_init_residual}
    backbone = ResNet(inputs, depth=depth, stem=stem, **shape)
    backbone.arranged(output_stride=output_stride, checkpointing=checkpointing)
    return _model(backbone, space, dropout=dropout, label_smoothing=label_smoothing, class_weights=class_weights)


def timm_backbone(
    inputs: Inputs, space: LabelSpace, *, name: str, dropout: Share = 0.0, label_smoothing: Share = 0.0, class_weights: ClassWeights = None
) -> Model:
    """A backbone of the package timm, by --model timm:NAME where that is installed, with fresh weights and a linear layer on its pooled last map."""
    backbone = Timm(inputs, name=name)
    options: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    return Model(backbone, {"label": Classify(backbone.levels[-1], len(space), reach=backbone.reach, **options)})


def _model(backbone: Staged, space: LabelSpace, *, class_weights: Sequence[float] | None, **options: Any) -> Model:
    head = Classify(backbone.levels[-1], len(space), reach=backbone.reach, class_weights=class_weights, **options)
    return Model(backbone, {"label": head})
