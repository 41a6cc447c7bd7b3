"""What the columns of a table are: found by their names and by what is in them, unless the user says."""

from __future__ import annotations

import ntpath
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from saccade.data.formats.columns_heads import KINDS, LABEL, QUESTIONS, Column, Head, heads_of
from saccade.data.formats.source import SPLITS, Wishes
from saccade.errors import UsageError, nearest

PATH = frozenset(
    "path file filename file_name filepath file_path image image_path image_name image_file imagepath imagefile imagename img img_path picture photo id "
    "image_id imageid id_code image_index".split()
)
SPLIT = frozenset("split set subset partition phase".split())
GROUP = frozenset(
    "group group_id patient patient_id patientid subject subject_id student student_id person person_id participant case case_id animal user writer".split()
)

Lookup = Mapping[str, str]
WAYS: Mapping[str, Callable[[str], str]] = MappingProxyType(  # how a cell names an image, the plainest first
    {
        "path": lambda path: path,
        "path without extension": lambda path: posixpath.splitext(path)[0],
        "file name": posixpath.basename,
        "file name without extension": lambda path: posixpath.splitext(posixpath.basename(path))[0],
    }
)


class Roles(NamedTuple):
    """Places of the columns, None for those that are not there; `way` is how the path column names images (a key of WAYS)."""

    header: tuple[str, ...] | None
    path: int
    heads: tuple[Head, ...]
    split: int | None
    group: int | None
    way: str

    def names(self, columns: Sequence[int]) -> list[str]:
        """The names of columns, or `column 3` where there is no header."""
        return [_Names(self.header)[i] for i in columns]

    def describe(self) -> str:
        """`path=file, label=abnormal, group=patient`."""
        names = _Names(self.header)
        shown = [f"path={names[self.path]}", *(head.describe(names) for head in self.heads)]
        shown += [f"{role}={names[i]}" for role, i in (("split", self.split), ("group", self.group)) if i is not None]
        return ", ".join(shown) + ("" if self.way == "path" else f"; images found by {self.way}")


class _Names(Sequence[str]):
    """The names of columns, or `column 3` where there is no header."""

    def __init__(self, header: tuple[str, ...] | None) -> None:
        self.header = header

    def __len__(self) -> int:
        return len(self.header or ())

    def __getitem__(self, place: Any) -> Any:
        return self.header[place] if self.header else f"column {place + 1}"


def normal(cell: str) -> str:
    """A path as the listing writes it: forward slashes, no `./`, no spaces around."""
    cell = cell.strip()
    if "\\" in cell:
        cell = cell.replace("\\", "/")
    return posixpath.normpath(cell) if cell else ""


