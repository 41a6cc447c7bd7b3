"""Things on a table, some on top of others, in rooms of four kinds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from saccade.data.world.build import UPRIGHT, Builder, ball, block, limb, scatter, spike, tube
from saccade.data.world.chance import Chance
from saccade.data.world.scene import UPRIGHT_PLANE, Light, Scene, Solid, turn_x, turn_z
from saccade.data.world.solids import BOX, PLANE
from saccade.data.world.worlds.knobs import Knobs, aimed, finished, room

KINDS = ("kitchen", "office", "workshop", "playroom")
NAMES = ("mug", "bowl", "bottle", "can", "apple", "book", "box", "pencil", "lamp", "ball", "die", "cone", "duck", "candle")
STUFF = ("wall", "table")
_KINDS_HOLD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kitchen": ("mug", "bowl", "bottle", "can", "apple", "candle"),
        "office": ("mug", "book", "box", "pencil", "lamp", "bottle"),
        "workshop": ("can", "box", "bottle", "cone", "lamp", "pencil"),
        "playroom": ("ball", "die", "cone", "duck", "box", "book"),
    }
)


class Made(NamedTuple):
    """A thing about its foot: solids, words, the radius of its footprint and the height of a flat top to stand on (0 none)."""

    solids: list[Solid]
    words: tuple[str, ...]
    radius: float
    top: float = 0.0


def _mug(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.3, scale=25, gloss=0.5)
    r, h = c.within(0.037, 0.045), c.within(0.08, 0.105)
    inside = b.paint((0.08, 0.05, 0.03))
    loop = [np.array([r * 0.95, 0, h * 0.8]), np.array([r + 0.03, 0, h * 0.72]), np.array([r + 0.03, 0, h * 0.32]), np.array([r * 0.95, 0, h * 0.22])]
    solids = [tube((0, 0, 0), (0, 0, h), r, coat), tube((0, 0, h * 0.9), (0, 0, h + 0.0005), r * 0.86, inside)]
    return Made(solids + [limb(p, q, 0.006, coat) for p, q in itertools.pairwise(loop)], words, r + 0.02)


def _bowl(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.3, scale=18, gloss=0.5)
    r = c.within(0.06, 0.08)
    inside = b.paint((0.45, 0.4, 0.34))
    solids = [tube((0, 0, 0), (0, 0, 0.012), r * 0.5, coat), spike((0, 0, 0.058), (0, 0, -0.035), r, coat), tube((0, 0, 0.056), (0, 0, 0.06), r, coat)]
    return Made([*solids, tube((0, 0, 0.058), (0, 0, 0.0605), r * 0.9, inside)], words, r)


def _bottle(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("green", "brown", "blue", "white", "red"), gloss=0.9)
    cap, label = b.paint(c.one(((0.5, 0.05, 0.05), (0.6, 0.5, 0.1), (0.1, 0.1, 0.1)))), b.paint((0.75, 0.72, 0.62), (0.3, 0.1, 0.1), "stripes", 40)
    r, h = c.within(0.03, 0.038), c.within(0.13, 0.17)
    solids = [tube((0, 0, 0), (0, 0, h), r, coat), ball((0, 0, h), (r, r, r * 1.1), coat), tube((0, 0, h), (0, 0, h + 0.065), 0.012, coat)]
    return Made([*solids, tube((0, 0, h + 0.06), (0, 0, h + 0.078), 0.014, cap), tube((0, 0, h * 0.3), (0, 0, h * 0.75), r + 0.001, label)], words, r)


def _can(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.7, scale=22, gloss=0.7)
    metal = b.paint((0.45, 0.45, 0.47), gloss=0.9)
    r, h = 0.033, c.within(0.09, 0.12)
    solids = [
        tube((0, 0, 0), (0, 0, 0.006), r * 0.94, metal),
        tube((0, 0, 0.006), (0, 0, h - 0.006), r, coat),
        tube((0, 0, h - 0.006), (0, 0, h), r * 0.94, metal),
    ]
    return Made(solids, words, r, h)


def _apple(b: Builder, c: Chance) -> Made:
    name = c.one(("red", "green", "yellow"))
    coat = b.paint(name, "yellow" if name != "yellow" else "green", "clouds", 6, gloss=0.5)
    stem = b.paint("brown")
    r = c.within(0.034, 0.042)
    return Made([ball((0, 0, r * 0.92), (r, r, r * 0.92), coat), limb((0, 0, r * 1.75), (0.006, 0, r * 2.1), 0.003, stem)], (name,), r)


def _book(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.15, scale=15, gloss=0.15)
    pages = b.paint((0.72, 0.69, 0.6), (0.5, 0.48, 0.42), "stripes", 300)
    x, y, z = c.within(0.08, 0.11), c.within(0.06, 0.08), c.within(0.012, 0.028)
    solids = [block((0, 0, 0.0025), (x, y, 0.0025), coat), block((0, 0, 2 * z - 0.0025), (x, y, 0.0025), coat)]
    solids += [block((0, -y + 0.003, z), (x, 0.003, z), coat), block((0, 0.003, z), (x - 0.004, y - 0.006, z - 0.004), pages)]
    return Made(solids, words, float(np.hypot(x, y)), 2 * z)


def _box(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("brown", "white", "red", "blue", "green", "orange"), patterned=0.4, scale=14, gloss=0.1)
    x, y, z = c.within(0.035, 0.07), c.within(0.03, 0.05), c.within(0.025, 0.06)
    tape = b.paint((0.55, 0.45, 0.28))
    return Made([block((0, 0, z), (x, y, z), coat), block((0, 0, z), (x + 0.0006, 0.008, z + 0.0006), tape)], words, float(np.hypot(x, y)), 2 * z)


def _pencil(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("yellow", "red", "green", "blue", "orange"), gloss=0.3)
    wood, lead, rubber = b.paint((0.6, 0.42, 0.25)), b.paint((0.03, 0.03, 0.03)), b.paint("pink")
    h, r = c.within(0.05, 0.08), 0.0055
    solids = [tube((-h, 0, r), (h, 0, r), r, coat), spike((h, 0, r), (h + 0.02, 0, r), r, wood), spike((h + 0.013, 0, r), (h + 0.021, 0, r), r * 0.38, lead)]
    return Made([*solids, limb((-h - 0.006, 0, r), (-h, 0, r), r * 0.95, rubber)], words, h * 0.8)


def _lamp(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(gloss=0.4)
    foot, bulb = b.paint("black", gloss=0.5), b.paint((1.0, 0.85, 0.55), glow=1.6)
    h = c.within(0.18, 0.23)
    solids = [tube((0, 0, 0), (0, 0, 0.014), 0.05, foot), tube((0, 0, 0.01), (0, 0, h), 0.006, foot), spike((0, 0, h - 0.05), (0, 0, h + 0.06), 0.065, coat)]
    return Made([*solids, ball((0, 0, h - 0.055), 0.02, bulb)], words, 0.06)


def _ball(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.6, scale=14, gloss=0.4)
    r = c.within(0.035, 0.055)
    return Made([ball((0, 0, r), r, coat, turn_x(c.within(0, 3)) @ turn_z(c.within(0, 3)))], words, r)


def _die(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("white", "red", "blue", "green", "black"), gloss=0.5)
    dots = b.paint((0.9, 0.9, 0.9) if words[0] != "white" else (0.03, 0.03, 0.03))
    r = c.within(0.022, 0.032)
    half, flat = r * 0.5, 0.12 * r
    spots = [(0, 0, 2 * r), (r, half, r + half), (r, -half, r - half), (r, 0, r), (half, -r, r + half), (-half, -r, r - half)]
    spots += [(-r, 0, r), (half, r, r), (-half, r, r)]
    around = [((flat if abs(x) == r else 0.18 * r), (flat if abs(y) == r else 0.18 * r), (flat if z == 2 * r else 0.18 * r)) for x, y, z in spots]
    return Made([block((0, 0, r), (r, r, r), coat)] + [ball(s, a, dots) for s, a in zip(spots, around, strict=True)], words, r * 1.42, 2 * r)


def _cone(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(patterned=0.4, scale=16, gloss=0.3)
    r, h = c.within(0.035, 0.05), c.within(0.08, 0.13)
    return Made([spike((0, 0, 0), (0, 0, h), r, coat)], words, r)


def _duck(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("yellow", "white", "pink", "blue", "green"), gloss=0.5)
    beak, eye = b.paint("orange"), b.paint((0.01, 0.01, 0.01), gloss=1.0)
    solids = [ball((0, 0, 0.03), (0.05, 0.036, 0.03), coat), ball((0.032, 0, 0.075), 0.026, coat), spike((-0.035, 0, 0.035), (-0.068, 0, 0.062), 0.02, coat)]
    solids += [ball((0.062, 0, 0.07), (0.015, 0.013, 0.006), beak), ball((0.05, 0.014, 0.084), 0.005, eye), ball((0.05, -0.014, 0.084), 0.005, eye)]
    return Made(solids, words, 0.055)


def _candle(b: Builder, c: Chance) -> Made:
    coat, words = b.coat(("white", "red", "yellow", "purple", "green"), gloss=0.2)
    wick, flame, plate = b.paint("black"), b.paint((1.0, 0.6, 0.15), glow=2.5), b.paint((0.5, 0.42, 0.2), gloss=0.8)
    h = c.within(0.07, 0.14)
    solids = [tube((0, 0, 0), (0, 0, 0.008), 0.042, plate), tube((0, 0, 0.008), (0, 0, h), 0.02, coat), tube((0, 0, h), (0, 0, h + 0.01), 0.0018, wick)]
    return Made([*solids, ball((0, 0, h + 0.022), (0.006, 0.006, 0.014), flame)], words, 0.042)


_MAKE: Mapping[str, Callable[[Builder, Chance], Made]] = MappingProxyType(
    {
        "mug": _mug, "bowl": _bowl, "bottle": _bottle, "can": _can, "apple": _apple, "book": _book, "box": _box, "pencil": _pencil,
        "lamp": _lamp, "ball": _ball, "die": _die, "cone": _cone, "duck": _duck, "candle": _candle,
    }
)  # fmt: skip


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A table in a room of this kind. Nothing moves."""
    b = Builder(chance)
    low, high = knobs.objects or (4, 10)
    number = chance.whole(low, high)
    _room(b, chance, kind, knobs)
    made = []
    for _ in range(number):
        name = chance.one(_KINDS_HOLD[kind] if chance.yes(0.75) else NAMES)
        made.append((name, _MAKE[name](b, chance)))
    spots = scatter(chance, [m.radius for _, m in made], (-0.33, 0.1), (0.33, 0.7), knobs.occlusion)
    stands: list[tuple[int, Made, np.ndarray, float]] = []
    for (name, m), spot in zip(made, spots, strict=True):
        yaw, on, place = chance.within(-np.pi, np.pi), 1, spot
        carriers = [s for s in stands if s[1].top and m.radius < 0.85 * min(s[1].radius, 0.075)]
        if carriers and m.radius < 0.06 and (spot is None or chance.yes(0.3)):
            carrier = chance.one(carriers)
            stands.remove(carrier)
            on, place, yaw = carrier[0], carrier[2] + [0, 0, carrier[1].top], carrier[3]
        if place is None:
            continue
        number = b.add(name, m.solids, place, yaw, words=m.words, on=on if on != 1 else -1)
        stands.append((number, m, np.asarray(place), yaw))
    stray = 0.3 + knobs.variety
    camera = aimed(
        (chance.within(-0.25, 0.25) * stray, -0.38 + chance.within(-0.1, 0.06) * stray, chance.within(0.28, 0.55) * (0.7 + 0.3 * stray)),
        (chance.within(-0.05, 0.05), 0.36, 0.04),
        chance.within(1.1, 1.4),
        aperture=0.006 if chance.yes(0.4) else 0.0,
        focus=chance.within(0.6, 1.0),
    )
    return finished(b, kind, camera, _lights(chance), room(), place=f"a table in the {kind}")


