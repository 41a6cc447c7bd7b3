"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import ConvNorm, Flow, MaxPool, Valid, scaled
from saccade.ops.padding import clear

ONE = ((64, 11, 2, 1), (192, 5, 2, 1), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))  # channels, kernel, padding, groups
TWO = ((96, 11, 2, 1), (256, 5, 2, 2), (384, 3, 1, 1), (384, 3, 1, 2), (256, 3, 1, 2))


class Response(nn.Module):
    """Local response normalisation over five neighbouring maps (section 3.3): k = 2, alpha = 1e-4, beta = 0.75.

    Deviation: alpha is not divided by the five maps in the paper and is in torch, so 5e-4 is given here.
    """

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        return clear(F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0), extent), extent


class AlexNet(Staged):
    """Five convolutions, three overlapping poolings of 3x3 and stride 2; the first convolution is 11x11 of stride 4.

    towers: 1 is the single tower of Krizhevsky 2014 ("One weird trick for parallelizing convolutional neural networks"), whose
    weights are published today; 2 the net of 2012, its halves meeting in the third convolution only, with response normalisation.
    Deviation: the 2012 net's first convolution is padded by 2 and takes 224 px, as the paper says, where its sizes need 227.
    Raises ValueError for inputs below 63 px.
    """

    def __init__(self, inputs: Inputs, *, towers: Literal[1, 2] = 1, width: float = 1.0) -> None:
        table = ONE if towers == 1 else TWO
        convolutions, before = [], inputs.channels
        for place, (channels, kernel, padding, groups) in enumerate(table):
            wide = scaled(channels, width, 2)
            stride = 4 if place == 0 else 1
            convolutions.append(ConvNorm(before, wide, kernel=kernel, stride=stride, padding=padding, groups=groups, norm="none"))
            before = wide
        first, second, *others = convolutions
        response: list[nn.Module] = [Response()] if towers == 2 else []
        stages = [
            Flow(first, *response),
            Flow(MaxPool(3, stride=2), second, *(Response() for _ in response)),
            Flow(MaxPool(3, stride=2), *others),
            Flow(MaxPool(3, stride=2)),
        ]
        widths = [scaled(c, width, 2) for c, *_ in table]
        levels = [Level(widths[0], 4), Level(widths[1], 8), Level(widths[4], 16), Level(widths[4], 32)]
        super().__init__(inputs, stages, levels, reach=63)  # a = k - 2p: 7 of the first convolution (s = 4), 3 of each pooling: 7 + 8 + 16 + 32
