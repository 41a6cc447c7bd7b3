"""Tables that list images and their labels, perhaps their split and their group: CSV, TSV, and plain text.

Several tables are read together: those of splits (train.csv, val.csv, test.csv), whose rows are of the split that the name says, and
those that say other things of the same images. Of two that say the same kind of thing, the longer is used.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats import masks
from saccade.data.formats.columns import Roles, assign, lookups, normal, windows_absolute
from saccade.data.formats.rows import Rows, read_rows
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.data.formats.table_rows import Entry, Made, Merged, entry, truths
from saccade.errors import DataError, Problem

SUFFIXES = (".csv", ".tsv")
PLAIN = ".txt"
_NESTED = 40  # tables in folders that are looked at


class Table(NamedTuple):
    """One table: its rows, the roles of its columns, and the split that its name or folder says."""

    name: str
    rows: Rows
    roles: Roles
    split: str | None

    @property
    def kinds(self) -> set[str]:
        return {head.kind for head in self.roles.heads}


class Plan(NamedTuple):
    """The tables that are read, the longest first; `rivals` are tables that would have done too; `images` what they may name."""

    tables: tuple[Table, ...]
    rivals: tuple[str, ...]
    images: list[str]


def detect(source: Source) -> Plan | None:
    """The tables whose paths name images of the folder. Raises DataError when DATA is a table that cannot be read or understood."""
    names = [n for n in source.names if n.lower().endswith((*SUFFIXES, PLAIN))] or source.labels(*SUFFIXES)
    images = _images(source) if names else []
    tables, refusal = _tables(source, images, [n for n in source.names if n.lower().endswith(SUFFIXES)])
    if not tables:
        plain = [n for n in source.names if n.lower().endswith(PLAIN) and (source.only or source.wishes.format == "table" or _lists(source, n))]
        tables, other = _tables(source, images, plain)
        refusal = refusal or (other if source.only else None)
    if not tables and not source.only:
        nested = [n for n in source.labels(*SUFFIXES) if "/" in n and (source.wishes.format == "table" or _folder_split(n))]
        tables, _ = _tables(source, images, nested[:_NESTED])
    if not tables:
        if refusal and (source.only or not source.listing.files or refusal.code == "ANN-COLUMNS"):
            raise refusal
        source.refusals += [refusal] if refusal else []
        return None
    return _chosen(tables, images)


def _images(source: Source) -> list[str]:
    """The pictures of the folder without the masks beside them, which may have the same names."""
    plan = None if source.only else masks.detect(source)
    used = masks.files_of(plan) if plan is not None else set()
    return [path for path in source.listing.files if path not in used]


def _lists(source: Source, name: str) -> bool:
    """Whether the first cell of a plain text file names an image, and its second one does not."""
    words = re.split(r"[,;\t ]+", source.head(name, 1024).decode("utf-8", "replace").splitlines()[0].strip()) if source.head(name, 1) else []
    return len(words) > 1 and source.lookup.find(words[0]) is not None and source.lookup.find(words[1]) is None


def _folder_split(name: str) -> str | None:
    """The split that the folder of a nested table is."""
    return SPLITS.get(posixpath.basename(posixpath.dirname(name)).lower())


def _tables(source: Source, images: list[str], names: Sequence[str]) -> tuple[list[Table], DataError | None]:
    """Those that name images, and the first refusal."""
    tables, refusal = [], None
    for name in names:
        try:
            rows = read_rows(source.root / name, name)
            roles = assign(rows.cells, _inside(images, name), source.wishes, name)
        except DataError as error:
            refusal = refusal or error
            continue
        if roles:
            tables.append(Table(name, rows, roles, _split_of(name)))
        elif source.only:
            raise DataError("ANN-COLUMNS", f"no column names images; the first row is {rows.cells[:1]}", where=name)
    return tables, refusal


def _inside(images: list[str], name: str) -> list[str]:
    """The images that a table in a folder of its split may name: those beside it, as seen from there; else all."""
    folder = f"{posixpath.dirname(name)}/"
    return [path[len(folder) :] for path in images if path.startswith(folder)] if _folder_split(name) else images


def _split_of(name: str) -> str | None:
    """`train.csv`, `val_labels.csv`, `test/_classes.csv`: the split that a table's name says."""
    words = re.split(r"[^a-z0-9]+", posixpath.splitext(posixpath.basename(name))[0].lower())
    return next((SPLITS[word] for word in words if word in SPLITS), None) or _folder_split(name)


def _chosen(tables: list[Table], images: list[str]) -> Plan:
    """The longest table, those of the other splits with the same heads, and those with other heads."""
    ordered = sorted(tables, key=lambda table: -len(table.rows.cells))
    chosen = [ordered[0]]
    rivals = []
    for table in ordered[1:]:
        same = [other for other in chosen if other.kinds & table.kinds]
        alike = all(other.kinds == table.kinds and other.split and table.split and other.roles.split is None for other in same)
        if not same or (alike and table.split not in {other.split for other in same}):
            chosen.append(table)
        else:
            rivals.append(table.name)
    return Plan(tuple(chosen), tuple(sorted(rivals, key=natural)), images)


