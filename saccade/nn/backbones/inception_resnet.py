"""Inception-ResNet-v2: Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the impact of residual connections", AAAI 2017."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import AveragePool, Branches, ConvNorm, Flow, MaxPool, ResidualBlock, Valid, kaiming, scaled

COUNTS = (10, 20, 9)  # blocks A, B, C behind which a reduction comes; one more C without ReLU ends the last group
SCALES = (0.17, 0.10, 0.20)
conv = partial(ConvNorm, eps=1e-3)


class ScaledResidual(ResidualBlock):
    """relu(x + scale * residual(x)), or the same without ReLU: residuals scaled down keep wide nets from dying early (section 3.3 and figure 20)."""

    def __init__(self, branches: Branches, inner: int, channels: int, *, scale: float, activation: bool = True) -> None:
        super().__init__(Flow(branches, ConvNorm(inner, channels, kernel=1, norm="none", activation=False)), Flow())
        self.scale, self.activation = scale, activation

    def forward(self, x: Tensor, extent: Tensor | None = None) -> Valid:
        y, _ = self.residual(x, extent)
        total = x + self.scale * y
        return (F.relu(total, inplace=True) if self.activation else total), extent


class InceptionResNetV2(Staged):
    """The stem of Inception-v3 and one mixed block, then 10 blocks A at stride 8, 20 blocks B at stride 16 and 10 blocks C at stride 32.

    Convolutions without padding shrink the map where the paper says so, therefore 299 px give 8x8 cells.
    Deviations, those of the published weights: the stem and the mixed block behind it stand for figure 3, so the groups have 320,
    1,088 and 2,080 channels where the figures have 384, 1,154 and 2,048; scales of 0.17, 0.10 and 0.20, in the range of 0.1 to 0.3 that the
    paper names. The average of the mixed block counts the zeros around the map, as in `nn.backbones.inception`.
    """

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        self.wide = w = partial(scaled, width=width)
        first, a = self.mixed(w(192))
        reduced, b = self.first_reduction(a)
        last, c = self.second_reduction(b)
        stages = [
            Flow(conv(inputs.channels, w(32), stride=2, padding=0), conv(w(32), w(32), padding=0), conv(w(32), w(64))),
            Flow(MaxPool(3, stride=2), conv(w(64), w(80), kernel=1), conv(w(80), w(192), padding=0)),
            Flow(MaxPool(3, stride=2), first, *(self.block_a(a) for _ in range(COUNTS[0]))),
            Flow(reduced, *(self.block_b(b) for _ in range(COUNTS[1]))),
            Flow(last, *(self.block_c(c) for _ in range(COUNTS[2])), self.block_c(c, scale=1.0, activation=False), conv(c, w(1536), kernel=1)),
        ]
        levels = [Level(w(64), 2), Level(w(192), 4), Level(a, 8), Level(b, 16), Level(w(1536), 32)]
        # a = k - 2p of each layer that shrinks: 3 (stride 2), 3 | 3 (2), 3 | 3 (2) | 3 (2) | 3 (2)
        super().__init__(inputs, stages, levels, reach=3 + 2 * 2 + 2 * 2 + 4 * 2 + 4 * 2 + 8 * 2 + 16 * 2)
        kaiming(self)

    def mixed(self, inputs: int) -> tuple[Branches, int]:
        """1x1, 5x5, two 3x3 and an average, side by side: 320 channels."""
        w = self.wide
        five = Flow(conv(inputs, w(48), kernel=1), conv(w(48), w(64), kernel=5))
        double = Flow(conv(inputs, w(64), kernel=1), conv(w(64), w(96)), conv(w(96), w(96)))
        pooled = Flow(AveragePool(3, stride=1, padding=1), conv(inputs, w(64), kernel=1))
        return Branches(conv(inputs, w(96), kernel=1), five, double, pooled), w(96) + w(64) + w(96) + w(64)

    def block_a(self, channels: int) -> ScaledResidual:
        """1x1; 3x3; two 3x3 (figure 16)."""
        w = self.wide
        three = Flow(conv(channels, w(32), kernel=1), conv(w(32), w(32)))
        double = Flow(conv(channels, w(32), kernel=1), conv(w(32), w(48)), conv(w(48), w(64)))
        branches = Branches(conv(channels, w(32), kernel=1), three, double)
        return ScaledResidual(branches, w(32) + w(32) + w(64), channels, scale=SCALES[0])

    def block_b(self, channels: int) -> ScaledResidual:
        """1x1; 1x7 and 7x1 (figure 17)."""
        w = self.wide
        seven = Flow(conv(channels, w(128), kernel=1), conv(w(128), w(160), kernel=(1, 7)), conv(w(160), w(192), kernel=(7, 1)))
        return ScaledResidual(Branches(conv(channels, w(192), kernel=1), seven), 2 * w(192), channels, scale=SCALES[1])

    def block_c(self, channels: int, *, scale: float = SCALES[2], activation: bool = True) -> ScaledResidual:
        """1x1; 1x3 and 3x1 (figure 19)."""
        w = self.wide
        three = Flow(conv(channels, w(192), kernel=1), conv(w(192), w(224), kernel=(1, 3)), conv(w(224), w(256), kernel=(3, 1)))
        return ScaledResidual(Branches(conv(channels, w(192), kernel=1), three), w(192) + w(256), channels, scale=scale, activation=activation)

    def first_reduction(self, inputs: int) -> tuple[Branches, int]:
        """Stride 8 to 16: figure 7 with k = l = 256, m = n = 384 (table 1)."""
        w = self.wide
        double = Flow(conv(inputs, w(256), kernel=1), conv(w(256), w(256)), conv(w(256), w(384), stride=2, padding=0))
        return Branches(conv(inputs, w(384), stride=2, padding=0), double, MaxPool(3, stride=2)), 2 * w(384) + inputs

    def second_reduction(self, inputs: int) -> tuple[Branches, int]:
        """Stride 16 to 32 (figure 18)."""
        w = self.wide
        one = Flow(conv(inputs, w(256), kernel=1), conv(w(256), w(384), stride=2, padding=0))
        two = Flow(conv(inputs, w(256), kernel=1), conv(w(256), w(288), stride=2, padding=0))
        three = Flow(conv(inputs, w(256), kernel=1), conv(w(256), w(288)), conv(w(288), w(320), stride=2, padding=0))
        return Branches(one, two, three, MaxPool(3, stride=2)), w(384) + w(288) + w(320) + inputs
