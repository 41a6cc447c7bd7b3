"""Which key points are left and right of each other, told by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIDE = re.compile(r"(?P<word>left|right)|(?:(?<=[^a-z])|^)(?P<letter>[lr])(?=[^a-z]|$)", re.IGNORECASE)
_CAPITAL = re.compile(r"^([LR])(?=[A-Z][a-z])|(?<=[a-z])([LR])$")
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def mirrored_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """(left, right) places of the names that differ in the side alone: left_eye and right_eye, LEye and REye, eye_l and eye_r.

    >>> mirrored_pairs(["nose", "left_eye", "right_eye", "l-ear", "r-ear", "rear"])
    ((1, 2), (3, 4))
    """
    lowered = [name.lower() for name in names]
    found: list[tuple[int, int]] = []
    taken: set[int] = set()
    for place, name in enumerate(names):
        side, other = _mirrored(name)
        if side == "left" and other in lowered:
            right = lowered.index(other)
            if right != place and not {place, right} & taken:
                taken |= {place, right}
                found.append((place, right))
    return tuple(found)


def _mirrored(name: str) -> tuple[str, str]:
    """The side that a name says, and the name in lower case with the other side; two empty texts when it says none."""
    match = _CAPITAL.search(name) or _SIDE.search(name)
    if match is None:
        return "", ""
    said = match[0].lower()
    other = (name[: match.start()] + _OTHER[said] + name[match.end() :]).lower()
    return "left" if said[0] == "l" else "right", other
