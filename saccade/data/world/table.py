"""The table of the worlds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from saccade.data.world.worlds import cells, clips, digits, gestures, glyphs, shapes, street, tabletop, wildlife, xray
from saccade.data.world.worlds.world import World

WORLDS: Mapping[str, World] = MappingProxyType(
    {
        "digits": World("a digit of raised strokes on a cluttered board", digits.make, digits.KINDS, digits.NAMES, digits.STUFF, side=64, scenes=2000),
        "shapes": World("plain solids on a patterned ground; the class is the largest one's", shapes.make, shapes.KINDS, shapes.NAMES, shapes.STUFF),
        "tabletop": World("things on a table in four kinds of rooms", tabletop.make, tabletop.KINDS, tabletop.NAMES, tabletop.STUFF),
        "street": World(
            "houses, cars, people and what they carry", street.make, street.KINDS, street.NAMES, street.STUFF,
            keypoints=street.KEYPOINTS, bones=street.BONES, pairs=street.PAIRS, outdoors=True,
        ),
        "cells": World("cells under a microscope, stained or glowing", cells.make, cells.KINDS, cells.NAMES, cells.STUFF),
        "xray": World("chests as X-rays, with a finding or none", xray.make, xray.KINDS, xray.NAMES, xray.STUFF),
        "glyphs": World("letters and digits over a board", glyphs.make, glyphs.KINDS, glyphs.NAMES, glyphs.STUFF, side=64),
        "wildlife": World(
            "moose, deer, bears, foxes and boars between trees", wildlife.make, wildlife.KINDS, wildlife.NAMES, wildlife.STUFF,
            keypoints=wildlife.KEYPOINTS, bones=wildlife.BONES, pairs=wildlife.PAIRS, outdoors=True,
        ),
        "gestures": World(
            "a person who gestures: every frame of a sequence with its label", gestures.make, gestures.KINDS, gestures.NAMES, gestures.STUFF,
            keypoints=gestures.KEYPOINTS, bones=gestures.BONES, pairs=gestures.PAIRS, labels=gestures.LABELS, frames=gestures.FRAMES, step_s=gestures.STEP_S,
        ),
        "clips": World(
            "streets in motion, seen by a camera that moves or not", clips.make, clips.KINDS, clips.NAMES, clips.STUFF,
            keypoints=clips.KEYPOINTS, bones=clips.BONES, pairs=clips.PAIRS, frames=clips.FRAMES, step_s=clips.STEP_S, outdoors=True,
        ),
    }
)  # fmt: skip
