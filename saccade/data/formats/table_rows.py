"""The rows of tables made into the truths of images: merged by image, read by head, every cell that cannot be used told by file and line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from saccade.core import LabelSpace
from saccade.data.formats.columns_heads import MANY, NO, QUESTIONS, YES, Head, four
from saccade.data.formats.objects import Objects
from saccade.data.formats.source import natural
from saccade.errors import Problem
from saccade.targets import Caption, Label, Labels, Number, Points

OBJECT = "object"
"""The class of objects that a table gives no class."""
Lines = list[tuple[str, tuple[str, ...]]]  # (where, the cells of one head, that of the class last)


@dataclass
class Entry:
    """All that the rows say of one image. whole: head -> the cells of its one row; many: head -> its rows."""

    where: str
    split: str | None
    group: str | None
    whole: dict[str, tuple[str, ...]] = field(default_factory=dict)
    many: dict[str, Lines] = field(default_factory=dict)

    def says(self) -> str:
        """Its labels and split, for the text of a conflict."""
        cells = [cell for head in self.whole.values() for cell in head]
        return f"{', '.join(cells)} {self.split or ''}".strip() or "no label"


def entry(cells: Sequence[str], heads: Sequence[Head], where: str, split: str | None, group: str | None) -> Entry:
    """One row."""
    made = Entry(where, split, group)
    for head in heads:
        own = tuple(cells[i].strip() for i in head.columns)
        if head.form.startswith("text"):
            own = tuple(own[0].strip("[]() ").replace(",", " ").split()) if four(own[0]) else (own[0], "", "", "")
        if head.kind in MANY:
            made.many[head.kind] = [(where, (*own, cells[head.of].strip() if head.of is not None else ""))]
        else:
            made.whole[head.kind] = own
    return made


class Merged:
    """The entries of all images. Images with contradicting rows are in `conflicts`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.entries: dict[str, Entry] = {}
        self.conflicts: set[str] = set()
        self.problems = problems

    def add(self, path: str, row: Entry) -> None:
        """One row of an image. Tells ANN-EMPTY, ANN-DUP, ANN-CONFLICT."""
        before = self.entries.get(path)
        if before is None:
            self.entries[path] = row
            if not row.many and not any(any(cells) for cells in row.whole.values()):
                self.problems.append(Problem("ANN-EMPTY", row.where, path))
        elif any(before.whole.get(kind, cells) != cells for kind, cells in row.whole.items()) or (before.split, before.group) != (row.split, row.group):
            self.conflicts.add(path)
            self.problems.append(Problem("ANN-CONFLICT", row.where, f"{path}: {row.says()}, but {before.says()} in {before.where}"))
        elif not row.many and set(row.whole) <= set(before.whole):
            self.problems.append(Problem("ANN-DUP", row.where, f"{path}, as in {before.where}"))
        else:
            before.whole.update(row.whole)
            for kind, lines in row.many.items():
                before.many.setdefault(kind, []).extend(lines)


Heads = Mapping[str, Head]
Made = tuple[list[Any], LabelSpace]  # a truth or None of each image, and the classes


def truths(
    heads: Heads, names: Mapping[str, Sequence[str]], entries: Mapping[str, Entry], sizes: Callable[[str], Any], problems: list[Problem]
) -> tuple[dict[str, Made], set[str]]:
    """Head -> its truths, in order of the entries, and the images that are lost to a cell that cannot be read.

    names: head -> the names of its columns. sizes: image -> (h, w) or None.
    """
    images, lost = list(entries), set[str]()

    def lose(image: str, code: str, where: str, got: str) -> None:
        problems.append(Problem(code, where, got[:200], image=image))
        lost.add(image)

    made: dict[str, Made] = {}
    for kind, head in heads.items():
        whole = [entries[image].whole.get(kind) for image in images]
        if kind == "label":
            made[kind] = _label(whole)
        elif kind == "number":
            made[kind] = _number(whole, images, entries, lose)
        elif kind == "labels":
            if head.form == QUESTIONS:
                made[kind] = _questions(whole, names[kind])
                continue
            made[kind] = _listed(whole, head.form) if head.form else _flags(whole, names[kind], images, entries, lose)
        else:
            lines = [entries[image].many.get(kind) for image in images]
            if kind == "caption":
                made[kind] = _captions(lines, images, problems)
            else:
                made[kind] = (_boxes if kind == "boxes" else _points)(lines, head, images, [sizes(image) for image in images], lose, problems, lost)
    return made, lost


