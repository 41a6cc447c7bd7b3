"""The network of diffusion: a U-Net of residual blocks that is told the time and a vector, with self-attention where the map is smallest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def waves(t: Tensor, width: int) -> Tensor:
    """(N,) -> (N, width): cosines and sines of t at frequencies from 1 to 1/10000 (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000.0) / max(1, half - 1)))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 8 groups, or as many as divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


class Block(nn.Module):
    """Two convolutions with a factor and a shift for each channel between them, from what the block is told; the input is added (Dhariwal and Nichol 2021)."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first = nn.Sequential(norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, 1, 1))
        self.told = nn.Linear(told, 2 * after)
        self.norm, self.last = norm(after), nn.Conv2d(after, after, 3, 1, 1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        factor, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        inner = self.norm(self.first(x)) * (1 + factor) + shift
        return self.shortcut(x) + self.last(F.silu(inner))


class Attention(nn.Module):
    """Every cell of a map looks at all cells (Vaswani et al. 2017); the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // 32)
        while channels % self.heads:
            self.heads -= 1
        self.norm, self.asked, self.last = norm(channels), nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.asked(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        found = F.scaled_dot_product_attention(q, k, v)
        return x + self.last(found.transpose(2, 3).reshape(n, c, h, w))


class UNet(nn.Module):
    """(N, C, h, w), times (N,) and vectors (N, K) or None -> (N, C, h, w). Ho, Jain and Abbeel 2020, appendix B, made small.

    width: channels of the largest map; factors: of them on each smaller one; blocks: residual blocks a level each way; patch: side of the blocks of
    pixels that are folded into channels first, so that the largest map has so many times fewer cells a side. Sides that do not divide are padded by
    their border and cut again. Deviations: attention on the smallest map alone; factor and shift instead of a sum; no dropout.
    """

    def __init__(self, channels: int, *, width: int, factors: Sequence[int], blocks: int, told: int, patch: int = 1, attention: bool = True) -> None:
        super().__init__()
        self.width, self.patch, self.divisor = width, patch, patch << (len(factors) - 1)
        inner, widths = 4 * width, [width * factor for factor in factors]
        self.time = nn.Sequential(nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, inner))
        self.told = nn.Linear(told, inner) if told else None
        self.stem = nn.Conv2d(channels * patch**2, width, 3, 1, 1)
        self.down, self.halve, kept, now = nn.ModuleList(), nn.ModuleList(), [width], width
        for level, wide in enumerate(widths):
            for _ in range(blocks):
                self.down.append(Block(now, wide, inner))
                now = wide
                kept.append(now)
            if level + 1 < len(widths):
                self.halve.append(nn.Conv2d(now, now, 3, 2, 1))
                kept.append(now)
        self.middle = nn.ModuleList([Block(now, now, inner), Attention(now) if attention else nn.Identity(), Block(now, now, inner)])
        self.up, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(Block(now + kept.pop(), wide, inner))
                now = wide
            if level:
                self.enlarge.append(nn.Conv2d(now, now, 3, 1, 1))
        self.blocks = blocks
        self.out = nn.Sequential(norm(now), nn.SiLU(), nn.Conv2d(now, channels * patch**2, 3, 1, 1))
        nn.init.zeros_(self.out[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.out[2].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor, told: Tensor | None = None) -> Tensor:
        h, w = x.shape[2:]
        padding = (0, -w % self.divisor, 0, -h % self.divisor)
        x = F.pad(x, padding, mode="replicate") if any(padding) else x
        x = self._folded(F.pixel_unshuffle(x, self.patch), self._known(t, told))
        return F.pixel_shuffle(x, self.patch)[:, :, :h, :w]

    def _known(self, t: Tensor, told: Tensor | None) -> Tensor:
        """What every block is told: (N, 4 width)."""
        known = self.time(waves(t, self.width))
        return F.silu(known if told is None or self.told is None else known + self.told(told))

    def _folded(self, x: Tensor, known: Tensor) -> Tensor:
        x = self.stem(x)
        kept, levels = [x], len(self.halve) + 1
        for level in range(levels):
            for block in self.down[level * self.blocks : (level + 1) * self.blocks]:  # type: ignore[union-attr]
                x = block(x, known)
                kept.append(x)
            if level + 1 < levels:
                x = self.halve[level](x)
                kept.append(x)
        first, attention, last = self.middle
        x = last(attention(first(x, known)), known)
        for level in range(levels):
            for block in self.up[level * (self.blocks + 1) : (level + 1) * (self.blocks + 1)]:  # type: ignore[union-attr]
                x = block(torch.cat([x, kept.pop()], 1), known)
            if level + 1 < levels:
                x = self.enlarge[level](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.out(x)
