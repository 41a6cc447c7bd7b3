"""Clips: a street, a herd or turning shapes for some frames, with a camera that moves too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from saccade.data.world.chance import MOTION, Chance
from saccade.data.world.scene import Scene
from saccade.data.world.worlds import street
from saccade.data.world.worlds.knobs import Knobs

KINDS = ("still", "forward", "turning", "sideways")
NAMES, STUFF = street.NAMES, street.STUFF
KEYPOINTS, BONES, PAIRS = street.KEYPOINTS, street.BONES, street.PAIRS
FRAMES, STEP_S = 8, 0.12


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A street at a time in seconds; the kind says how the camera moves."""
    way = Chance(int(chance.generator.integers(0, 2**31)), 0, MOTION)
    scene = street.make(chance, way.one(street.KINDS), knobs, time)
    x, y, z = scene.camera.place
    speed, turn = way.within(0.8, 2.0), way.one((-1.0, 1.0)) * way.within(0.1, 0.3)
    ahead = {"forward": speed}.get(kind, 0.0) * time
    aside = {"sideways": way.one((-1.0, 1.0)) * 0.8}.get(kind, 0.0) * time
    heading = scene.camera.heading + ({"turning": turn}.get(kind, 0.0)) * time
    place = (x - np.sin(heading) * ahead + np.cos(heading) * aside, y + np.cos(heading) * ahead + np.sin(heading) * aside, z)
    return replace(scene, kind=kind, camera=scene.camera._replace(place=(float(place[0]), float(place[1]), z), heading=float(heading)))
