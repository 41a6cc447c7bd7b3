"""Several encoders of one kind side by side, each with its own weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from saccade.core import Backbone, Features, Inputs, Level
from saccade.nn.backbones.staged import Staged


class Several(Backbone):
    """n encoders that see the same input; each map is theirs one behind another, encoder by encoder.

    make: builds one encoder; its weights are drawn anew each time. Raises ValueError for n below 1.
    """

    def __init__(self, inputs: Inputs, make: Callable[[], Staged], n: int) -> None:
        super().__init__(inputs)
        if n < 1:
            raise ValueError(f"there must be at least one encoder, got {n}")
        encoders = [make() for _ in range(n)]
        self.encoders = nn.ModuleList(encoders)
        self.levels = (encoders[0].levels[0], *(Level(n * level.channels, level.stride) for level in encoders[0].levels[1:]))
        self.reach = encoders[0].reach

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        found = [encoder(inputs, sizes).maps[1:] for encoder in self.encoders]
        return Features([inputs, *(torch.cat(maps, 1) for maps in zip(*found, strict=True))], sizes)
