"""The published systems by name: one literal table, and the one way to build from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from saccade.core import EMPTY, Inputs, LabelSpace, System
from saccade.errors import ModelError, SaccadeError, UsageError, nearest
from saccade.models import colorize, count, generate, image_to_image, multi_label, represent, segment, sequence
from saccade.models.arguments import HINTS, checked, defaults, schema
from saccade.models.baselines import frequencies, logistic, naive_bayes
from saccade.models.baselines import table as full_table
from saccade.models.classify import lenet5, mlp, plain_cifar, resnet, resnet_cifar, small, timm_backbone, tree
from saccade.models.detect import nano, yolo
from saccade.models.filters import filter_bank
from saccade.models.imagenet import alexnet, densenet, googlenet, inception_resnet_v2, inception_v2, inception_v3, mobilenet, squeezenet, vgg
from saccade.models.localize import localizer
from saccade.models.pose import heat_maps, regression
from saccade.models.regions import rcnn, sliding_window, spp
from saccade.models.retina import retinanet, retinanet_resnet50_fpn
from saccade.models.ssd import ssd, ssd300_vgg16
from saccade.models.superpixels import superpixels
from saccade.models.two_stage import (
    fast_rcnn,
    faster_rcnn,
    fasterrcnn_resnet50_fpn,
    keypoint_rcnn,
    keypointrcnn_resnet50_fpn,
    mask_rcnn,
    maskrcnn_resnet50_fpn,
    rfcn,
)

Builder = Callable[..., System]

# task -> model -> builder, the default first
MODELS: dict[str, dict[str, Builder]] = {
    "classify": {
        "small": small,
        "lenet5": lenet5,
        "tree": tree,
        "resnet20": partial(resnet_cifar, depth=20),
        "resnet32": partial(resnet_cifar, depth=32),
        "resnet44": partial(resnet_cifar, depth=44),
        "resnet56": partial(resnet_cifar, depth=56),
        "resnet110": partial(resnet_cifar, depth=110),
        "plain20": partial(plain_cifar, depth=20),
        "plain56": partial(plain_cifar, depth=56),
        "plain110": partial(plain_cifar, depth=110),
        "resnet18": partial(resnet, depth=18),
        "resnet34": partial(resnet, depth=34),
        "resnet50": partial(resnet, depth=50),
        "resnet101": partial(resnet, depth=101),
        "resnet152": partial(resnet, depth=152),
        "resnext50_32x4d": partial(resnet, depth=50, groups=32, width_per_group=4),
        "wide_resnet50_2": partial(resnet, depth=50, width_per_group=128),
        "mlp": mlp,
        "filter_bank": filter_bank,
        "logistic": logistic,
        "naive_bayes": naive_bayes,
        "table": full_table,
        "frequencies": frequencies,
        "alexnet": alexnet,
        "vgg11": partial(vgg, depth=11),
        "vgg13": partial(vgg, depth=13),
        "vgg16": partial(vgg, depth=16),
        "vgg19": partial(vgg, depth=19),
        "vgg11_bn": partial(vgg, depth=11, norm="batch"),
        "vgg13_bn": partial(vgg, depth=13, norm="batch"),
        "vgg16_bn": partial(vgg, depth=16, norm="batch"),
        "vgg19_bn": partial(vgg, depth=19, norm="batch"),
        "googlenet": googlenet,
        "inception_v2": inception_v2,
        "inception_v3": inception_v3,
        "inception_resnet_v2": inception_resnet_v2,
        "densenet121": partial(densenet, depth=121),
        "densenet161": partial(densenet, depth=161),
        "densenet169": partial(densenet, depth=169),
        "densenet201": partial(densenet, depth=201),
        "mobilenet_v1": partial(mobilenet, version=1),
        "mobilenet_v2": partial(mobilenet, version=2),
        "squeezenet1_1": squeezenet,
    },
    "sequence": {
        "cnf": partial(sequence.cnf, answer="tags"),
        "independent": partial(sequence.independent, answer="tags"),
        "crf": partial(sequence.crf, answer="tags"),
        "ldcrf": sequence.ldcrf,
        "ldcnf": sequence.ldcnf,
        "hmm": partial(sequence.hmm, answer="tags"),
        "bilstm": partial(sequence.bilstm, answer="tags"),
        "convolution": partial(sequence.convolution, answer="tags"),
    },
    "sequence_label": {
        "hcrf": sequence.hcrf,
        "independent": partial(sequence.independent, answer="label"),
        "crf": partial(sequence.crf, answer="label"),
        "cnf": partial(sequence.cnf, answer="label"),
        "hmm": partial(sequence.hmm, answer="label"),
        "bilstm": partial(sequence.bilstm, answer="label"),
        "convolution": partial(sequence.convolution, answer="label"),
    },
    "multilabel": {
        "small": multi_label.shared,
        "resnet18": partial(multi_label.residual, depth=18),
        "resnet50": partial(multi_label.residual, depth=50),
        "mobilenet_v2": multi_label.mobile,
        "independent": multi_label.independent,
        "columns": multi_label.columns,
    },
    "detect": {
        "nano": nano,
        "yolo": yolo,
        "faster_rcnn": faster_rcnn,
        "fast_rcnn": fast_rcnn,
        "rfcn": rfcn,
        "rcnn": rcnn,
        "spp": spp,
        "sliding_window": sliding_window,
        "retinanet": retinanet,
        "ssd": ssd,
        "ssd300_vgg16": ssd300_vgg16,
        "fasterrcnn_resnet50_fpn": fasterrcnn_resnet50_fpn,
        "retinanet_resnet50_fpn": retinanet_resnet50_fpn,
    },
    "localize": {"localizer": localizer},
    "instances": {"mask_rcnn": mask_rcnn, "maskrcnn_resnet50_fpn": maskrcnn_resnet50_fpn},
    "keypoints": {
        "heat_maps": heat_maps,
        "regression": regression,
        "keypoint_rcnn": keypoint_rcnn,
        "keypointrcnn_resnet50_fpn": keypointrcnn_resnet50_fpn,
    },
    "segment": {
        "unet": segment.unet,
        "segnet": segment.segnet,
        "deconvnet": segment.deconvnet,
        "fcn32s": partial(segment.fcn, stride=32),
        "fcn16s": partial(segment.fcn, stride=16),
        "fcn8s": partial(segment.fcn, stride=8),
        "dilated": segment.dilated,
        "deeplab": segment.deeplab,
        "full_resolution": segment.full_resolution,
        "multi_scale": segment.multi_scale,
        "superpixels": superpixels,
        "fcn_resnet50": partial(segment.published, kind="fcn", depth=50),
        "fcn_resnet101": partial(segment.published, kind="fcn", depth=101),
        "deeplabv3_resnet50": partial(segment.published, kind="deeplabv3", depth=50),
        "deeplabv3_resnet101": partial(segment.published, kind="deeplabv3", depth=101),
    },
    "count": {"density": count.density, "lcfcn": count.lcfcn},
    "colorize": {"global_local": colorize.global_local, "rebalanced": partial(colorize.global_local, rebalanced=True)},
    "upscale": {"refine": image_to_image.upscale_refine, "espcn": image_to_image.upscale_espcn, "srcnn": image_to_image.upscale_srcnn},
    "denoise": {"refine": image_to_image.denoise_refine, "dncnn": image_to_image.denoise_dncnn},
    "represent": {
        "autoencoder": represent.autoencoder,
        "pca": represent.pca,
        "denoising_autoencoder": represent.denoising_autoencoder,
        "stacked_autoencoder": represent.stacked_autoencoder,
    },
    "generate": {"ddpm": generate.ddpm, "vae": generate.vae, "dcgan": generate.dcgan, "latent_ddpm": generate.latent_ddpm},
}

# the tasks whose answers have no classes, or need none: pictures
UNNAMED = frozenset({"colorize", "upscale", "denoise", "represent", "generate"})

# what other tools call these models
OTHER_NAMES = {"lenet": "lenet5", "lenet_5": "lenet5", "lenet-5": "lenet5", "LeNet": "lenet5", "LeNet5": "lenet5", "cnn": "small", "default": "small"}
OTHER_NAMES |= {f"{prefix}{depth}": f"resnet{depth}" for prefix in ("resnet-", "ResNet", "ResNet-", "resnet_") for depth in (18, 34, 50, 20, 56, 110)}
OTHER_NAMES |= {f"{family}{size}": "nano" for family in ("yolov5", "yolov8", "yolo11", "yolo26") for size in "nsm"} | {"yolov1": "yolo", "yolo_v1": "yolo"}
OTHER_NAMES |= {f"{family}{size}-cls": "small" for family in ("yolov8", "yolo11", "yolo26") for size in "nsm"}
OTHER_NAMES |= {"mobilenet": "mobilenet_v2", "mobilenetv3": "mobilenet_v2", "efficientnet_b0": "mobilenet_v2", "inception": "inception_v3"}
OTHER_NAMES |= {"bninception": "inception_v2", "bn_inception": "inception_v2", "inceptionresnetv2": "inception_resnet_v2"}

# the networks made for photographs: the least side they take, and the usual one
PHOTOGRAPHS: dict[Builder, tuple[int, int]] = {resnet: (32, 224), alexnet: (63, 224), vgg: (32, 224), densenet: (32, 224), mobilenet: (32, 224)}
PHOTOGRAPHS |= {googlenet: (32, 224), squeezenet: (32, 224), inception_v2: (32, 224), inception_v3: (75, 299), inception_resnet_v2: (75, 299)}

TIMM = "timm:"  # before the name of a network of that package
PARAMETER_LIMIT = 2_000_000_000
SIDE_LIMIT, CHANNEL_LIMIT, CLASS_LIMIT = 65_536, 4_096, 1_000_000


class Description(NamedTuple):
    """What there is to say of a model: its summary (one line), the whole text with citation and numbers, its arguments with their defaults."""

    task: str
    name: str
    summary: str
    text: str
    arguments: dict[str, Any]


def build(task: str, name: str, inputs: Inputs, space: LabelSpace, arguments: Mapping[str, Any] = EMPTY, *, stored: bool = False) -> System:
    """The named model with fresh weights from torch's generator.

    stored: the values come from a model file and not from the user, which decides the kind of error, below.
    Raises UsageError USE-OPTION (unknown task, model or argument, the options listed) or USE-VALUE (out of range, more
    than 2e9 parameters); of stored values ModelError MODEL-ARCH (unknown task or model) or MODEL-ARGS (all else).
    """
    skeleton(task, name, inputs, space, arguments, stored=stored)
    builder = find(task, name, stored=stored)
    return builder(inputs, space, **checked(builder, arguments))


DRAWS = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.random_)


class _Valueless(TorchFunctionMode):
    """Leaves out drawing first weights for tensors that have no values: torch would import its compiler for it, which takes seconds."""

    def __torch_function__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        if function in DRAWS or getattr(function, "__module__", "") == "torch.nn.init":
            tensor = args[0] if args else given["tensor"]
            if tensor.is_meta:
                return tensor
        return function(*args, **given)


def skeleton(task: str, name: str, inputs: Inputs, space: LabelSpace, arguments: Mapping[str, Any] = EMPTY, *, stored: bool = False) -> System:
    """The named model without memory: every tensor has its shape and no values, so that a file can be compared with it first.

    Raises as `build` does.
    """
    builder = find(task, name, stored=stored)
    unknown = [argument for argument in arguments if argument not in schema(builder).model_fields]
    if unknown:
        got = f"argument {unknown[0]!r} of {name}: {nearest(unknown[0], schema(builder).model_fields, HINTS)}"
        raise ModelError("MODEL-ARGS", got) if stored else UsageError("USE-OPTION", got)
    try:
        check_sizes(inputs, space, least=0 if task in UNNAMED else 1)
        valid = checked(builder, arguments)
        with torch.device("meta"), _Valueless():
            model = builder(inputs, space, **valid)
        count = parameter_count(model)
        if count > PARAMETER_LIMIT:
            raise ValueError(f"{count:,} parameters, the limit is {PARAMETER_LIMIT:,}")
    except ValueError as error:
        raise _out_of_range(f"{name}: {error}", stored) from error
    return model


def settled(task: str, name: str, arguments: Mapping[str, Any] = EMPTY) -> dict[str, Any]:
    """All arguments of a model, those not given at their defaults. Raises as `build` does of a user's values."""
    builder = find(task, name)
    fixed = builder.keywords if isinstance(builder, partial) else {}
    return {**fixed, **defaults(builder), **arguments}


