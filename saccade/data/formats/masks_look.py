"""What a look at masks tells: how their numbers are stored, which there are, and whether they are classes or objects.

Rules, in this order:

1. Masks of more than 8 bits are id maps of objects, unless a class list names all their values, or there are but 0 and one more.
2. Colours that are not all grey are classes by the class list's colours; without a list, each colour is a class called #rrggbb.
3. Where alone the transparency varies, it is the mask.
4. Values {0, v} are background and foreground, whatever v is.
5. Without a class list, 8-bit masks called `x_masks`, or with more than 32 values, are id maps when the values of nearly every mask
   run from 1 to n without a gap; else each value is a class called by its number. 255 is ignored once three values are used.
6. A value 0 without a name, and a class called background, is the background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from saccade.core import LabelSpace
from saccade.data.formats.masks_classes import ClassList
from saccade.data.formats.stored import IGNORED, Coding, Kind, mask_samples, numbers_of, packed, shown_value, unknown
from saccade.data.image import MAX_PIXELS, Samples
from saccade.errors import DataError

FEW = 9
"""Masks that are looked at when a class list says what there is."""
MANY = 1000
"""Masks whose values are collected when nothing says."""
MOST_CLASSES = 64
"""Different values that are still taken for classes without a class list."""
_DENSE = 0.9
_CLASSES_BEFORE_IDS = 32


@dataclass
class Look:
    """Of the masks looked at: how they are stored, how many pixels have each number, and how many masks have the numbers 1..n without a gap."""

    kind: Kind = "index"
    numbers: Counter[int] = field(default_factory=Counter)
    masks: int = 0
    dense: int = 0
    deep: bool = False
    lossy: bool = False
    palette: np.ndarray | None = None
    failed: list[DataError] = field(default_factory=list)

    @property
    def used(self) -> list[int]:
        """The numbers, in order."""
        return sorted(self.numbers)


def spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of the paths, evenly spread, the first and the last among them."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]


def look(paths: Sequence[Path], most: int, coloured: bool = False, max_pixels: int = MAX_PIXELS) -> Look:
    """Reads at most so many of the masks; those that cannot be read are in `failed`. coloured: the class list gives colours, no values."""
    found, first = Look(), [path for path in spread(paths, FEW)]
    kinds: list[Kind] = []
    for path in first:
        try:
            samples = mask_samples(path, max_pixels)
        except DataError:
            continue
        kinds.append(_kind(samples, coloured))
        found.deep |= samples.bits > 8
        found.lossy |= samples.format == "JPEG"
        found.palette = samples.palette if found.palette is None else found.palette
    found.kind = "colour" if "colour" in kinds else "alpha" if kinds and set(kinds) == {"alpha"} else "index"
    for path in first if found.deep else spread(paths, most):
        try:
            _count(numbers_of(mask_samples(path, max_pixels), found.kind, str(path)), found)
        except DataError as error:
            found.failed.append(error)
    return found


def _kind(samples: Samples, coloured: bool) -> Kind:
    values = samples.values
    channels = values.shape[2] if values.ndim == 3 else 1
    if channels in (2, 4):
        colour = values[..., :-1].reshape(-1, channels - 1)
        if values[..., -1].min() != values[..., -1].max() and (colour == colour[0]).all():
            return "alpha"
    if channels >= 3:
        grey = np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 1], values[..., 2])
        return "colour" if coloured or not grey else "index"
    return "index"


def _count(numbers: np.ndarray, found: Look) -> None:
    if numbers.dtype == np.uint8:
        counts = np.bincount(numbers.ravel(), minlength=256)
        present = np.flatnonzero(counts)
        counts = counts[present]
    else:
        present, counts = np.unique(numbers, return_counts=True)
    found.masks += 1
    objects = present[present != 0]
    found.dense += bool(len(objects)) and objects[0] == 1 and objects[-1] == len(objects)
    found.numbers.update(dict(zip(present.tolist(), counts.tolist(), strict=True)))


def are_objects(seen: Look, listed: ClassList | None, called: bool) -> bool:
    """Whether the masks are id maps of objects (rules 1 and 5). called: their names say so."""
    if listed is not None and not called:
        known = set(listed.values) or set(range(len(listed.names) + 1))
        if not seen.deep or set(seen.numbers) <= known | {IGNORED}:
            return False
    if seen.kind == "colour":
        return called
    if len(seen.numbers) <= 2 and not called and min(seen.numbers, default=0) == 0:
        return False
    if seen.deep:
        return True
    return (called or len(seen.numbers) > _CLASSES_BEFORE_IDS) and seen.dense >= _DENSE * seen.masks


def classes_of(seen: Look, listed: ClassList | None, where: str) -> tuple[Coding, LabelSpace, str]:
    """How numbers become classes, the class names, and the rule used. Raises DataError MAP-VALUES when it cannot be told."""
    return _by_list(seen, listed) if listed is not None else _by_values(seen, where)


def _by_values(seen: Look, where: str) -> tuple[Coding, LabelSpace, str]:
    used, kind = seen.used, seen.kind
    if kind != "colour" and len(used) <= 2 and (len(used) < 2 or used[0] == 0):
        values: tuple[int, ...] = (0, used[-1] if used and used[-1] else 255)
        return Coding(kind, values, (0, 1)), LabelSpace(("background", "foreground"), background=0), f"values 0 and {values[1]}: background, foreground"
    ignored = kind != "colour" and 255 in used and len(used) >= 3
    kept = [value for value in used if not (ignored and value == 255)]
    if len(kept) > MOST_CLASSES:
        raise DataError("MAP-VALUES", f"{len(kept):,} different values: {_smooth(seen)}", where=where, fix=_SMOOTH_FIX)
    names = tuple(shown_value(value, kind) for value in kept)
    colours = names if kind == "colour" else _palette_colours(seen, kept)
    space = LabelSpace(names, background=0 if kept and kept[0] == 0 else None, colours=colours)
    values = (*kept, 255) if ignored else tuple(kept)
    reason = f"{len(kept)} {'colours' if kind == 'colour' else 'values'} found in the masks" + ("; 255 ignored" if ignored else "")
    return Coding(kind, values, (*range(len(kept)), *[IGNORED] * ignored)), space, reason


_SMOOTH_FIX = "save the masks as PNG without smoothing or resampling, or give the classes in classes.txt"


def _smooth(seen: Look) -> str:
    most = sum(n for _, n in seen.numbers.most_common(2)) / max(1, seen.numbers.total())
    kind = "the masks are JPEG files" if seen.lossy else "smoothed edges" if most > 0.8 else "no class mask"
    return f"{kind}; {unknown(np.repeat(*_sample(seen)), 1000, seen.kind)}"


def _sample(seen: Look) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent numbers, and how many of a thousand pixels have each."""
    common = seen.numbers.most_common(11)
    total = max(1, seen.numbers.total())
    return np.array([value for value, _ in common]), np.array([max(1, round(1000 * n / total)) for _, n in common])


