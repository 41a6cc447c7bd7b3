"""Bodies with joints: a person of fourteen and four-legged animals, with poses and gaits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from saccade.data.world.build import Builder, ball, block, limb, spike, tube
from saccade.data.world.chance import Chance
from saccade.data.world.scene import Solid, turn_x, turn_y, turn_z

PERSON = (
    "left foot", "right foot", "left knee", "right knee", "left hip", "right hip", "left shoulder", "right shoulder",
    "left elbow", "right elbow", "left hand", "right hand", "neck", "head top",
)  # fmt: skip
PERSON_BONES = ((0, 2), (2, 4), (1, 3), (3, 5), (4, 6), (5, 7), (6, 12), (7, 12), (6, 8), (8, 10), (7, 9), (9, 11), (12, 13))
PERSON_PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11))

ANIMAL = (
    "nose", "left antler", "right antler", "withers", "tail", "left fore knee", "right fore knee", "left fore hoof", "right fore hoof",
    "left hind knee", "right hind knee", "left hind hoof", "right hind hoof",
)  # fmt: skip
ANIMAL_BONES = ((0, 3), (3, 4), (0, 1), (0, 2), (3, 5), (5, 7), (3, 6), (6, 8), (4, 9), (9, 11), (4, 10), (10, 12))
ANIMAL_PAIRS = ((1, 2), (5, 6), (7, 8), (9, 10), (11, 12))


class Pose(NamedTuple):
    """Angles of a person in radians; 0 everywhere stands with hanging arms. Left first in every pair.

    lean: forward. hips, knees: swing forward, bend back. shoulders: swing forward; spread: away from the body; elbows: bend; twist: the
    forearm about the upper arm, which turns a bent elbow from forward (0) to inward (positive). drop: lowers the whole body, in metres.
    """

    lean: float = 0.0
    hips: tuple[float, float] = (0.0, 0.0)
    knees: tuple[float, float] = (0.0, 0.0)
    shoulders: tuple[float, float] = (0.0, 0.0)
    spread: tuple[float, float] = (0.12, 0.12)
    elbows: tuple[float, float] = (0.15, 0.15)
    twist: tuple[float, float] = (0.0, 0.0)
    drop: float = 0.0


def walking(phase: float, stride: float = 0.45) -> Pose:
    """A step of a walk; phase counts in turns: at 0 the left leg is in front, at 0.5 the right one."""
    swing = np.cos(2 * np.pi * phase) * stride
    lift = np.sin(2 * np.pi * phase)
    knees = (0.1 + 0.8 * max(0.0, -lift) * stride / 0.45, 0.1 + 0.8 * max(0.0, lift) * stride / 0.45)
    return Pose(0.06, (swing, -swing), knees, (-swing * 0.8, swing * 0.8), (0.1, 0.1), (0.3, 0.3), (0.0, 0.0), 0.03 * abs(swing))


def vector(x: float, y: float, z: float) -> np.ndarray:
    """(3,) a point or a step."""
    return np.array([x, y, z])


def blended(one: Pose, two: Pose, share: float) -> Pose:
    """A pose between two."""
    a, b = _angles(one), _angles(two)
    return _pose(a + (b - a) * share)


def _angles(pose: Pose) -> np.ndarray:
    return np.array([pose.lean, *pose.hips, *pose.knees, *pose.shoulders, *pose.spread, *pose.elbows, *pose.twist, pose.drop])


def _pose(v: np.ndarray) -> Pose:
    n = [float(x) for x in v]
    return Pose(n[0], (n[1], n[2]), (n[3], n[4]), (n[5], n[6]), (n[7], n[8]), (n[9], n[10]), (n[11], n[12]), n[13])


_DOWN = np.array([0.0, 0.0, -1.0])


def person_joints(pose: Pose, height: float = 1.75) -> np.ndarray:
    """(14, 3) the joints of a person who faces along x and stands at the origin, in the order of PERSON; the left side has positive y."""
    h = height
    joints = np.zeros((14, 3))
    middle = np.array([0.0, 0.0, 0.53 * h - pose.drop])
    trunk = turn_y(pose.lean)
    neck = middle + trunk @ np.array([0.0, 0.0, 0.29 * h])
    joints[12], joints[13] = neck, neck + trunk @ np.array([0.02 * h, 0.0, 0.18 * h])
    for side, sign in enumerate((1.0, -1.0)):
        hip = middle + np.array([0.0, sign * 0.06 * h, 0.0])
        thigh = turn_y(-pose.hips[side])
        knee = hip + thigh @ _DOWN * 0.245 * h
        foot = knee + thigh @ turn_y(pose.knees[side]) @ _DOWN * 0.245 * h
        shoulder = neck + trunk @ np.array([0.0, sign * 0.115 * h, -0.03 * h])
        upper = trunk @ turn_x(sign * pose.spread[side]) @ turn_y(-pose.shoulders[side])
        elbow = shoulder + upper @ _DOWN * 0.17 * h
        lower = upper @ turn_z(sign * -pose.twist[side]) @ turn_y(-pose.elbows[side])
        hand = elbow + lower @ _DOWN * 0.17 * h
        joints[[side, 2 + side, 4 + side, 6 + side, 8 + side, 10 + side]] = foot, knee, hip, shoulder, elbow, hand
    joints[:, 2] += 0.045 * h - min(joints[0, 2], joints[1, 2])  # the lower foot stands on the ground
    return joints


class Clothes(NamedTuple):
    """Numbers of the materials of a person."""

    shirt: int
    trousers: int
    skin: int
    hair: int
    shoes: int


SKIN = ((0.62, 0.36, 0.25), (0.45, 0.24, 0.14), (0.25, 0.12, 0.06), (0.7, 0.45, 0.34), (0.12, 0.06, 0.035))


def clothes(b: Builder, chance: Chance) -> tuple[Clothes, tuple[str, ...]]:
    """Clothes, and the words for them: the colour of the shirt."""
    shirt, words = b.coat(("red", "orange", "yellow", "green", "blue", "purple", "pink", "white"), gloss=0.03)
    trousers, _ = b.coat(("blue", "black", "brown", "grey"), gloss=0.02)
    skin, hair = b.paint(chance.one(SKIN), gloss=0.06), b.paint(chance.one(((0.03, 0.02, 0.015), (0.12, 0.06, 0.03), (0.4, 0.28, 0.12))))
    return Clothes(shirt, trousers, skin, hair, b.paint((0.05, 0.04, 0.04))), words


def person(joints: np.ndarray, worn: Clothes, height: float = 1.75) -> list[Solid]:
    """The solids around a person's joints."""
    h = height
    neck, top = joints[12], joints[13]
    up = (top - neck) / np.sqrt(((top - neck) ** 2).sum())
    face = np.cross(joints[6] - joints[7], up)
    face = face / np.sqrt((face * face).sum() + 1e-12)
    head = neck + up * 0.115 * h
    hips, chest = (joints[4] + joints[5]) / 2, (joints[6] + joints[7]) / 2
    side = joints[6] - joints[7]
    trunk = np.stack([face, side / np.sqrt((side * side).sum()), up], 1)
    solids = [
        ball(head, (0.048 * h, 0.042 * h, 0.063 * h), worn.skin, trunk),
        ball(head + up * 0.016 * h - face * 0.012 * h, (0.05 * h, 0.046 * h, 0.056 * h), worn.hair, trunk),
        limb(neck - up * 0.01 * h, head, 0.026 * h, worn.skin),
        ball(chest - up * 0.055 * h, (0.062 * h, 0.102 * h, 0.11 * h), worn.shirt, trunk),
        ball((hips + chest) / 2 - up * 0.03 * h, (0.055 * h, 0.082 * h, 0.13 * h), worn.shirt, trunk),
        ball(hips, (0.056 * h, 0.09 * h, 0.07 * h), worn.trousers, trunk),
    ]
    for s in (0, 1):
        foot, knee, hip, shoulder, elbow, hand = joints[s], joints[2 + s], joints[4 + s], joints[6 + s], joints[8 + s], joints[10 + s]
        ahead = np.array([face[0], face[1], 0.0])
        solids += [
            limb(hip, knee, 0.043 * h, worn.trousers),
            limb(knee, foot, 0.031 * h, worn.trousers),
            limb(foot + ahead * 0.075 * h - vector(0, 0, 0.018 * h), foot - vector(0, 0, 0.018 * h), 0.026 * h, worn.shoes),
            limb(shoulder, elbow, 0.031 * h, worn.shirt),
            limb(elbow, hand, 0.023 * h, worn.skin),
            ball(hand, 0.029 * h, worn.skin),
        ]
    return solids


