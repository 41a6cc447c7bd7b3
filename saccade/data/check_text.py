"""What can be wrong with the sentences, tags, yes-or-no labels and numbers of one image."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

import numpy as np

from saccade.core import LabelSpace
from saccade.data.check_boxes import class_ids
from saccade.errors import Problem, displayable
from saccade.targets import Label, Labels, Number, TagSequence

LONGEST = 10_000
"""Characters of a sentence."""
_SHOWN = 40
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def sentences(texts: Sequence[str]) -> list[Problem]:
    """TEXT-EMPTY, TEXT-LONG and TEXT-CONTROL (characters that cannot be seen, or that turn the reading direction)."""
    problems = []
    if empty := [i for i, text in enumerate(texts) if not text.strip()]:
        problems.append(Problem("TEXT-EMPTY", "", f"sentence {empty[0] + 1} of {len(texts)}"))
    if not texts:
        problems.append(Problem("TEXT-EMPTY", "", "no sentence"))
    if long := [i for i, text in enumerate(texts) if len(text) > LONGEST]:
        problems.append(
            Problem("TEXT-LONG", "", f"sentence {long[0] + 1} of {len(texts)} has {len(texts[long[0]]):,} characters, at most {LONGEST:,} are usual")
        )
    for i, text in enumerate(texts):
        if hidden := next((c for c in text if _hidden(c)), None):
            at = text.index(hidden)
            around = displayable(text[max(0, at - 10) : at + 10])
            problems.append(Problem("TEXT-CONTROL", "", f"U+{ord(hidden):04X} in sentence {i + 1} of {len(texts)}: {around[:_SHOWN]}"))
            break
    return problems


def _hidden(character: str) -> bool:
    return character in _BIDI or (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t\r")


def tags(target: TagSequence, space: LabelSpace | None) -> list[Problem]:
    """CLS-RANGE, and TAG-NONE for a sequence without a step or without a tag that is known."""
    ids = target.tags.numpy()
    if not len(ids) or not (ids >= 0).any():
        return [Problem("TAG-NONE", "", "no step" if not len(ids) else f"all {len(ids):,} steps are ignored")]
    return class_ids(ids, space)


def label(target: Label, space: LabelSpace | None) -> list[Problem]:
    """CLS-RANGE."""
    return class_ids(np.array([target.index]), space)


def labels(target: Labels, space: LabelSpace | None) -> list[Problem]:
    """LABELS-COUNT: not one answer for each class; ANN-NUMBER: an answer that is not yes (1), no (0) or unknown (-1)."""
    values = target.values.numpy()
    if space is not None and len(values) != len(space):
        return [Problem("LABELS-COUNT", "", f"{len(values)} answers; the list has {len(space)} classes")]
    foreign = values[(values < -1) | (values > 1)]
    return [Problem("ANN-NUMBER", "", f"an answer of {foreign[0]}, expected 1, 0 or -1 (unknown)")] if len(foreign) else []


def number(target: Number) -> list[Problem]:
    """ANN-NUMBER: a number that is not finite."""
    return [] if math.isfinite(target.value) else [Problem("ANN-NUMBER", "", f"{target.value}")]
