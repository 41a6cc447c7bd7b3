"""Published weights by name: where they are, how they are fetched, and how they become a model's own."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from platformdirs import user_cache_dir
from torch import Tensor

from saccade import storage
from saccade.core import Inputs, Model
from saccade.errors import ModelError, ResourceError, UsageError, nearest
from saccade.models.coco import chosen
from saccade.models.import_weights import import_weights
from saccade.models.published import published_key

SOURCE = "https://download.pytorch.org/models/"
PATIENCE_S = 30.0
LARGEST = 1 << 30
"""Bytes of one file."""


class Weights(NamedTuple):
    """A published file, whose name ends in the first hexadecimal digits of its SHA-256, and its ImageNet top-1 in %."""

    file: str
    accuracy: float


IMAGENET: Mapping[str, Weights] = {
    "alexnet": Weights("alexnet-owt-7be5be79.pth", 56.522),
    "densenet121": Weights("densenet121-a639ec97.pth", 74.434),
    "densenet161": Weights("densenet161-8d451a50.pth", 77.138),
    "densenet169": Weights("densenet169-b2777c0a.pth", 75.6),
    "densenet201": Weights("densenet201-c1103571.pth", 76.896),
    "googlenet": Weights("googlenet-1378be20.pth", 69.778),
    "inception_v3": Weights("inception_v3_google-0cc3c7bd.pth", 77.294),
    "mobilenet_v2": Weights("mobilenet_v2-b0353104.pth", 71.878),
    "resnet101": Weights("resnet101-63fe2227.pth", 77.374),
    "resnet152": Weights("resnet152-394f9c45.pth", 78.312),
    "resnet18": Weights("resnet18-f37072fd.pth", 69.758),
    "resnet34": Weights("resnet34-b627a593.pth", 73.314),
    "resnet50": Weights("resnet50-0676ba61.pth", 76.13),
    "resnext50_32x4d": Weights("resnext50_32x4d-7cdf4587.pth", 77.618),
    "squeezenet1_1": Weights("squeezenet1_1-b8a52dc0.pth", 58.178),
    "vgg11": Weights("vgg11-8a719046.pth", 69.02),
    "vgg11_bn": Weights("vgg11_bn-6002323d.pth", 70.37),
    "vgg13": Weights("vgg13-19584684.pth", 69.928),
    "vgg16": Weights("vgg16-397923af.pth", 71.592),
    "vgg16_bn": Weights("vgg16_bn-6c64b313.pth", 73.36),
    "vgg19": Weights("vgg19-dcbb9e9d.pth", 72.376),
    "wide_resnet50_2": Weights("wide_resnet50_2-95faca4d.pth", 78.468),
}
"""Trained on ImageNet-1k by torchvision's authors (BSD-3-Clause; ImageNet's own terms concern its images)."""

SEGMENTATION: Mapping[str, Weights] = {
    "deeplabv3_resnet101": Weights("deeplabv3_resnet101_coco-586e9e4e.pth", 67.4),
    "deeplabv3_resnet50": Weights("deeplabv3_resnet50_coco-cd0a2569.pth", 66.4),
    "fcn_resnet101": Weights("fcn_resnet101_coco-7ecb50ca.pth", 63.7),
    "fcn_resnet50": Weights("fcn_resnet50_coco-1167a1af.pth", 60.5),
}
"""Trained on the images of COCO that show PASCAL VOC's classes, by torchvision's authors; the numbers are mean IoU on COCO val2017 in %."""

DETECTION: Mapping[str, Weights] = {
    "fasterrcnn_resnet50_fpn": Weights("fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0),
    "maskrcnn_resnet50_fpn": Weights("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 37.9),
    "keypointrcnn_resnet50_fpn": Weights("keypointrcnn_resnet50_fpn_coco-fc266e95.pth", 54.6),
    "retinanet_resnet50_fpn": Weights("retinanet_resnet50_fpn_coco-eeacb38b.pth", 36.4),
    "ssd300_vgg16": Weights("ssd300_vgg16_coco-b556d3b4.pth", 25.1),
}
"""Trained on COCO by torchvision's authors; the numbers are box mAP50-95 on COCO val2017 in %. Their classes are COCO's 91 ids, of which 80 are used."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What the inputs of these files were normalised by."""

REFINER = "heads.map.refine."  # a random field behind the published network
LAST: tuple[str, ...] = ("heads.label.output.", "heads.label.auxiliary.", "heads.map.classifier.4.", "heads.map.auxiliary.0.4.")
LAST += tuple(f"heads.{head}.{part}." for head in ("boxes", "instances", "keypoints") for part in ("scores", "deltas", "masks.output", "points.up"))
"""Our names of what depends on the number of classes: these tensors stay fresh where a file has others."""

CONSTANTS = frozenset({"backbone.mean", "backbone.std", "backbone.backbone.mean", "backbone.backbone.std"})
"""Our names of what normalises the inputs, which no published file holds."""