class Species(NamedTuple):
    """Measures of a four-legged animal in metres, at the size of an adult: where its legs, neck and head are."""

    leg: float
    body: float
    depth: float
    neck: float
    lift: float  # radians that the neck is raised
    head: float
    limb: float
    antlers: bool
    tail: float
    colours: tuple[tuple[float, float, float], ...]
    hump: bool = False


SPECIES = {
    "moose": Species(1.0, 1.25, 0.37, 0.62, 0.55, 0.5, 0.075, True, 0.1, ((0.075, 0.04, 0.022), (0.1, 0.055, 0.03)), True),
    "deer": Species(0.62, 0.8, 0.2, 0.5, 0.95, 0.26, 0.042, True, 0.12, ((0.3, 0.13, 0.05), (0.36, 0.18, 0.08))),
    "bear": Species(0.45, 1.0, 0.36, 0.32, 0.35, 0.3, 0.125, False, 0.05, ((0.06, 0.03, 0.015), (0.025, 0.02, 0.018))),
    "fox": Species(0.24, 0.42, 0.1, 0.17, 0.7, 0.17, 0.027, False, 0.38, ((0.55, 0.17, 0.03), (0.6, 0.24, 0.06))),
    "boar": Species(0.32, 0.75, 0.25, 0.22, 0.1, 0.34, 0.055, False, 0.18, ((0.05, 0.04, 0.035), (0.09, 0.07, 0.055)), True),
}


