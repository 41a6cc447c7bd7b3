"""Plain solids floating or lying in front of a patterned ground; the class of the scene is the shape that is largest."""

from __future__ import annotations

import numpy as np

from saccade.data.world.build import COLOURS, Builder, ball, block, limb, mixed, scatter, spike, tube
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Light, Scene, Solid, turn_x, turn_y, turn_z
from saccade.data.world.worlds.knobs import Knobs, aimed, finished, room

KINDS = ("sphere", "cube", "cylinder", "cone", "capsule", "ellipsoid", "slab", "cross")
NAMES = KINDS
STUFF = ("ground",)


def _solids(name: str, r: float, paint: int) -> list[Solid]:
    """A shape about its middle, inside of a ball of radius 1.35 r."""
    if name == "sphere":
        return [ball((0, 0, 0), r, paint)]
    if name == "cube":
        return [block((0, 0, 0), (0.78 * r, 0.78 * r, 0.78 * r), paint)]
    if name == "cylinder":
        return [tube((0, 0, -0.95 * r), (0, 0, 0.95 * r), 0.62 * r, paint)]
    if name == "cone":
        return [spike((0, 0, -0.9 * r), (0, 0, 1.1 * r), 0.85 * r, paint)]
    if name == "capsule":
        return [limb((0, 0, -0.75 * r), (0, 0, 0.75 * r), 0.5 * r, paint)]
    if name == "ellipsoid":
        return [ball((0, 0, 0), (1.25 * r, 0.6 * r, 0.6 * r), paint)]
    if name == "slab":
        return [block((0, 0, 0), (1.1 * r, 0.8 * r, 0.22 * r), paint)]
    return [
        block((0, 0, 0), (1.15 * r, 0.3 * r, 0.3 * r), paint),
        block((0, 0, 0), (0.3 * r, 1.15 * r, 0.3 * r), paint),
        block((0, 0, 0), (0.3 * r, 0.3 * r, 1.15 * r), paint),
    ]


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """The largest shape is of this kind; the others are smaller. They turn slowly with the time."""
    b = Builder(chance)
    low, high = knobs.objects or (3, 7)
    number = chance.whole(low, high)
    one = mixed(COLOURS[chance.one(tuple(COLOURS))], (0.45, 0.45, 0.45), 0.6)
    texture = chance.one(("noise", "leaves", "checks", "stripes")) if knobs.clutter > 0.3 else "plain"
    b.ground("ground", b.paint(one, mixed(one, (0.1, 0.1, 0.12), 0.45), texture, chance.within(0.6, 1.4)))
    radii = [0.34] + [chance.within(0.14, 0.21) for _ in range(number - 1)]
    main = np.array([chance.within(-0.45, 0.45), chance.within(0.5, 1.2), 0.0])
    spots = [main, *scatter(chance, [1.2 * r for r in radii[1:]], (-1.1, 0.1), (1.1, 2.2), knobs.occlusion, [(main, 0.45)])]
    for place, (r, spot) in enumerate(zip(radii, spots, strict=True)):
        if spot is None or not number:
            continue
        name = kind if place == 0 else chance.one(NAMES)
        coat, words = b.coat(patterned=0.4, scale=3.0, gloss=0.5)
        speed = chance.within(-0.8, 0.8)
        turn = turn_x(chance.within(-3, 3)) @ turn_y(chance.within(-3, 3)) @ turn_z(chance.within(-3, 3) + speed * time)
        solids = [s._replace(centre=turn @ s.centre, turn=turn @ s.turn) for s in _solids(name, r, coat)]
        height = 1.4 * r + chance.within(0.0, 0.35) * (place > 0)
        b.add(name, solids, spot + np.array([0.0, 0.0, height]), chance.within(-np.pi, np.pi), words=words)
    stray = knobs.variety
    camera = aimed((chance.within(-0.7, 0.7) * stray, -1.9, 1.25 + chance.within(-0.4, 0.6) * stray), (0.0, 1.0, 0.3), chance.within(1.25, 1.45))
    lights = [Light((1.15, 1.1, 1.0), toward=_toward(chance)), Light((0.2, 0.22, 0.28), toward=(-0.5, -0.7, 0.5), shadow=False)]
    return finished(b, kind, camera, lights, room(), place="a patterned ground" if knobs.clutter > 0.3 else "a plain ground")


def _toward(chance: Chance) -> tuple[float, float, float]:
    x, y, z = chance.within(-0.8, 0.8), chance.within(-0.9, 0.2), 1.0
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length
