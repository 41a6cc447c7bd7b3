"""What a builder is told besides its random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from saccade.data.world.build import Builder, scaled
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Air, Camera, Colour, Lens, Light, Scene


class Knobs(NamedTuple):
    """How hard scenes are. objects: fewest and most, None the world's own. clutter: what is no object, in [0, 1]. occlusion: how much things
    hide one another, in [0, 1]. variety: how far poses and cameras stray, in [0, 1]."""

    objects: tuple[int, int] | None = None
    clutter: float = 0.5
    occlusion: float = 0.4
    variety: float = 0.6


DIFFICULTIES: Mapping[str, Knobs] = {
    "easy": Knobs(None, 0.15, 0.1, 0.3),
    "medium": Knobs(),
    "hard": Knobs(None, 0.9, 0.85, 1.0),
}

Make = Callable[[Chance, str, Knobs, float], Scene]
"""(chance, class of the scene, knobs, time in seconds) -> scene; the same chance gives the same scene, moved by the time."""


def sun(chance: Chance, low: float = 0.5, high: float = 1.1, strength: float = 1.25) -> Light:
    """Daylight from somewhere above, behind or beside the viewer."""
    height, side = chance.within(low, high), chance.within(-1.3, 1.3)
    flat = np.cos(height)
    return Light(scaled((1.0, 0.95, 0.86), strength), toward=(float(flat * np.sin(side)), float(-flat * np.cos(side)), float(np.sin(height))))


def aimed(place: tuple[float, float, float], target: tuple[float, float, float], focal: float, **more: float) -> Camera:
    """A camera at a place that looks at a point. more: roll, aperture, focus."""
    dx, dy, dz = (b - a for a, b in zip(place, target, strict=True))
    return Camera(place, float(np.arctan2(-dx, dy)), float(np.arctan2(dz, np.hypot(dx, dy))), focal=focal, **more)


def finished(b: Builder, kind: str, camera: Camera, lights: list[Light], air: Air, **facts: str) -> Scene:
    """The scene of a builder, with an ordinary camera's noise."""
    return Scene(kind, b.things, b.materials, lights, camera, air, Lens(noise=1.2, jpeg=92), facts)


def room(ambient: Colour = (0.34, 0.34, 0.36), ground: Colour = (0.24, 0.2, 0.17)) -> Air:
    """The air of a room: no sky, light from everywhere."""
    return Air((0.3, 0.3, 0.31), (0.42, 0.42, 0.43), ambient, ground)
