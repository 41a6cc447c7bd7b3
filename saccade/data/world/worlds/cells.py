"""Cells under a microscope: stained in bright light, or glowing in the dark. What lies over another adds to it."""

from __future__ import annotations

import numpy as np

from saccade.data.world.build import Builder, ball, limb, mixed, scatter
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Air, Camera, Colour, Lens, Scene, Solid, turn_z
from saccade.data.world.worlds.knobs import Knobs

KINDS = ("healthy", "dividing", "infected", "crowded")
NAMES = ("round cell", "spindle cell", "star cell", "dividing cell", "bacterium")
STUFF = ("medium",)
_FLAT = 0.35


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A field of view of ten by ten (in units of about ten micrometres). Nothing moves."""
    b = Builder(chance)
    glowing = chance.yes(0.5)
    low, high = knobs.objects or ((14, 26) if kind == "crowded" else (5, 13))
    body, core = _stains(chance, glowing)
    radii = [chance.within(0.55, 0.95) for _ in range(chance.whole(low, high))]
    spots = scatter(chance, [r * (1.0 - 0.45 * knobs.occlusion) for r in radii], (-5, -5), (5, 5), knobs.occlusion * 0.5)
    if knobs.clutter:
        _medium(b, chance, knobs.clutter, body, glowing)
    for order, (r, spot) in enumerate(zip(radii, spots, strict=True)):
        if spot is None:
            continue
        name = "dividing cell" if kind == "dividing" and (order == 0 or chance.yes(0.4)) else chance.one(NAMES[:3])
        strength = chance.within(0.8, 1.4) * (1.0 if glowing else 2.6)
        flesh, kernel = b.paint(body, glow=strength), b.paint(core, glow=strength * 2.2)
        b.add(name, _cell(name, chance, r, flesh, kernel), spot, chance.within(-np.pi, np.pi), words=("large" if r > 0.8 else "small",))
    if kind == "infected":
        for _ in range(chance.whole(4, 12)):
            spot, half = chance.near(np.zeros(3), 4.6) * np.array([1, 1, 0]) + np.array([0, 0, 0.5]), chance.within(0.12, 0.22)
            paint = b.paint(mixed(core, (0.9, 0.5, 0.2), 0.7), glow=3.0 if glowing else 5.0)
            b.add("bacterium", [limb((-half, 0, 0), (half, 0, 0), 0.09, paint)], spot, chance.within(-3, 3), words=("small",))
    camera = Camera((0.0, 0.0, 40.0), chance.within(-np.pi, np.pi), -np.pi / 2, focal=4.9 * chance.within(0.95, 1.2))
    lens = Lens(noise=2.0 + 4.0 * knobs.variety, exposure=1.4 if glowing else 1.9, look="fluorescence" if glowing else "brightfield")
    field = "cells that glow" if glowing else "stained cells"
    return Scene(kind, b.things, b.materials, [], camera, Air(), lens, {"place": f"a field of {field}"})


def _stains(chance: Chance, glowing: bool) -> tuple[Colour, Colour]:
    """What a unit of the body and of the nucleus gives to red, green and blue, or takes from them."""
    if glowing:
        return chance.one((((0.02, 0.32, 0.05), (0.05, 0.12, 0.75)), ((0.38, 0.03, 0.02), (0.05, 0.2, 0.8)), ((0.25, 0.22, 0.02), (0.1, 0.1, 0.7))))
    return chance.one((((0.25, 0.75, 0.35), (0.9, 1.2, 0.4)), ((0.6, 0.45, 0.12), (1.1, 0.9, 0.3)), ((0.3, 0.55, 0.75), (0.7, 1.1, 1.2))))


def _cell(name: str, chance: Chance, r: float, flesh: int, kernel: int) -> list[Solid]:
    """A flat cell about its middle, with its nucleus."""
    lie = np.array([0.0, 0.0, 0.0])
    if name == "round cell":
        return [
            ball(lie, (r, r * chance.within(0.8, 1.0), r * _FLAT), flesh),
            ball(chance.near(lie, 0.2 * r) * np.array([1, 1, 0]), (0.42 * r, 0.38 * r, 0.25 * r), kernel),
        ]
    if name == "spindle cell":
        return [ball(lie, (1.7 * r, 0.42 * r, r * 0.28), flesh), ball(lie, (0.45 * r, 0.26 * r, 0.2 * r), kernel)]
    if name == "star cell":
        turn, solids = chance.within(0, 6), [ball(lie, (0.55 * r, 0.5 * r, 0.25 * r), flesh), ball(lie, (0.3 * r, 0.28 * r, 0.2 * r), kernel)]
        for arm in range(chance.whole(4, 6)):
            way = turn_z(turn + arm * 1.2 + chance.within(-0.2, 0.2)) @ np.array([chance.within(0.9, 1.4) * r, 0, 0])
            solids.append(limb(way * 0.3, way, 0.1 * r, flesh))
        return solids
    gap = chance.within(0.3, 0.6) * r
    halves = [ball((s * gap, 0, 0), (0.75 * r, 0.7 * r, r * _FLAT), flesh) for s in (-1.0, 1.0)]
    return halves + [ball((s * gap * 1.2, 0, 0), (0.16 * r, 0.4 * r, 0.25 * r), kernel) for s in (-1.0, 1.0)]


def _medium(b: Builder, chance: Chance, clutter: float, body: Colour, glowing: bool) -> None:
    """Out of focus dirt: large thin patches and specks."""
    paint = b.paint(body, glow=0.07 if glowing else 0.3)
    solids = [
        ball(chance.near(np.zeros(3), 5.0) * np.array([1, 1, 0]) - np.array([0, 0, 1]), (chance.within(1, 3), chance.within(1, 3), 0.25), paint)
        for _ in range(int(6 * clutter))
    ]
    speck = b.paint(body, glow=1.5)
    solids += [
        ball(chance.near(np.zeros(3), 5.0) * np.array([1, 1, 0]) - np.array([0, 0, 1]), chance.within(0.04, 0.1), speck) for _ in range(int(25 * clutter))
    ]
    b.stuff("medium", solids)
    b.things[-1].level = 2
