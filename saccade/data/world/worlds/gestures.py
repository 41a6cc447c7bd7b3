"""A person in a room who gestures: each gesture is a row of parts that no label tells, with idle moments around it or without."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from saccade.data.world.build import Builder, ball, block, mixed, tube
from saccade.data.world.chance import MOTION, Chance
from saccade.data.world.figures import PERSON, PERSON_BONES, PERSON_PAIRS, Pose, blended, clothes, person, person_joints
from saccade.data.world.scene import UPRIGHT_PLANE, Light, Scene, Solid
from saccade.data.world.solids import PLANE
from saccade.data.world.worlds.knobs import Knobs, aimed, finished, room

KINDS = ("wave", "raise", "clap", "point", "cross", "bow")
LABELS = ("background", *KINDS)
NAMES = ("person", "chair", "plant")
STUFF = ("wall", "floor")
KEYPOINTS, BONES, PAIRS = PERSON, PERSON_BONES, PERSON_PAIRS
FRAMES, STEP_S = 24, 0.1


class Part(NamedTuple):
    """A stretch of a sequence. name: what nobody is told (prepare, out, in, back, rest). label: of its frames. until: seconds. pose: at its end."""

    name: str
    label: str
    until: float
    pose: Pose


_REST = Pose()
Arm = tuple[float, float, float, float]
"""Forward, away from the body, bend of the elbow, turn of the forearm inward; radians."""
_DOWN: Arm = (0.0, 0.12, 0.15, 0.0)


def _arms(left: Arm, right: Arm, lean: float = 0.0) -> Pose:
    one, two = left, right
    return Pose(lean, shoulders=(one[0], two[0]), spread=(one[1], two[1]), elbows=(one[2], two[2]), twist=(one[3], two[3]))


def _both(arm: Arm, lean: float = 0.0) -> Pose:
    return _arms(arm, arm, lean)


_STROKES: Mapping[str, tuple[Pose, Pose, Pose]] = MappingProxyType(
    {  # the pose before the stroke, and its two ends
        "wave": (_arms(_DOWN, (0.3, 1.5, 1.5, 0)), _arms(_DOWN, (0.2, 2.0, 0.7, 0)), _arms(_DOWN, (0.2, 1.7, 1.9, 0))),
        "raise": (_both((0.9, 0.3, 0.15, 0)), _both((2.8, 0.25, 0.15, 0)), _both((2.2, 0.4, 0.5, 0))),
        "clap": (_both((0.9, 0.5, 0.9, 0)), _both((1.2, 0.0, 0.7, 1.1)), _both((1.2, 0.7, 0.6, 0.3))),
        "point": (_arms((0.4, 0.12, 0.15, 0), (0.5, 0.12, 1.6, 0)), _arms(_DOWN, (1.5, 0.5, 0.0, 0)), _arms(_DOWN, (1.35, 0.7, 0.1, 0))),
        "cross": (_both((0.6, 0.12, 1.0, 0)), _both((1.5, -0.5, 0.8, 0.9)), _both((1.4, 0.3, 0.5, 0))),
        "bow": (_both(_DOWN, 0.25), _both((0.5, 0.12, 0.15, 0), 1.05), _both((0.3, 0.12, 0.15, 0), 0.8)),
    }
)


def script(chance: Chance, gesture: str, background: bool, length: float = FRAMES * STEP_S) -> list[Part]:
    """The parts of one sequence: rest, prepare, strokes out and in, back, rest; without background the rests are left out and the strokes fill the time."""
    before, out, into = (_shaken(chance, pose) for pose in _STROKES[gesture])
    pace = chance.within(0.85, 1.2)
    first = chance.within(0.2, 0.6) * background
    last = chance.within(0.2, 0.6) * background
    strokes, ready = 2 * chance.whole(1, 2), 0.28 * pace
    stretch = (length - first - last - 2 * ready) / strokes
    rest = _shaken(chance, _REST)
    parts = [Part("rest", "background", first, rest)] if background else []
    clock = first
    for name, pose, lasts in [
        ("prepare", before, ready),
        *[("out" if i % 2 == 0 else "in", out if i % 2 == 0 else into, stretch) for i in range(strokes)],
        ("back", before, ready),
    ]:
        clock += lasts
        parts.append(Part(name, gesture, clock, pose))
    return [*parts, Part("rest", "background", length + 1.0, rest)] if background else [*parts[:-1], parts[-1]._replace(until=length + 1.0)]


def _shaken(chance: Chance, pose: Pose) -> Pose:
    """The pose as someone else would strike it."""
    other = Pose(
        pose.lean + chance.within(-0.04, 0.04),
        pose.hips,
        pose.knees,
        _near(chance, pose.shoulders, 0.12),
        _near(chance, pose.spread, 0.1),
        _near(chance, pose.elbows, 0.12),
        pose.twist,
    )
    return blended(pose, other, 1.0)


def _near(chance: Chance, pair: tuple[float, float], spread: float) -> tuple[float, float]:
    return pair[0] + chance.within(-spread, spread), pair[1] + chance.within(-spread, spread)


def at(parts: list[Part], time: float) -> tuple[Part, Pose]:
    """The part that a moment belongs to, and the pose then."""
    before, begun = parts[0].pose if parts[0].name == "rest" else _REST, 0.0
    for part in parts:
        if time < part.until or part is parts[-1]:
            share = min(max((time - begun) / max(min(part.until, begun + 0.9) - begun, 1e-6), 0.0), 1.0)
            return part, blended(before, part.pose, share * share * (3 - 2 * share))
        before, begun = part.pose, part.until
    raise ValueError("a script has at least one part")


def make(chance: Chance, kind: str, knobs: Knobs, time: float) -> Scene:
    """One moment of a sequence; the scene's class is the label of the frame."""
    b = Builder(chance)
    way = Chance(int(chance.generator.integers(0, 2**31)), 0, MOTION)
    part, pose = at(script(way, kind, knobs.clutter > 0), time)
    wall, floor = way.one(((0.6, 0.58, 0.52), (0.45, 0.52, 0.58), (0.55, 0.46, 0.42), (0.5, 0.55, 0.46))), (0.3, 0.2, 0.12)
    b.stuff("wall", [Solid(PLANE, np.array([0.0, 1.8, 0.0]), UPRIGHT_PLANE, np.ones(3), b.paint(wall, mixed(wall, (0.2, 0.2, 0.2), 0.3), "stripes", 1.5))])
    b.ground("floor", b.paint(floor, mixed(floor, (0.05, 0.03, 0.02), 0.6), "wood", 1.5))
    height = way.within(1.55, 1.9)
    worn, words = clothes(b, chance)
    joints = person_joints(pose, height)
    yaw = -np.pi / 2 + way.within(-0.4, 0.4) * knobs.variety
    b.add("person", person(joints, worn, height), (way.within(-0.2, 0.2), 0.0, 0.0), yaw, words=words, joints=joints, slack=0.075 * height)
    if knobs.clutter > 0.3:
        _furniture(b, chance)
    camera = aimed((way.within(-0.5, 0.5) * knobs.variety, -4.0, 1.35), (0.0, 0.0, 0.98), way.within(1.35, 1.5))
    lights = [Light((1.5, 1.45, 1.35), at=(way.within(-1.5, 1.5), -2.2, 2.7), reach=5.0), Light((0.2, 0.2, 0.24), toward=(0.4, -0.8, 0.45), shadow=False)]
    return finished(b, part.label, camera, lights, room(), place="a room")


def _furniture(b: Builder, chance: Chance) -> None:
    coat, words = b.coat(gloss=0.1)
    x = chance.one((-1, 1)) * chance.within(0.95, 1.25)
    legs = [tube((i * 0.18, j * 0.18, 0), (i * 0.18, j * 0.18, 0.44), 0.02, coat) for i in (-1, 1) for j in (-1, 1)]
    seat = [block((0, 0, 0.46), (0.22, 0.22, 0.025), coat), block((-0.2, 0, 0.75), (0.02, 0.22, 0.25), coat)]
    b.add("chair", [*legs, *seat], (x, 1.0, 0), chance.within(-3, 0), words=words)
    pot, leaf = b.paint("brown"), b.paint((0.06, 0.2, 0.04), (0.02, 0.08, 0.02), "leaves", 3.0)
    b.add("plant", [tube((0, 0, 0), (0, 0, 0.3), 0.16, pot), ball((0, 0, 0.65), (0.28, 0.28, 0.4), leaf)], (-x, 1.3, 0), words=("green",))
