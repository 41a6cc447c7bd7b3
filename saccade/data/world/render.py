"""Scenes to pictures and to the maps that labels are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from saccade.data.world import picture
from saccade.data.world.cast import MIDDLE, NOTHING, Candidates, Hits, Spot, Surface, meet, nearest, surface
from saccade.data.world.pack import Packed, pack
from saccade.data.world.scene import Scene
from saccade.data.world.shade import light_of, lighting


@dataclass(frozen=True)
class Sight:
    """What the rays through the middles of the pixels meet, for b scenes."""

    packed: Packed
    met: Candidates
    hits: Hits
    points: Surface


def look(scenes: Sequence[Scene], size: tuple[int, int], device: torch.device | str = "cpu") -> Sight:
    """One ray a pixel, without light: all that labels need."""
    with torch.inference_mode():
        packed = pack(scenes, size, device)
        met = meet(packed)
        hits = nearest(packed, met)
        return Sight(packed, met, hits, surface(packed, hits))


def spots(supersample: int) -> list[Spot]:
    """Where the rays of a pixel go through it: the middle, or a regular grid."""
    if supersample == 1:
        return [MIDDLE]
    steps = [(i + 0.5) / supersample for i in range(supersample)]
    return [(x, y) for y in steps for x in steps]


def pictures(sight: Sight, scenes: Sequence[Scene], keys: Sequence[tuple[int, int]], supersample: int = 1) -> list[np.ndarray]:
    """(h, w, 3) uint8 of each scene. keys: (seed, index) of the noise of each. supersample: rays along each side of a pixel."""
    packed, through = sight.packed, [s.lens.look for s in scenes if s.lens.look != "light"]
    if through and len(set(through)) + (len(through) < len(scenes)) > 1:
        raise ValueError(f"scenes drawn together must have one look, got {sorted({s.lens.look for s in scenes})}")
    with torch.inference_mode():
        light = None if through else lighting(scenes, packed.device)
        total = None
        for spot in spots(supersample):
            middle = spot == MIDDLE
            met = sight.met if middle else meet(packed, spot)
            if light is None:
                one = picture.seen_through(through[0], picture.thickness(packed, met))
            else:
                hits = sight.hits if middle else nearest(packed, met)
                one = light_of(packed, light, hits, sight.points if middle else surface(packed, hits, spot), spot)
            total = one if total is None else total + one
        assert total is not None
        mean = total / (supersample * supersample)
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


def thing_map(sight: Sight) -> np.ndarray:
    """(b, h, w) int32: the number of the thing within its scene that each pixel shows, -1 none."""
    packed = sight.packed
    owner = np.concatenate([packed.thing.cpu().numpy(), [-1]])
    solid = sight.hits.solid.cpu().numpy()
    seen = owner[np.where(solid == NOTHING, len(owner) - 1, solid)].reshape(packed.count, *packed.size)
    before = np.asarray(packed.things.before[:-1]).reshape(-1, 1, 1)
    found: np.ndarray = np.where(seen < 0, -1, seen - before).astype(np.int32)
    return found