def load(source: Source, plan: Plan) -> Found:
    """A record for each image that the tables list; every row that cannot be used is a problem."""
    problems = [problem for table in plan.tables for problem in table.rows.problems]
    merged = Merged(problems)
    by_name = len({table.split for table in plan.tables}) > 1  # of one table alone the name says nothing
    for table in plan.tables:
        _merge(source, plan.images, table, table.split if by_name else None, merged)
    entries = {path: merged.entries[path] for path in sorted(merged.entries, key=natural) if path not in merged.conflicts}
    heads = {head.kind: head for table in plan.tables for head in table.roles.heads}
    names = {head.kind: table.roles.names(head.columns) for table in plan.tables for head in table.roles.heads}
    made, lost = truths(heads, names, entries, source.size, problems)
    records, spaces = _records(source, entries, made, lost)
    more, used, reason = _masks(source, records)
    records = [replace(record, targets={**record.targets, **more.targets[record.id]}) for record in records] if more else records
    spaces |= dict(more.spaces) if more else {}
    problems += more.problems if more else []
    files = [path for path in source.listing.files if path not in used]
    unlisted = sum(path not in merged.entries for path in files)
    if unlisted:
        problems.append(Problem("ANN-UNLISTED", plan.tables[0].name, f"{unlisted} of {len(files)} images ({unlisted / len(files):.0%})"))
    special = [problem for problem in source.leftovers if problem.code != "IMG-OTHER"]
    grouped = any(table.roles.group is not None for table in plan.tables) and source.wishes.group is not None
    return Found(records, spaces, _reason(plan) + reason, problems + special, grouped=grouped)


def _reason(plan: Plan) -> str:
    first, *others = plan.tables
    said = f"{first.name}: {first.roles.describe()}"
    for table in others:
        said += f"; {table.name}" + ("" if table.roles.describe() == first.roles.describe() else f": {table.roles.describe()}")
    return said + (f"; the longest of {len(plan.rivals) + 1} tables" if plan.rivals else "")


def _records(source: Source, entries: dict[str, Entry], made: dict[str, Made], lost: set[str]) -> tuple[list[Record], dict[str, LabelSpace]]:
    records = []
    for i, (path, row) in enumerate(entries.items()):
        if path not in lost:
            targets: dict[str, Any] = {kind: column[i] for kind, (column, _) in made.items()}
            records.append(Record(path, source.root / path, None, targets, row.split, row.group))
    return records, {kind: space for kind, (_, space) in made.items()}


class _More(NamedTuple):
    """What masks beside the listed images add."""

    targets: dict[str, dict[str, Any]]
    spaces: dict[str, LabelSpace]
    problems: list[Problem]


def _masks(source: Source, records: Sequence[Record]) -> tuple[_More | None, set[str], str]:
    """The masks of at least half of the listed images, when there are such: their truths, the mask files, and what to say."""
    if source.only or not records:
        return None, set(), ""
    plan, listed = masks.detect(source), {record.id for record in records}
    if plan is None:
        return None, set(), ""
    used = masks.files_of(plan)
    if listed & used:
        return None, set(), ""  # the table lists the masks themselves
    try:
        found = masks.load(source, plan)
    except DataError as error:
        return None, set(), f"; masks beside the images are left out ({error.code}: {error.got})"
    targets = {record.id: dict(record.targets) for record in found.records if record.id in listed}
    if 2 * sum(any(t is not None for t in held.values()) for held in targets.values()) < len(listed):
        return None, set(), ""
    nothing = dict.fromkeys(found.spaces)
    problems = [problem for problem in found.problems if problem.code == "MAP-ORPHAN"]
    return _More({path: targets.get(path, nothing) for path in listed}, dict(found.spaces), problems), used, f"; {found.reason}"


def _merge(source: Source, files: list[str], table: Table, split: str | None, merged: Merged) -> None:
    """Adds the rows of a table to those of the images."""
    roles, folder = table.roles, f"{posixpath.dirname(table.name)}/" if _folder_split(table.name) else ""
    images = lookups(_inside(files, table.name))[roles.way]
    start = 1 if roles.header else 0
    for cells, line in zip(table.rows.cells[start:], table.rows.lines[start:], strict=True):
        where = f"{table.name}:{line}"
        path = images.get(normal(cells[roles.path])) or _elsewhere(source, folder, cells[roles.path], where, merged.problems)
        named = cells[roles.split].strip() if roles.split is not None else ""
        if named and named.lower() not in SPLITS:
            merged.problems.append(Problem("ANN-SPLIT", where, named[:80]))
        elif path is not None:
            group = cells[roles.group].strip() if roles.group is not None else ""
            part = SPLITS.get(named.lower()) or split
            merged.add(f"{folder}{path}", entry(cells, roles.heads, where, part, group or None))


def _elsewhere(source: Source, folder: str, cell: str, where: str, problems: list[Problem]) -> str | None:
    """A path that the listing does not have: a file of another kind inside the folder of the table, or a problem."""
    path = normal(cell)
    root = os.path.realpath(source.root / folder)
    full = os.path.join(root, path)
    try:
        inside = bool(path) and os.path.realpath(full).startswith(root + os.sep) and not windows_absolute(path)
        kind = os.stat(full).st_mode if inside else 0
    except ValueError:
        inside, kind = True, 0
    except OSError:
        kind = -1
    if not path:
        problems.append(Problem("ANN-ROW", where, "no path"))
    elif not inside:
        problems.append(Problem("ANN-PATH", where, path[:200]))
    elif kind <= 0:
        problems.append(Problem("IMG-MISSING", path[:200], f"listed in {where}"))
    elif not stat.S_ISREG(kind):
        problems.append(Problem("IMG-SPECIAL", path[:200], f"listed in {where}"))
    else:
        return os.path.relpath(os.path.realpath(full), root) if os.path.isabs(path) else path
    return None
