"""Answers that are tags, as a table of their segments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from saccade.core import LabelSpace
from saccade.inference.answers import Row
from saccade.inference.object_files import answered
from saccade.inference.sources import Input
from saccade.inference.tables import write_cells


def write_segments(journal: Path, rows: Sequence[Row], items: Sequence[Input], space: LabelSpace) -> Path:
    """NAME.segments.csv beside the journal: a line for each run of one tag, its frames start to end - 1 counted from 0, and the mean of their probabilities.

    Raises ResourceError RUN-DISK.
    """
    cells: list[list[Any]] = [["id", "path", "tag", "start", "end", "frames", "score"]]
    for _, row, _ in answered(rows, items):
        cells += [[row["id"], row["path"], part["tag"], part["start"], part["end"], part["end"] - part["start"], part.get("score")] for part in row["segments"]]
    path = journal.with_suffix(".segments.csv")
    write_cells(path, cells)
    return path