def _label(whole: Sequence[tuple[str, ...] | None]) -> Made:
    names = tuple(sorted({cells[0] for cells in whole if cells and cells[0]}, key=natural))
    held = {name: Label(i) for i, name in enumerate(names)}
    return [held.get(cells[0]) if cells else None for cells in whole], LabelSpace(names)


def _number(whole: Sequence[tuple[str, ...] | None], images: Sequence[str], entries: Mapping[str, Entry], lose: Any) -> Made:
    found: list[Any] = []
    for image, cells in zip(images, whole, strict=True):
        value = _float(cells[0]) if cells and cells[0] else None
        if value is not None and math.isnan(value):
            lose(image, "ANN-NUMBER", entries[image].where, cells[0] if cells else "")
        found.append(Number(value) if value is not None else None)
    return found, LabelSpace(())


def _float(cell: str) -> float:
    """The finite number in a cell, nan when there is none."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _listed(whole: Sequence[tuple[str, ...] | None], mark: str) -> Made:
    """Lists of labels in one cell; an empty cell is an image without labels."""
    lists = [None if not cells or not cells[0] else {part.strip() for part in cells[0].split(mark)} - {""} for cells in whole]
    names = tuple(sorted({name for each in lists if each for name in each}, key=natural))
    rows = [None if each is None else Labels(torch.tensor([int(name in each) for name in names], dtype=torch.int8)) for each in lists]
    return rows, LabelSpace(names)


def _questions(whole: Sequence[tuple[str, ...] | None], columns: Sequence[str]) -> Made:
    """A column of one class each: the labels are column=class, and nothing is known of a column whose cell is empty."""
    values = [sorted({cells[i] for cells in whole if cells and cells[i]}, key=natural) for i in range(len(columns))]
    names = [f"{column}{QUESTIONS}{value}" for column, own in zip(columns, values, strict=True) for value in own]
    found: list[Any] = []
    for cells in whole:
        given = dict(zip(columns, cells, strict=True)) if cells else {}
        row = [-1 if not given.get(c) else int(given[c] == value) for c, own in zip(columns, values, strict=True) for value in own]
        found.append(Labels(torch.tensor(row, dtype=torch.int8)) if any(v >= 0 for v in row) else None)
    return found, LabelSpace(tuple(names))


def _flags(whole: Sequence[tuple[str, ...] | None], names: Sequence[str], images: Sequence[str], entries: Mapping[str, Entry], lose: Any) -> Made:
    """A column a class: yes, no, or not known (empty, -1); in a table without any no, -1 is no."""
    low = [None if cells is None else [cell.lower() for cell in cells] for cells in whole]
    signs = not any(cell in NO for cells in low if cells for cell in cells) and any(cell in ("-1", "-1.0") for cells in low if cells for cell in cells)
    found: list[Any] = []
    for image, cells in zip(images, low, strict=True):
        values = []
        for cell in cells or ():
            if cell not in YES | NO and cell not in ("", "-1", "-1.0", "nan"):
                lose(image, "ANN-NUMBER", entries[image].where, f"{cell}, where 0, 1, -1 or nothing is expected")
            values.append(1 if cell in YES else 0 if cell in NO or (signs and cell.startswith("-1")) else -1)
        found.append(Labels(torch.tensor(values, dtype=torch.int8)) if any(v >= 0 for v in values) else None)
    return found, LabelSpace(tuple(names))


def _captions(lines: Sequence[Lines | None], images: Sequence[str], problems: list[Problem]) -> Made:
    found: list[Any] = []
    for image, rows in zip(images, lines, strict=True):
        texts: dict[str, str] = {}
        for where, (text, _) in rows or ():
            if not text:
                problems.append(Problem("ANN-EMPTY", where, image))
            elif text in texts:
                problems.append(Problem("ANN-DUP", where, f"{image}, as in {texts[text]}"))
            else:
                texts[text] = where
        found.append(Caption(tuple(texts)) if texts else None)
    return found, LabelSpace(())


def _named(lines: Sequence[Lines | None], head: Head) -> tuple[str, ...]:
    """The classes of objects, in natural order."""
    if head.of is None:
        return (OBJECT,)
    return tuple(sorted({cells[-1] for rows in lines for _, cells in rows or () if cells[-1] and any(cells[:-1])}, key=natural))


def _relative(lines: Sequence[Lines | None]) -> bool:
    """Whether all coordinates are shares of the image's sides: none is above 1, and some are fractions."""
    cells = [_float(cell) for rows in lines for _, row in rows or () for cell in row[:-1] if cell]
    return bool(cells) and all(0 <= v <= 1 for v in cells if not math.isnan(v)) and any(0 < v < 1 for v in cells)