def _palette_colours(seen: Look, kept: Sequence[int]) -> tuple[str, ...]:
    """The palette's colours of these values when they differ, else none."""
    if seen.palette is None or (kept and kept[-1] >= len(seen.palette)):
        return ()
    colours = tuple(f"#{int(packed(seen.palette[value])):06x}" for value in kept)
    return colours if len(set(colours)) == len(colours) else ()


def _by_list(seen: Look, listed: ClassList) -> tuple[Coding, LabelSpace, str]:
    names, reason = listed.names, f"classes of {listed.where}"
    colours = tuple(f"#{int(packed(np.array(colour))):06x}" for colour in listed.colours)
    if seen.kind == "colour":
        if not colours:
            got = f"the masks are coloured, but {listed.where} gives no colours; {unknown(np.repeat(*_sample(seen)), 1000, 'colour')}"
            raise DataError("MAP-VALUES", got, where=listed.where, fix="write lines of r g b name (label_colors.txt)")
        values = tuple(int(packed(np.array(colour))) for colour in listed.colours)
    else:
        values = listed.values or tuple(range(len(names)))
        names, values, more = _binary(seen, listed, values)
        colours = colours if len(colours) == len(names) else ()
        reason += more
    added = len(names) - len(listed.names)  # a background that the list leaves out comes first
    void = sorted(i + added for i in listed.void)
    kept = [i for i in range(len(names)) if i not in void]
    ids = {i: place for place, i in enumerate(kept)}
    background = 0 if added else ids.get(listed.background) if listed.background is not None else None
    space = LabelSpace(tuple(names[i] for i in kept), background=background, colours=tuple(colours[i] for i in kept) if colours else ())
    known, classes = list(values), [ids.get(i, IGNORED) for i in range(len(names))]
    if seen.kind != "colour" and 255 not in known:
        known, classes = [*known, 255], [*classes, IGNORED]
        reason += "; 255 ignored" if 255 in seen.numbers else ""
    return Coding(seen.kind, tuple(known), tuple(classes)), space, reason + (f"; {names[void[0]]} ignored" if void else "")


def _binary(seen: Look, listed: ClassList, values: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[int, ...], str]:
    """The list fitted to masks of 0 and one more value, and to lists that leave the background out; a list that is exact stays."""
    used, names = seen.used, listed.names
    plain = not listed.exact and values == tuple(range(len(names)))
    if plain and listed.background is None and 0 in used and (len(names) in used or (len(names) == 1 and len(used) == 2)):
        last = used[1] if len(names) == 1 else len(names)  # value n of n names: they are counted from 1
        shifted = (0, last) if len(names) == 1 else tuple(range(len(names) + 1))
        return ("background", *names), shifted, "; value 0 is the background"
    if plain and len(used) == 2 and len(names) == 2 and used[0] == 0 and used[1] > 1:
        return names, (0, used[1]), f"; value {used[1]} is {names[1]}"
    return names, values, ""
