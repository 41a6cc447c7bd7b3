"""Boxes of objects that another model, or a person, has given: read from a file, and matched with images by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from saccade.core import LabelSpace
from saccade.data.formats.strict_json import parse
from saccade.errors import DataError, nearest
from saccade.inference.sources import Input
from saccade.targets import Boxes

LARGEST = 1 << 30  # bytes of a file of boxes
MOST = 1000  # objects of an image that are answered, the best-scored first


class Named(NamedTuple):
    """Boxes of an image under the names that a file has for it: an id, a path, a file name."""

    names: tuple[str, ...]
    rows: list[tuple[str, tuple[float, float, float, float], float | None]]  # class, x0 y0 x1 y1, score


def read_boxes(path: Path, items: Sequence[Input], space: LabelSpace) -> dict[str, Boxes]:
    """Input id -> boxes, for the inputs that the file names; others are left out.

    The file is what `saccade predict` wrote of objects (JSON lines), or a COCO document of images, annotations and categories (a data set's, or that of
    `--as coco`). An input is looked for by its id, its path, and then its file's name where that is unique in the file. Of classes that the model
    does not know nothing is taken. Raises DataError ANN-UNREADABLE, ANN-FIELD, CLS-MODEL when no class of the file is known.
    """
    found = _lines(path) if path.suffix.lower() == ".jsonl" else _coco(path)
    known, others = set[str](), set[str]()
    index = _indexed(found)
    boxes = {}
    for one in found:
        for name, _, _ in one.rows:
            (known if name in space.names else others).add(name)
    if others and not known:
        got = f"{', '.join(sorted(others)[:5])}; the model knows {', '.join(space.names[:10])}: {nearest(min(others), space.names)}"
        raise DataError("CLS-MODEL", got, where=str(path))
    for item in items:
        own = next((index[name] for name in (item.id, os.fspath(item.path), item.path.name) if name in index), None)
        if own is not None:
            boxes[item.id] = _boxes(own.rows, space)
    return boxes


def whole_image(size: tuple[int, int]) -> Boxes:
    """All of an image (h, w) as the box of one object of the first class."""
    return Boxes(torch.tensor([[0.0, 0.0, size[1], size[0]]]), torch.zeros(1, dtype=torch.int64), torch.ones(1))


def _boxes(rows: Sequence[tuple[str, tuple[float, float, float, float], float | None]], space: LabelSpace) -> Boxes:
    kept = sorted((row for row in rows if row[0] in space.names), key=lambda row: -(1.0 if row[2] is None else row[2]))[:MOST]
    if not kept:
        return Boxes.empty()
    scores = torch.tensor([1.0 if row[2] is None else row[2] for row in kept])
    return Boxes(torch.tensor([row[1] for row in kept]), torch.tensor([space.index(row[0]) for row in kept]), scores)


def _indexed(found: Sequence[Named]) -> dict[str, Named]:
    """Every name that means one image only."""
    index: dict[str, Named] = {}
    twice = set[str]()
    for one in found:
        for name in dict.fromkeys(one.names):
            if index.setdefault(name, one) is not one:
                twice.add(name)
    return {name: one for name, one in index.items() if name not in twice}


def _lines(path: Path) -> list[Named]:
    found = []
    for number, line in enumerate(_content(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        row = _object(parse(line, where), where)
        if row.get("status", "ok") != "ok":
            continue
        names = tuple(str(row[key]) for key in ("id", "path") if row.get(key))
        listed = row.get("objects")
        if not isinstance(listed, list):
            raise DataError("ANN-FIELD", "no list of objects", where=where, fix="give the answers of a model that finds objects")
        rows = [_row(_object(one, where), "class", where) for one in listed]
        found.append(Named((*names, *(os.path.basename(name) for name in names)), rows))
    return found


def _coco(path: Path) -> list[Named]:
    document = _object(parse(_content(path), str(path)), str(path))
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise DataError("ANN-FIELD", f"no list of {key}", where=str(path), fix="give a COCO document, or the JSON lines that predict writes")
    names = {_of(one, "id", path): str(_of(one, "name", path)) for one in document["categories"]}
    images = {_of(one, "id", path): Named(_both(str(_of(one, "file_name", path))), []) for one in document["images"]}
    for one in document["annotations"]:
        image, kind = _of(one, "image_id", path), _of(one, "category_id", path)
        if image not in images or kind not in names:
            raise DataError("ANN-FIELD", f"image {image} of category {kind}, which the file does not have", where=str(path))
        if one.get("iscrowd"):
            continue
        x, y, w, h = _numbers(one.get("bbox"), str(path))
        images[image].rows.append((names[kind], (x, y, x + w, y + h), _score(one.get("score"), str(path))))
    return list(images.values())


def _both(name: str) -> tuple[str, ...]:
    return (name, os.path.basename(name))


def _row(one: Mapping[str, Any], key: str, where: str) -> tuple[str, tuple[float, float, float, float], float | None]:
    return str(one.get(key)), _numbers(one.get("box"), where), _score(one.get("score"), where)


def _numbers(value: Any, where: str) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(v, int | float) and abs(v) < 1e9 for v in value):
        raise DataError("ANN-FIELD", f"a box is {str(value)[:60]}, expected four numbers", where=where)
    return float(value[0]), float(value[1]), float(value[2]), float(value[3])


def _score(value: Any, where: str) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return None if value is None else float(value)
    raise DataError("ANN-FIELD", f"a score is {str(value)[:40]}, expected 0 to 1", where=where)


def _of(one: Any, key: str, path: Path) -> Any:
    held = _object(one, str(path))
    if key not in held or isinstance(held[key], list | dict):
        raise DataError("ANN-FIELD", f"an entry without {key}", where=str(path))
    return held[key]


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError("ANN-FIELD", f"{str(value)[:60]}, expected an object", where=where)
    return value


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError("ANN-UNREADABLE", f"more than {LARGEST:,} bytes", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=str(path)) from error
