"""Letters and digits scattered over a board: a text that says nothing."""

from __future__ import annotations

import numpy as np

from saccade.data.world.build import COLOURS, Builder, scaled, scatter
from saccade.data.world.chance import Chance
from saccade.data.world.glyph_strokes import STROKES
from saccade.data.world.scene import Scene
from saccade.data.world.worlds.digits import STUFF, board, framed, inks, strokes
from saccade.data.world.worlds.knobs import Knobs

KINDS = ("scattered", "line", "column")
NAMES = tuple(STROKES)
__all__ = ["KINDS", "NAMES", "STUFF", "make"]


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """Some glyphs: anywhere, in a line, or one below the other. Nothing moves."""
    b = Builder(chance)
    ground, ink, name = inks(b, chance)
    board(b, chance, ground, knobs.clutter * 0.6)
    low, high = knobs.objects or (3, 7)
    number = chance.whole(low, high)
    sizes = [chance.within(0.26, 0.4) if kind == "scattered" else 1.25 / max(number, 3) * 0.85 for _ in range(number)]
    if kind == "scattered":
        spots = scatter(chance, [0.45 * s for s in sizes], (-0.6, -0.6), (0.6, 0.6))
    else:
        steps = [(i - (number - 1) / 2) * 1.25 / max(number, 3) for i in range(number)]
        along = chance.within(-0.35, 0.35)
        spots = [np.array([s, along, 0.0]) if kind == "line" else np.array([along, -s, 0.0]) for s in steps]
    dark = sum(ink) < 0.8
    allowed = [n for n in COLOURS if (sum(COLOURS[n]) < 0.8) == dark] if knobs.variety > 0.5 else [name]
    for size, spot in zip(sizes, spots, strict=True):
        if spot is None:
            continue
        glyph, own = chance.one(NAMES), chance.one(allowed)
        paint = b.paint(scaled(COLOURS[own], chance.within(0.85, 1.1)), gloss=0.25)
        solids = strokes(chance, glyph, chance.within(0.05, 0.075), paint, knobs.variety * 0.7)
        b.add(glyph, solids, (spot[0], 0.0, spot[1]), scale=size, words=(own,))
    return framed(b, chance, kind, knobs.variety, 1.5)
