"""Light: what colour the nearest surfaces have under the lamps, with shadows, in the air, and what the sky looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from saccade.data.world.cast import LAMP, SUN, Hits, Rays, Surface, above, shaded, take, where
from saccade.data.world.pack import Packed, rounded
from saccade.data.world.scene import Scene
from saccade.data.world.solids import Vector, dot, root
from saccade.data.world.textures import mixture, noise


class Lighting(NamedTuple):
    """The lights and the air of b scenes. lamps: (slots, 9, b) colour, direction or place in camera coordinates, reach, kind (0 none), shadow.

    air: (18, b): 0-2 horizon, 3-5 zenith, 6-8 ambient from above, 9-11 from below, 12 fog, 13-15 its colour, 16 clouds, 17 lit windows.
    used: textures of any material.
    """

    lamps: Tensor
    air: Tensor
    used: frozenset[str]


def lighting(scenes: Sequence[Scene], device: torch.device | str = "cpu") -> Lighting:
    """The columns of the lights of scenes."""
    slots = max((len(scene.lights) for scene in scenes), default=0)
    lamps = np.zeros((slots, 9, len(scenes)))
    air = np.zeros((18, len(scenes)))
    for b, scene in enumerate(scenes):
        axes, place = rounded(scene.camera.axes()), rounded(scene.camera.place)
        for slot, light in enumerate(scene.lights):
            vector = axes @ rounded(light.toward) if light.toward is not None else axes @ (rounded(light.at) - place)
            lamps[slot, :, b] = (*light.colour, *vector, light.reach, SUN if light.toward is not None else LAMP, light.shadow)
        a = scene.air
        air[:, b] = (*a.horizon, *a.zenith, *a.ambient, *a.ground, a.fog, *a.fog_colour, a.clouds, a.lit)
    used = frozenset(material.texture for scene in scenes for material in scene.materials)
    return Lighting(torch.from_numpy(lamps.astype(np.float32)).to(device), torch.from_numpy(air.astype(np.float32)).to(device), used)


def decay(x: Tensor) -> Tensor:
    """exp(-x) for x >= 0 to within 0.4 %, from operations that all processors round alike: (1 + x / 64 + x^2 / 8192)^-64."""
    y = 1 + x * (1 / 64) + x * x * (1 / 8192)
    for _ in range(6):
        y = y * y
    return 1 / y


def shade(packed: Packed, light: Lighting, points: Surface) -> list[Tensor]:
    """Linear red, green and blue (k,) of the points."""
    scene = points.scene
    material = packed.materials.index_select(1, take(packed.material, points.solid))
    pixel_size = points.depth * (packed.intrinsics[0] if scene is None else take(packed.intrinsics[0], scene))
    inner = _own_normal(packed, points) if light.used - {"plain", "noise", "stripes", "wood"} else points.normal
    mixed = mixture(material, points.own, inner, pixel_size, light.used)
    lit = (mixed - 1).clamp(0, 1)
    mixed = mixed.clamp(0, 1)
    air = _columns(light.air, scene)
    up = [_columns(packed.axes[3 * i + 2 : 3 * i + 3], scene)[0] for i in range(3)]
    sky = dot(points.normal, (up[0], up[1], up[2])) * 0.5 + 0.5
    glow = material[9] + lit * air[17] * 14
    albedo = [material[c] + (material[3 + c] - material[c]) * mixed for c in range(3)]
    colour = [albedo[c] * (air[9 + c] + (air[6 + c] - air[9 + c]) * sky + glow) for c in range(3)]
    short = 1 / root(dot(points.point, points.point))
    for slot in range(len(light.lamps)):
        _add(packed, points, light.lamps[slot], albedo, material[8], short, colour)
    clear = decay(points.depth * air[12])
    return [colour[c] * clear + air[13 + c] * (1 - clear) for c in range(3)]


def _columns(table: Tensor, scene: Tensor | None) -> Tensor:
    """Rows of what belongs to a scene, for every point: (rows, 1) for a single scene."""
    return table if scene is None else table.index_select(1, scene)


def _own_normal(packed: Packed, points: Surface) -> Vector:
    """The normals in the solids' own axes."""
    m, unit, n = packed.matrix, packed.matrix[12:], points.normal
    own = []
    for i in range(3):
        row = (m[3 * i : 3 * i + 3] * unit[i]).index_select(1, points.solid)
        own.append(row[0] * n[0] + row[1] * n[1] + row[2] * n[2])
    return own[0], own[1], own[2]