def animal(species: Species, coat: int, dark: int, horn: int, phase: float, stride: float, graze: float) -> tuple[list[Solid], np.ndarray]:
    """The solids of an animal that heads along x, and its joints (13, 3) in the order of ANIMAL, nan for antlers it has not.

    phase: of a walk, in turns (the legs of a diagonal swing together). stride: radians. graze: in [0, 1], how far the head is down.
    """
    leg, body, r = species.leg, species.body, species.depth
    back = leg + r
    chest, rump = np.array([body / 2, 0.0, back + 0.04 * leg]), np.array([-body / 2, 0.0, back])
    withers = chest + vector(-0.1 * body, 0, r * (1.25 if species.hump else 0.95))
    solids = [
        limb(chest - vector(0.12 * body, 0, 0), rump + vector(0.12 * body, 0, 0), r, coat),
        ball(chest - vector(0.1 * body, 0, -0.12 * r), (0.3 * body, 0.85 * r, 1.15 * r if species.hump else 1.0 * r), coat),
    ]
    angle = species.lift - graze * (species.lift + 0.85)
    start = chest + vector(0.12 * body, 0, 0.3 * r)
    poll = start + species.neck * np.array([np.cos(angle), 0, np.sin(angle)])
    solids.append(limb(start, poll, 0.42 * r, coat))
    down = -0.5 - 0.75 * graze
    nose = poll + species.head * np.array([np.cos(down), 0, np.sin(down)])
    solids += [limb(poll, poll + (nose - poll) * 0.55, 0.3 * r, coat), limb(poll + (nose - poll) * 0.45, nose, 0.21 * r, dark)]
    joints = np.full((13, 3), np.nan)
    joints[0], joints[3] = nose + (nose - poll) / species.head * 0.2 * r, withers
    for side, sign in enumerate((1.0, -1.0)):
        ear = poll + vector(0, sign * 0.25 * r, 0.15 * r)
        solids.append(spike(ear, ear + np.array([-0.1, sign * 0.35, 0.5]) * 0.9 * r, 0.13 * r, coat))
        if species.antlers:
            joints[1 + side] = _antler(solids, poll + vector(0, sign * 0.15 * r, 0.2 * r), sign, r, species.hump, horn)
    joints[4] = rump + vector(-r - species.tail * 0.6, 0, 0.35 * r - species.tail * 0.4)
    bushy = 0.3 * r if species.tail > 0.3 else 0.14 * r
    solids.append(limb(rump + vector(-0.9 * r, 0, 0.35 * r), joints[4], bushy, coat))
    _legs(solids, joints, species, coat, dark, phase, stride)
    joints[:, 2] -= min(joints[7:9, 2].min(), joints[11:13, 2].min()) - species.limb * 0.6
    lowest = min(s.centre[2] for s in solids[-4:])
    shift = species.limb * 0.6 - lowest
    return [s._replace(centre=s.centre + vector(0, 0, shift)) for s in solids], joints


