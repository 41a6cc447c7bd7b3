"""Animals in a wood, on a meadow and on the tundra, between trees and stones."""

from __future__ import annotations

import numpy as np

from saccade.data.world.build import Builder, ball, limb, mixed
from saccade.data.world.chance import Chance
from saccade.data.world.figures import ANIMAL, ANIMAL_BONES, ANIMAL_PAIRS, SPECIES, animal
from saccade.data.world.scene import Air, Scene
from saccade.data.world.worlds import street_things
from saccade.data.world.worlds.knobs import Knobs, aimed, finished, sun

KINDS = ("wood", "meadow", "tundra")
NAMES = tuple(SPECIES)
STUFF = ("ground", "tree", "stone", "bush")
KEYPOINTS, BONES, PAIRS = ANIMAL, ANIMAL_BONES, ANIMAL_PAIRS
_GROUND = {
    "wood": ((0.09, 0.075, 0.035), (0.05, 0.06, 0.02), "leaves", 0.9),
    "meadow": ((0.16, 0.22, 0.05), (0.09, 0.14, 0.03), "noise", 0.5),
    "tundra": ((0.55, 0.57, 0.6), (0.3, 0.28, 0.22), "clouds", 0.22),
}


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A few animals that stand, graze or walk; they walk on with the time."""
    b = Builder(chance)
    one, two, texture, scale = _GROUND[kind]
    b.ground("ground", b.paint(one, two, texture, scale))
    low, high = knobs.objects or (1, 4)
    taken: list[tuple[np.ndarray, float]] = []
    herd = chance.one(NAMES)
    for _ in range(chance.whole(low, high)):
        _animal(b, chance, herd if chance.yes(0.6) else chance.one(NAMES), time, taken)
    _plants(b, chance, kind, knobs, taken)
    stray = knobs.variety
    camera = aimed(
        (chance.within(-1.5, 1.5) * stray, -3.2, 1.1 + chance.within(0, 1.1) * stray), (chance.within(-0.6, 0.6), 4.0, 0.85), chance.within(0.85, 1.15)
    )
    air = Air(
        (0.7, 0.77, 0.83), (0.24, 0.42, 0.75), (0.3, 0.34, 0.4), (0.15, 0.15, 0.11), fog=0.006, fog_colour=(0.66, 0.72, 0.76), clouds=chance.within(0.2, 0.9)
    )
    place = {"wood": "a wood", "meadow": "a meadow", "tundra": "the tundra"}[kind]
    return finished(b, kind, camera, [sun(chance, strength=1.6)], air, place=place)


def _animal(b: Builder, chance: Chance, name: str, time: float, taken: list[tuple[np.ndarray, float]]) -> None:
    species = SPECIES[name]
    colour = chance.one(species.colours)
    shade = chance.within(0.8, 1.3)
    coat = b.paint((colour[0] * shade, colour[1] * shade, colour[2] * shade), (colour[0] * 0.5, colour[1] * 0.5, colour[2] * 0.5), "noise", 1.6)
    dark, horn = b.paint(mixed(colour, (0.02, 0.015, 0.01), 0.5)), b.paint((0.35, 0.25, 0.15))
    mood = chance.one(("standing", "walking", "grazing"))
    phase, stride = chance.within(0, 1), 0.42 if mood == "walking" else 0.1
    speed = (0.9 if mood == "walking" else 0.0) * (species.leg + 0.3)
    scale = chance.within(0.85, 1.12)
    solids, joints = animal(species, coat, dark, horn, phase + (time * 0.7 if speed else 0.0), stride, 1.0 if mood == "grazing" else 0.0)
    yaw = chance.one((0.0, np.pi)) + chance.within(-1.0, 1.0)
    radius = 0.75 * species.body + 0.2
    near = 0.2 if species.leg < 0.5 else 1.2
    for _ in range(12):
        place = np.array([chance.within(-2.6, 2.6), chance.within(near, near + 5.5), 0.0])
        if all(((place - other)[:2] ** 2).sum() > (radius + r) ** 2 for other, r in taken):
            taken.append((place, radius))
            at = place + time * speed * np.array([np.cos(yaw), np.sin(yaw), 0.0])
            b.add(name, solids, at, yaw, words=(mood,), scale=scale, joints=joints, slack=1.6 * species.limb * scale + 0.08)
            return


def _plants(b: Builder, chance: Chance, kind: str, knobs: Knobs, taken: list[tuple[np.ndarray, float]]) -> None:
    """Trees behind and between the animals, stones and bushes before them."""
    trees = int(knobs.clutter * {"wood": 16, "meadow": 5, "tundra": 2}[kind]) + (2 if kind == "wood" else 0)
    stone = b.paint((0.22, 0.22, 0.21), (0.12, 0.12, 0.115), "noise", 1.2)
    leaf = b.paint((0.07, 0.15, 0.03), (0.025, 0.06, 0.015), "leaves", 1.6)
    for _ in range(trees):
        place = np.array([chance.within(-9, 9), chance.within(3 if kind == "wood" else 8, 20), 0.0])
        if all(((place - other)[:2] ** 2).sum() > (0.5 + r) ** 2 for other, r in taken):
            tree = [s._replace(centre=s.centre * 1.3 + place, size=s.size * 1.3) for s in street_things.tree(b, chance).solids]
            b.stuff("tree", tree, casts=True)
    for _ in range(int(knobs.clutter * chance.whole(2, 8))):
        place = np.array([chance.within(-3.5, 3.5), chance.within(-0.4, 7), 0.0])
        r = chance.within(0.12, 0.4)
        if any(((place - other)[:2] ** 2).sum() <= (0.6 * r + q) ** 2 for other, q in taken):
            continue
        if chance.yes() or kind == "tundra":
            b.stuff("stone", [ball(place + np.array([0, 0, 0.3 * r]), (r, r * chance.within(0.6, 1), r * 0.65), stone)], casts=True)
        else:
            bush = [ball(place + np.array([0, 0, 0.5 * r]) + chance.near(np.zeros(3), 0.4 * r), r * 0.7, leaf) for _ in range(3)]
            b.stuff("bush", [*bush, limb(place, place + np.array([0, 0, r]), 0.05, leaf)], casts=True)
