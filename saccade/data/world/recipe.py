"""What a set of simulated scenes is made from: the whole of it follows from these few values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from saccade.data.world.labels import HEADS, heads_of, space
from saccade.data.world.table import WORLDS
from saccade.data.world.weather import WEATHERS
from saccade.data.world.worlds.knobs import DIFFICULTIES, Knobs
from saccade.data.world.worlds.world import World
from saccade.errors import UsageError, nearest

VERSION = 3
"""Changes when the same recipe gives other bytes."""
SCHEME = "world:"
ALIASES: Mapping[str, str] = {"masks": "instances", "segmentation": "map", "class": "label", "captions": "caption", "count": "number", "relations": "graph"}
"""Other names of heads, as `labels` takes them."""
LARGEST = 2048
"""Pixels of a side: more rays than 2048 x 2048 could not be numbered exactly in float32."""


@dataclass(frozen=True)
class Recipe:
    """name: a world of WORLDS. n: images, 0 for the world's own number. size: (h, w), (0, 0) for the world's own. seed: of everything.

    labels: heads, none = all of the world's but full_boxes.
    weather: of WEATHERS. difficulty: easy, medium or hard. supersample: rays along each side of a pixel. objects: (fewest, most), None the
    world's own. clutter, occlusion: in [0, 1], None those of the difficulty.
    """

    name: str
    n: int = 0
    size: tuple[int, int] = (0, 0)
    seed: int = 0
    labels: tuple[str, ...] = ()
    weather: str = "clear"
    difficulty: str = "medium"
    supersample: int = 1
    objects: tuple[int, int] | None = None
    clutter: float | None = None
    occlusion: float | None = None

    def __post_init__(self) -> None:
        if self.name not in WORLDS:
            raise UsageError("USE-VALUE", f"{self.name} is no world; {nearest(self.name, WORLDS)}", where=SCHEME + self.name, fix="see saccade world --list")
        for option, value, known in (("weather", self.weather, WEATHERS), ("difficulty", self.difficulty, DIFFICULTIES)):
            if value not in known:
                raise UsageError("USE-VALUE", f"{option}={value}; {nearest(value, known)}", where=self.text)
        own = self._own()
        for option in ("n", "size"):
            if getattr(self, option) in (0, (0, 0)):
                object.__setattr__(self, option, own[option])
        asked = tuple(dict.fromkeys(ALIASES.get(label, label) for label in self.labels))
        there = heads_of(self.world)
        for head in asked:
            if head not in there:
                got = f"{head} is no label" if head not in HEADS else f"{self.name} has no {head}"
                raise UsageError("USE-VALUE", f"{got}; {nearest(head, there)}", where=self.text)
        object.__setattr__(self, "labels", asked)
        low, high = self.objects or (1, 1)
        checks = {
            "n": 1 <= self.n <= 2**40,
            "size": len(self.size) == 2 and all(8 <= side <= LARGEST for side in self.size),
            "supersample": 1 <= self.supersample <= 8,
            "objects": 0 <= low <= high <= 200,
            "clutter": self.clutter is None or 0 <= self.clutter <= 1,
            "occlusion": self.occlusion is None or 0 <= self.occlusion <= 1,
            "seed": 0 <= self.seed < 2**63,
        }
        for option, sound in checks.items():
            if not sound:
                raise UsageError("USE-VALUE", f"{option}={getattr(self, option)}", where=SCHEME + self.name, fix=_RANGES[option])

    def _own(self) -> dict[str, Any]:
        return {"n": self.world.scenes, "size": (self.world.side, self.world.side)}

    @property
    def world(self) -> World:
        return WORLDS[self.name]

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that its records have."""
        return self.labels or tuple(head for head in heads_of(self.world) if head != "full_boxes")

    @property
    def knobs(self) -> Knobs:
        """What the builder is told."""
        chosen = DIFFICULTIES[self.difficulty]._replace(objects=self.objects)
        given = {name: value for name in ("clutter", "occlusion") if (value := getattr(self, name)) is not None}
        return chosen._replace(**given)

    @property
    def text(self) -> str:
        """The recipe as a path: `world:tabletop?n=2000&weather=fog`; what is as usual is left out."""
        usual = {f.name: f.default for f in fields(self)} | self._own()
        given = {name: _written(value) for name in usual if name != "name" and (value := getattr(self, name)) != usual[name]}
        return f"{SCHEME}{self.name}" + (f"?{urlencode(given, safe=',')}" if given else "")

    @property
    def digest(self) -> str:
        """32 hexadecimal digits: a hash of all that the pixels and labels follow from."""
        held = (VERSION, self.with_labels(self.heads).text, tuple((head, space(self.world, head).to_dict()) for head in self.heads))
        return hashlib.blake2b(repr(held).encode(), digest_size=16).hexdigest()

    def with_labels(self, labels: tuple[str, ...]) -> Recipe:
        return replace(self, labels=labels)


_RANGES = {
    "n": "give at least 1",
    "size": f"give 8 to {LARGEST} pixels, as 128 or 96x128",
    "supersample": "give 1 to 8",
    "objects": "give a number, or the fewest and the most as 3-8",
    "clutter": "give a number from 0 to 1",
    "occlusion": "give a number from 0 to 1",
    "seed": "give a whole number from 0 on",
}


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        if value and isinstance(value[0], str):
            return ",".join(value)
        return f"{value[0]}x{value[1]}" if len(value) == 2 and value[0] >= 8 and value[0] != value[1] else _pair(value)
    return str(value)


def _pair(value: tuple[int, int]) -> str:
    return str(value[0]) if value[0] == value[1] else f"{value[0]}-{value[1]}"


def parse(path: str) -> Recipe:
    """The recipe of a path such as `world:tabletop?n=2000&size=96&weather=fog`. Raises UsageError USE-OPTION, USE-VALUE.

    >>> parse("world:shapes?n=20&size=64x96&objects=2-5").size
    (64, 96)
    """
    name, _, query = path.removeprefix(SCHEME).partition("?")
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise UsageError("USE-VALUE", str(error), where=path, fix="write knobs as name=value, with & between them") from error
    values: dict[str, Any] = {}
    for option, text in given.items():
        if option not in _READ:
            raise UsageError("USE-OPTION", f"{option}; {nearest(option, _READ)}", where=path)
        try:
            values[option] = _READ[option](text)
        except ValueError as error:
            raise UsageError("USE-VALUE", f"{option}={text}", where=path, fix=_RANGES.get(option, "see saccade world --help")) from error
    return Recipe(name, **values)


def sides(text: str | int) -> tuple[int, int]:
    """(h, w) of 128 or 96x128. Raises ValueError for what is no number, UsageError USE-VALUE for none at all.

    >>> sides("96x128")
    (96, 128)
    """
    h, _, w = str(text).partition("x")
    if min(found := (int(h), int(w or h))) < 1:
        raise UsageError("USE-VALUE", f"size={text}", where="the size of scenes", fix=_RANGES["size"])
    return found


def counts(text: str | int) -> tuple[int, int]:
    """(fewest, most) of 4 or 3-8. Raises ValueError."""
    low, _, high = str(text).partition("-")
    return int(low), int(high or low)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _images(text: str) -> int:
    if (n := int(text)) < 1:
        raise ValueError(text)
    return n


_READ: Mapping[str, Any] = {
    "n": _images,
    "size": sides,
    "seed": int,
    "labels": _names,
    "weather": str,
    "difficulty": str,
    "supersample": int,
    "objects": counts,
    "clutter": float,
    "occlusion": float,
}