def _antler(solids: list[Solid], root: np.ndarray, sign: float, r: float, broad: bool, horn: int) -> np.ndarray:
    """One antler: a palm with points like a moose's, or a branching beam; returns its tip."""
    if broad:
        palm, tip = root + np.array([-0.15, sign * 1.0, 0.35]) * r, root + np.array([-0.1, sign * 1.75, 1.15]) * r
        solids += [limb(root, palm, 0.09 * r, horn), ball((palm + tip) / 2, (0.38 * r, 0.12 * r, 0.62 * r), horn, turn_x(-sign * 0.75))]
        for ahead in (-0.3, 0.0, 0.3):
            start = palm + (tip - palm) * 0.55 + vector(ahead * r, 0, 0)
            solids.append(spike(start, start + np.array([ahead * 0.8, sign * 0.45, 0.6]) * r, 0.08 * r, horn))
        return tip
    bend, tip = root + np.array([-0.5, sign * 0.8, 1.3]) * r, root + np.array([0.0, sign * 1.2, 2.6]) * r
    solids += [limb(root, bend, 0.08 * r, horn), limb(bend, tip, 0.07 * r, horn)]
    for share in (0.25, 0.8):
        start = root + (bend - root) * share
        solids.append(spike(start, start + np.array([0.8, sign * 0.2, 0.7]) * r, 0.07 * r, horn))
    return tip


def _legs(solids: list[Solid], joints: np.ndarray, species: Species, coat: int, dark: int, phase: float, stride: float) -> None:
    """Four legs of two parts and a hoof each; the hooves are the last four solids."""
    hooves: list[Solid] = []
    leg, r = species.leg, species.depth
    for fore, x in ((True, species.body / 2 - 0.1 * species.body), (False, -species.body / 2 + 0.02)):
        for side, sign in enumerate((1.0, -1.0)):
            turn = 2 * np.pi * (phase + (0.0 if (side == 0) == fore else 0.5))
            swing, bend = stride * np.cos(turn), stride * 1.2 * max(0.0, -np.sin(turn)) + 0.06
            top = np.array([x, sign * 0.5 * r, leg + 0.55 * r])
            knee = top + turn_y(-swing) @ _DOWN * (0.5 * leg + 0.3 * r)
            hoof = knee + turn_y(-swing + (bend if fore else -bend) * 0.9) @ _DOWN * (0.5 * leg + 0.05 * r)
            solids += [limb(top, knee, species.limb * 1.45, coat), limb(knee, hoof, species.limb * 0.85, dark)]
            hooves.append(limb(hoof + vector(0.5 * species.limb, 0, 0), hoof, species.limb * 0.95, dark))
            first = 5 if fore else 9
            joints[first + side], joints[first + 2 + side] = knee, hoof
    solids += hooves


def carried(kind: str, hand: np.ndarray, material: int, height: float = 1.75) -> list[Solid]:
    """Something in a hand at the end of its arm."""
    h = height / 1.75
    if kind == "umbrella":
        top = hand + vector(0.02, 0, 0.75 * h)
        return [tube(hand - vector(0, 0, 0.12), top, 0.012, material), spike(top - vector(0, 0, 0.16), top + vector(0, 0, 0.06), 0.52 * h, material)]
    if kind == "bag":
        return [block(hand - vector(0, 0, 0.24 * h), (0.16 * h, 0.06 * h, 0.13 * h), material), tube(hand, hand - vector(0, 0, 0.14 * h), 0.02, material)]
    if kind == "ball":
        return [ball(hand + vector(0.1, 0, -0.05), 0.12 * h, material)]
    raise ValueError(f"{kind} cannot be carried, expected umbrella, bag or ball")