def find(task: str, name: str, *, stored: bool = False) -> Builder:
    """The builder of a model. Raises as `build` does."""
    if task not in MODELS:
        got = f"task {task!r}: {nearest(task, MODELS)}"
        raise ModelError("MODEL-ARCH", got) if stored else UsageError("USE-OPTION", got)
    if task == "classify" and name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM))
    if name not in MODELS[task]:
        got = f"model {name!r}: {nearest(name, MODELS[task], OTHER_NAMES)}"
        raise ModelError("MODEL-ARCH", got) if stored else UsageError("USE-OPTION", got)
    return MODELS[task][name]


@cache
def _timm(name: str) -> Builder:
    return partial(timm_backbone, name=name)


def check_sizes(inputs: Inputs, space: LabelSpace, *, least: int = 1) -> None:
    """Raises ValueError unless channels, size, constants and the number of classes (from `least` on) are of a kind that an image can have."""
    if not 1 <= inputs.channels <= CHANNEL_LIMIT:
        raise ValueError(f"channels must be 1 to {CHANNEL_LIMIT}, got {inputs.channels}")
    if len(inputs.size) != 2 or not all(1 <= side <= SIDE_LIMIT for side in inputs.size):
        raise ValueError(f"the input size must be two sides of 1 to {SIDE_LIMIT} px, got {inputs.size}")
    if not len(inputs.mean) == len(inputs.std) == inputs.channels:
        raise ValueError(f"mean and std must have one number a channel ({inputs.channels}), got {len(inputs.mean)} and {len(inputs.std)}")
    if not all(abs(mean) < float("inf") for mean in inputs.mean) or not all(0 < std < float("inf") for std in inputs.std):
        raise ValueError(f"mean must be finite and std above 0, got {inputs.mean[:4]} and {inputs.std[:4]}")
    if not least <= len(space) <= CLASS_LIMIT:
        raise ValueError(f"the number of classes must be {least} to {CLASS_LIMIT}, got {len(space)}")


