"""Vectors: a row of numbers for every sample, in a CSV or TSV file or a NumPy array (n, d); for models of vectors, such as PCA and autoencoders.

A table has a row of names and columns of numbers. Columns named label (class, target, category), id (name, path), split and group are what they say; `--label`
and `--group` name others. A NumPy file may have them beside it in a CSV of the same name with as many rows, as `saccade embed` writes it. A file
of the name of a part (train.npy, test.csv) is that part. Rows are sequences of one step, (1, d) float32.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.data.formats.rows import Rows, parse_rows, read_rows
from saccade.data.formats.sequences_files import npy
from saccade.data.formats.source import READ, SPLITS, Found, Source, Wishes, natural
from saccade.errors import DataError, Problem
from saccade.targets import Label

TABLES, ARRAY = (".csv", ".tsv"), ".npy"
NAMES = {
    "label": ("label", "class", "target", "category"),
    "id": ("id", "name", "path", "file", "filename"),
    "split": ("split", "subset", "part"),
    "group": ("group",),
}
HEAD, LOOKED = 1 << 16, 50  # bytes and rows that a table is told by
PIXELS = 100  # columns of whole numbers without names beyond which a table holds pictures, a class and its pixels a row: see `foreign`
WIDEST = 4096  # numbers of a row, as many as channels an input may have


class Columns(NamedTuple):
    """Which column is what: places of those by role, and of the numbers."""

    roles: dict[str, int]
    numbers: list[int]


def detect(source: Source) -> list[str] | None:
    """The files of numbers: the one given, or those of a folder without pictures and without other label files. Never raises."""
    if source.only:
        return [source.only] if _fits(source, source.only) else None
    if source.listing.files or any(not name.lower().endswith(TABLES) for name in source.listing.labels):
        return None
    arrays = [name for name in source.names if name.lower().endswith(ARRAY)]
    chosen = arrays or [name for name in source.names if name.lower().endswith(TABLES)]
    return chosen if chosen and all(_fits(source, name) for name in chosen) else None


def load(source: Source, plan: list[str]) -> Found:
    """A record for each row; rows that are not numbers are problems ANN-ROW. Raises DataError ANN-SEQ, ANN-COLUMNS, ANN-UNREADABLE."""
    problems, arrays = list[Problem](), dict[str, Any]()
    made: list[tuple[Record, str]] = []
    seen: set[str] = set()
    widths: dict[int, str] = {}
    for name in plan:
        values, told = _array(source, name) if name.lower().endswith(ARRAY) else _table(source, name, problems)
        widths.setdefault(values.shape[1], name)
        if len(widths) > 1:
            raise DataError("ANN-SEQ", f"rows of {' and '.join(f'{width} numbers in {of}' for width, of in widths.items())}", where=str(source.root))
        key, split = posixpath.basename(name), _split(posixpath.splitext(posixpath.basename(name))[0])
        arrays[key] = list(values[:, None])
        ids = told.get("id", [])
        named = len(set(ids)) == len(values) and not seen & set(ids)
        for i in range(len(values)):
            own = {role: cells[i] for role, cells in told.items()}
            unique = ids[i] if named and ids[i] else f"{key}#{i}"
            seen.add(unique)
            part = SPLITS.get(own.get("split", "").strip().lower(), split)
            made.append((Record(unique, source.root / name, i, {}, part, own.get("group") or None), own.get("label", "")))
    names = tuple(sorted({label for _, label in made if label}, key=natural))
    records = [_labelled(record, label, names) for record, label in made]
    spaces = {"label": LabelSpace(names)} if names else {}
    width = next(iter(widths), 0)
    reason = f"vectors in {', '.join(plan[:3])}{' and more' if len(plan) > 3 else ''}: {len(records):,} of {width} numbers"
    return Found(records, spaces, reason, problems, arrays, grouped=source.wishes.group is not None and any(r.group for r in records))


def _labelled(record: Record, label: str, names: Sequence[str]) -> Record:
    if not names:
        return record
    target = Label(names.index(label)) if label else None
    return Record(record.id, record.path, record.index, {"label": target}, record.split, record.group)


def _fits(source: Source, name: str) -> bool:
    """Whether a file is one of numbers, by its beginning."""
    try:
        if name.lower().endswith(ARRAY):
            return source.head(name, 8)[:6] == b"\x93NUMPY" and b"'shape': (" in source.head(name, 512) and _matrix(source.head(name, 512))
        if not name.lower().endswith(TABLES):
            return False
        text = source.head(name, HEAD)
        rows = parse_rows(text[: text.rfind(b"\n") + 1] if len(text) == HEAD else text, name)
        columns = _columns(rows, source.wishes)
        return columns is not None and not _pictures(source, rows, columns)
    except DataError:
        return False


def _pictures(source: Source, rows: Rows, columns: Columns) -> bool:
    """Whether the rows are of pictures that are there, with numbers about them; not where the numbers are called c0, c1 ..., as codes are."""
    place = columns.roles.get("id")
    coded = [rows.cells[0][i].strip() for i in columns.numbers] == [f"c{k}" for k in range(len(columns.numbers))]
    if place is None or coded:
        return False
    return any(posixpath.splitext(row[place])[1].lower() in READ and (source.root / row[place]).is_file() for row in rows.cells[1:4])


def _matrix(head: bytes) -> bool:
    """Whether the header of a NumPy file says two axes of numbers."""
    shape = re.search(rb"'shape': \((\d+), (\d+)\)", head)
    return shape is not None and re.search(rb"'descr': '[<>|=][biuf]\d'", head) is not None


def _columns(rows: Rows, wishes: Wishes) -> Columns | None:
    """What the columns are, where all others than the named ones are numbers and there are two or more of those; None where they are not."""
    if len(rows.cells) < 2:
        return None
    heads = [cell.strip().lower() for cell in rows.cells[0]]
    if all(_number(cell) for cell in rows.cells[0]):  # no row of names
        if len(heads) > PIXELS and all(cell.strip().isdigit() for cell in rows.cells[0]):
            return None
        heads = [""] * len(heads)
    wished = {"label": wishes.label, "group": wishes.group}
    roles: dict[str, int] = {}
    for role, known in NAMES.items():
        wish = wished.get(role)
        among = [wish.strip().lower()] if wish and wish.strip().lower() in heads else known
        place = next((heads.index(word) for word in among if word in heads), None)
        if place is not None:
            roles[role] = place
    numbers = [i for i in range(len(heads)) if i not in roles.values()]
    body = rows.cells[1 : LOOKED + 1]
    plain = all(any(_number(row[i]) for row in body) and sum(not _number(row[i]) for row in body) * 10 <= len(body) for i in numbers)
    return Columns(roles, numbers) if plain and 2 <= len(numbers) <= WIDEST else None


def _number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _table(source: Source, name: str, problems: list[Problem]) -> tuple[np.ndarray, dict[str, list[str]]]:
    """The numbers (n, d) float32 of a table, and its other columns by role."""
    rows = read_rows(source.root / name, name)
    problems += rows.problems
    columns = _columns(rows, source.wishes)
    if columns is None:
        raise DataError("ANN-COLUMNS", f"not all columns but label, id, split and group are numbers; the first row is {rows.cells[:1]}", where=name)
    first = 0 if all(_number(cell) for cell in rows.cells[0]) else 1
    kept, values = [], []
    for row, line in zip(rows.cells[first:], rows.lines[first:], strict=True):
        cells = [row[i] for i in columns.numbers]
        bad = next((cell for cell in cells if not _number(cell)), None)
        if bad is not None:
            problems.append(Problem("ANN-ROW", f"{name}:{line}", f"{bad[:40]!r} is no number"))
            continue
        kept.append(row)
        values.append(cells)
    if not values:
        raise DataError("ANN-COLUMNS", "no row of numbers", where=name)
    return _narrow(np.array(values, np.float64), name), {role: [row[place].strip() for row in kept] for role, place in columns.roles.items()}


def _array(source: Source, name: str) -> tuple[np.ndarray, dict[str, list[str]]]:
    """The numbers (n, d) float32 of a NumPy file, and what a table beside it says of the rows."""
    values = npy(source.content(name))
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf" or values.shape[1] > WIDEST:
        got = f"{values.dtype} {values.shape}, expected numbers (rows, at most {WIDEST} columns)"
        raise DataError("ANN-SEQ", got, where=name, fix="save a matrix with a row a sample")
    beside = source.root / f"{posixpath.splitext(name)[0]}.csv"
    if not beside.is_file():
        return _narrow(values, name), {}
    rows = read_rows(beside, beside.name)
    heads = [cell.strip().lower() for cell in rows.cells[0]] if rows.cells else []
    if len(rows.cells) - 1 != len(values):
        raise DataError("ANN-SEQ", f"{len(values)} rows, and {len(rows.cells) - 1} in {beside.name} beside it", where=name)
    wish = (source.wishes.label or "").strip().lower()
    known = {role: (wish,) if role == "label" and wish in heads else words for role, words in NAMES.items()}
    places = {role: next((heads.index(word) for word in words if word in heads), None) for role, words in known.items()}
    return _narrow(values, name), {role: [row[i].strip() for row in rows.cells[1:]] for role, i in places.items() if i is not None}


def _narrow(values: np.ndarray, name: str) -> np.ndarray:
    """As float32. Raises DataError ANN-SEQ for what is not finite."""
    with np.errstate(over="ignore"):
        found: np.ndarray = values.astype(np.float32)
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise DataError("ANN-SEQ", f"row {row} holds something that is not a number that float32 has", where=name)
    return found


def _split(stem: str) -> str | None:
    return SPLITS.get(stem.lower())
