"""Tables written: a CSV for each kind of label, the pictures in `images/`; what `table` reads."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.columns import GROUP, PATH, SPLIT
from saccade.data.formats.columns_heads import CAPTION, LABEL, SINGLE
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.rows import safe
from saccade.data.formats.source import natural
from saccade.data.formats.table_rows import OBJECT
from saccade.errors import Problem
from saccade.targets import Boxes

HOLDS = frozenset({"label", "labels", "number", "points", "boxes", "caption"})
_RESERVED = PATH | GROUP | SPLIT | LABEL | CAPTION | SINGLE | frozenset("x y w h x1 y1 x2 y2 number bbox box".split())
Cells = list[str]
Truths = list[Any]


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `labels.csv`, `multilabel.csv`, `numbers.csv`, `points.csv`, `boxes.csv`, `captions.csv`, as far as there are such labels. What they
    cannot hold: the order of classes, classes without an image, flags, scores, numbers and attributes of boxes, images without a truth."""
    losses = Losses()
    paths = [pictures.put(i, "images" + (f"/{record.split}" if record.split else "")) for i, record in enumerate(dataset.records)]
    for head in (head for head in dataset.spaces if head in HOLDS):
        truths = [dataset.truth(i).get(head) for i in range(len(dataset))]
        name, columns, rows = _WRITERS[head](truths, dataset.spaces[head], losses)
        _write(out / name, dataset, paths, columns, rows)
    return losses.problems()


def _write(path: Path, dataset: ImageDataset, paths: list[str], columns: list[str], rows: list[list[Cells]]) -> None:
    more = [name for name in ("split", "group") if any(getattr(record, name) for record in dataset.records)]
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", *(safe(column) for column in columns), *more])
        for record, image, lines in zip(dataset.records, paths, rows, strict=True):
            for cells in lines:
                writer.writerow([safe(cell) for cell in (image, *cells, *(getattr(record, name) or "" for name in more))])


Written = tuple[str, list[str], list[list[Cells]]]


def _order(head: str, space: LabelSpace, used: Iterable[int], losses: Losses) -> None:
    """What a table of class names does not say of the classes."""
    present = set(used)
    losses.add(head, "classes without an image", len(space) - len(present))
    losses.add(head, "the order of the classes", list(space.names) != sorted(space.names, key=natural))
    losses.add(head, "colours of the classes", bool(space.colours))


def _label(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    known = [None if truth is None or not truth.known else truth.index for truth in truths]
    _order("label", space, (k for k in known if k is not None), losses)
    tricky = any(mark in name for name in space.names for mark in ";|") or all(_numeric(name) for name in space.names)
    whole = all(name.isdecimal() for name in space.names)
    return "labels.csv", ["class_name" if tricky and not whole else "label"], [[["" if k is None else space.names[k]]] for k in known]


def _numeric(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _labels(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    """A column a class: 1, 0, or nothing where it is not known; one column of lists when the names of the classes do not do for columns."""
    table = [None if truth is None else truth.values.tolist() for truth in truths]
    if len(space) < 2 or any(name.strip().lower().replace(" ", "_") in _RESERVED or not name.strip() for name in space.names):
        mark = next((mark for mark in ";|" if not any(mark in name for name in space.names)), ";")
        losses.add("labels", "labels that are not known", sum(v < 0 for row in table if row for v in row))
        return "multilabel.csv", ["labels"], [[[_list(row, space, mark)]] for row in table]
    empty = ["nan" if all(row is None or row[k] < 0 for row in table) else "" for k in range(len(space))]
    return "multilabel.csv", list(space.names), [[[*empty] if row is None else [str(v) if v >= 0 else empty[k] for k, v in enumerate(row)]] for row in table]


def _list(row: list[int] | None, space: LabelSpace, mark: str) -> str:
    """`cat;dog;`, so that one label is a list too; empty without a truth."""
    return "" if row is None else mark.join([*(space.names[k] for k, v in enumerate(row) if v > 0), ""]) or mark


def _number(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    losses.add("number", "deviations", sum(truth is not None and truth.deviation is not None for truth in truths))
    return "numbers.csv", ["number"], [[["" if truth is None else repr(float(truth.value))]] for truth in truths]


def _caption(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    losses.add("caption", "scores", sum(truth is not None and truth.scores is not None for truth in truths))
    losses.add("caption", "sentences that are there twice", sum(len(t.texts) - len(set(t.texts)) for t in truths if t is not None))
    losses.add("caption", "empty sentences and spaces around them", sum(text != text.strip() or not text for t in truths if t is not None for text in t.texts))
    return "captions.csv", ["caption"], [[[text] for text in dict.fromkeys(truth.texts)] if truth is not None and truth.texts else [[""]] for truth in truths]


def _objects(
    head: str, name: str, columns: list[str], truths: Truths, space: LabelSpace, losses: Losses, numbers: Callable[[Any], list[list[float]]]
) -> Written:
    """A row an object; an image without objects has a row without numbers, one without a truth none."""
    losses.add(head, "images without a truth", sum(truth is None for truth in truths))
    losses.add(head, "scores", sum(len(truth) for truth in truths if truth is not None and truth.scores is not None))
    _order(head, space, {k for truth in truths if truth is not None for k in truth.classes.tolist()}, losses)
    plain = space.names == (OBJECT,)
    rows: list[list[Cells]] = []
    for truth in truths:
        if truth is None:
            rows.append([])
            continue
        lines = [[*(repr(v) for v in values), *([] if plain else [space.names[k]])] for values, k in zip(numbers(truth), truth.classes.tolist(), strict=True)]
        rows.append(lines or [[""] * (len(columns) + (not plain))])
    return name, columns + ([] if plain else ["class"]), rows


def _points(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    return _objects("points", "points.csv", ["x", "y"], truths, space, losses, lambda truth: truth.xy.double().tolist())


def _boxes(truths: Truths, space: LabelSpace, losses: Losses) -> Written:
    for truth in truths:
        if isinstance(truth, Boxes):
            for name in ("areas", "ids", "attributes"):
                losses.add("boxes", name, len(truth) if getattr(truth, name) is not None else 0)
            for name in ("crowd", "difficult"):
                flags = getattr(truth, name)
                losses.add("boxes", f"the flag {name}", 0 if flags is None else int(flags.sum()))
    return _objects("boxes", "boxes.csv", ["xmin", "ymin", "xmax", "ymax"], truths, space, losses, lambda truth: truth.xyxy.double().tolist())


_WRITERS: dict[str, Callable[[Truths, LabelSpace, Losses], Written]] = {
    "label": _label, "labels": _labels, "number": _number, "points": _points, "boxes": _boxes, "caption": _caption,
}  # fmt: skip
