"""Captions by a small grammar, from the facts of a scene; every sentence can be read back.

scene     = "a " KIND ["," PLACE] [WEATHER] " with " COUNTS
number    = "there " ("is one thing" | "are " NUMBER " things" | "is nothing to be seen")
relation  = "the " NOUN " is " RELATION " the " NOUN        RELATION as "to the left of", "behind", "on"; or " is holding the "
largest   = "the largest thing is a " NOUN
nearest   = "the nearest thing is a " NOUN
NOUN      = WORD* NAME | "person in " WORD;    COUNTS = "nothing" | COUNT ("," COUNT)* [" and " COUNT];    COUNT = ("a" | NUMBER) " " NAME[S]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from saccade.data.world.chance import Chance
from saccade.data.world.scene import Scene, Thing

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SPOKEN = {"left of": "to the left of", "behind": "behind", "on": "on", "holding": "holding"}
WEATHERS = {"fog": "in the fog", "rain": "in the rain", "dusk": "at dusk", "night": "at night"}
_SPELT = tuple("AEFHLMNORSX8")
_PLURALS = {"person": "people", "moose": "moose", "deer": "deer", "box": "boxes", "fox": "foxes", "die": "dice", "bus": "buses", "torus": "tori"}


def plural(name: str) -> str:
    """The name of several: the regular one, but for a few."""
    last = name.split(" ")[-1]
    return name[: len(name) - len(last)] + _PLURALS.get(last, last + "s")


def article(noun: str) -> str:
    """A noun with a or an, also of a letter or a digit that is spelt."""
    return f"an {noun}" if noun[0] in "aeiou" or noun in _SPELT else f"a {noun}"


def number(n: int) -> str:
    """A number in words up to twelve."""
    return NUMBERS[n] if n < len(NUMBERS) else str(n)


def noun(thing: Thing) -> str:
    """The words of a thing and its name: "red striped mug", "person in red"."""
    if thing.name == "person":
        return " in ".join((thing.name, *thing.words))
    return " ".join((*thing.words, thing.name))


def counted(things: Sequence[Thing]) -> str:
    """ "two mugs, an apple and a book"; "nothing" when there is none. The names come as often as they are, then by the alphabet."""
    counts = sorted(Counter(thing.name for thing in things).items(), key=lambda item: (-item[1], item[0]))
    parts = [article(name) if n == 1 else f"{number(n)} {plural(name)}" for name, n in counts]
    if not parts:
        return "nothing"
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def captions(
    scene: Scene, listed: Sequence[int], relations: Sequence[tuple[int, int, int]], sizes: Sequence[float], depths: Sequence[float], key: Chance
) -> tuple[str, ...]:
    """Up to five sentences. sizes: pixels seen of each listed thing; depths: metres to each. key: which relation is told."""
    from saccade.data.world.facts import RELATIONS

    things = [scene.things[i] for i in listed]
    place, weather = scene.facts.get("place", ""), scene.facts.get("weather", "")
    opening = place or article(scene.kind)
    told = [f"{opening}{' ' + WEATHERS[weather] if weather in WEATHERS else ''} with {counted(things)}"]
    if not things:
        return (*told, "there is nothing to be seen")
    told.append("there is one thing" if len(things) == 1 else f"there are {number(len(things))} things")
    if relations:
        a, relation, b = key.one(relations)
        told.append(f"the {noun(things[a])} is {SPOKEN[RELATIONS[relation]]} the {noun(things[b])}")
    told.append(f"the largest thing is {article(noun(things[max(range(len(things)), key=lambda i: sizes[i])]))}")
    told.append(f"the nearest thing is {article(noun(things[min(range(len(things)), key=lambda i: depths[i])]))}")
    return tuple(told)


def regions(scene: Scene, listed: Sequence[int], relations: Sequence[tuple[int, int, int]]) -> tuple[str, ...]:
    """A phrase for every listed thing: its noun, and one relation it has, where it has one."""
    from saccade.data.world.facts import RELATIONS

    things = [scene.things[i] for i in listed]
    phrases = []
    for row, thing in enumerate(things):
        own = next(((relation, b) for a, relation, b in relations if a == row), None)
        phrases.append(article(noun(thing)) + (f" {SPOKEN[RELATIONS[own[0]]]} the {noun(things[own[1]])}" if own else ""))
    return tuple(phrases)
