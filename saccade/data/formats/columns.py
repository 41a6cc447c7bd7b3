"""What the columns of a table are: found by their names and by what is in them, unless the user says."""

from __future__ import annotations

import ntpath
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from saccade.data.formats.source import SPLITS, Wishes
from saccade.errors import DataError, UsageError, nearest

PATH = frozenset(
    "path file filename file_name filepath file_path image image_path image_name image_file imagepath img img_path picture photo id image_id".split()
)
LABEL = frozenset("label labels class classname class_name class_id category target label_name label_id diagnosis species".split())
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
    label: int
    split: int | None
    group: int | None
    way: str

    def describe(self) -> str:
        """`path=file, label=abnormal, group=patient`."""
        named = {"path": self.path, "label": self.label, "split": self.split, "group": self.group}
        shown = [f"{role}={self.header[i] if self.header else f'column {i + 1}'}" for role, i in named.items() if i is not None]
        return ", ".join(shown) + ("" if self.way == "path" else f"; images found by {self.way}")


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
    return _others(Roles(header, path, -1, None, None, way), cells[1:] if headed else cells, lowered if headed else [], wishes, where)


def _others(roles: Roles, cells: Sequence[Sequence[str]], names: list[str], wishes: Wishes, where: str) -> Roles:
    """The label, split and group columns, once the path column is known."""
    given = list(roles.header or ())
    free = [i for i in range(len(cells[0]) if cells else len(given)) if i != roles.path]
    values = {i: {row[i].strip() for row in cells} for i in free}
    label = _wished(wishes.label, given, len(cells[0]) if cells else len(given), "label", where) if wishes.label is not None else None
    group = given.index(wishes.group) if wishes.group in given else None
    split = next((i for i in free if names and names[i] in SPLIT and i not in (label, group)), None)
    if split is None:
        parts = {i: {v.lower() for v in values[i] if v} for i in free if i not in (label, group)}
        split = next((i for i, named in parts.items() if len(named) > 1 and named <= set(SPLITS)), None)
    if group is None and wishes.group is None:
        group = next((i for i in free if names and names[i] in GROUP and i not in (label, split)), None)
    left = [i for i in free if i not in (split, group)]
    if label is None:
        label = next((i for i in left if names and names[i] in LABEL), None)
    if label is None:
        label = _by_content(left, values, len(cells), given, where)
    return roles._replace(label=label, split=split, group=group)


def _by_content(left: list[int], values: Mapping[int, set[str]], rows: int, given: list[str], where: str) -> int:
    """The one column whose values come back often enough to be classes. Raises DataError ANN-COLUMNS when it is none or several."""
    if len(left) == 1:
        return left[0]
    few = [i for i in left if 2 <= len(values[i] - {""}) <= max(2, rows // 3)]
    if len(few) == 1:
        return few[0]
    shown = ", ".join(f"{given[i] if given else i + 1} ({len(values[i])} values)" for i in few or left)
    got = f"several columns could be the label: {shown}" if few else f"no column could be the label{': ' + shown if shown else ''}"
    raise DataError("ANN-COLUMNS", got, where=where, fix="say which with --label COLUMN, or name it label")


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
