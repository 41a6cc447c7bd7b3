"""Any backbone of the package timm, where that is installed: its feature pyramid as one of ours."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch
from torch import nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.errors import UsageError
from saccade.ops.padding import cells, clear, valid_extent

DECLARED: list[torch.library.Library] = []  # must live as long as their operators


class Timm(Backbone):
    """The maps of `timm.create_model(name, features_only=True)` with fresh weights, fine to coarse, after the input itself.

    name: a model of timm that gives feature maps (N, C, H, W). Padding is cleared before the network and after every map. Raises UsageError
    USE-EXTRA where timm is not installed, USE-VALUE for a name that timm does not have or a network without such maps.
    """

    reach = 1

    def __init__(self, inputs: Inputs, *, name: str) -> None:
        super().__init__(inputs)
        self.net = created(name, inputs.channels)
        reductions, channels = self.net.feature_info.reduction(), self.net.feature_info.channels()
        self.levels = (Level(inputs.channels, 1), *(Level(int(c), int(s)) for c, s in zip(channels, reductions, strict=True)))

    def forward(self, inputs: Any, sizes: Any) -> Features:
        extent = valid_extent(inputs, sizes)
        maps = self.net(clear(self.normalise(inputs), extent))
        cut = [m if extent is None else clear(m, cells(extent, level.stride, self.reach)) for m, level in zip(maps, self.levels[1:], strict=True)]
        return Features([inputs, *cut], sizes)


def created(name: str, channels: int) -> Any:
    """timm's network, without weights from anywhere."""
    try:
        timm = imported()
    except ImportError as error:
        raise UsageError("USE-EXTRA", f"timm:{name} needs the package timm", where="--model", fix="pip install saccade[timm]") from error
    try:
        found: nn.Module = timm.create_model(name, pretrained=False, features_only=True, in_chans=channels)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, AssertionError) as error:
        raise UsageError("USE-VALUE", f"timm:{name}: {str(error)[:200] or type(error).__name__}", where="--model") from error
    return found


def imported() -> Any:
    """The package timm. It imports torchvision, two of whose operators are declared by hand where its own are of another torch; none is used here."""
    try:
        return importlib.import_module("timm")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "timm")]:
            del sys.modules[name]
    if not DECLARED:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        DECLARED.append(library)
    return importlib.import_module("timm")
