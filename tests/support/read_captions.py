"""Reads the sentences of simulated scenes back, by their grammar alone: what they say, as data."""

import re
from typing import Any

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12}
IRREGULAR = {"people": "person", "moose": "moose", "deer": "deer", "boxes": "box", "foxes": "fox", "dice": "die", "buses": "bus"}
RELATIONS = {"to the left of": "left of", "behind": "behind", "on": "on", "holding": "holding"}
WEATHERS = {"in the fog": "fog", "in the rain": "rain", "at dusk": "dusk", "at night": "night"}


def singular(words: str) -> str:
    *front, last = words.split(" ")
    return " ".join([*front, IRREGULAR.get(last, last[:-1] if last.endswith("s") else last)])


def counts(text: str) -> dict[str, int]:
    """ "two mugs, an apple and a book" -> {"mug": 2, "apple": 1, "book": 1}."""
    found: dict[str, int] = {}
    if text == "nothing":
        return found
    for part in re.split(r", | and ", text):
        first, _, rest = part.partition(" ")
        if first in ("a", "an"):
            found[rest] = found.get(rest, 0) + 1
        else:
            name = singular(rest)
            found[name] = found.get(name, 0) + (NUMBERS[first] if first in NUMBERS else int(first))
    return found


def without_article(text: str) -> str:
    article, _, noun = text.partition(" ")
    assert article in ("a", "an", "the") and noun
    assert article == "the" or (article == "an") == (noun[0] in "aeiou" or noun in list("AEFHLMNORSX8")), text
    return noun


def relation(text: str) -> tuple[str, str, str]:
    """ "red mug is behind the book" -> (red mug, behind, book)."""
    match = re.fullmatch(r"(.+?)(?: is)? (to the left of|behind|on|holding) the (.+)", text)
    assert match, text
    return match[1], RELATIONS[match[2]], match[3]


def read(sentence: str) -> tuple[str, Any]:
    """(what kind of sentence it is, what it says)."""
    if sentence == "there is nothing to be seen":
        return "number", 0
    if match := re.fullmatch(r"there (?:is|are) (\w+) things?", sentence):
        return "number", NUMBERS[match[1]] if match[1] in NUMBERS else int(match[1])
    if match := re.fullmatch(r"the (largest|nearest) thing is (.+)", sentence):
        return match[1], without_article(match[2])
    if match := re.fullmatch(r"the (.+ is .+)", sentence):
        return "relation", relation(match[1])
    match = re.fullmatch(r"(.+?)( in the fog| in the rain| at dusk| at night)? with (.+)", sentence)
    assert match, sentence
    return "scene", (match[1], WEATHERS.get((match[2] or "").strip(), ""), counts(match[3]))


def read_region(phrase: str) -> tuple[str, tuple[str, str] | None]:
    """(noun, (relation, noun) or None)."""
    if re.search(r" (to the left of|behind|on|holding) the ", phrase):
        subject, word, other = relation(phrase)
        return without_article(subject), (word, other)
    return without_article(phrase), None
