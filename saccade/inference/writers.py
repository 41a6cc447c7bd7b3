"""Answers as files: a journal of JSON lines that survives a kill, and what is made from it at the end (failures, CSV)."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade import storage
from saccade.core import LabelSpace
from saccade.data.image import read_image
from saccade.errors import SaccadeError, UsageError, displayable
from saccade.inference.answers import Row, cells_of, file_of, row_of
from saccade.inference.predict import Result
from saccade.inference.sources import Input
from saccade.inference.tables import guarded


@dataclass(frozen=True)
class Places:
    """The files of one prediction. `answers` is the CSV when that is asked for, else the journal itself."""

    journal: Path
    answers: Path
    failed: Path
    plan: Path
    overlay: Path
    pictures: Path
    boxes: Path

    @classmethod
    def of(cls, out: Path, form: str) -> Places:
        """`out` ending in .jsonl or .csv is the file of answers, its companions bear its name; anything else is a folder."""
        single = out.suffix.lower() in (".jsonl", ".csv")
        folder, stem = (out.parent, out.stem) if single else (out, "predictions")
        if single and out.suffix.lower() != f".{form}":
            raise UsageError("USE-VALUE", f"{form}, but the file is {out.name}", where="--as")
        prefix = f"{stem}." if single else ""
        journal = folder / f"{stem}.jsonl"
        answers = out if single else folder / f"{stem}.{form}"
        named = ("failed.jsonl", "plan.json", "overlay", "answers", "boxes.jsonl")
        return cls(journal, answers, *(folder / f"{prefix}{name}" for name in named))

    def existing(self) -> list[Path]:
        return [path for path in (self.journal, self.answers, self.failed, self.plan, self.overlay, self.pictures, self.boxes) if os.path.lexists(path)]


def to_row(result: Result, space: LabelSpace, *, top: int, probabilities: bool) -> Row:
    """One line of the journal: {"id", "path", "status"} and what `answers.row_of` says of the answer.

    Of a class that is "answer", "score" and "top" [[name, p], ...]. failed: those null, and code, where, what, fix.
    """
    row: Row = {"id": displayable(result.input.id), "path": displayable(os.fspath(result.input.path))}
    if result.answer is None:
        assert result.error is not None
        told = result.error.to_dict()
        return {**row, "status": "failed", "answer": None, "score": None, "top": [], **{key: told[key] for key in ("code", "where", "what", "fix")}}
    return {**row, "status": "ok", **row_of(result.answer, space, top=top, probabilities=probabilities)}


class Journal:
    """The JSON lines file that rows are added to, a batch by one write that is flushed to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Sequence[Row]) -> None:
        """Raises ResourceError RUN-DISK."""
        if rows:
            storage.append_line(self.path, "\n".join(storage.dump_json(row) for row in rows), sync=True)

    def mend(self, items: Sequence[Input]) -> list[Row]:
        """Cuts what a kill left half written, and returns the rows that stay.

        Raises UsageError RUN-CONFIG when a row is not of the input in its place.
        """
        if not self.path.exists():
            return []
        data, kept, rows = self.path.read_bytes(), 0, list[Row]()
        while (end := data.find(b"\n", kept)) >= 0:
            try:
                row = storage.parse_json(data[kept:end])
            except ValueError:
                break
            if len(rows) >= len(items) or not isinstance(row, dict) or row.get("id") != displayable(items[len(rows)].id):
                raise UsageError("RUN-CONFIG", f"row {len(rows) + 1} is not of the input in its place", where=str(self.path))
            rows.append(row)
            kept = end + 1
        if kept < len(data):
            with storage.disk_errors(self.path), open(self.path, "r+b") as stream:
                stream.truncate(kept)
                os.fsync(stream.fileno())
        return rows


def write_failed(path: Path, rows: Sequence[Row]) -> None:
    """The failed rows alone, as id, path, code, where, what, fix; no file when there are none."""
    failed = [{key: row[key] for key in ("id", "path", "code", "where", "what", "fix")} for row in rows if row["status"] == "failed"]
    if failed:
        storage.atomic_write(path, "".join(storage.dump_json(row) + "\n" for row in failed).encode())
    else:
        path.unlink(missing_ok=True)


def write_csv(path: Path, rows: Sequence[Row], space: LabelSpace, *, top: int, probabilities: bool) -> None:
    """The rows of classes as CSV: id, path, status, answer, score, top1, p1, ..., perhaps a column for each class, code, what."""
    shown = min(top, len(space))
    header = ["id", "path", "status", "answer", "score", *(f"{kind}{k}" for k in range(1, shown + 1) for kind in ("top", "p"))]
    header += [f"p({name})" for name in space.names] if probabilities else []
    lines: list[list[Any]] = [[*header, "code", "what"]]
    for row in rows:
        best = [cell for pair in row["top"] for cell in pair]
        cells = [row["id"], row["path"], row["status"], row["answer"], row["score"], *best, *[None] * (2 * shown - len(best))]
        if probabilities:
            given: Mapping[str, float] = row.get("probabilities", {})
            cells += [given.get(name) for name in space.names]
        lines.append([*cells, row.get("code"), row.get("what")])
    _write_lines(path, lines)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """The rows of any other answers as CSV: id, path, status, then a line for each object or point, else one an image; code, what."""
    told = ("id", "path", "status", "code", "where", "what", "fix", "answer", "score", "top")
    listed: list[tuple[Row, Row]] = []
    for row in rows:
        cells = cells_of({key: value for key, value in row.items() if key not in told}) if row["status"] == "ok" else [{}]
        listed += [(row, cell) for cell in cells or [{}]]
    columns = list(dict.fromkeys(key for _, cell in listed for key in cell))
    lines: list[list[Any]] = [["id", "path", "status", *columns, "code", "what"]]
    for row, cell in listed:
        lines.append([row["id"], row["path"], row["status"], *(cell.get(key) for key in columns), row.get("code"), row.get("what")])
    _write_lines(path, lines)


def _write_lines(path: Path, lines: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([[guarded(cell) for cell in line] for line in lines])
    storage.atomic_write(path, text.getvalue().encode("utf-8", "backslashreplace"))


def write_picture(folder: Path, place: int, result: Result) -> Path | None:
    """What of the answer is a picture (a map, masks, an image) as <place>_<name>.png; None where nothing is. Raises ResourceError RUN-DISK."""
    return None if result.answer is None else file_of(result.answer, folder / _stem(place, result))


def draw_overlay(folder: Path, place: int, result: Result, space: LabelSpace) -> None:
    """The picture with its answer drawn, as <place>_<name>.png. Raises ResourceError RUN-DISK."""
    import cv2

    if result.answer is None:
        return
    drawn = result.picture
    if drawn is None:
        try:
            pixels = read_image(result.input.path, channels=3).pixels
        except SaccadeError:  # it was readable a moment ago; its answer stands
            return
        drawn = result.answer.draw(pixels if pixels.dtype == np.uint8 else np.rint(pixels * 255).astype(np.uint8), space)
    _, data = cv2.imencode(".png", drawn[..., ::-1])
    storage.atomic_write(folder / f"{_stem(place, result)}.png", data.tobytes())


def _stem(place: int, result: Result) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(displayable(result.input.id)).stem)[:80]
    return f"{place:06d}_{name}"
