"""The builder that scenes are put together with: materials by colour name, solids in a thing's own place, and what stands where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saccade.data.world.chance import Chance
from saccade.data.world.scene import Colour, Material, Solid, Thing, turn_z
from saccade.data.world.solids import BOX, CAPSULE, CONE, CYLINDER, ELLIPSOID, PLANE

COLOURS: dict[str, Colour] = {
    "red": (0.62, 0.04, 0.04),
    "orange": (0.8, 0.25, 0.03),
    "yellow": (0.8, 0.58, 0.05),
    "green": (0.07, 0.36, 0.07),
    "blue": (0.04, 0.13, 0.55),
    "purple": (0.26, 0.06, 0.42),
    "pink": (0.8, 0.26, 0.38),
    "brown": (0.2, 0.09, 0.04),
    "black": (0.025, 0.025, 0.028),
    "grey": (0.25, 0.25, 0.26),
    "white": (0.78, 0.78, 0.76),
}
"""Linear RGB of the colours that things are called by."""

PATTERNS = {"stripes": "striped", "checks": "checked", "noise": "mottled"}
Point = Sequence[float] | np.ndarray
UPRIGHT = np.eye(3)
_TRIES = 30


def mixed(one: Colour, two: Colour, share: float) -> Colour:
    """A colour between two."""
    return one[0] + (two[0] - one[0]) * share, one[1] + (two[1] - one[1]) * share, one[2] + (two[2] - one[2]) * share


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour with more or less light."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def frame(axis: np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose third column is the direction of `axis`: the smallest turn from x, so that it changes smoothly with the axis but at -x."""
    x, y, z = axis / np.sqrt((axis * axis).sum())
    if x < -0.9999:
        return np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    share = 1 / (1 + x)
    return np.array([[-y, -z, x], [1 - y * y * share, -y * z * share, y], [-y * z * share, 1 - z * z * share, z]])


def ball(at: Point, radius: float | Point, material: int, turn: np.ndarray = UPRIGHT) -> Solid:
    """A ball, or an ellipsoid with three radii."""
    size = np.full(3, radius) if isinstance(radius, float | int) else np.asarray(radius, dtype=np.float64)
    return Solid(ELLIPSOID, np.asarray(at, dtype=np.float64), turn, size, material)


def block(at: Point, half: Point, material: int, turn: np.ndarray = UPRIGHT) -> Solid:
    """A box by its middle and half sides."""
    return Solid(BOX, np.asarray(at, dtype=np.float64), turn, np.asarray(half, dtype=np.float64), material)


def tube(start: Point, end: Point, radius: float, material: int) -> Solid:
    """A cylinder between the middles of its ends."""
    return _between(CYLINDER, start, end, radius, material)


def spike(base: Point, tip: Point, radius: float, material: int) -> Solid:
    """A cone from the middle of its base to its tip."""
    return _between(CONE, base, tip, radius, material)


def limb(start: Point, end: Point, radius: float, material: int) -> Solid:
    """A capsule around the line between two points; a ball when they are one."""
    return _between(CAPSULE, start, end, radius, material)


def _between(kind: int, start: Point, end: Point, radius: float, material: int) -> Solid:
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    axis = b - a
    length = float(np.sqrt((axis * axis).sum()))
    turn = frame(axis) if length > 1e-9 else UPRIGHT
    return Solid(kind, (a + b) / 2, turn, np.array([radius, radius, max(length / 2, 1e-6)]), material)


def moved(solids: Sequence[Solid], place: np.ndarray, turn: np.ndarray, scale: float = 1.0) -> list[Solid]:
    """Solids turned and scaled about the origin, then moved."""
    return [s._replace(centre=place + turn @ (s.centre * scale), turn=turn @ s.turn, size=s.size * scale) for s in solids]


