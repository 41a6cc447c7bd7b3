"""COCO's results file: the boxes that a detector answers, as one list of {image_id, category_id, bbox, score}; read and written."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saccade import storage
from saccade.data.dataset import ImageDataset
from saccade.data.formats.coco_file import column, shown
from saccade.data.formats.strict_json import collector_paused, parse
from saccade.errors import DataError
from saccade.targets import Boxes

_NUMBERS = (int, float)


def read_results(path: Path, dataset: ImageDataset, *, head: str = "boxes", truth: Path | None = None) -> list[Boxes]:
    """The answers for each record of a data set, best first: boxes with scores, empty where the file has none.

    truth: the COCO file whose ids the results use. Without it, image ids are those that `saccade convert` writes (the record's place
    from 1), or file names with or without suffix; category ids are the class's place from 1. Boxes are as the file says, not clipped.
    Raises DataError ANN-JSON, ANN-COCO, ANN-FIELD, ANN-REF with the place in the file: an evaluation is of all answers or none.
    """
    where = Path(path).name
    with collector_paused():
        rows = parse(_content(Path(path)), where)
        if not isinstance(rows, list) or not set(map(type, rows)) <= {dict}:
            raise DataError("ANN-COCO", f"{shown(rows)}, expected a list of objects with image_id, category_id, bbox and score", where=where)
        images, categories = _ids(dataset, head) if truth is None else _ids_of(Path(truth), dataset, head)
        image = _numbers(rows, "image_id", images, where)
        label = _numbers(rows, "category_id", categories, where)
        xywh, score = _boxes(rows, where), _scores(rows, where)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
    order = np.lexsort([-score, image])
    bounds = np.searchsorted(image[order], np.arange(len(dataset) + 1)).tolist()
    answers = []
    for number in range(len(dataset)):
        own = order[bounds[number] : bounds[number + 1]]
        answers.append(Boxes(torch.from_numpy(xyxy[own]), torch.from_numpy(label[own]), scores=torch.from_numpy(score[own])))
    return answers


def write_results(path: Path, answers: Sequence[Boxes]) -> None:
    """Writes the answers for the records of a data set, in their order, with the ids that `saccade convert` gives. Raises ResourceError RUN-DISK."""
    rows: list[dict[str, Any]] = []
    for i, boxes in enumerate(answers):
        scores = [1.0] * len(boxes) if boxes.scores is None else boxes.scores.tolist()
        for (x1, y1, x2, y2), label, score in zip(boxes.xyxy.tolist(), boxes.classes.tolist(), scores, strict=True):
            rows.append({"image_id": i + 1, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score})
    storage.atomic_write(Path(path), json.dumps(rows, allow_nan=False).encode())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=str(path)) from error


def _names(dataset: ImageDataset) -> dict[Any, int]:
    """Every way a file may name a record: its id, its file name, the same without suffix; what names two names none."""
    found: dict[Any, int] = {}
    for i, record in enumerate(dataset.records):
        base = posixpath.basename(record.id)
        for name in {record.id, base, posixpath.splitext(base)[0]}:
            found[name] = i if found.get(name, i) == i else -1
    return {name: i for name, i in found.items() if i >= 0}


def _ids(dataset: ImageDataset, head: str) -> tuple[dict[Any, int], dict[Any, int]]:
    names = _names(dataset)
    return {i + 1: i for i in range(len(dataset))} | names, {i + 1: i for i in range(len(dataset.spaces[head]))}


def _ids_of(truth: Path, dataset: ImageDataset, head: str) -> tuple[dict[Any, int], dict[Any, int]]:
    """The ids of a COCO file, for the records and classes of the data set."""
    root = parse(_content(truth), truth.name)
    lists = [root.get(key) if isinstance(root, dict) else None for key in ("images", "categories")]
    if not all(isinstance(held, list) and set(map(type, held)) <= {dict} for held in lists):
        raise DataError("ANN-COCO", "expected lists images and categories", where=truth.name)
    names, classes = _names(dataset), {name: i for i, name in enumerate(dataset.spaces[head].names)}
    found: list[dict[Any, int]] = []
    for held, key, known in zip(lists, ("file_name", "name"), (names, classes), strict=True):
        pairs = [(entry.get("id"), entry.get(key)) for entry in held or ()]
        found.append({own: _place(name, known) for own, name in pairs if type(own) in (int, str) and isinstance(name, str)})
    return found[0], found[1]


def _place(name: str, known: Mapping[Any, int]) -> int:
    """The record or class of a name, -1 for one that the data set has not (the file may be of a larger set)."""
    plain = name.replace("\\", "/").strip()
    return known.get(plain, known.get(posixpath.basename(plain), -1))


def _numbers(rows: list[dict[str, Any]], key: str, known: Mapping[Any, int], where: str) -> np.ndarray:
    """(n,) places of what the ids of a column mean, -1 for what the data set has not. Raises DataError ANN-REF, ANN-FIELD."""
    held = column(rows, key)
    for row, value in enumerate(held):
        if type(value) not in (int, str):
            raise DataError("ANN-FIELD", f"{key} is {shown(value)}, expected a number", where=f"{where}:[{row}]", fix="write the results again")
        if value not in known:
            raise DataError("ANN-REF", f"{key} {shown(value)} is not known", where=f"{where}:[{row}]", fix="give the COCO file that the ids are from")
    return np.array([known[value] for value in held], dtype=np.int64)


def _boxes(rows: list[dict[str, Any]], where: str) -> np.ndarray:
    held = column(rows, "bbox")
    for row, box in enumerate(held):
        if type(box) is not list or len(box) != 4 or not {type(v) for v in box} <= set(_NUMBERS):
            raise DataError("ANN-FIELD", f"bbox is {str(box)[:80]}, expected x, y, width, height", where=f"{where}:[{row}]", fix="write the results again")
    return np.array(list(chain.from_iterable(held)), dtype=np.float64).reshape(-1, 4)


def _scores(rows: list[dict[str, Any]], where: str) -> np.ndarray:
    held = column(rows, "score")
    for row, score in enumerate(held):
        if type(score) not in _NUMBERS:
            raise DataError("ANN-FIELD", f"score is {shown(score)}, expected a number", where=f"{where}:[{row}]", fix="write the results again")
    return np.array(held, dtype=np.float64)
