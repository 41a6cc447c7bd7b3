"""A digit of raised strokes on a cluttered board."""

from __future__ import annotations

import itertools

import numpy as np

from saccade.data.world.build import COLOURS, Builder, ball, block, limb, mixed, scaled
from saccade.data.world.chance import Chance
from saccade.data.world.glyph_strokes import STROKES
from saccade.data.world.scene import UPRIGHT_PLANE, Air, Camera, Colour, Lens, Light, Scene, Solid, turn_y
from saccade.data.world.solids import PLANE
from saccade.data.world.worlds.knobs import Knobs

KINDS = tuple("0123456789")
NAMES = KINDS
STUFF = ("board", "scrap")


def strokes(chance: Chance, name: str, thick: float, material: int, variety: float) -> list[Solid]:
    """A glyph one metre high about its middle, on the board, drawn by an unsteady hand."""
    slant, wide = chance.within(-0.25, 0.25) * variety, 1 + chance.within(-0.25, 0.15) * variety
    tilt, solids = turn_y(chance.within(-0.22, 0.22) * variety), []
    for line in STROKES[name]:
        points = [np.array([((x - 2) * wide + slant * (y - 3)) / 6, -thick, (y - 3) / 6]) for x, y in line]
        shaken = [tilt @ (p + np.array([1.0, 0.0, 1.0]) * chance.near(np.zeros(3), 0.03 * variety)) for p in points]
        solids += [limb(p, q, thick, material) for p, q in itertools.pairwise(shaken)]
    return solids


def inks(b: Builder, chance: Chance) -> tuple[Colour, Colour, str]:
    """The board's colour, the ink's, and the name of the ink's: apart in lightness."""
    names = list(COLOURS)
    ink = chance.one(names)
    light = sum(COLOURS[ink]) > 0.8
    others = [n for n in names if (sum(COLOURS[n]) > 0.8) != light and n != ink]
    ground = COLOURS[chance.one(others)]
    pale = mixed(ground, (0.8, 0.8, 0.8), 0.35) if not light else scaled(ground, 0.7)
    return pale, COLOURS[ink], ink


def board(b: Builder, chance: Chance, colour: Colour, clutter: float) -> None:
    """The board with a texture, and scraps on it."""
    texture = chance.one(("noise", "leaves", "checks", "stripes", "plain"))
    other = mixed(colour, (0.5, 0.5, 0.5) if sum(colour) < 0.6 else scaled(colour, 0.45), 0.35 + 0.4 * clutter)
    paint = b.paint(colour, other, texture, chance.within(1.0, 3.0))
    b.stuff("board", [Solid(PLANE, np.zeros(3), UPRIGHT_PLANE, np.ones(3), paint)])
    scraps: list[Solid] = []
    for _ in range(int(clutter * chance.whole(4, 14))):
        paint = b.paint(mixed(colour, COLOURS[chance.one(tuple(COLOURS))], 0.6))
        x, z, r = chance.within(-0.75, 0.75), chance.within(-0.75, 0.75), chance.within(0.02, 0.07)
        end = np.array([x, 0.0, z]) + chance.near(np.zeros(3), 0.2) * np.array([1.0, 0.0, 1.0])
        shape = chance.whole(0, 2)
        if shape == 0:
            scraps.append(limb((x, 0, z), end, r * 0.4, paint))
        elif shape == 1:
            scraps.append(ball((x, 0, z), (r, r * 0.4, r), paint))
        else:
            scraps.append(block((x, 0, z), (r, 0.015, r * chance.within(0.4, 1.2)), paint, turn_y(chance.within(0, 3))))
    if scraps:
        b.stuff("scrap", scraps, casts=True)


def framed(b: Builder, chance: Chance, kind: str, variety: float, width: float) -> Scene:
    """The board seen from in front, lit from a side."""
    side, height = chance.within(-0.8, 0.8), chance.within(0.1, 0.9)
    lights = [Light((0.95, 0.93, 0.88), toward=_unit(side, -0.8, height))]
    spread = 0.25 * variety
    camera = Camera((chance.within(-spread, spread), -2.0, chance.within(-spread, spread)), roll=chance.within(-0.08, 0.08) * variety, focal=2.0 / width)
    turn = np.arctan2(camera.place[0], 2.0)
    camera = camera._replace(heading=float(turn), pitch=float(-np.arctan2(camera.place[2], 2.0)))
    air = Air(ambient=(0.42, 0.43, 0.45), ground=(0.36, 0.35, 0.34))
    return Scene(kind, b.things, b.materials, lights, camera, air, Lens(noise=2.0 + 3.0 * variety, jpeg=90), {"place": "a board"})


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    length = float(np.sqrt(x * x + y * y + z * z))
    return x / length, y / length, z / length


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """One digit, `kind`; with more objects wished, others beside it, smaller. Nothing moves."""
    b = Builder(chance)
    ground, ink, name = inks(b, chance)
    board(b, chance, ground, knobs.clutter)
    paint = b.paint(scaled(ink, chance.within(0.85, 1.1)), gloss=0.25)
    low, high = knobs.objects or (1, 1)
    number = chance.whole(low, high)
    solids = strokes(chance, kind, chance.within(0.045, 0.075), paint, 0.3 + 0.7 * knobs.variety)
    stray = 0.16 * knobs.variety
    if number:
        b.add(kind, solids, (chance.within(-stray, stray), 0.0, chance.within(-stray, stray)), scale=chance.within(0.85, 1.1), words=(name,))
    for _ in range(number - 1):
        other = chance.one(KINDS)
        place = (chance.one((-1, 1)) * chance.within(0.5, 0.7), 0.0, chance.within(-0.6, 0.6))
        b.add(other, strokes(chance, other, chance.within(0.05, 0.08), paint, knobs.variety), place, scale=chance.within(0.25, 0.4), words=(name,))
    return framed(b, chance, kind, knobs.variety, 1.5)
