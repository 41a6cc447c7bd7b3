"""Inception-v3: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, table 1 and figures 5 to 7."""

from __future__ import annotations

from functools import partial

from torch import nn

from saccade.core import Inputs, Level
from saccade.nn.backbones.staged import Staged
from saccade.nn.blocks import AveragePool, Branches, ConvNorm, Flow, MaxPool, kaiming, scaled

SEVENS = (128, 160, 160, 192)


class InceptionV3(Staged):
    """Three 3x3 convolutions, two more, then 3 blocks at stride 8, 4 with 1x7 and 7x1 at stride 16, 2 wide ones at stride 32.

    Convolutions without padding shrink the map where the paper says so, therefore 299 px give 8x8 cells.
    Deviation: the pooling of every block is the average one of the published weights.
    """

    auxiliary = (5,)
    """The place of the map that the auxiliary classifier looks at: the last of stride 16."""

    def __init__(self, inputs: Inputs, *, width: float = 1.0) -> None:
        self.wide = partial(scaled, width=width)
        w = self.wide
        stages = [
            Flow(conv(inputs.channels, w(32), stride=2, padding=0), conv(w(32), w(32), padding=0), conv(w(32), w(64))),
            Flow(MaxPool(3, stride=2), conv(w(64), w(80), kernel=1), conv(w(80), w(192), padding=0)),
            Flow(MaxPool(3, stride=2), *self.fives()),
            Flow(self.first_reduction(w(288))),
            Flow(*(self.sevens(w(768), w(c)) for c in SEVENS)),
            Flow(self.second_reduction(w(768)), self.widest(w(1280)), self.widest(w(2048))),
        ]
        levels = [Level(w(64), 2), Level(w(192), 4), Level(w(288), 8), Level(w(768), 16), Level(w(768), 16), Level(w(2048), 32)]
        if [w(64) + w(64) + w(96) + w(64), w(384) + w(96) + w(288), w(320) + w(192) + w(768), w(320) + 4 * w(384) + w(192)] != [
            w(288),
            w(768),
            w(1280),
            w(2048),
        ]:
            raise ValueError(f"the branches of a block must add up to its channels, which width {width} does not give; try a multiple of 1/32")
        # a = k - 2p of each layer: 3 (stride 2), 3, 1 | 3 (2), 1, 3 | 3 (2) | 3 (2) | 3 (2)
        super().__init__(inputs, stages, levels, reach=3 + 2 * 2 + 2 * 2 + 4 * 2 + 4 * 2 + 8 * 2 + 16 * 2)
        kaiming(self)

    def fives(self) -> list[nn.Module]:
        """Three blocks with a 5x5 and a pair of 3x3 (figure 5); the first pools into fewer channels."""
        w, blocks, before = self.wide, [], self.wide(192)
        for pooled in (32, 64, 64):
            blocks.append(
                Branches(
                    conv(before, w(64), kernel=1),
                    Flow(conv(before, w(48), kernel=1), conv(w(48), w(64), kernel=5)),
                    Flow(conv(before, w(64), kernel=1), conv(w(64), w(96)), conv(w(96), w(96))),
                    Flow(AveragePool(3, stride=1, padding=1), conv(before, w(pooled), kernel=1)),
                )
            )
            before = w(64) + w(64) + w(96) + w(pooled)
        return list(blocks)

    def first_reduction(self, inputs: int) -> Branches:
        """Stride 8 to 16 without a bottleneck (figure 10)."""
        w = self.wide
        double = Flow(conv(inputs, w(64), kernel=1), conv(w(64), w(96)), conv(w(96), w(96), stride=2, padding=0))
        return Branches(conv(inputs, w(384), stride=2, padding=0), double, MaxPool(3, stride=2))

    def sevens(self, inputs: int, inner: int) -> Branches:
        """7x7 as 1x7 and 7x1, once and twice (figure 6, n = 7)."""
        out = self.wide(192)
        return Branches(
            conv(inputs, out, kernel=1),
            Flow(conv(inputs, inner, kernel=1), conv(inner, inner, kernel=(1, 7)), conv(inner, out, kernel=(7, 1))),
            Flow(
                conv(inputs, inner, kernel=1),
                conv(inner, inner, kernel=(7, 1)),
                conv(inner, inner, kernel=(1, 7)),
                conv(inner, inner, kernel=(7, 1)),
                conv(inner, out, kernel=(1, 7)),
            ),
            Flow(AveragePool(3, stride=1, padding=1), conv(inputs, out, kernel=1)),
        )

    def second_reduction(self, inputs: int) -> Branches:
        """Stride 16 to 32."""
        w = self.wide
        seven = Flow(
            conv(inputs, w(192), kernel=1),
            conv(w(192), w(192), kernel=(1, 7)),
            conv(w(192), w(192), kernel=(7, 1)),
            conv(w(192), w(192), stride=2, padding=0),
        )
        return Branches(Flow(conv(inputs, w(192), kernel=1), conv(w(192), w(320), stride=2, padding=0)), seven, MaxPool(3, stride=2))

    def widest(self, inputs: int) -> Branches:
        """3x3 as 1x3 beside 3x1, once and after another 3x3 (figure 7)."""
        w = self.wide
        return Branches(
            conv(inputs, w(320), kernel=1),
            Flow(conv(inputs, w(384), kernel=1), crossed(w(384))),
            Flow(conv(inputs, w(448), kernel=1), conv(w(448), w(384)), crossed(w(384))),
            Flow(AveragePool(3, stride=1, padding=1), conv(inputs, w(192), kernel=1)),
        )


conv = partial(ConvNorm, eps=1e-3)


def crossed(channels: int) -> Branches:
    """1x3 beside 3x1."""
    return Branches(conv(channels, channels, kernel=(1, 3)), conv(channels, channels, kernel=(3, 1)))