class Builder:
    """Materials and things of one scene, in the order they are added."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.materials: list[Material] = []
        self.things: list[Thing] = []

    def paint(self, colour: Colour | str, second: Colour | str = (0.0, 0.0, 0.0), texture: str = "plain", scale: float = 1.0, **more: float) -> int:
        """The number of a new material; `more` are gloss and glow. Its texture begins at a place of its own."""
        one = COLOURS[colour] if isinstance(colour, str) else colour
        two = COLOURS[second] if isinstance(second, str) else second
        offset = (0.0, 0.0, 0.0) if texture in ("plain", "windows") else tuple(self.chance.generator.random(3).tolist())
        self.materials.append(Material(one, two, texture, scale, more.get("gloss", 0.0), more.get("glow", 0.0), (offset[0], offset[1], offset[2])))
        return len(self.materials) - 1

    def coat(self, names: Sequence[str] = tuple(COLOURS), patterned: float = 0.0, scale: float = 8.0, gloss: float = 0.25) -> tuple[int, tuple[str, ...]]:
        """A material of a named colour, perhaps with a pattern, and the words for it."""
        name = self.chance.one(names)
        shade = self.chance.within(0.8, 1.15)
        one = scaled(COLOURS[name], shade)
        if self.chance.yes(patterned):
            texture = self.chance.one(tuple(PATTERNS))
            pale = mixed(one, (0.85, 0.85, 0.8), 0.75) if sum(one) < 1.2 else scaled(one, 0.3)
            return self.paint(one, pale, texture, scale * self.chance.within(0.7, 1.4), gloss=gloss), (name, PATTERNS[texture])
        return self.paint(one, gloss=gloss), (name,)

    def ground(self, name: str, material: int, height: float = 0.0) -> int:
        """A horizontal plane without end."""
        return self.stuff(name, [Solid(PLANE, np.array([0.0, 0.0, height]), UPRIGHT, np.ones(3), material)])

    def stuff(self, name: str, solids: list[Solid], casts: bool = False) -> int:
        """A part of the background."""
        self.things.append(Thing(name, solids, np.zeros(3), stuff=True, casts=casts))
        return len(self.things) - 1

    def add(
        self, name: str, solids: Sequence[Solid], place: Point, yaw: float = 0.0, *, words: tuple[str, ...] = (), scale: float = 1.0, **more: object
    ) -> int:
        """A thing whose solids are given about its own foot, heading along x; its number. more: joints (K, 3) there too, slack, on, held_by, casts."""
        at, turn = np.asarray(place, dtype=np.float64), turn_z(yaw)
        thing = Thing(name, moved(solids, at, turn, scale), at, yaw, words=words)
        for key, value in more.items():
            if key == "joints" and value is not None:
                value = at + (np.asarray(value) * scale) @ turn.T
            setattr(thing, key, value)
        self.things.append(thing)
        return len(self.things) - 1


def scatter(
    chance: Chance, radii: Sequence[float], low: Point, high: Point, crowded: float = 0.0, taken: Sequence[tuple[np.ndarray, float]] = ()
) -> list[np.ndarray | None]:
    """Places (x, y, 0) for discs of these radii inside of a rectangle that do not overlap; None where none was found.

    crowded: in [0, 1], how much each is drawn to one placed before it, so that they hide one another. taken: places and radii that are not free.
    """
    placed: list[tuple[np.ndarray, float]] = [(place[:2], radius) for place, radius in taken]
    found: list[np.ndarray | None] = []
    a, b = np.asarray(low[:2], dtype=np.float64), np.asarray(high[:2], dtype=np.float64)
    for radius in radii:
        spot = None
        for _ in range(_TRIES):
            candidate = a + (b - a) * chance.generator.random(2)
            if placed and chance.yes(crowded):
                friend, beside = chance.one(placed)
                candidate = friend + chance.near((0.0, 0.0), 2.2 * (radius + beside))
            if (candidate < a).any() or (candidate > b).any():
                continue
            if all(((candidate - other) ** 2).sum() > (radius + beside) ** 2 for other, beside in placed):
                spot = candidate
                break
        if spot is not None:
            placed.append((spot, radius))
        found.append(None if spot is None else np.array([spot[0], spot[1], 0.0]))
    return found
