"""The class list beside masks: names in order, perhaps with the values or the colours that stand for them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from saccade.data.formats.rows import parse_rows
from saccade.data.formats.source import Source
from saccade.data.formats.strict_json import parse
from saccade.errors import DataError

_STEMS = frozenset(
    "classes class_names classnames class_list class_dict classlist labels label_names labelmap label_map label_colors label_colours codes names categories "
    "dataset_meta palette colormap color_map".split()
)
BACKGROUND = frozenset({"background", "bg", "_background_", "back ground"})
VOID = frozenset({"void", "ignore", "ignored", "__ignore__", "unlabelled", "unlabeled", "don't care", "dont care"})
_COLOUR = re.compile(r"#?[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ClassList:
    """names in order. values: the number that stands for each in a mask, empty = the place in the list. colours: (r, g, b) each, empty = none given.

    background, void: the places of the background and of what is ignored; `exact` when the list says so itself, else by the names.
    """

    where: str
    names: tuple[str, ...]
    values: tuple[int, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    background: int | None = None
    void: frozenset[int] = frozenset()
    exact: bool = False


def class_list(source: Source, folders: Sequence[str]) -> ClassList | None:
    """The first class list at the root or in one of the folders or above it. Raises DataError ANN-UNREADABLE, ANN-JSON for one that cannot be read."""
    above = {""} | {folder[:end] for folder in folders for end in [len(folder), *(m.start() for m in re.finditer("/", folder))]}
    names = [name for name in source.labels(".txt", ".csv", ".json") if posixpath.dirname(name) in above and _stem(name) in _STEMS]
    for name in sorted(names, key=lambda name: (name.count("/"), posixpath.splitext(name)[1] == ".json", name)):
        found = parse_classes(source.content(name, 1 << 22), name)
        if found is not None:
            return found
    return None


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0].lower().replace("-", "_")


def parse_classes(data: bytes, name: str) -> ClassList | None:
    """The list that a file holds, None when it holds something else. Raises DataError ANN-UNREADABLE when names, values or colours are there twice.

    >>> parse_classes(b"64 128 64 Animal\\n0 0 0 Void\\n", "label_colors.txt").colours
    ((64, 128, 64), (0, 0, 0))
    """
    found = _from_json(parse(data, name), name) if name.lower().endswith(".json") else _from_text(data, name)
    if found is not None and not found.exact:
        low = [name.strip().lower() for name in found.names]
        void = frozenset(i for i, name in enumerate(low) if name in VOID)
        found = replace(found, background=next((i for i, name in enumerate(low) if name in BACKGROUND), None), void=void)
    for what, column in (("name", found.names), ("value", found.values), ("colour", found.colours)) if found else ():
        if twice := [each for each in column if column.count(each) > 1]:
            raise DataError("ANN-UNREADABLE", f"the {what} {twice[0]} is there twice", where=name, fix="give every class a line of its own")
    return found


def _from_json(content: Any, where: str) -> ClassList | None:
    if isinstance(content, dict) and isinstance(content.get("label_map"), dict):
        return _coloured(content, where)
    if isinstance(content, dict) and isinstance(content.get("classes") or content.get("names"), list | dict):
        content = content.get("classes") or content.get("names")
    if isinstance(content, list) and content and all(isinstance(each, str) for each in content):
        return ClassList(where, tuple(content))
    if isinstance(content, list) and content and all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in content):
        colours = tuple(colour for each in content if (colour := _colour(each.get("color", each.get("colour")))))
        numbers = [each.get("id", each.get("value")) for each in content]
        values = tuple(numbers) if all(type(v) is int for v in numbers) else ()
        found = ClassList(where, tuple(each["name"] for each in content), values, colours if len(colours) == len(content) else ())
        if all(type(each.get("ignored")) is bool for each in content):
            background = next((i for i, each in enumerate(content) if each.get("background") is True), None)
            return replace(found, exact=True, background=background, void=frozenset(i for i, each in enumerate(content) if each["ignored"]))
        return found
    if not isinstance(content, dict) or not content:
        return None
    if all(key.isdecimal() and isinstance(value, str) for key, value in content.items()):
        return ClassList(where, tuple(content.values()), tuple(map(int, content)))
    if all(type(value) is int and value >= 0 for value in content.values()):
        return ClassList(where, tuple(content), tuple(content.values()))
    colours = tuple(colour for value in content.values() if (colour := _colour(value)))
    return ClassList(where, tuple(content), (), colours) if len(colours) == len(content) else None


def _coloured(content: dict[str, Any], where: str) -> ClassList | None:
    """`{"label_map": {"0": name}, "segmentation_colors": [[r, g, b]]}`."""
    pairs = {key: value for key, value in content["label_map"].items() if key.isdecimal() and isinstance(value, str)}
    if len(pairs) != len(content["label_map"]) or not pairs:
        return None
    listed = content.get("segmentation_colors")
    colours = tuple(colour for each in listed if (colour := _colour(each))) if isinstance(listed, list) else ()
    return ClassList(where, tuple(pairs.values()), tuple(map(int, pairs)), colours if len(colours) == len(pairs) else ())


def _colour(value: Any) -> tuple[int, int, int] | None:
    if isinstance(value, str) and _COLOUR.fullmatch(value.strip()):
        number = int(value.strip().lstrip("#"), 16)
        return number >> 16, number >> 8 & 255, number & 255
    if isinstance(value, list) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value):
        return value[0], value[1], value[2]
    return None


def _from_text(data: bytes, where: str) -> ClassList | None:
    """Lines of `name`, `value name`, `name,r,g,b`, `r g b name`, `name:r,g,b:parts:actions`, behind a header or comments or not."""
    text = _text(data, where)
    rows = [cells for line in text if (cells := _cells(line))]
    if rows and any(_numbers(row) is not None and len(_numbers(row) or ()) == 3 for row in rows[1:]) and _numbers(rows[0]) == ():
        rows = rows[1:]  # a header: name,r,g,b
    if not rows:
        return None
    numbers = [_numbers(row) for row in rows]
    names = tuple(" ".join(cell for cell in row if not cell.isdecimal()) for row in rows)
    widths = {len(n) for n in numbers if n is not None}
    if None in numbers or len(widths) != 1 or not all(names):
        return ClassList(where, tuple(" ".join(row) for row in rows)) if len(rows) > 1 or rows[0] else None
    (width,) = widths
    if width == 3 and all(v <= 255 for n in numbers if n for v in n):
        return ClassList(where, names, (), tuple((n[0], n[1], n[2]) for n in numbers if n))
    if width == 4:
        return ClassList(where, names, tuple(n[0] for n in numbers if n), tuple((n[1], n[2], n[3]) for n in numbers if n))
    return ClassList(where, names, tuple(n[0] for n in numbers if n) if width == 1 else ())


def _text(data: bytes, where: str) -> list[str]:
    try:
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        if where.lower().endswith(".csv"):
            return [",".join(row) for row in parse_rows(data, where).cells]
        return data.decode("latin-1").splitlines()


def _cells(line: str) -> list[str]:
    """The cells of a line: cut at tabs, commas, colons and semicolons, and at spaces when numbers stand at its beginning or end."""
    plain = line.split("#")[0].strip() if line.lstrip().startswith("#") else line.strip()
    if not plain:
        return []
    cells = [cell.strip().strip('"') for cell in re.split(r"[\t,;:]", plain)]
    if len(cells) == 1:
        words = plain.split()
        few = re.fullmatch(r"(?:\d+\s+){3}\S.*|(?:\d+\s+)\S.*|\S.*(?:\s+\d+){3}", plain)
        cells = words if few and len(words) > 1 else [plain]
    else:
        cells = [word for cell in cells for word in (cell.split() if re.fullmatch(r"\d+(?:\s+\d+)+", cell) else [cell])]
    return [cell for cell in cells if cell]


def _numbers(cells: Sequence[str]) -> tuple[int, ...] | None:
    """The whole numbers among the cells; None when they stand between words."""
    flags = [cell.isdecimal() for cell in cells]
    numbers = tuple(int(cell) for cell in cells if cell.isdecimal() and len(cell) < 10)
    return None if sum(a != b for a, b in pairwise(flags)) > 2 else numbers