def parameter_count(model: torch.nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def describe(name: str, task: str = "classify") -> Description:
    """Summary, text and arguments of a model. Raises UsageError USE-OPTION for an unknown one.

    >>> describe("lenet5").arguments["subsampling"]
    'average'
    """
    builder = find(task, name)
    text = (builder.func if isinstance(builder, partial) else builder).__doc__ or ""
    lines = [line.strip() for line in text.strip().splitlines()]
    return Description(task, name, lines[0], "\n".join(lines), defaults(builder))


def input_size(name: str, typical: tuple[int, int]) -> tuple[int, int]:
    """The size (h, w) that a model works best at, for images that are typically `typical` large. Raises UsageError USE-OPTION.

    lenet5: 28x28 as it is, all else 32x32. CIFAR nets: 32x32. small: as it is from 16 to 32 px, else at most 64 px on the
    shorter side and a ratio of at most 2, in steps of 16.
    The ImageNet nets: 224x224 (inception_v3 and inception_resnet_v2: 299x299), or the shorter side where images are smaller. mlp: at most 32x32;
    of vectors their one pixel.

    >>> input_size("small", (480, 640)), input_size("lenet5", (28, 28))
    ((64, 80), (28, 28))
    """
    builder = find("classify", name)
    function = builder.func if isinstance(builder, partial) else builder
    height, width = typical
    short = min(typical)
    if function is lenet5:
        return (28, 28) if typical == (28, 28) else (32, 32)
    if function in (resnet_cifar, plain_cifar):
        return (32, 32)
    if function is timm_backbone:
        return (min(224, max(32, short)),) * 2
    if function in PHOTOGRAPHS:
        least, usual = PHOTOGRAPHS[function]
        return (min(usual, max(least, short)),) * 2
    if function in (mlp, logistic, naive_bayes, full_table, frequencies):
        if typical == (1, 1):  # vectors: their numbers are channels, and nothing is enlarged
            return typical
        return (min(32, max(8, height)), min(32, max(8, width)))
    if max(typical) <= 32:
        return (max(16, height), max(16, width))
    scale = min(1.0, 64 / short)
    sides = [min(side, 2 * short) * scale for side in typical]
    return (max(16, round(sides[0] / 16) * 16), max(16, round(sides[1] / 16) * 16))


def _out_of_range(got: str, stored: bool) -> SaccadeError:
    return ModelError("MODEL-ARGS", got) if stored else UsageError("USE-VALUE", got, fix="choose a value in the range named")
