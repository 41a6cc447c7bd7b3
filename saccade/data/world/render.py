"""Scenes to pictures and to the maps that labels are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from saccade.data.world import picture
from saccade.data.world.cast import Candidates, Hits, Rays, Spot, Surface, meet, nearest, rays, surface
from saccade.data.world.edges import uneven
from saccade.data.world.pack import Packed, pack
from saccade.data.world.scene import Scene
from saccade.data.world.shade import Lighting, light_of, lighting

RAYS = 1 << 16
"""Rays that are followed at once where pixels are looked at again."""


@dataclass(frozen=True)
class Sight:
    """What the rays through the middles of the pixels meet, for b scenes."""

    packed: Packed
    rays: Rays
    met: Candidates
    hits: Hits
    points: Surface


def look(scenes: Sequence[Scene], size: tuple[int, int], device: torch.device | str = "cpu") -> Sight:
    """One ray a pixel, without light: all that labels need."""
    with torch.inference_mode():
        packed = pack(scenes, size, device)
        through = rays(packed)
        met = meet(packed, through)
        hits = nearest(packed, met, through)
        return Sight(packed, through, met, hits, surface(packed, hits, through))


def grid(supersample: int) -> list[Spot]:
    """Where the rays of a pixel go through it: a regular grid."""
    steps = [(i + 0.5) / supersample for i in range(supersample)]
    return [(x, y) for y in steps for x in steps]


def pictures(sight: Sight, scenes: Sequence[Scene], keys: Sequence[tuple[int, int]], supersample: int = 1) -> list[np.ndarray]:
    """(h, w, 3) uint8 of each scene. keys: (seed, index) of the noise of each. supersample: rays along each side of a pixel.

    With light the rays of the grid go through the pixels that `edges.uneven` names, one ray through the middle of all others; looks through
    things send them through every pixel.
    """
    packed, seen = sight.packed, [s.lens.look for s in scenes if s.lens.look != "light"]
    if seen and len(set(seen)) + (len(seen) < len(scenes)) > 1:
        raise ValueError(f"scenes drawn together must have one look, got {sorted({s.lens.look for s in scenes})}")
    with torch.inference_mode():
        if seen:
            mean = _through(sight, seen[0], supersample)
        else:
            light = lighting(scenes, packed.device)
            mean = light_of(packed, light, sight.hits, sight.points, sight.rays)
            if supersample > 1:
                _again(sight, scenes, light, mean, grid(supersample))
        h, w = packed.size
        planes = mean.reshape(3, packed.count, h, w).permute(1, 2, 3, 0).cpu().numpy()
    made = []
    for number, scene in enumerate(scenes):
        image = np.ascontiguousarray(planes[number])
        if scene.camera.aperture > 0:
            depth = sight.hits.depth.reshape(-1, h, w)[number].cpu().numpy()
            image = picture.blurred(image, depth, scene.camera)
        made.append(picture.develop(image, scene.lens, keys[number]))
    return made


def _through(sight: Sight, look: str, supersample: int) -> Tensor:
    """(3, rays) light through things, the mean over the grid of every pixel."""
    packed = sight.packed
    if supersample == 1:
        return picture.seen_through(look, picture.thickness(packed, sight.met, sight.rays))
    total = torch.zeros(3, packed.rays, device=packed.device)
    for spot in grid(supersample):
        through = rays(packed, None, [spot])
        total = total + picture.seen_through(look, picture.thickness(packed, meet(packed, through, None, [spot]), through))
    return total / (supersample * supersample)


def _again(sight: Sight, scenes: Sequence[Scene], light: Lighting, mean: Tensor, spots: Sequence[Spot]) -> None:
    """Puts the mean over these spots into the pixels that one ray is too few for. mean: (3, rays), changed in place."""
    packed = sight.packed
    exposure = torch.tensor([scene.lens.exposure for scene in scenes], dtype=torch.float32, device=packed.device)
    pixels = uneven(packed, sight.hits, mean, exposure)
    if not len(pixels):
        return
    total, at_once = None, max(1, RAYS // len(pixels))
    for first in range(0, len(spots), at_once):
        some = spots[first : first + at_once]
        through = rays(packed, pixels, some)
        hits = nearest(packed, meet(packed, through, pixels, some), through)
        colours = light_of(packed, light, hits, surface(packed, hits, through), through).reshape(3, len(some), -1)
        for number in range(len(some)):  # one after the other, so that the sum does not depend on how many are followed at once
            total = colours[:, number] if total is None else total + colours[:, number]
    assert total is not None
    mean[:, pixels] = total / len(spots)