_TABLES = {
    "kitchen": ((0.55, 0.53, 0.5), (0.35, 0.33, 0.31), "noise", 3.0, 0.35),
    "office": ((0.36, 0.2, 0.1), (0.2, 0.1, 0.05), "wood", 5.0, 0.2),
    "workshop": ((0.22, 0.17, 0.12), (0.12, 0.09, 0.06), "wood", 7.0, 0.05),
    "playroom": ((0.6, 0.42, 0.24), (0.42, 0.27, 0.13), "wood", 4.0, 0.2),
}
_WALLS = {"kitchen": (0.62, 0.66, 0.66), "office": (0.55, 0.56, 0.58), "workshop": (0.36, 0.35, 0.33), "playroom": (0.6, 0.55, 0.36)}


def _room(b: Builder, chance: Chance, kind: str, knobs: Knobs) -> None:
    """The wall is thing 0, the table thing 1."""
    colour = tuple(chance.near(_WALLS[kind], 0.08).tolist())
    plain = (colour[0], colour[1], colour[2])
    pale = (colour[0] * 0.7, colour[1] * 0.7, colour[2] * 0.75)
    texture = {"kitchen": ("checks", 7.0), "office": ("plain", 1.0), "workshop": ("noise", 1.5), "playroom": ("stripes", 6.0)}[kind]
    busy = knobs.clutter > 0.3
    wall = b.paint(plain, pale, texture[0] if busy else "plain", texture[1])
    b.stuff("wall", [Solid(PLANE, np.array([0.0, 1.25, 0.0]), UPRIGHT_PLANE, np.ones(3), wall)])
    one, two, surface, scale, gloss = _TABLES[kind]
    top = b.paint(one, two, surface, scale * chance.within(0.8, 1.3), gloss=gloss)
    slab = Solid(BOX, np.array([0.0, 0.35, -0.02]), UPRIGHT, np.array([1.4, 0.9, 0.02]), top)
    b.stuff("table", [slab])


def _lights(chance: Chance) -> list[Light]:
    """A window or a lamp above, and a little light from the other side."""
    side = chance.one((-1.0, 1.0))
    key = Light((2.3, 2.15, 1.95), at=(side * chance.within(0.5, 1.1), chance.within(-0.5, 0.3), chance.within(1.0, 1.6)), reach=2.2)
    return [key, Light((0.25, 0.28, 0.34), toward=(-side * 0.7, -0.5, 0.5), shadow=False)]
