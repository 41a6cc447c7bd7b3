"""A CSV or TSV that lists images and their labels, perhaps their split and their group."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats.columns import Roles, assign, lookups, normal, windows_absolute
from saccade.data.formats.rows import Rows, read_rows
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.errors import DataError, Problem
from saccade.targets.label import Label

SUFFIXES = (".csv", ".tsv")


class Plan(NamedTuple):
    """The table chosen, its rows and the roles of its columns; `rivals` are tables that would have done too."""

    name: str
    rows: Rows
    roles: Roles
    rivals: tuple[str, ...]


def detect(source: Source) -> Plan | None:
    """The table whose paths name images of the folder. Raises DataError when DATA is a table that cannot be read or understood."""
    plans, refusal = [], None
    for name in (n for n in source.names if n.lower().endswith(SUFFIXES)):
        try:
            rows = read_rows(source.root / name, name)
            roles = assign(rows.cells, source.listing.files, source.wishes, name)
        except DataError as error:
            refusal = refusal or error
            continue
        if roles:
            plans.append(Plan(name, rows, roles, ()))
        elif source.only:
            raise DataError("ANN-COLUMNS", f"no column names images; the first row is {rows.cells[:1]}", where=name)
    if not plans:
        if refusal and (source.only or not source.listing.files or refusal.code == "ANN-COLUMNS"):
            raise refusal
        return None
    best = max(plans, key=lambda plan: len(plan.rows.cells))
    return best._replace(rivals=tuple(plan.name for plan in plans if plan is not best))


class _Row(NamedTuple):
    where: str
    label: str
    split: str | None
    group: str | None


def load(source: Source, plan: Plan) -> Found:
    """A record for each image that the table lists; every row that cannot be used is a problem."""
    problems = [*plan.rows.problems]
    merged = _merge(source, plan, problems)
    names = tuple(sorted({row.label for row in merged.values() if row.label}, key=natural))
    targets = {name: {"label": Label(i)} for i, name in enumerate(names)} | {"": {"label": None}}
    records = [Record(path, source.root / path, None, targets[row.label], row.split, row.group) for path, row in merged.items()]
    files = source.listing.files
    unlisted = len(files) - sum(path in merged for path in files)
    if unlisted:
        problems.append(Problem("ANN-UNLISTED", plan.name, f"{unlisted} of {len(files)} images ({unlisted / len(files):.0%})"))
    reason = f"{plan.name}: {plan.roles.describe()}"
    if plan.rivals:
        reason += f"; the longest of {len(plan.rivals) + 1} tables"
    grouped = plan.roles.group is not None and source.wishes.group is not None
    special = [problem for problem in source.leftovers if problem.code != "IMG-OTHER"]
    return Found(records, {"label": LabelSpace(names)}, reason, problems + special, grouped=grouped)


def _merge(source: Source, plan: Plan, problems: list[Problem]) -> dict[str, _Row]:
    """One row for each image, in natural order of the paths; images with two labels are left out."""
    roles, table = plan.roles, lookups(source.listing.files)[plan.roles.way]
    start = 1 if roles.header else 0
    merged: dict[str, _Row] = {}
    conflicts: set[str] = set()
    for cells, line in zip(plan.rows.cells[start:], plan.rows.lines[start:], strict=True):
        where = f"{plan.name}:{line}"
        path = table.get(normal(cells[roles.path])) or _elsewhere(source, cells[roles.path], where, problems)
        row = _row(cells, roles, where, problems)
        if path is None or row is None:
            continue
        before = merged.get(path)
        if before is None:
            merged[path] = row
            if not row.label:
                problems.append(Problem("ANN-EMPTY", where, path))
        elif before._replace(where=row.where) == row:
            problems.append(Problem("ANN-DUP", where, f"{path}, as in {before.where}"))
        else:
            conflicts.add(path)
            was, now = [f"{r.label} {r.split or ''}".strip() or "no label" for r in (before, row)]
            problems.append(Problem("ANN-CONFLICT", where, f"{path}: {now}, but {was} in {before.where}"))
    return {path: merged[path] for path in sorted(merged, key=natural) if path not in conflicts}


def _row(cells: list[str], roles: Roles, where: str, problems: list[Problem]) -> _Row | None:
    split = cells[roles.split].strip() if roles.split is not None else ""
    if split and split.lower() not in SPLITS:
        problems.append(Problem("ANN-SPLIT", where, split[:80]))
        return None
    group = cells[roles.group].strip() if roles.group is not None else ""
    return _Row(where, cells[roles.label].strip(), SPLITS.get(split.lower()), group or None)


def _elsewhere(source: Source, cell: str, where: str, problems: list[Problem]) -> str | None:
    """A path that the listing does not have: a file of another kind inside the folder, or a problem."""
    path = normal(cell)
    root = os.path.realpath(source.root)
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
