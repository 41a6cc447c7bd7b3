"""Sequences as JSON lines: `{"id": "s1", "frames": [[0.1, 2.0], [0.3, 1.5]], "tags": ["walk", "run"], "label": "trip", "split": "train", "group": "anna"}`.

frames: T lists of D numbers, D the same in the whole data set; or T paths of pictures of one size, relative to the folder. Instead of them
`frames_path` may name a file of numbers, a row a frame (.npy, .mat, .csv), or a folder of pictures. tags (or labels): a
name or number for each frame, null or -1 where it is not known. label: of the whole sequence. All but the frames may be missing. A
first line `{"classes": {"tags": [...], "label": [...]}}` gives the names in order; else they are in natural order.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from saccade.core import IGNORE, LabelSpace, Record
from saccade.data.formats.sequences_files import frames_at, narrow
from saccade.data.formats.sequences_lines import Line, files_with, group_of_line, header_of, read_lines, split_of_line
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.stored import Clip
from saccade.errors import DataError, Problem
from saccade.targets import Label, TagSequence


def detect(source: Source) -> list[str] | None:
    """The files of JSON lines that have frames."""
    return files_with(source, "frames", "frames_path") or None


class _Sequences:
    """What the lines of all files say: a row each."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.names: dict[str, list[str]] = {"tags": [], "label": []}
        self.width: int | None = None
        self.rows: list[tuple[Record, list[str | None] | None, str | None]] = []
        self.arrays: dict[str, list[Any]] = {}


def load(source: Source, plan: list[str]) -> Found:
    """A record for each sequence; those that cannot be used are problems ANN-SEQ. Raises DataError ANN-JSON, ANN-UNREADABLE, ANN-SPLIT."""
    held, problems = _Sequences(), list[Problem]()
    for name in plan:
        for line in read_lines(source, name, problems):
            header = header_of(line.content, line.where)
            if header is not None:
                for head, names in held.names.items():
                    names += [each for each in header.get(head, []) if each not in names]
                continue
            try:
                _add(source, name, line, held)
            except DataError as error:
                called = str(line.content.get("id", ""))
                problems.append(Problem(error.code, line.where, error.got, image="" if called in held.ids else called))
    spaces = {}
    for head, used in (
        ("tags", {t for _, tags, _ in held.rows for t in tags or () if t is not None}),
        ("label", {label for _, _, label in held.rows if label}),
    ):
        listed = held.names[head]
        if used or listed:
            spaces[head] = LabelSpace((*listed, *sorted(used - set(listed), key=natural)))
    records = [_record(row, spaces) for row in held.rows]
    frames = sum(record.targets["tags"] is not None for record in records) if "tags" in spaces else 0
    reason = f"sequences in {', '.join(plan[:3])}{' and more' if len(plan) > 3 else ''}: {len(records):,}, {frames:,} with tags"
    return Found(records, spaces, reason, problems + source.listing.problems, held.arrays)


def _record(row: tuple[Record, list[str | None] | None, str | None], spaces: Mapping[str, LabelSpace]) -> Record:
    record, tags, label = row
    targets: dict[str, Any] = {}
    if "tags" in spaces:
        index = {name: i for i, name in enumerate(spaces["tags"].names)}
        numbers = None if tags is None else torch.tensor([IGNORE if tag is None else index[tag] for tag in tags], dtype=torch.int64)
        targets["tags"] = None if numbers is None else TagSequence(numbers)
    if "label" in spaces:
        targets["label"] = Label(spaces["label"].index(label)) if label else None
    return Record(record.id, record.path, record.index, targets, record.split, record.group)


def _add(source: Source, name: str, line: Line, held: _Sequences) -> None:
    """One line. Raises DataError ANN-SEQ, ANN-SPLIT."""
    content = line.content
    key = str(content["id"]) if isinstance(content.get("id"), str | int) else f"{name}#{line.where.rpartition(':')[2]}"
    if key in held.ids:
        raise DataError("ANN-SEQ", f"the id {key} is that of {held.ids[key]} too")
    values = frames_of(source, name, content)
    steps = len(values.files) if isinstance(values, Clip) else len(values)
    width = -1 if isinstance(values, Clip) else values.shape[1]
    if held.width not in (None, width):
        raise DataError("ANN-SEQ", f"{_wide(width)}, but {_wide(held.width or 0)} before")
    said = content.get("tags", content.get("labels"))
    tags = _tags(said, steps) if said is not None else None
    label = content.get("label")
    record = Record(key, source.root / name, len(held.arrays.get(posixpath.basename(name), [])), {}, split_of_line(content, name), group_of_line(content))
    held.ids[key], held.width = line.where, width
    held.arrays.setdefault(posixpath.basename(name), []).append(values)
    held.rows.append((record, tags, str(label) if isinstance(label, str | int) and not isinstance(label, bool) else None))


def frames_of(source: Source, name: str, content: Mapping[str, Any]) -> Any:
    """(T, D) float32 or a clip: the frames of one line of the file `name`. Raises DataError ANN-SEQ, ANN-UNREADABLE."""
    path, frames = content.get("frames_path"), content.get("frames")
    if isinstance(path, str) and frames is None:
        found = frames_at(source, name, path)
        return found if isinstance(found, Clip) else narrow(found)
    if not isinstance(frames, list) or not frames:
        raise DataError("ANN-SEQ", "no frames")
    paths = [frame for frame in frames if isinstance(frame, str)]
    return _clip(source, name, paths) if len(paths) == len(frames) else _numbers(frames)


def _wide(width: int) -> str:
    return "pictures" if width < 0 else f"{width} numbers a frame"


def _numbers(frames: Sequence[Any]) -> np.ndarray:
    """(T, D) float32. Raises DataError ANN-SEQ for ragged frames and anything that is not a finite number."""
    rows = [[frame] if isinstance(frame, int | float) else frame for frame in frames]
    first = len(rows[0]) if isinstance(rows[0], list) else 0
    for place, row in enumerate(rows):
        if not isinstance(row, list) or not row or len(row) != first:
            raise DataError("ANN-SEQ", f"frame {place} has {len(row) if isinstance(row, list) else 'no'} numbers, frame 0 has {first}")
        if any(type(value) not in (int, float) or not math.isfinite(value) for value in row):
            raise DataError("ANN-SEQ", f"frame {place} holds something that is not a number")
    return narrow(np.array(rows, dtype=np.float64))


def _clip(source: Source, name: str, paths: Sequence[str]) -> Clip:
    """Raises DataError ANN-SEQ for a frame that is not there."""
    files = []
    for path in paths:
        image = source.lookup.find(path, posixpath.dirname(name))
        if image is None:
            raise DataError("ANN-SEQ", f"there is no frame {path[:200]}")
        files.append(source.root / image)
    return Clip(tuple(files), source.wishes.max_pixels)


def _tags(tags: Any, frames: int) -> list[str | None]:
    """Raises DataError ANN-SEQ when they are not one for each frame."""
    if not isinstance(tags, list) or len(tags) != frames:
        raise DataError("ANN-SEQ", f"{len(tags) if isinstance(tags, list) else 'no'} tags for {frames} frames")
    if any(not (tag is None or isinstance(tag, str) or type(tag) is int) for tag in tags):
        raise DataError("ANN-SEQ", "a tag that is neither a name nor a whole number")
    return [None if tag is None or tag == -1 or tag == "" else str(tag) for tag in tags]
