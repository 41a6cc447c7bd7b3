"""Tables as CSV files that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade import storage


def write_csv(path: Path, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    """A table of rows with the same keys, the heads being those of the first; see `write_cells`."""
    write_cells(path, [list(rows[0]), *(list(row.values()) for row in rows)] if rows else [])


def write_cells(path: Path, rows: list[list[Any]]) -> None:
    """A table, atomically; a cell that a spreadsheet would run as a formula gets a ' before it, nan is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[guarded(cell) for cell in row] for row in rows])
    storage.atomic_write(path, text.getvalue().encode("utf-8", "backslashreplace"))


def guarded(value: Any) -> Any:
    """The cell, made harmless for spreadsheets; a number that is none is empty.

    >>> guarded("=1+1"), guarded(-1.5), guarded(float("nan"))
    ("'=1+1", -1.5, '')
    """
    if isinstance(value, float) and value != value:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
