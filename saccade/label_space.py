"""What the numbers of labels mean: the names of classes, key points and relations, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# fmt: off
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866", "#77aadd", "#44bb99", "#99ddff", "#ffaabb")
# fmt: on
QUESTION = "="
"""What stands between a question and one of its answers in the name of a label."""


@dataclass(frozen=True)
class LabelSpace:
    """The names of the classes, in order: the id of a class is its place here. Stored with every model and data set.

    background: the class id of the background in a segmentation map, None where there is none. keypoints: names of the key
    points of an object, in order. skeleton: pairs of key points joined by a line. pairs: (left, right) key points, which a
    flip exchanges. relations: names of the predicates of a scene graph. colours: "#rrggbb" of each class where the data say
    (RGB-coded masks, palettes), else empty.
    """

    names: tuple[str, ...]
    background: int | None = None
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    relations: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("names", "keypoints", "relations", "colours"):
            object.__setattr__(self, field, tuple(str(n) for n in getattr(self, field)))
        for field in ("skeleton", "pairs"):
            joined = tuple((int(a), int(b)) for a, b in getattr(self, field))
            if any(not 0 <= k < len(self.keypoints) for pair in joined for k in pair):
                raise ValueError(f"{field} names key points up to {len(self.keypoints) - 1}, got {joined}")
            object.__setattr__(self, field, joined)
        for field in ("names", "keypoints", "relations"):
            if len(set(getattr(self, field))) != len(getattr(self, field)):
                raise ValueError(f"{'class names' if field == 'names' else field} must differ, got {getattr(self, field)}")
        if self.colours and len(self.colours) != len(self.names):
            raise ValueError(f"{len(self.colours)} colours for {len(self.names)} classes")
        if self.background is not None and not 0 <= self.background < len(self.names):
            raise ValueError(f"the background is class {self.background} of {len(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        return self.names.index(name)

    @property
    def questions(self) -> dict[str, list[int]]:
        """The questions that labels answer and the places of their answers: names such as colour=red; a name without = is a question of its own.

        >>> LabelSpace(("colour=red", "colour=blue", "wet")).questions
        {'colour': [0, 1], 'wet': [2]}
        """
        found: dict[str, list[int]] = {}
        for k, name in enumerate(self.names):
            found.setdefault(name.split(QUESTION, 1)[0], []).append(k)
        return found

    def colour(self, index: int) -> str:
        """The class's colour as #rrggbb: its own, else one of a palette safe for colour-blind readers, repeated after twelve."""
        return self.colours[index] if self.colours else PALETTE[index % len(PALETTE)]

    def rgb(self, index: int) -> tuple[int, int, int]:
        """The class's colour as three numbers 0..255; grey for an ignored id (below 0)."""
        text = self.colour(index) if index >= 0 else "#888888"
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what is empty is left out, but for the background."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: _listed(v) for k, v in held.items() if k in ("names", "background") or v}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> LabelSpace:
        held: dict[str, Any] = {f.name: _tupled(stored[f.name]) for f in fields(cls) if f.name in stored}
        return cls(**held)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value
