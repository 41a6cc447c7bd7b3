"""A chest in X-rays: what the densities of ribs, lungs, heart and spine add up to, with a finding or none."""

from __future__ import annotations

import itertools

import numpy as np

from saccade.data.world.build import Builder, ball, block, limb, tube
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Air, Camera, Lens, Scene, Solid, turn_y
from saccade.data.world.worlds.knobs import Knobs

KINDS = ("clear", "nodule", "fluid", "implant")
NAMES = ("left lung", "right lung", "heart", "spine", "nodule", "fluid", "implant")
STUFF = ("body", "ribs")
_GREY = (1.0, 1.0, 1.0)


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """A patient of about 40 cm across; x is the viewer's right, so the patient's left. The chest breathes with the time."""
    b = Builder(chance)
    wide, tall = chance.within(0.92, 1.1), chance.within(0.92, 1.1)
    breath = 1 + 0.05 * np.sin(2 * np.pi * time / 4) * knobs.variety
    soft, bone = b.paint(_GREY, glow=3.6 * chance.within(0.85, 1.15)), b.paint(_GREY, glow=14.0)
    air = b.paint(_GREY, glow=-3.1)
    body = [
        ball((0, 0, -0.05), (0.2 * wide, 0.12, 0.36 * tall), soft),
        ball((0, 0, 0.26 * tall), (0.2 * wide, 0.07, 0.06), soft),
        tube((0, 0, 0.2), (0, 0, 0.4), 0.055, soft),
    ]
    body += [ball((s * 0.21 * wide, 0, 0.2 * tall), (0.06, 0.05, 0.09), soft) for s in (-1.0, 1.0)]
    b.stuff("body", body)
    b.things[-1].level = 3
    b.stuff("ribs", _ribs(wide, tall, chance, bone))
    b.things[-1].level = 2
    for name, side in (("right lung", -1.0), ("left lung", 1.0)):
        half = 0.062 * wide * (1.0 if side < 0 else 0.92)
        lung = [ball((0, 0, 0), (half, 0.075, 0.17 * tall * breath), air, turn_y(-side * 0.1))]
        b.add(name, lung, (side * 0.082 * wide, 0.0, 0.0), level=1)
    size = chance.within(0.9, 1.15)
    heart = b.paint(_GREY, glow=5.5)
    b.add(
        "heart",
        [ball((0, 0, 0), (0.058 * size, 0.045, 0.065 * size), heart, turn_y(0.6)), ball((-0.03, 0, 0.05), (0.028, 0.03, 0.06), heart)],
        (0.028, -0.02, -0.05),
        level=1,
    )
    curve = chance.within(-0.015, 0.015) * knobs.variety
    bones = [block((curve * np.sin(3 * z / 0.3), 0.07, z), (0.019, 0.018, 0.0125), bone) for z in np.arange(-0.34, 0.34, 0.034)]
    b.add("spine", bones, (0.0, 0.0, 0.0), level=1)
    _finding(b, chance, kind, knobs, wide, tall)
    stray = 0.03 * knobs.variety
    camera = Camera((chance.within(-stray, stray), -1.8, chance.within(-stray, stray)), roll=chance.within(-0.06, 0.06) * knobs.variety, focal=1.8 / 0.46)
    lens = Lens(noise=2.5 + 3.5 * knobs.variety, exposure=1.5, look="xray")
    return Scene(kind, b.things, b.materials, [], camera, Air(), lens, {"place": "a chest x-ray"})


def _ribs(wide: float, tall: float, chance: Chance, bone: int) -> list[Solid]:
    """Nine pairs of arcs that fall towards the front, and the collar bones."""
    solids = []
    for pair in range(9):
        z, reach = (0.19 - 0.047 * pair) * tall, (0.1 + 0.06 * np.sin(np.pi * (pair + 2.2) / 11)) * wide
        for side in (-1.0, 1.0):
            angles = np.linspace(-0.45 * np.pi, 0.42 * np.pi, 7)
            points = [
                np.array([side * (0.02 + reach * np.cos(a) * 0.93), -0.095 * np.sin(a), z + 0.028 * np.sin(a) - 0.004 * pair * np.cos(a)]) for a in angles
            ]
            solids += [limb(p, q, 0.0042, bone) for p, q in itertools.pairwise(points)]
    return solids + [limb((s * 0.02, -0.06, 0.19 * tall), (s * 0.15 * wide, -0.02, 0.225 * tall), 0.006, bone) for s in (-1.0, 1.0)]


def _finding(b: Builder, chance: Chance, kind: str, knobs: Knobs, wide: float, tall: float) -> None:
    side = chance.one((-1.0, 1.0))
    if kind == "nodule":
        for _ in range(chance.whole(*(knobs.objects or (1, 3)))):
            paint, r = b.paint(_GREY, glow=chance.within(7, 12)), chance.within(0.008, 0.019)
            side = chance.one((-1.0, 1.0))
            place = (side * (0.085 + chance.within(-0.03, 0.03)) * wide, chance.within(-0.03, 0.03), chance.within(-0.09, 0.13) * tall)
            b.add("nodule", [ball((0, 0, 0), (r, r * chance.within(0.8, 1.2), r * chance.within(0.8, 1.1)), paint)], place)
    elif kind == "fluid":
        level, paint = chance.within(0.03, 0.09), b.paint(_GREY, glow=3.6)
        b.add("fluid", [ball((0, 0, 0), (0.062 * wide, 0.06, level), paint)], (side * 0.088 * wide, 0.0, -0.125 * tall))
    elif kind == "implant":
        metal = b.paint(_GREY, glow=60.0)
        x, z = 0.1 * wide, 0.14 * tall
        lead = [np.array(p) for p in ((-0.01, 0, 0.02), (-0.06, 0, 0.035), (-0.09, 0, -0.06), (-0.06, 0, -0.19))]
        solids = [ball((0, 0, 0), (0.024, 0.006, 0.028), metal), block((0, 0, 0.03), (0.012, 0.005, 0.008), metal)]
        b.add("implant", solids + [limb(p, q, 0.0016, metal) for p, q in itertools.pairwise(lead)], (x, -0.08, z))