def _add(packed: Packed, points: Surface, lamp: Tensor, albedo: list[Tensor], gloss: Tensor, short: Tensor, colour: list[Tensor]) -> None:
    """What one light adds, in place: Lambert's cosine, and a highlight (Blinn 1977) with the exponent 32."""
    one = points.scene is None
    held = _columns(lamp, points.scene)
    kinds = set(lamp[7].tolist())
    strength = (held[7] > 0).to(torch.float32)
    if kinds <= {0.0, float(SUN)}:
        toward: Vector = (held[3], held[4], held[5])
        distance = None
    else:
        far = (held[7] == SUN).to(torch.float32)
        gap = [held[3 + i] - points.point[i] * (1 - far) for i in range(3)]
        distance = root(dot((gap[0], gap[1], gap[2]), (gap[0], gap[1], gap[2])))
        length = distance * (1 - far) + far  # the direction to a sun is a unit vector as it stands
        toward = (gap[0] / length, gap[1] / length, gap[2] / length)
        spent = 1 + (distance / held[6]) * (distance / held[6])
        strength = strength * (far + (1 - far) / (spent * spent))
        distance = distance + far * 1e9
    facing = dot(points.normal, toward)
    rows = above(facing if one else facing * strength)
    open_ = torch.zeros_like(points.depth).scatter_(0, rows, 1.0)
    if bool((lamp[8] > 0).any()):
        at = tuple(v if len(v) == 1 else take(v, rows) for v in toward)
        dark = shaded(packed, points, rows, lamp, (at[0], at[1], at[2]), None if distance is None else take(distance, rows))
        open_.scatter_(0, take(rows, dark), 0.0)
    received = open_ * strength
    half = [toward[i] - points.point[i] * short for i in range(3)]
    shine = dot(points.normal, (half[0], half[1], half[2])).clamp(min=0)
    shine = shine * shine / (dot((half[0], half[1], half[2]), (half[0], half[1], half[2])) + 1e-9)
    for _ in range(4):
        shine = shine * shine
    bright = gloss * shine * received
    diffuse = facing.clamp(min=0) * received
    for c in range(3):
        colour[c] = colour[c] + (albedo[c] * diffuse + bright) * held[c]


def sky(packed: Packed, light: Lighting, through: Rays, chosen: Tensor) -> list[Tensor]:
    """Linear red, green and blue of the chosen rays, which meet nothing: from the horizon's colour to the zenith's, with clouds and the fog before it."""
    scene = None if through.scene is None else take(through.scene, chosen)
    lens = _columns(packed.intrinsics, scene)
    x, y = (take(through.x, chosen) - lens[1]) * lens[0], (take(through.y, chosen) - lens[2]) * lens[0]
    axes, air = _columns(packed.axes, scene), _columns(light.air, scene)
    ray = [axes[i] * x + axes[3 + i] * y + axes[6 + i] for i in range(3)]
    height = (ray[2] / root(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2])).clamp(min=0)
    share = height * (2 - height)
    colour = [air[c] + (air[3 + c] - air[c]) * share for c in range(3)]
    if bool((light.air[16] > 0).any()):
        flat = 6 / (height + 0.15)
        drift = _columns(packed.place, scene)
        cloud = ((noise((ray[0] * flat + drift[0], ray[1] * flat, drift[1] * flat * 0 + 3.3)) - 0.45) * 3).clamp(0, 1) * air[16] * (height * 6).clamp(0, 1)
        white = [air[6 + c] * 1.1 + 0.55 * air[c] for c in range(3)]
        colour = [colour[c] + (white[c] - colour[c]) * cloud for c in range(3)]
    clear = decay(air[12] * 400 * (1.02 - height))
    return [colour[c] * clear + air[13 + c] * (1 - clear) for c in range(3)]


def light_of(packed: Packed, light: Lighting, hits: Hits, points: Surface, through: Rays) -> Tensor:
    """(3, R) linear colours of rays."""
    image = torch.zeros(3, len(through.x), device=packed.device)
    colours = shade(packed, light, points)
    empty = where(hits.depth >= 1e9)
    above_all = sky(packed, light, through, empty) if len(empty) else None
    for c in range(3):
        image[c].scatter_(0, points.ray, colours[c])
        if above_all is not None:
            image[c].scatter_(0, empty, above_all[c])
    return image
