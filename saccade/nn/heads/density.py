"""Counting by a density map, whose sum is the count: Lempitsky and Zisserman, "Learning to count objects in images", NIPS 2010."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Features, Head, Level, Meta
from saccade.nn.blocks import ConvNorm, Flow, Norm, kaiming
from saccade.ops import counting
from saccade.ops.padding import cells, clear, valid_extent
from saccade.targets.points import Points

BLOCKS = (4, 16, 64)
"""Cells of a side of the blocks whose sums are compared besides those of single cells."""


class DensityOut(NamedTuple):
    """density: (N, K, h, w) not negative, in units of the peak of one dot's kernel, nought beyond the extent. extent: (N, 2) valid cells (h, w)."""

    density: Tensor
    extent: Tensor


class Density(Head[DensityOut, Points]):
    """Two convolutions of one map to a density for each class, at its resolution.

    level: the map's; at: its place in the pyramid. sigma: deviation of a dot's Gaussian in pixels of the input; it should be below the radius of
    the objects. The answer holds as many dots of a class as its density sums to, rounded, where it is highest (`ops.counting.peaks`).
    """

    def __init__(self, level: Level, classes: int, *, at: int = 1, sigma: float = 4.0, norm: Norm = "batch") -> None:
        super().__init__()
        self.level, self.at, self.sigma = level, at, sigma / level.stride
        self.peak = 1 / (2 * math.pi * self.sigma**2)
        self.hidden = Flow(ConvNorm(level.channels, level.channels, norm=norm))
        kaiming(self.hidden)
        self.output = nn.Conv2d(level.channels, classes, 1)
        nn.init.normal_(self.output.weight, 0.0, 0.01)
        nn.init.constant_(self.output.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, features: Features) -> DensityOut:
        extent = extent_of(features, self.level.stride)
        x, _ = self.hidden(features.maps[self.at], extent)
        found = clear(F.softplus(self.output(x).to(torch.promote_types(x.dtype, torch.float32))), extent)
        return DensityOut(found, whole_extent(found, extent))

    def loss(self, out: DensityOut, targets: Sequence[Points]) -> dict[str, Tensor]:
        """{"density": of blocks of 1, 4, 16 and 64 cells a side, the mean over valid blocks of the squared difference of their sums to the true ones,
        divided by the side and, beyond 1, times sigma; their sum, in units of the peak. "count": the squared difference of the counts, as a share of the
        true one plus one, a tenth of it}.

        The cells alone would teach little: where a dot can lie anywhere in an object, nought everywhere is nearly the best answer to each.
        """
        squares, counts = [], []
        for found, extent, target in zip(out.density, out.extent.tolist(), targets, strict=True):
            truth = true_density(target, found.shape[0], self.sigma, self.level.stride, (extent[0], extent[1])).to(found.device)
            part = found[:, : extent[0], : extent[1]]
            wrong = (part - (truth / self.peak).to(part))[None]
            squares.append(wrong.square().mean())
            for side in BLOCKS:
                whole = F.pad(wrong, (0, -wrong.shape[3] % side, 0, -wrong.shape[2] % side))
                squares.append((self.sigma * F.avg_pool2d(whole, side, divisor_override=side)).square().mean())
            right = truth.sum((1, 2)).to(part)
            counts.append((((part.sum((1, 2)) * self.peak - right) / (1 + right)) ** 2).sum())
        return {"density": torch.stack(squares).sum() / len(targets), "count": 0.1 * torch.stack(counts).mean()}

    def decode(self, out: DensityOut, meta: Sequence[Meta]) -> list[Points]:
        """Dots with the density there as scores, in [0, 1], a class after another."""
        maps = out.density.detach().float().cpu().numpy()
        return [self._dots(found[:, :h, :w], one) for found, (h, w), one in zip(maps, out.extent.tolist(), meta, strict=True)]

    def _dots(self, found: np.ndarray, meta: Meta) -> Points:
        rows = [counting.peaks(plane * self.peak, self.sigma, min(plane.size, round(float(plane.sum()) * self.peak))) for plane in found]
        return dots_in_source(rows, self.level.stride, meta, 1 / self.peak)


def true_density(target: Points, classes: int, sigma: float, stride: int, size: tuple[int, int]) -> Tensor:
    """(K, h, w) float64: the density of the dots of each class, sigma and size in cells of the stride. Raises ValueError for an id out of range."""
    ids = require_ids(target, classes)
    return torch.stack([counting.density(target.xy[ids == k] / stride, sigma, size) for k in range(classes)])


def require_ids(target: Points, classes: int) -> Tensor:
    """The class ids on the CPU, ignored ones (-1) too. Raises ValueError for others outside of 0..classes-1."""
    ids = target.classes.cpu()
    if len(ids) and (int(ids.max()) >= classes or int(ids.min()) < -1):
        raise ValueError(f"class ids must be 0..{classes - 1}, got {int(ids.min())} to {int(ids.max())}")
    return ids


def extent_of(features: Features, stride: int) -> Tensor | None:
    """The valid cells of a map whose strides round up."""
    whole = valid_extent(features.maps[0], features.sizes)
    return whole if whole is None else cells(whole, stride)


def whole_extent(x: Tensor, extent: Tensor | None) -> Tensor:
    """(N, 2) valid cells; all of them where nothing is padded."""
    return x.new_tensor(x.shape[2:], dtype=torch.int64).expand(len(x), 2) if extent is None else extent


def dots_in_source(rows: Sequence[np.ndarray], stride: int, meta: Meta, scale: float = 1.0) -> Points:
    """Per class (n, 3) x, y in cells and a score -> Points in the source's pixels, best first by class; dots outside of it are moved to its border."""
    found = np.concatenate([np.zeros((0, 3)), *rows])
    h, w = meta.size
    xy = meta.geometry.back(found[:, :2] * stride).clip(0, (w, h))
    ids = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    scores = torch.from_numpy((found[:, 2] * scale).clip(0, 1)).float()
    return Points(torch.from_numpy(xy).float(), torch.from_numpy(ids), scores, meta.size)