Row = tuple[str, str, list[float], int]  # image, where, numbers, class


def _objects(lines: Sequence[Lines | None], head: Head, images: Sequence[str], sizes: Sequence[Any], lose: Any) -> tuple[list[Row], LabelSpace]:
    """The rows that can be read: the numbers in pixels, the class; an image whose row has neither number nor class has no objects."""
    names, relative = _named(lines, head), _relative(lines)
    index = {name: i for i, name in enumerate(names)}
    found: list[Row] = []
    for image, size, rows in zip(images, sizes, lines, strict=True):
        h, w = (size or (math.nan, math.nan)) if relative else (1, 1)
        for where, cells in rows or ():
            if not any(cells[:-1]):
                if cells[-1] and head.of is not None and len(rows or ()) > 1:
                    lose(image, "ANN-NUMBER", where, f"no numbers for {cells[-1]}")
                continue
            if head.of is not None and not cells[-1]:
                lose(image, "ANN-FIELD", where, "an object without a class")
                continue
            values = [_float(cell) for cell in cells[:-1]]
            scaled = [value * (w, h)[k % 2] for k, value in enumerate(values)]
            if any(map(math.isnan, scaled)):
                lose(image, "ANN-NUMBER", where, ", ".join(cells[:-1]))
                continue
            found.append((image, where, scaled, index[cells[-1]] if head.of is not None else 0))
    return found, LabelSpace(names)


def _boxes(lines: Any, head: Head, images: Sequence[str], sizes: Sequence[Any], lose: Any, problems: list[Problem], lost: set[str]) -> Made:
    rows, space = _objects(lines, head, images, sizes, lose)
    columns, places = Objects(), {image: i for i, image in enumerate(images)}
    for image, where, (a, b, c, d), k in rows:
        columns.add(places[image], k, (a, b, a + c, b + d) if head.form.endswith("sizes") else (a, b, c, d), where)
    shares = columns.finish(list(images), sizes, problems)
    lost |= {image for image, share in zip(images, shares, strict=True) if share is None}
    return [None if given is None or share is None else share.boxes for share, given in zip(shares, lines, strict=True)], space


def _points(lines: Any, head: Head, images: Sequence[str], sizes: Sequence[Any], lose: Any, problems: list[Problem], lost: set[str]) -> Made:
    rows, space = _objects(lines, head, images, sizes, lose)
    own: dict[str, list[Row]] = {image: [] for image in images}
    limits = dict(zip(images, sizes, strict=True))
    for row in rows:
        image, where, (x, y), _ = row
        size = limits[image]
        if size is not None and not (0 <= x <= size[1] and 0 <= y <= size[0]):
            lose(image, "ANN-POINT-OUT", where, f"x y = {x:g} {y:g}, image {size[1]} x {size[0]}")
        own[image].append(row)
    found: list[Any] = []
    for image, given in zip(images, lines, strict=True):
        xy = torch.tensor([row[2] for row in own[image]], dtype=torch.float64).reshape(-1, 2)
        classes = torch.tensor([row[3] for row in own[image]], dtype=torch.int64)
        found.append(None if given is None else Points(xy, classes))
    return found, space
