"""Weather and the time of day: the same scene in the fog, in the rain, at dusk, by night with its lamps, or through a bad sensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from saccade.data.world.build import mixed, scaled
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Light, Material, Scene, Solid

LAMPS = 4
"""Lamps that shine by night: those nearest to the camera."""


def apply(scene: Scene, weather: str, chance: Chance, outdoors: bool) -> Scene:
    """The scene in a weather of WEATHERS. What a lamp is: any glowing solid."""
    if weather == "mixed":
        weather = chance.one(tuple(_CHANGE))
    facts = {**scene.facts, "weather": weather}
    return replace(_CHANGE[weather](replace(scene, facts=facts), chance, outdoors), facts=facts)


def _far(scene: Scene) -> float:
    """Metres from the camera to the middle thing."""
    places = [thing.place for thing in scene.things if not thing.stuff]
    if not places:
        return 5.0
    return float(np.median([np.sqrt(((p - np.asarray(scene.camera.place)) ** 2).sum()) for p in places]))


def _clear(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    return scene


def _fog(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    thick = chance.within(0.45, 1.25) if outdoors else chance.within(0.35, 0.95)
    grey = chance.within(0.42, 0.6)
    colour = (grey, grey * 1.02, grey * 1.05)
    air = scene.air._replace(fog=thick / _far(scene), fog_colour=colour, ambient=mixed(scene.air.ambient, colour, 0.4), clouds=1.0 if outdoors else 0.0)
    lights = [light._replace(colour=scaled(light.colour, 0.55 if outdoors else 0.8)) for light in scene.lights]
    return replace(scene, air=air, lights=lights, lens=scene.lens._replace(veil=thick * 0.35))


def _rain(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    grey = (0.34, 0.36, 0.4)
    lens = scene.lens._replace(rain=chance.within(3.0, 6.0), noise=scene.lens.noise * 1.6)
    if not outdoors:
        return replace(scene, lens=lens)
    air = scene.air._replace(
        fog=0.35 / _far(scene), fog_colour=grey, horizon=mixed(scene.air.horizon, grey, 0.8), zenith=mixed(scene.air.zenith, grey, 0.8), clouds=1.0
    )
    wet = [m._replace(gloss=m.gloss + 0.25, colour=scaled(m.colour, 0.8), second=scaled(m.second, 0.8)) for m in scene.materials]
    return replace(scene, air=air, lens=lens, materials=wet, lights=[light._replace(colour=scaled(light.colour, 0.35)) for light in scene.lights])


def _dusk(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    low, side = 0.16, chance.one((-1.0, 1.0))
    flat = float(np.sqrt(1 - low * low))
    way = chance.within(0.3, 1.2) * side
    toward = (float(flat * np.sin(way)), float(-flat * np.cos(way)), low)
    lights = [Light((1.25, 0.55, 0.2), toward=toward)] if outdoors else [light._replace(colour=_warm(light.colour)) for light in scene.lights]
    air = scene.air._replace(
        horizon=(0.75, 0.33, 0.14),
        zenith=(0.07, 0.1, 0.24),
        ambient=scaled(mixed(scene.air.ambient, (0.26, 0.18, 0.26), 0.6), 0.8),
        ground=scaled(scene.air.ground, 0.35),
    )
    air = air._replace(fog_colour=mixed(air.horizon, (0.2, 0.2, 0.25), 0.4), lit=0.4)
    lens = scene.lens._replace(noise=scene.lens.noise * 2, exposure=scene.lens.exposure * (1.1 if scene.lens.look == "light" else 0.55))
    return replace(scene, lights=[*lights, *(_lamps(scene, 0.4) if outdoors else [])], air=air, lens=lens)


def _warm(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    return colour[0] * 0.6, colour[1] * 0.36, colour[2] * 0.2


def _night(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    moon = Light((0.045, 0.055, 0.085), toward=(0.4, -0.5, 0.77))
    air = scene.air._replace(
        horizon=(0.03, 0.035, 0.06), zenith=(0.005, 0.007, 0.02), ambient=(0.028, 0.032, 0.05), ground=(0.014, 0.014, 0.018), clouds=0.0, lit=1.0
    )
    air = air._replace(fog_colour=(0.02, 0.022, 0.03))
    lens = scene.lens._replace(noise=scene.lens.noise * 3.5 + 2, exposure=scene.lens.exposure * (1.9 if scene.lens.look == "light" else 0.25))
    return replace(scene, lights=[moon, *(_lamps(scene, 1.0) or [_torch(scene)])], air=air, lens=lens)


def _lamps(scene: Scene, strength: float) -> list[Light]:
    """A light below each of the glowing solids that are nearest to the camera, and as large as the solid is."""
    eye = np.asarray(scene.camera.place)
    found: list[tuple[float, int, Solid, Material]] = []
    for thing in scene.things:
        for solid in thing.solids:
            material = scene.materials[solid.material]
            if material.glow >= 0.85:
                distance = float(np.sqrt(((solid.centre - eye) ** 2).sum()))
                found.append((distance, len(found), solid, material))
    lights = []
    for _, _, solid, material in sorted(found)[:LAMPS]:
        size = float(solid.size.max())
        at = solid.centre - np.array([0.0, 0.0, 1.6 * float(solid.size.min()) + 0.01 * size])
        power = 3.2 * strength * material.glow
        lights.append(Light(scaled(material.colour, power), at=(float(at[0]), float(at[1]), float(at[2])), reach=26.0 * size))
    return lights


def _torch(scene: Scene) -> Light:
    """Where nothing glows, a lamp beside the camera."""
    x, y, z = scene.camera.place
    return Light((0.9, 0.85, 0.75), at=(x + 0.2, y, z + 0.2), reach=1.3 * _far(scene), shadow=True)


def _noise(scene: Scene, chance: Chance, outdoors: bool) -> Scene:
    return replace(scene, lens=scene.lens._replace(noise=chance.within(12.0, 26.0), jpeg=chance.whole(25, 60)))


_CHANGE: Mapping[str, Callable[[Scene, Chance, bool], Scene]] = MappingProxyType(
    {"clear": _clear, "fog": _fog, "rain": _rain, "dusk": _dusk, "night": _night, "noise": _noise}
)
WEATHERS = (*_CHANGE, "mixed")