def lookups(files: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each way, the image that a cell names; what two images share names neither."""
    found: dict[str, dict[str, str]] = {}
    for way, key in WAYS.items():
        seen = Counter(map(key, files))
        found[way] = {name: path for path in files if seen[name := key(path)] == 1}
    return found


def assign(cells: Sequence[Sequence[str]], files: Sequence[str], wishes: Wishes, where: str) -> Roles | None:
    """The roles of the columns, or None when no column names images.

    Raises DataError ANN-COLUMNS when images are named but no label can be told, UsageError USE-VALUE when a wish names no column.
    """
    if not cells or (len(cells[0]) < 2 and wishes.path is None):
        return None
    sample, tables = cells[1:2001], lookups(files)
    names = [cell.strip() for cell in cells[0]]
    lowered = [name.lower().replace(" ", "_") for name in names]
    shares = {
        (i, way): _share(sample or cells, i, table, lowered[i] in PATH or names[i] == wishes.path) for i in range(len(names)) for way, table in tables.items()
    }
    ways = list(WAYS)
    (path, way), share = max(shares.items(), key=lambda item: (round(item[1], 2), -ways.index(item[0][1]), -item[0][0]))
    headed = not any(normal(cell) in table for cell in names for table in tables.values()) and (
        len(set(names)) == len(names) and "" not in names[1:] and (share > 0 or bool(set(lowered) & (PATH | LABEL)))
    )
    if wishes.path is not None:
        path = _wished(wishes.path, names if headed else [], len(names), "path_column", where)
        way = max(ways, key=lambda w: (shares[path, w], -ways.index(w)))
    elif share == 0:  # no file is there: by names alone
        if not headed or not (set(lowered) & PATH) or not (set(lowered) & LABEL or wishes.label is not None):
            return None
        path, way = next(i for i, name in enumerate(lowered) if name in PATH), "path"
    elif share < 0.05 and not (headed and lowered[path] in PATH):
        return None  # a few chance hits
    header = tuple(names) if headed else None
    return _others(Roles(header, path, (), None, None, way), cells[1:] if headed else cells, lowered if headed else [], wishes, where)


def _others(roles: Roles, cells: Sequence[Sequence[str]], names: list[str], wishes: Wishes, where: str) -> Roles:
    """The columns of the heads, the split and the group, once the path column is known."""
    given = list(roles.header or ())
    width = len(cells[0]) if cells else len(given)
    columns = {i: Column(names[i] if names else "", [row[i].strip() for row in cells]) for i in range(width) if i != roles.path}
    heads = _asked(wishes.label, given, columns, width, where) if wishes.label is not None else ()
    taken = {i for head in heads for i in (*head.columns, head.of)}
    free = [i for i in columns if i not in taken]
    group = given.index(wishes.group) if wishes.group in given else None
    split = next((i for i in free if names and names[i] in SPLIT and i != group), None)
    if split is None:
        split = next((i for i in free if i != group and len(named := {v.lower() for v in columns[i].different}) > 1 and named <= set(SPLITS)), None)
    if group is None and wishes.group is None:
        flags = sum(columns[i].binary for i in free) > 1  # of several columns of 0 and 1, one called person is a class
        group = next((i for i in free if names and names[i] in GROUP and i != split and not (flags and columns[i].binary)), None)
    if not heads:
        several = len({row[roles.path] for row in cells}) < len(cells)
        heads = heads_of({i: columns[i] for i in free if i not in (split, group)}, several, where)
    return roles._replace(heads=heads, split=split, group=group)


def _asked(wish: str, given: Sequence[str], columns: Mapping[int, Column], width: int, where: str) -> tuple[Head, ...]:
    """The head that the user names: `column`, `a,b,c` (a column a class where they hold 0 and 1, else a question each), `number:age`,
    or `points:x,y,class`. Raises UsageError USE-VALUE."""
    kind, colon, rest = wish.partition(":")
    if wish in given or not (colon and kind in KINDS):
        if wish in given or "," not in wish:
            place = _wished(wish, given, width, "label", where)
            return (columns[place].head(place),) if place in columns else (Head("label", (place,)),)
        kind, rest = "labels", wish
    places = tuple(_wished(name.strip(), given, width, "label", where) for name in rest.split(","))
    counts = {"points": (2, 3), "boxes": (4, 5), "labels": range(1, width + 1)}.get(kind, (1,))
    if len(places) not in counts:
        raise UsageError("USE-VALUE", f"label={wish}: {len(places)} columns", where=where, fix=f"{kind} takes {' or '.join(map(str, counts))} columns")
    if kind in ("points", "boxes"):
        form = "corners" if kind == "boxes" else ""
        return (Head(kind, places[: counts[0]], form, places[-1] if len(places) == counts[1] else None),)
    mark = columns[places[0]].separator() or ";" if kind == "labels" and len(places) == 1 else ""
    if kind == "labels" and len(places) > 1 and not all(columns[i].binary for i in places if i in columns):
        mark = QUESTIONS  # a column each of one class: colour, shape
    return (Head(kind, places, mark),)


def _wished(name: str, names: Sequence[str], width: int, option: str, where: str) -> int:
    """The place of a column the user named, or its number from 1. Raises UsageError USE-VALUE listing the columns."""
    if name in names:
        return names.index(name)
    if not names and name.isdecimal() and 1 <= int(name) <= width:
        return int(name) - 1
    fix = nearest(name, names) if names else f"the table has no header; give the column's number, 1 to {width}"
    raise UsageError("USE-VALUE", f"{option}={name} is no column", where=where, fix=fix)


def _share(cells: Sequence[Sequence[str]], column: int, lookup: Lookup, named: bool) -> float:
    """The share of different cells of a column that name an image; bare numbers do only in a column that is `named` like one of paths."""
    different = {row[column] for row in cells}
    return sum(normal(cell) in lookup and (named or not cell.strip().isdecimal()) for cell in different) / max(1, len(different))


def windows_absolute(path: str) -> bool:
    """Whether a path is absolute on Windows, as in C:/data."""
    return bool(ntpath.splitdrive(path)[0])
