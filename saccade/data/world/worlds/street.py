"""A street with houses, cars, people and what stands about, by day and, with its lamps, by night."""

from __future__ import annotations

import numpy as np

from saccade.data.world.build import Builder, block
from saccade.data.world.chance import Chance
from saccade.data.world.figures import PERSON, PERSON_BONES, PERSON_PAIRS
from saccade.data.world.scene import Air, Scene
from saccade.data.world.worlds import street_things as made
from saccade.data.world.worlds.knobs import Knobs, aimed, finished, sun

KINDS = ("town", "suburb", "park")
NAMES = ("person", *made.ROAD, *made.FIXED, *made.HELD)
STUFF = ("ground", "road", "pavement", "house")
KEYPOINTS, BONES, PAIRS = PERSON, PERSON_BONES, PERSON_PAIRS
_WIDE = 3.6
"""Half the width of the road, metres; pavements are 2.5 m wide beside it."""


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A street that goes away from the viewer, who stands on one side. Cars drive and people walk with the time."""
    b = Builder(chance)
    _ground(b, chance, kind, knobs)
    low, high = knobs.objects or (6, 14)
    walkers = {"town": 0.42, "suburb": 0.25, "park": 0.4}[kind]
    taken: list[tuple[np.ndarray, float]] = []
    for _ in range(chance.whole(low, high)):
        draw = chance.within(0, 1)
        if draw < walkers:
            _walker(b, chance, time, taken, knobs)
        elif draw < walkers + {"town": 0.32, "suburb": 0.3, "park": 0.08}[kind]:
            _traffic(b, chance, time, taken)
        else:
            _fixture(b, chance, kind, taken, knobs)
    side = chance.within(-2.8, 2.8)
    stray = knobs.variety
    camera = aimed(
        (side, -6.0, chance.within(1.3, 1.6) + stray * chance.within(0, 1.6)),
        (side * 0.3 + chance.within(-1.5, 1.5) * stray, 10.0, 1.2),
        chance.within(0.8, 1.0),
    )
    air = Air(
        (0.66, 0.74, 0.84), (0.2, 0.38, 0.75), (0.32, 0.36, 0.44), (0.17, 0.16, 0.14), fog=0.002, fog_colour=(0.62, 0.68, 0.75), clouds=chance.within(0.0, 0.9)
    )
    place = {"town": "a street in town", "suburb": "a street in the suburbs", "park": "a road in a park"}[kind]
    return finished(b, kind, camera, [sun(chance, strength=1.7)], air, place=place)


def _ground(b: Builder, chance: Chance, kind: str, knobs: Knobs) -> None:
    grass = b.paint((0.13, 0.2, 0.05), (0.07, 0.12, 0.03), "noise", 0.35)
    b.ground("ground", grass, -0.02)
    asphalt, line = b.paint((0.1, 0.1, 0.105), (0.065, 0.065, 0.07), "noise", 0.7), b.paint((0.65, 0.65, 0.62))
    marks = [block((0, 40, -0.01), (_WIDE, 70, 0.01), asphalt)]
    marks += [block((0, y, 0.0), (0.07, 1.2, 0.004), line) for y in np.arange(-4.0, 60.0, 5.0)]
    if kind == "town":
        at = chance.within(2, 10)
        marks += [block((x, at, 0.0), (0.28, 1.5, 0.004), line) for x in np.arange(-3.0, 3.1, 1.0)]
    b.stuff("road", marks)
    slabs = b.paint((0.32, 0.31, 0.29), (0.26, 0.25, 0.24), "checks", 0.6)
    b.stuff("pavement", [block((s * (_WIDE + 1.25), 40, 0.03), (1.25, 70, 0.06), slabs) for s in (-1.0, 1.0)])
    for side in (-1.0, 1.0):
        y = chance.within(-4, 6)
        while y < 60 and kind != "park":
            gap = 0.3 if kind == "town" else chance.within(4, 9)
            depth, high = chance.within(4, 8), chance.within(4, 9) if kind == "town" else chance.within(2.5, 3.6)
            away = _WIDE + 2.6 + (0 if kind == "town" else chance.within(2, 4))
            b.stuff("house", made.house(b, chance, (side * (away + 4), y + depth / 2), (4.0, depth / 2, high)), casts=True)
            y += depth + gap


def _free(taken: list[tuple[np.ndarray, float]], place: np.ndarray, radius: float) -> bool:
    if all(((place - other)[:2] ** 2).sum() > (radius + r) ** 2 for other, r in taken):
        taken.append((place, radius))
        return True
    return False


def _walker(b: Builder, chance: Chance, time: float, taken: list[tuple[np.ndarray, float]], knobs: Knobs) -> None:
    """A person on a pavement or crossing, perhaps with something in the hand."""
    phase, speed = chance.within(0, 1), chance.within(0.9, 1.5)
    figure, height = made.walker(b, chance, phase + time * speed * 0.75)
    crossing = chance.yes(0.25)
    yaw = (chance.one((0.0, np.pi)) if crossing else chance.one((np.pi / 2, -np.pi / 2))) + chance.within(-0.4, 0.4) * knobs.variety
    x = chance.within(-3, 3) if crossing else chance.one((-1, 1)) * chance.within(_WIDE + 0.4, _WIDE + 2.1)
    far = 11 - 6 * knobs.occlusion
    start = np.array([x, chance.within(-0.5, far), 0.0 if crossing else 0.09])
    holds = chance.yes(0.35)
    if not _free(taken, start, 0.5):
        return
    place = start + time * speed * np.array([np.cos(yaw), np.sin(yaw), 0.0])
    number = b.add("person", figure.solids, place, yaw, words=figure.words, joints=figure.joints, slack=figure.slack)
    if holds and figure.joints is not None:
        name, solids, at, words = made.in_hand(b, chance, figure.joints, yaw, place, height)
        b.add(name, solids, at, yaw, words=words, held_by=number)


def _traffic(b: Builder, chance: Chance, time: float, taken: list[tuple[np.ndarray, float]]) -> None:
    name = chance.one(("car", "car", "car", "truck", "bus", "bicycle"))
    thing = made.ROAD[name](b, chance)
    away = chance.yes()
    lane = 1.75 if away else -1.75
    yaw = np.pi / 2 if away else -np.pi / 2
    if name == "bicycle":
        lane *= 1.6
    start = np.array([lane + chance.within(-0.2, 0.2), chance.within(1.0 + thing.radius, 24), 0.0])
    speed = chance.within(2, 7)
    if _free(taken, start, thing.radius):
        b.add(name, thing.solids, start + time * speed * np.array([0.0, 1.0 if away else -1.0, 0.0]), yaw + chance.within(-0.06, 0.06), words=thing.words)


def _fixture(b: Builder, chance: Chance, kind: str, taken: list[tuple[np.ndarray, float]], knobs: Knobs) -> None:
    name = chance.one(
        {
            "town": ("lamp", "traffic light", "traffic cone", "bin", "bench", "tree"),
            "suburb": ("tree", "lamp", "bin"),
            "park": ("tree", "tree", "bench", "lamp"),
        }[kind]
    )
    thing = made.FIXED[name](b, chance)
    side = chance.one((-1.0, 1.0))
    x = side * (chance.within(7.0, 11.0) if name == "tree" and kind != "town" else _WIDE + (0.35 if name in ("lamp", "traffic light") else 1.9))
    if name == "traffic cone":
        x = chance.within(-3.3, 3.3)
    yaw = {"lamp": np.pi if side > 0 else 0.0, "traffic light": -np.pi / 2, "bench": np.pi if side > 0 else 0.0}.get(name, chance.within(-3, 3))
    place = np.array([x, chance.within(0.5, 22 - 8 * knobs.occlusion), 0.0 if name == "traffic cone" else 0.09])
    if _free(taken, place, min(thing.radius, 1.2)):
        b.add(name, thing.solids, place, yaw, words=thing.words)
