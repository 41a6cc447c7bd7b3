"""The cells of a CSV or TSV file: its encoding and delimiter found out, its ragged rows told."""

from __future__ import annotations

import csv
import io
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from saccade.errors import DataError, Problem

DELIMITERS = ",;\t|"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
LARGEST = 1 << 30
"""Bytes of a table that is read."""


class Rows(NamedTuple):
    """The rows of a table that have the usual number of cells, with the line each ends on, and what was met on the way."""

    cells: list[list[str]]
    lines: list[int]
    problems: list[Problem]
    delimiter: str


def read_rows(path: Path, where: str) -> Rows:
    """Reads a table, its header row included. Raises DataError ANN-UNREADABLE; ragged rows are ANN-ROW problems."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError("ANN-UNREADABLE", "not a regular file", where=where)
        if status.st_size > LARGEST:
            raise DataError("ANN-UNREADABLE", f"{status.st_size:,} bytes, the limit is {LARGEST:,}", where=where)
        return parse_rows(path.read_bytes(), where)
    except OSError as error:
        raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=where) from error


def parse_rows(data: bytes, where: str) -> Rows:
    """The rows of a table's bytes.

    >>> parse_rows(b"path;label\\na.png;cat\\nb.png\\n", "t.csv").problems[0].code
    'ANN-ROW'
    """
    text, encoding = _decode(data)
    problems = [Problem("ANN-ENCODING", where, encoding)] if encoding else []
    delimiter = _delimiter(text)
    cells: list[list[str]] = []
    lines: list[int] = []
    if delimiter == " ":
        for number, line in enumerate(text.splitlines(), 1):
            if row := line.split():
                cells.append(row)
                lines.append(number)
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    cells.append([plain(cell) for cell in row])
                    lines.append(reader.line_num)
        except csv.Error as error:
            raise DataError("ANN-UNREADABLE", f"line {reader.line_num}: {error}", where=where, fix="look for a quote that is never closed") from error
        if cells and any("\n" in cell for cell in cells[-1]) and _open_quote(text, delimiter):
            raise DataError("ANN-UNREADABLE", f"line {lines[-2] + 1 if len(lines) > 1 else 1}: a quote that is never closed", where=where)
    width = Counter(map(len, cells)).most_common(1)[0][0] if cells else 0
    keep = []
    for i, row in enumerate(cells):
        if len(row) != width or any("\0" in cell for cell in row):
            got = "a NUL character" if len(row) == width else f"{len(row)} cells, the others have {width}"
            problems.append(Problem("ANN-ROW", f"{where}:{lines[i]}", got))
        else:
            keep.append(i)
    return Rows([cells[i] for i in keep], [lines[i] for i in keep], problems, delimiter)


def _decode(data: bytes) -> tuple[str, str]:
    """The text, and the name of its encoding when that is not UTF-8: by its mark, else UTF-8, else Latin-1, which reads anything."""
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16"), "UTF-16"
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def safe(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: one that begins like it gets a quotation mark before it; `plain` takes it away.

    >>> safe("=1+1"), safe("-0.5"), plain(safe("=1+1"))
    ("'=1+1", '-0.5', '=1+1')
    """
    if not cell.lstrip("'").startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def plain(cell: str) -> str:
    """A cell as it was before `safe`."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'").startswith(_FORMULA) else cell


def _open_quote(text: str, delimiter: str) -> bool:
    """Whether the text ends within quotes."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into the same number of cells, more than one, most often; spaces when no other does; else a comma."""
    head = "".join(text[: 1 << 16].splitlines(keepends=True)[:50])
    best, most = ",", (0, 0)
    for delimiter in DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if row)
        except csv.Error:
            continue
        width, rows = max(((w, n) for w, n in widths.items() if w > 1), key=lambda item: (item[1], item[0]), default=(0, 0))
        if (rows, width) > most:
            best, most = delimiter, (rows, width)
    if most == (0, 0):
        widths = Counter(len(line.split()) for line in head.splitlines() if line.strip())
        width, rows = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        return " " if width > 1 and rows * 10 >= widths.total() * 9 else ","
    return best
