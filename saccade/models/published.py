"""What the field's published weight files call our tensors."""

from __future__ import annotations

import re

_BLOCK = {"conv1": "residual.0.conv", "bn1": "residual.0.norm", "conv2": "residual.1.conv", "bn2": "residual.1.norm"}
_BLOCK |= {"conv3": "residual.2.conv", "bn3": "residual.2.norm", "downsample.0": "shortcut.conv", "downsample.1": "shortcut.norm"}
_STEM = {"conv1": "backbone.stages.0.0.conv", "bn1": "backbone.stages.0.0.norm", "fc": "heads.label.output"}


def resnet_key(published: str) -> str:
    """Our name of a tensor of torchvision's ResNet files, for a model with the ImageNet stem. Raises KeyError for any other name.

    >>> resnet_key("layer1.0.bn2.running_mean")
    'backbone.stages.1.1.residual.1.norm.running_mean'
    >>> resnet_key("layer4.0.downsample.0.weight")
    'backbone.stages.4.0.shortcut.conv.weight'
    """
    module, _, tensor = published.rpartition(".")
    if module in _STEM:
        return f"{_STEM[module]}.{tensor}"
    match = re.fullmatch(r"layer([1-4])\.(\d+)\.(conv[123]|bn[123]|downsample\.[01])", module)
    if not match:
        raise KeyError(f"{published!r} is not a tensor of a published ResNet file")
    stage, block, part = int(match[1]), int(match[2]), match[3]
    # stage 1 begins with the max pooling, so its blocks are counted from 1
    return f"backbone.stages.{stage}.{block + (stage == 1)}.{_BLOCK[part]}.{tensor}"
