"""Dots as pixels of a second picture: `x.png` with `x_dots.png`, or `images/` with `dots/`; each patch of touching pixels is a point.

The value of the empty ground is the most frequent one when it fills nine tenths of the pixels, else 0. Every other value (index,
grey level or colour) is a class of points; a class list names them, else a single one is called "object" and several by their value.
"""

from __future__ import annotations

from saccade.core import LabelSpace
from saccade.data.formats.masks_classes import ClassList, class_list
from saccade.data.formats.masks_look import MANY, MOST_CLASSES, Look, look
from saccade.data.formats.pairs_match import Match, Words, answered, match, shown_folders
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import IGNORED, Coding, DotFile, packed, shown_value
from saccade.errors import DataError

DOTS = Words(frozenset("dots dot dotmaps dot_maps dotmap dot_map points point_maps dotted".split()), frozenset("dots dot dotmap dotted points".split()))
_GROUND = 0.9


def detect(source: Source) -> Match | None:
    """The pictures of dots that are found beside images, by the names of folders and files."""
    return None if source.only else match(source.listing.files, DOTS)


def load(source: Source, plan: Match) -> Found:
    """A record for each image, its dots as a Stored truth. Raises DataError MAP-VALUES when the pictures are no dot maps."""
    listed = class_list(source, plan.folders)
    most = source.wishes.max_pixels
    seen = look([source.root / path for path in plan.answers.values()], MANY, bool(listed and listed.colours and not listed.values), most)
    coding, space = _coding(seen, listed, plan)
    truths = {image: DotFile(source.root / path, coding, max_pixels=most) for image, path in plan.answers.items()}
    records, problems = answered(source, plan, "points", truths)
    reason = f"dots in {shown_folders(plan)} ({len(truths):,} of {len(records):,} images), {len(space)} class{'es' if len(space) != 1 else ''}"
    return Found(records, {"points": space}, reason, problems)


def _coding(seen: Look, listed: ClassList | None, plan: Match) -> tuple[Coding, LabelSpace]:
    total = max(1, seen.numbers.total())
    common = seen.numbers.most_common(1)
    ground = common[0][0] if common and common[0][1] / total >= _GROUND else 0
    values = [value for value in seen.used if value != ground]
    if len(values) > MOST_CLASSES:
        got = f"{len(values):,} different values of dots"
        raise DataError("MAP-VALUES", got, where=plan.folders[0], fix="save the dots as PNG, one colour a class, without smoothing")
    if listed is None:
        names = ("object",) if len(values) <= 1 else tuple(shown_value(value, seen.kind) for value in values)
        numbers = values or [255 if ground == 0 else 0]
    else:
        rows = [i for i in range(len(listed.names)) if i != listed.background and i not in listed.void]
        if seen.kind == "colour" and listed.colours:
            own = [(listed.colours[i][0] << 16) | (listed.colours[i][1] << 8) | listed.colours[i][2] for i in rows]
        else:
            own = [listed.values[i] if listed.values else i + (listed.background is None) for i in rows]
        names, numbers = tuple(listed.names[i] for i in rows), own
        if len(rows) == 1 and len(values) == 1:
            numbers = values
    colours = tuple(f"#{int(packed(seen.palette[v])):06x}" for v in numbers) if _named(seen, numbers) and seen.palette is not None else ()
    if listed is not None and listed.exact:
        colours = tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in listed.colours) if len(listed.colours) == len(names) else ()
    space = LabelSpace(names, colours=colours if len(set(colours)) == len(names) else ())
    return Coding(seen.kind, (ground, *numbers), (IGNORED, *range(len(numbers)))), space


def _named(seen: Look, numbers: list[int]) -> bool:
    """Whether the palette has a colour for every value."""
    return seen.kind == "index" and seen.palette is not None and max(numbers) < len(seen.palette)