OTHERS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "googlenet": ((0.5,) * 3, (0.5,) * 3),
    "inception_v3": ((0.5,) * 3, (0.5,) * 3),
    "ssd300_vgg16": ((0.48235, 0.45882, 0.40784), (1 / 255,) * 3),
}
"""Mean and deviation of the networks whose files were trained with others."""


def constants(network: str, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation (C,) that a network's published weights expect; of grey and of many channels, the average of the three."""
    mean, std = OTHERS.get(network, (MEAN, STD))
    return (mean, std) if channels == 3 else ((sum(mean) / 3,) * channels, (sum(std) / 3,) * channels)


def fetch(network: str, *, source: str = SOURCE, cache: Path | None = None) -> Path:
    """The published file of a network, from the cache or else downloaded into it; its SHA-256 begins as its name says.

    Raises UsageError USE-VALUE for a network without published weights, ResourceError WEIGHTS-FETCH, ModelError WEIGHTS-HASH.
    """
    files = {**IMAGENET, **SEGMENTATION, **DETECTION}
    if network not in files:
        raise UsageError("USE-VALUE", f"there are no published weights of {network}", where="--weights", fix=nearest(network, files))
    name = files[network].file
    folder = cache or Path(os.environ.get("SACCADE_CACHE") or user_cache_dir("saccade")) / "weights"
    kept = folder / name
    if not kept.is_file():
        data = _download(source + name)
        _check(data, name, source + name)
        with storage.disk_errors(kept):
            folder.mkdir(parents=True, exist_ok=True)
        storage.atomic_write(kept, data)
        return kept
    _check(kept.read_bytes(), name, str(kept))
    return kept


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            data: bytes = answer.read(LARGEST + 1)
    except (urllib.error.URLError, TimeoutError, ConnectionError, OSError) as error:
        raise ResourceError("WEIGHTS-FETCH", str(getattr(error, "reason", error)), where=url) from error
    if len(data) > LARGEST:
        raise ResourceError("WEIGHTS-FETCH", f"more than {LARGEST:,} bytes", where=url)
    return data


def _check(data: bytes, name: str, where: str) -> None:
    match = re.search(r"-([0-9a-f]{8,})\.", name)
    got = hashlib.sha256(data).hexdigest()
    if match is None or not got.startswith(match[1]):
        raise ModelError("WEIGHTS-HASH", f"the SHA-256 begins {got[:8]}, the name says {match[1] if match else 'none'}", where=where)


def load(model: Model, network: str, path: Path, names: Sequence[str] = ()) -> list[str]:
    """Puts a published file's weights into a model of that network; returns our names of what stays as it was: the last layer of other classes.

    names: the model's classes, in order: a detector whose classes are all COCO's takes their rows of the file's last layers (`models.coco`).
    Grey and many-channel images: the first kernels are summed over the colours and shared out, so that a grey picture gives what its
    three equal channels would. A missing `num_batches_tracked` is 0. Raises ModelError WEIGHTS-KEYS naming the first five tensors that
    are unknown, missing or of another shape.
    """
    own = model.state_dict()
    given: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, tensor in import_weights(path).items():
        try:
            given[published_key(network, name)] = tensor
        except KeyError:
            wrong.append(f"{name} is not of {network}")
    first = next((k for k in own if k.endswith("backbone.stages.0.0.conv.weight")), "")
    if first in given and first in own and given[first].shape[1] != own[first].shape[1] and given[first].shape[1] == 3:
        channels = own[first].shape[1]
        given[first] = given[first].sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    given = chosen(given, own, names) if network in DETECTION else given
    fresh = [k for k in own if (k.startswith(LAST) and (k not in given or given[k].shape != own[k].shape)) or k.startswith(REFINER)]
    for key, tensor in own.items():
        if key in CONSTANTS or key in fresh:
            continue
        if key not in given:
            if key.endswith("num_batches_tracked"):
                given[key] = torch.zeros((), dtype=torch.int64)
            else:
                wrong.append(f"{key} is missing")
        elif given[key].shape != tensor.shape:
            wrong.append(f"{key} is {tuple(given[key].shape)}, expected {tuple(tensor.shape)}")
    ignored = ("heads.label.auxiliary.", "heads.map.auxiliary.")  # a file with auxiliary classifiers serves a network without
    wrong += [f"{key} has no place" for key in given if key not in own and not key.startswith(ignored)]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelError("WEIGHTS-KEYS", "; ".join(wrong[:5]) + more, where=str(path))
    model.load_state_dict({key: given[key] for key in own if key in given and key not in fresh}, strict=False)
    return fresh


def normalised(inputs: Inputs, network: str) -> Inputs:
    """The inputs with the constants that the published weights expect."""
    mean, std = constants(network, inputs.channels)
    return inputs._replace(mean=mean, std=std)
