"""The bottleneck: the whole last map as one short code."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from saccade.core import Features, Level, Neck


class Codes(Neck):
    """A linear layer over all values of the last map: one more map (N, codes, 1, 1), whose stride is the whole input.

    levels: the backbone's; size: (h, w) of its inputs, all of them alike. Weights normal with variance 1 / fan-in, biases 0.
    Raises ValueError in `forward` for inputs of another size.
    """

    def __init__(self, levels: Sequence[Level], size: tuple[int, int], codes: int) -> None:
        super().__init__()
        self.size = size
        self.cells = cells_of(levels[-1], size)
        self.levels = (*levels, Level(codes, max(size)))
        self.layer = nn.Linear(levels[-1].channels * math.prod(self.cells), codes)
        nn.init.normal_(self.layer.weight, 0.0, self.layer.in_features**-0.5)
        nn.init.zeros_(self.layer.bias)

    def forward(self, features: Features) -> Features:
        last = features.maps[-1]
        if tuple(last.shape[2:]) != self.cells:
            h, w = features.maps[0].shape[2:]
            raise ValueError(f"made for inputs of {self.size[0]}x{self.size[1]} px, got {h}x{w}")
        code: Tensor = self.layer(last.flatten(1))
        return Features([*features.maps, code[:, :, None, None]], features.sizes)


def cells_of(level: Level, size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of a map over inputs of this size, whose strides round up.

    >>> cells_of(Level(8, 4), (28, 30))
    (7, 8)
    """
    return -(-size[0] // level.stride), -(-size[1] // level.stride)
