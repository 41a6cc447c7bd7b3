"""Procedural textures: how much of a material's second colour is at a point of a solid.

Noise is one periodic volume of four octaves and dead leaves one periodic picture, both made once from a fixed seed; every solid looks
at another place of them. What is finer than a pixel fades to its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from saccade.data.world.cast import above, take
from saccade.data.world.chance import TILE, generator
from saccade.data.world.scene import TEXTURES
from saccade.data.world.solids import Vector, root

VOLUME, PICTURE = 64, 256
"""Sides of the periodic noise and of the periodic leaves, in cells."""


@lru_cache(maxsize=4)
def noise_volume(device: str = "cpu") -> Tensor:
    """(VOLUME**3,) float32 in [0, 1]: four octaves of interpolated random numbers, periodic along each axis."""
    total = np.zeros((VOLUME, VOLUME, VOLUME))
    chance = generator(0, 0, TILE)
    for cells, weight in ((8, 0.5), (16, 0.27), (32, 0.15), (64, 0.08)):
        grid = chance.random((cells,) * 3)
        for axis in range(3):
            at = np.arange(VOLUME) * cells / VOLUME
            low = at.astype(int)
            share = (at - low) ** 2 * (3 - 2 * (at - low))
            shape = [1, 1, 1]
            shape[axis] = -1
            share = share.reshape(shape)
            grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, (low + 1) % cells, axis) * share
        total += weight * grid
    stretched = np.clip((total - 0.5) * 2.2 + 0.5, 0, 1)
    return torch.from_numpy(stretched.astype(np.float32).ravel()).to(device)


@lru_cache(maxsize=4)
def leaves_picture(device: str = "cpu") -> Tensor:
    """(PICTURE**2,) float32 in [0, 1]: dead leaves (Lee, Mumford, Huang 2001), discs whose radii r have density r^-3, periodic."""
    chance = generator(1, 0, TILE)
    seen = np.full((PICTURE, PICTURE), -1.0)
    flat = seen.ravel()
    left = PICTURE * PICTURE
    while left:  # from the front to the back: a disc covers only what is not covered yet
        u, cx, cy, grey = chance.random(4)
        radius = 2.5 / np.sqrt(1 - u * (1 - (2.5 / 50) ** 2))
        span = np.arange(-int(radius) - 1, int(radius) + 2)
        rows, columns = (int(cy * PICTURE) + span) % PICTURE, (int(cx * PICTURE) + span) % PICTURE
        places = rows[:, None] * PICTURE + columns
        mine = places[(span[:, None] ** 2 + span**2 <= radius**2) & (flat[places] < 0)]
        flat[mine], left = grey, left - len(mine)
    return torch.from_numpy(seen.astype(np.float32).ravel()).to(device)


def noise(p: Vector) -> Tensor:
    """The noise at points (k,) in cells, interpolated linearly."""
    volume = noise_volume(str(p[0].device))
    low = [v.floor() for v in p]
    share = [v - f for v, f in zip(p, low, strict=True)]
    cell = [(f.to(torch.int32) & (VOLUME - 1)) for f in low]
    after = [((c + 1) & (VOLUME - 1)) for c in cell]
    plane = (cell[0] * (VOLUME * VOLUME), after[0] * (VOLUME * VOLUME))
    line = (cell[1] * VOLUME, after[1] * VOLUME)
    deep = []
    for front in plane:
        rows = []
        for side in line:
            start = front + side
            one, two = take(volume, start + cell[2]), take(volume, start + after[2])
            rows.append(one + (two - one) * share[2])
        deep.append(rows[0] + (rows[1] - rows[0]) * share[1])
    return deep[0] + (deep[1] - deep[0]) * share[0]


def _flat(p: Vector, normal: Vector) -> tuple[Tensor, Tensor]:
    """The two coordinates across the axis that the normal is nearest to."""
    a, b, c = normal[0].abs(), normal[1].abs(), normal[2].abs()
    x = ((a > b) & (a > c)).to(a.dtype)
    y = (b > c).to(a.dtype) * (1 - x)
    z = 1 - x - y
    return p[1] * x + p[0] * (1 - x), p[2] * (x + y) + p[1] * z


def _edge(v: Tensor, sharp: float) -> Tensor:
    """A wave of period 1 between 0 and 1 with soft edges."""
    wave = (v - v.floor() - 0.5).abs() * 4 - 1
    return (wave * sharp + 0.5).clamp(0, 1)


def _noise(p: Vector, normal: Vector) -> Tensor:
    return noise((p[0] * 8, p[1] * 8, p[2] * 8))


def _stripes(p: Vector, normal: Vector) -> Tensor:
    return _edge(p[2] + 0.35 * p[0], 3.0)


def _checks(p: Vector, normal: Vector) -> Tensor:
    u, v = _flat(p, normal)
    one, two = _edge(u, 6.0), _edge(v, 6.0)
    return one + two - 2 * one * two


def _leaves(p: Vector, normal: Vector) -> Tensor:
    u, v = _flat(p, normal)
    column, row = ((w * 64).floor().to(torch.int32) & (PICTURE - 1) for w in (u, v))
    return take(leaves_picture(str(u.device)), row * PICTURE + column)


def _wood(p: Vector, normal: Vector) -> Tensor:
    rough = noise((p[0] * 2, p[1] * 8, p[2] * 8))
    ring = root((p[1] * p[1] + p[2] * p[2]) * 4) + rough * 1.3
    ring = ring - ring.floor()
    return 0.25 * rough + 0.75 * ring * ring


def _windows(p: Vector, normal: Vector) -> Tensor:
    """1 inside of windows, some of which are lit (2)."""
    u, v = _flat(p, normal)
    column, row = u.floor(), v.floor()
    inside = torch.minimum((0.3 - (u - column - 0.5).abs()) * 12, (0.32 - (v - row - 0.5).abs()) * 12).clamp(0, 1)
    wall = (normal[2].abs() < 0.5).to(u.dtype)
    lit = column * 0.754877666 + row * 0.569840291
    return inside * wall * (1 + ((lit - lit.floor()) < 0.3).to(u.dtype))


def _clouds(p: Vector, normal: Vector) -> Tensor:
    return ((_noise(p, normal) - 0.5) * 4).clamp(0, 1)


_PATTERNS: Mapping[str, Callable[[Vector, Vector], Tensor]] = MappingProxyType(
    {"noise": _noise, "stripes": _stripes, "checks": _checks, "leaves": _leaves, "wood": _wood, "windows": _windows, "clouds": _clouds}
)
_MEANS = {"noise": 0.5, "stripes": 0.5, "checks": 0.5, "leaves": 0.5, "wood": 0.45, "windows": 0.35, "clouds": 0.3}
_FINEST = {"noise": 8.0, "stripes": 2.0, "checks": 2.0, "leaves": 16.0, "wood": 4.0, "windows": 2.0, "clouds": 4.0}
"""How many details a repeat of the texture has along a line."""


def mixture(material: Tensor, own: Vector, normal: Vector, pixel_size: Tensor, used: frozenset[str]) -> Tensor:
    """How much of the second colour (k,) is seen at points. material: (MATERIAL, k). own: the points in their solids, metres; normal there too.

    pixel_size: (k,) metres that a pixel covers. used: the textures that the materials have.
    """
    mixed = torch.zeros_like(pixel_size)
    for name in TEXTURES:
        if name not in used or name == "plain":
            continue
        rows = above(0.5 - (material[6] - TEXTURES.index(name)).abs())
        if not len(rows):
            continue
        m = material[7:].index_select(1, rows)
        p = [take(own[i], rows) * m[0] + m[3 + i] for i in range(3)]
        n = [take(v, rows) for v in normal]
        value = _PATTERNS[name]((p[0], p[1], p[2]), (n[0], n[1], n[2]))
        fine = (1.5 - take(pixel_size, rows) * m[0] * _FINEST[name]).clamp(0, 1)
        mixed.scatter_(0, rows, _MEANS[name] + (value - _MEANS[name]) * fine)
    return mixed
