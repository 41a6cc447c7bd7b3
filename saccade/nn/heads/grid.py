"""One class for a whole image from the last map's means or maxima in a grid of windows, made comparable between images, by one linear layer."""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from saccade.core import Features, Level
from saccade.nn.heads.classify import Classify, full, last_extent
from saccade.ops.pooling import grid_average, grid_max


class GridClassify(Classify):
    """The last map in grid x grid windows, brought to mean 0 and variance 1 over each image's numbers, and a linear layer to K logits.

    Without that contrast would be the first thing that the numbers tell. It has no parameters. Options as for `Classify`, but for `pool`,
    which is average or max over a window. Raises ValueError for a grid below 1, and as `Classify` does.
    """

    def __init__(self, level: Level, classes: int, *, grid: int = 4, pool: Literal["average", "max"] = "average", reach: int = 1, **options: Any) -> None:
        if grid < 1 or pool not in ("average", "max"):
            raise ValueError(f"grid must be at least 1 and pool average or max, got {grid} and {pool!r}")
        super().__init__(level._replace(channels=level.channels * grid**2), classes, pool=pool, reach=reach, **options)
        self.grid = grid

    def pooled(self, features: Features) -> Tensor:
        """(N, C grid^2), each row of mean 0 and variance 1."""
        extent = last_extent(features, self.level.stride, self.reach)
        windows = (grid_average if self.pool == "average" else grid_max)(features.maps[-1], self.grid, extent)
        flat = full(windows.flatten(1))
        return F.layer_norm(flat, flat.shape[1:])
