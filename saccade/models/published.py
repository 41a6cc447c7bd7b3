"""What the field's published weight files call our tensors: a literal table of prefixes for each network.

The files are torchvision's; the URLs are in `models.weights`. A name that is not in a network's table is refused by that name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

from saccade.models import published_detection as detection
from saccade.nn.backbones.densenet import DEPTHS as DENSENETS
from saccade.nn.backbones.googlenet import INCEPTION
from saccade.nn.backbones.mobilenet import V2
from saccade.nn.backbones.resnet import DEPTHS as RESNETS
from saccade.nn.backbones.vgg import DEPTHS as VGGS

Table = Mapping[str, str]  # their module -> ours
OUTPUT = "heads.label.output"
DETECTORS = r"(?:faster|mask|keypoint)rcnn_resnet50_fpn|retinanet_resnet50_fpn|ssd300_vgg16"


def published_key(network: str, published: str) -> str:
    """Our name of a tensor of a published file, for a network with the ImageNet stem. Raises KeyError for a network or a name that is not known.

    >>> published_key("resnet18", "layer1.0.bn2.running_mean")
    'backbone.stages.1.1.residual.1.norm.running_mean'
    >>> published_key("vgg11", "classifier.3.bias")
    'heads.label.layers.3.bias'
    """
    module, _, tensor = _today(network, published).rpartition(".")
    table = tables(network)
    if module not in table:
        raise KeyError(f"{published!r} is not a tensor of a published {network} file")
    return f"{table[module]}.{tensor}"


def _today(network: str, published: str) -> str:
    """DenseNet files of the first kind call a layer's parts norm.1, conv.2 and so on; those of detectors are older than today's names."""
    if re.fullmatch(DETECTORS, network):
        return detection.today(published)
    return re.sub(r"(denselayer\d+\.(?:norm|conv|relu))\.(\d)", r"\1\2", published) if network.startswith("densenet") else published


@functools.cache
def tables(network: str) -> Table:
    """Their modules and ours. Raises KeyError for a network without published weights."""
    for pattern, table in TABLES.items():
        if match := re.fullmatch(pattern, network):
            return table(match[1] if match.lastindex else "")
    raise KeyError(f"there are no published weights of {network!r}; there are of {', '.join(TABLES)}")


def _resnet(name: str) -> Table:
    depth = 50 if not name.isdigit() else int(name)
    found = {"conv1": "backbone.stages.0.0.conv", "bn1": "backbone.stages.0.0.norm", "fc": OUTPUT}
    inner = {f"conv{i}": f"residual.{i - 1}.conv" for i in (1, 2, 3)} | {f"bn{i}": f"residual.{i - 1}.norm" for i in (1, 2, 3)}
    inner |= {"downsample.0": "shortcut.conv", "downsample.1": "shortcut.norm"}
    for stage, count in enumerate(RESNETS[depth][1], 1):
        for block in range(count):
            place = block + (stage == 1)  # stage 1 begins with the max pooling, so its blocks are counted from 1
            found |= {f"layer{stage}.{block}.{theirs}": f"backbone.stages.{stage}.{place}.{ours}" for theirs, ours in inner.items()}
    return found


def _alexnet(_: str) -> Table:
    places = {0: "0.0", 3: "1.1", 6: "2.1", 8: "2.2", 10: "2.3"}
    dense = {"classifier.1": "heads.label.layers.0", "classifier.4": "heads.label.layers.3", "classifier.6": OUTPUT}
    return {f"features.{theirs}": f"backbone.stages.{ours}.conv" for theirs, ours in places.items()} | dense


def _vgg(name: str) -> Table:
    depth, normed = int(name.removesuffix("_bn")), name.endswith("_bn")
    found, at = {"classifier.0": "heads.label.layers.0", "classifier.3": "heads.label.layers.3", "classifier.6": OUTPUT}, 0
    for stage, count in enumerate(VGGS[depth]):
        for i in range(count):
            ours = f"backbone.stages.{stage}.{i + (stage > 0)}"
            found[f"features.{at}"] = f"{ours}.conv"
            if normed:
                found[f"features.{at + 1}"] = f"{ours}.norm"
            at += 2 + normed
        at += 1  # the pooling
    return found


def _squeezenet(_: str) -> Table:
    found = {"features.0": "backbone.stages.0.0.conv", "classifier.1": OUTPUT}
    places = {3: "1.1", 4: "1.2", 6: "2.1", 7: "2.2", 9: "3.1", 10: "3.2", 11: "3.3", 12: "3.4"}
    parts = {"squeeze": "0.conv", "expand1x1": "1.branches.0.conv", "expand3x3": "1.branches.1.conv"}
    return found | {f"features.{f}.{theirs}": f"backbone.stages.{at}.{ours}" for f, at in places.items() for theirs, ours in parts.items()}


def _densenet(depth: str) -> Table:
    counts = DENSENETS[int(depth)][2]
    found = {"features.conv0": "backbone.stages.0.0.conv", "features.norm0": "backbone.stages.0.0.norm", "classifier": OUTPUT}
    found["features.norm5"] = f"backbone.stages.4.{3 + counts[3]}.norm"
    parts = {"norm1": "first.0.norm", "conv1": "first.1.conv", "norm2": "second.0.norm", "conv2": "second.1.conv"}
    for block, count in enumerate(counts, 1):
        first = 1 if block == 1 else 3  # behind the pooling, or behind norm, convolution and pooling
        for layer in range(count):
            at = f"backbone.stages.{block}.{first + layer}"
            found |= {f"features.denseblock{block}.denselayer{layer + 1}.{theirs}": f"{at}.{ours}" for theirs, ours in parts.items()}
        if block > 1:
            theirs = f"features.transition{block - 1}"
            found |= {f"{theirs}.norm": f"backbone.stages.{block}.0.norm", f"{theirs}.conv": f"backbone.stages.{block}.1.conv"}
    return found


def _mobilenet(_: str) -> Table:
    found = {"features.0.0": "backbone.stages.0.0.conv", "features.0.1": "backbone.stages.0.0.norm", "classifier.1": OUTPUT}
    stage, place, block = 0, 1, 0
    for expansion, _channels, count, stride in V2:
        stage, place = (stage + 1, 0) if stride == 2 else (stage, place)
        for _i in range(count):
            block += 1
            ours, theirs = f"backbone.stages.{stage}.{place}.residual", f"features.{block}.conv"
            filters = 1 if expansion == 1 else 2
            for i in range(filters):
                found |= {f"{theirs}.{i}.0": f"{ours}.{i}.conv", f"{theirs}.{i}.1": f"{ours}.{i}.norm"}
            found |= {f"{theirs}.{filters}": f"{ours}.{filters}.conv", f"{theirs}.{filters + 1}": f"{ours}.{filters}.norm"}
            place += 1
    last = f"backbone.stages.{stage}.{place}"
    return found | {f"features.{block + 1}.0": f"{last}.conv", f"features.{block + 1}.1": f"{last}.norm"}


def _googlenet(_: str) -> Table:
    plain = {"conv1": "stages.0.0", "conv2": "stages.1.1", "conv3": "stages.1.2"}
    blocks = dict(zip(INCEPTION, ("2.1", "2.2", "3.1", "4.0", "4.1", "4.2", "5.0", "6.1", "6.2"), strict=True))
    ways = {"branch1": "0", "branch2.0": "1.0", "branch2.1": "1.1", "branch3.0": "2.0", "branch3.1": "2.1", "branch4.1": "3.1"}
    plain |= {f"inception{name}.{way}": f"stages.{at}.branches.{ours}" for name, at in blocks.items() for way, ours in ways.items()}
    found = _convolutions({theirs: f"backbone.{ours}" for theirs, ours in plain.items()})
    for i in (0, 1):
        ours = f"heads.label.auxiliary.{i}"
        found |= _convolutions({f"aux{i + 1}.conv": f"{ours}.convolution"})
        found |= {f"aux{i + 1}.fc1": f"{ours}.hidden", f"aux{i + 1}.fc2": f"{ours}.output"}
    return found | {"fc": OUTPUT}


def _inception(_: str) -> Table:
    plain = {"Conv2d_1a_3x3": "0.0", "Conv2d_2a_3x3": "0.1", "Conv2d_2b_3x3": "0.2", "Conv2d_3b_1x1": "1.1", "Conv2d_4a_3x3": "1.2"}
    fives = {"branch1x1": "0", "branch5x5_1": "1.0", "branch5x5_2": "1.1", "branch_pool": "3.1"} | {f"branch3x3dbl_{i + 1}": f"2.{i}" for i in range(3)}
    sevens = (
        {"branch1x1": "0", "branch_pool": "3.1"} | {f"branch7x7_{i + 1}": f"1.{i}" for i in range(3)} | {f"branch7x7dbl_{i + 1}": f"2.{i}" for i in range(5)}
    )
    wide = {"branch1x1": "0", "branch3x3_1": "1.0", "branch3x3_2a": "1.1.branches.0", "branch3x3_2b": "1.1.branches.1", "branch_pool": "3.1"}
    wide |= {"branch3x3dbl_1": "2.0", "branch3x3dbl_2": "2.1", "branch3x3dbl_3a": "2.2.branches.0", "branch3x3dbl_3b": "2.2.branches.1"}
    first = {"branch3x3": "0"} | {f"branch3x3dbl_{i + 1}": f"1.{i}" for i in range(3)}
    second = {"branch3x3_1": "0.0", "branch3x3_2": "0.1"} | {f"branch7x7x3_{i + 1}": f"1.{i}" for i in range(4)}
    blocks = {"5b": ("2.1", fives), "5c": ("2.2", fives), "5d": ("2.3", fives), "6a": ("3.0", first), "7a": ("5.0", second), "7b": ("5.1", wide)}
    blocks |= {"7c": ("5.2", wide)} | {f"6{letter}": (f"4.{i}", sevens) for i, letter in enumerate("bcde")}
    for name, (at, ways) in blocks.items():
        plain |= {f"Mixed_{name}.{theirs}": f"{at}.branches.{ours}" for theirs, ours in ways.items()}
    found = _convolutions({theirs: f"backbone.stages.{ours}" for theirs, ours in plain.items()})
    late = "heads.label.auxiliary.0"
    found |= _convolutions({"AuxLogits.conv0": f"{late}.convolutions.0", "AuxLogits.conv1": f"{late}.convolutions.1"})
    return found | {"AuxLogits.fc": f"{late}.output", "fc": OUTPUT}


def _segment(name: str) -> Table:
    """fcn_resnet50, deeplabv3_resnet101 and the like: a dilated ResNet, a classifier and an auxiliary one."""
    kind, _, depth = name.partition("_resnet")
    ours = "backbone" if kind == "fcn" else "backbone.backbone"
    found = {f"backbone.{t}": o.replace("backbone", ours, 1) for t, o in _resnet(depth).items() if t != "fc"}
    at = ("classifier", "heads.map.classifier")
    parts = [("aux_classifier", "heads.map.auxiliary.0"), at]
    found |= {f"{theirs}.{i}": f"{mine}.{i}" for theirs, mine in parts for i in (0, 1, 4)}
    if kind == "fcn":
        return found
    del found["classifier.0"]
    found |= {"classifier.1": f"{at[1]}.0", "classifier.2": f"{at[1]}.1"}
    neck = "backbone.necks.0"
    ways = {f"convs.{i}": (f"ways.{i}", 0) for i in range(4)} | {"convs.4": ("image", 1), "project": ("project", 0)}
    for theirs, (mine, first) in ways.items():
        found |= {f"classifier.0.{theirs}.{first}": f"{neck}.{mine}.conv", f"classifier.0.{theirs}.{first + 1}": f"{neck}.{mine}.norm"}
    return found


def _convolutions(modules: Mapping[str, str]) -> dict[str, str]:
    """A convolution with its normalisation, by their names `conv` and `bn`."""
    found = {f"{theirs}.conv": f"{ours}.conv" for theirs, ours in modules.items()}
    return found | {f"{theirs}.bn": f"{ours}.norm" for theirs, ours in modules.items()}


TABLES: Mapping[str, Callable[[str], Table]] = {
    r"resnet(18|34|50|101|152)": _resnet,
    r"(resnext50_32x4d|wide_resnet50_2)": _resnet,
    r"alexnet": _alexnet,
    r"vgg((?:11|13|16|19)(?:_bn)?)": _vgg,
    r"squeezenet1_1": _squeezenet,
    r"densenet(121|161|169|201)": _densenet,
    r"mobilenet_v2": _mobilenet,
    r"googlenet": _googlenet,
    r"inception_v3": _inception,
    r"((?:fcn|deeplabv3)_resnet(?:50|101))": _segment,
    f"({DETECTORS})": lambda name: detection.detector(name, _resnet),
}
"""Patterns of network names -> the table of their files."""
