"""What stands and moves in a street: cars, people, trees, lamps, houses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from saccade.data.world.build import Builder, ball, block, limb, spike, tube
from saccade.data.world.chance import Chance
from saccade.data.world.figures import carried, clothes, person, person_joints, walking
from saccade.data.world.scene import Solid, turn_z


class Thing3(NamedTuple):
    """A thing about its foot that heads along x: solids, words, radius of its footprint, joints and flesh where it has them."""

    solids: list[Solid]
    words: tuple[str, ...]
    radius: float
    joints: np.ndarray | None = None
    slack: float = 0.0


PAINTS = ("red", "blue", "white", "black", "grey", "green", "yellow")


def _wheels(b: Builder, xs: tuple[float, float], width: float, radius: float) -> list[Solid]:
    tyre, hub = b.paint((0.02, 0.02, 0.022)), b.paint((0.35, 0.35, 0.37), gloss=0.7)
    solids = []
    for x in xs:
        for side in (-1.0, 1.0):
            solids.append(tube((x, side * (width - 0.2), radius), (x, side * width, radius), radius, tyre))
            solids.append(tube((x, side * width, radius), (x, side * (width + 0.01), radius), radius * 0.55, hub))
    return solids


def _lights(b: Builder, front: float, back: float, width: float, height: float) -> list[Solid]:
    white, red = b.paint((1.0, 0.95, 0.8), glow=0.9), b.paint((0.7, 0.02, 0.02), glow=0.5)
    solids = [ball((front, s * width, height), (0.04, 0.12, 0.08), white) for s in (-1.0, 1.0)]
    return solids + [block((back, s * width, height + 0.05), (0.02, 0.12, 0.07), red) for s in (-1.0, 1.0)]


def car(b: Builder, c: Chance) -> Thing3:
    """A passenger car about 4.3 m long."""
    coat, words = b.coat(PAINTS, gloss=0.9)
    glass, trim = b.paint((0.03, 0.04, 0.05), gloss=1.0), b.paint((0.04, 0.04, 0.045))
    h = c.within(0.92, 1.15)
    solids = [block((0, 0, 0.55), (2.1, 0.86, 0.27), coat), block((0, 0, 0.36), (2.14, 0.84, 0.1), trim), ball((1.55, 0, 0.72), (0.62, 0.84, 0.16), coat)]
    solids += [block((-0.25, 0, 0.95 * h + 0.06), (1.12, 0.7, 0.26), glass), block((-0.28, 0, 1.25 * h + 0.04), (0.95, 0.68, 0.05), coat)]
    tilt = np.array([[0.8, 0, -0.6], [0, 1, 0], [0.6, 0, 0.8]])
    solids += [Solid(1, np.array([0.9, 0.0, 0.98 * h]), tilt, np.array([0.03, 0.68, 0.32]), glass)]
    solids += _wheels(b, (-1.3, 1.32), 0.88, 0.33) + _lights(b, 2.1, -2.11, 0.62, 0.6)
    return Thing3(solids, words, 2.3)


def truck(b: Builder, c: Chance) -> Thing3:
    """A lorry with a box."""
    coat, words = b.coat(PAINTS, gloss=0.6)
    glass, load = b.paint((0.03, 0.04, 0.05), gloss=1.0), b.paint((0.6, 0.6, 0.57), (0.4, 0.4, 0.4), "stripes", 2.0)
    solids = [
        block((2.4, 0, 1.45), (0.75, 1.05, 0.95), coat),
        block((2.75, 0, 1.85), (0.42, 0.98, 0.35), glass),
        block((-0.8, 0, 1.85), (2.4, 1.15, 1.25), load),
    ]
    return Thing3(
        [*solids, block((0.3, 0, 0.5), (2.9, 0.5, 0.15), glass), *_wheels(b, (-2.2, 2.3), 1.1, 0.48), *_lights(b, 3.16, -3.21, 0.8, 0.75)], words, 3.4
    )


def bus(b: Builder, c: Chance) -> Thing3:
    """A town bus."""
    coat, words = b.coat(("red", "yellow", "blue", "white", "green"), gloss=0.6)
    glass = b.paint((0.04, 0.05, 0.06), gloss=1.0)
    solids = [block((0, 0, 1.55), (4.4, 1.2, 1.25), coat), block((0.05, 0, 2.0), (4.37, 1.215, 0.42), glass), block((4.38, 0, 1.85), (0.04, 1.05, 0.6), glass)]
    return Thing3(solids + _wheels(b, (-2.8, 2.9), 1.21, 0.5) + _lights(b, 4.41, -4.42, 0.9, 0.75), words, 4.6)


def bicycle(b: Builder, c: Chance) -> Thing3:
    """A bicycle: wheels as thin discs, a frame, a saddle and a bar."""
    coat, words = b.coat(PAINTS, gloss=0.7)
    tyre, rim = b.paint((0.02, 0.02, 0.02)), b.paint((0.3, 0.3, 0.32))
    solids = []
    for x in (-0.52, 0.52):
        solids += [tube((x, -0.02, 0.34), (x, 0.02, 0.34), 0.34, tyre), tube((x, -0.024, 0.34), (x, 0.024, 0.34), 0.29, rim)]
    saddle, bar, crank = (-0.25, 0, 0.88), (0.4, 0, 0.92), (-0.05, 0, 0.32)
    solids += [limb((-0.52, 0, 0.34), crank, 0.022, coat), limb(crank, saddle, 0.022, coat), limb(crank, bar, 0.025, coat), limb(saddle, bar, 0.022, coat)]
    solids += [
        limb(bar, (0.52, 0, 0.34), 0.022, coat),
        limb((0.38, -0.25, 1.0), (0.38, 0.25, 1.0), 0.018, tyre),
        ball((-0.27, 0, 0.93), (0.14, 0.07, 0.04), tyre),
    ]
    return Thing3(solids, words, 0.9)


def walker(b: Builder, c: Chance, phase: float) -> tuple[Thing3, float]:
    """A person who walks, and the height."""
    height = c.within(1.5, 1.92)
    worn, words = clothes(b, c)
    joints = person_joints(walking(phase, c.within(0.3, 0.5)), height)
    return Thing3(person(joints, worn, height), words, 0.4, joints, 0.075 * height), height


def tree(b: Builder, c: Chance) -> Thing3:
    """A leaf tree, or a fir."""
    bark, h = b.paint((0.09, 0.055, 0.03), (0.04, 0.025, 0.015), "noise", 3), c.within(3.5, 6.0)
    fir = c.yes(0.4)
    leaf = (0.035, 0.1, 0.045) if fir else (0.08, 0.2, 0.035)
    shade = (leaf[0] * 0.35, leaf[1] * 0.4, leaf[2] * 0.4)
    leaves = b.paint(leaf, shade, "leaves", 1.2)
    solids = [tube((0, 0, 0), (0, 0, h * 0.55), 0.04 * h, bark)]
    if fir:
        solids += [spike((0, 0, h * lo), (0, 0, h * hi), h * r, leaves) for lo, hi, r in ((0.18, 0.62, 0.3), (0.4, 0.82, 0.23), (0.6, 1.05, 0.16))]
    else:
        for _ in range(4):
            at = np.array([0, 0, h * 0.72]) + c.near(np.zeros(3), 0.14 * h)
            solids.append(ball(at, c.within(0.17, 0.26) * h, leaves))
    return Thing3(solids, (), 0.3 * h)


def lamp(b: Builder, c: Chance) -> Thing3:
    """A street lamp whose arm reaches along x."""
    iron, bulb = b.paint((0.08, 0.085, 0.09), gloss=0.4), b.paint((1.0, 0.8, 0.5), glow=1.3)
    solids = [tube((0, 0, 0), (0, 0, 4.6), 0.07, iron), limb((0, 0, 4.6), (0.9, 0, 4.85), 0.05, iron), ball((1.0, 0, 4.8), (0.26, 0.13, 0.09), iron)]
    return Thing3([*solids, ball((1.0, 0, 4.74), (0.2, 0.1, 0.06), bulb)], (), 0.3)


def traffic_light(b: Builder, c: Chance) -> Thing3:
    """A traffic light that shows one colour, which is a word of it."""
    iron = b.paint((0.05, 0.055, 0.06))
    on = c.one(("red", "yellow", "green"))
    shown = {"red": (0.9, 0.03, 0.02), "yellow": (0.95, 0.6, 0.02), "green": (0.05, 0.8, 0.25)}
    solids = [tube((0, 0, 0), (0, 0, 2.6), 0.06, iron), block((0, 0, 3.05), (0.16, 0.17, 0.48), iron)]
    for name, z in (("red", 3.35), ("yellow", 3.05), ("green", 2.75)):
        r, g, bl = shown[name]
        paint = b.paint(shown[name], glow=1.2) if name == on else b.paint((r * 0.08, g * 0.08, bl * 0.08))
        solids.append(ball((0.15, 0, z), (0.06, 0.12, 0.12), paint))
    return Thing3(solids, (on,), 0.25)


def cone(b: Builder, c: Chance) -> Thing3:
    """A traffic cone."""
    orange, white = b.paint((0.85, 0.2, 0.02)), b.paint((0.8, 0.8, 0.78))
    solids = [block((0, 0, 0.02), (0.2, 0.2, 0.02), orange), spike((0, 0, 0.03), (0, 0, 0.75), 0.16, orange)]
    return Thing3([*solids, tube((0, 0, 0.32), (0, 0, 0.42), 0.105, white)], (), 0.25)


def bench(b: Builder, c: Chance) -> Thing3:
    """A bench of wood."""
    wood, iron = b.paint((0.25, 0.13, 0.06), (0.14, 0.07, 0.03), "wood", 6), b.paint((0.05, 0.05, 0.055))
    solids = [block((0, 0, 0.45), (0.25, 0.8, 0.03), wood), block((-0.26, 0, 0.75), (0.03, 0.8, 0.18), wood)]
    return Thing3(solids + [block((0, s * 0.65, 0.22), (0.24, 0.04, 0.22), iron) for s in (-1.0, 1.0)], (), 0.85)


def bin_(b: Builder, c: Chance) -> Thing3:
    """A litter bin."""
    coat, words = b.coat(("green", "grey", "blue", "red"), gloss=0.3)
    dark = b.paint((0.03, 0.03, 0.03))
    return Thing3(
        [tube((0, 0, 0.1), (0, 0, 0.85), 0.24, coat), tube((0, 0, 0.83), (0, 0, 0.87), 0.2, dark), tube((0, 0, 0), (0, 0, 0.12), 0.05, dark)], words, 0.3
    )


ROAD: Mapping[str, Callable[[Builder, Chance], Thing3]] = MappingProxyType({"car": car, "truck": truck, "bus": bus, "bicycle": bicycle})
FIXED: Mapping[str, Callable[[Builder, Chance], Thing3]] = MappingProxyType(
    {"tree": tree, "lamp": lamp, "traffic light": traffic_light, "traffic cone": cone, "bench": bench, "bin": bin_}
)
HELD = ("umbrella", "bag", "ball")


def in_hand(b: Builder, c: Chance, joints: np.ndarray, yaw: float, place: np.ndarray, height: float) -> tuple[str, list[Solid], np.ndarray, tuple[str, ...]]:
    """Something for a hand of a person who stands at `place`: its name, solids about its own place, that place, its words."""
    kind = c.one(HELD)
    coat, words = b.coat(PAINTS, gloss=0.3)
    hand = joints[11]
    return kind, carried(kind, np.zeros(3), coat, height), place + turn_z(yaw) @ hand, words


def house(b: Builder, c: Chance, at: tuple[float, float], half: tuple[float, float, float]) -> list[Solid]:
    """A house with windows, some of which are lit."""
    wall = c.one(((0.45, 0.24, 0.16), (0.5, 0.46, 0.38), (0.36, 0.36, 0.38), (0.55, 0.42, 0.26), (0.3, 0.34, 0.4)))
    face = b.paint(wall, (0.06, 0.07, 0.09), "windows", 0.45)
    roof = b.paint((0.12, 0.07, 0.06))
    x, y = at
    solids = [block((x, y, half[2]), half, face), block((x, y, 2 * half[2] + 0.12), (half[0] + 0.15, half[1] + 0.15, 0.12), roof)]
    return solids
