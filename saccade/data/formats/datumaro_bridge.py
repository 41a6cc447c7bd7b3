"""Layouts that only datumaro reads, through datumaro: `--format datumaro:NAME`, where the extra `formats` is installed.

Boxes, polygons, masks, points, labels and captions become ours; what else datumaro finds is told and left out. Points of a layout that
names them are key points, of the box of their group where there is one; points without names are dots.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.data.formats.drawn import Drawn, Shape, masked
from saccade.data.formats.source import SPLITS, Found, Source
from saccade.errors import DataError, Problem, UsageError
from saccade.targets import Caption, Label, Labels

PREFIX = "datumaro:"
OBJECT = "object"  # the class of what has none
_ORDER = {"polygon": 0, "mask": 0, "bbox": 1, "points": 3}  # an outline stands for the box of its group, and points join what is there


def load(source: Source, name: str) -> Found:
    """The records that datumaro finds, by the name of its format.

    Raises UsageError USE-MISSING when datumaro is not installed, USE-VALUE for a name that it does not have; DataError DATA-FORMAT when it
    cannot read the folder.
    """
    try:
        datumaro = importlib.import_module("datumaro")
    except ImportError as error:
        raise UsageError("USE-MISSING", f"datumaro, for the format {PREFIX}{name}", fix="pip install 'saccade[formats]'") from error
    known = sorted(datumaro.Environment().importers)
    if name not in known:
        raise UsageError("USE-VALUE", f"format={PREFIX}{name}", fix=f"datumaro has {', '.join(known)}")
    try:
        held = datumaro.Dataset.import_from(os.fspath(source.root), name)
        items = list(held)
    except Exception as error:  # another program's: whatever it raises, the folder cannot be read by it
        raise DataError("DATA-FORMAT", f"datumaro cannot read it as {name}: {type(error).__name__}: {str(error)[:200]}", where=str(source.root)) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # masks are made only now, by datumaro's own libraries
        return _found(source, items, held.categories(), name)


def _found(source: Source, items: list[Any], categories: Any, name: str) -> Found:
    drawn, labels = Drawn(source), dict[int, list[int]]()
    by_kind = {str(kind.name): value for kind, value in categories.items()}
    names = [item.name for item in getattr(by_kind.get("label"), "items", [])]
    joints = {k: list(held.labels) for k, held in getattr(by_kind.get("points"), "items", {}).items()}
    splits: dict[str, str] = {}
    for item in items:
        where = f"{item.subset}:{item.id}"
        path = getattr(item.media, "path", None)
        image = drawn.image(os.path.relpath(path, source.root) if path else str(item.id), where)
        if image is not None:
            splits[drawn.ids[image]] = str(item.subset).lower()
            labels[image] = []
            for number, annotation in sorted(enumerate(item.annotations), key=lambda row: _ORDER.get(str(row[1].type.name), 2)):
                _annotation(drawn, image, annotation, (names, joints), f"{where}[{number}]", labels[image])
    found = drawn.found(f"datumaro: {name}, {len(items)} items", names, _classes(drawn, labels, names), dot_order=[j for own in joints.values() for j in own])
    return found._replace(records=[replace(record, split=record.split or SPLITS.get(splits[record.id])) for record in found.records])


def _classes(drawn: Drawn, labels: dict[int, list[int]], names: list[str]) -> dict[str, LabelSpace]:
    """The labels of whole images: one class each, or several."""
    spaces = {"caption": LabelSpace(())} if "caption" in drawn.extras else {}
    if any(labels.values()):
        several = any(len(own) > 1 for own in labels.values())
        spaces["labels" if several else "label"] = LabelSpace(tuple(names))
        for image, own in labels.items():
            if several:
                drawn.extras["labels"][image] = Labels(torch.tensor([k in own for k in range(len(names))], dtype=torch.int8))
            elif own:
                drawn.extras["label"][image] = Label(own[0])
    return spaces


def _annotation(drawn: Drawn, image: int, held: Any, known: tuple[list[str], dict[int, list[str]]], where: str, labels: list[int]) -> None:
    names, joints = known
    kind, label = str(held.type.name), getattr(held, "label", None)
    label_name = names[label] if isinstance(label, int) and 0 <= label < len(names) else OBJECT
    group: Hashable = held.group if getattr(held, "group", 0) else None
    flags = {str(k): v for k, v in getattr(held, "attributes", {}).items() if isinstance(v, bool | int | float | str)}
    more = {"flags": {"crowd" if k == "is_crowd" else k: v for k, v in flags.items() if not (k == "is_crowd" and not v)}}
    if kind == "caption":
        before = drawn.extras["caption"].get(image)
        drawn.extras["caption"][image] = Caption((*(before.texts if before else ()), str(held.caption)))
    elif kind == "label":
        labels.append(int(held.label))
    elif kind == "bbox" and group is not None and any(s.image == image and s.group == group and s.name == label_name for s in drawn.shapes):
        return
    elif kind == "bbox":
        drawn.box(image, label_name, (held.x, held.y, held.x + held.w, held.y + held.h), where, group=group, **more)
    elif kind == "polygon":
        drawn.outline(image, label_name, np.array(held.points, dtype=np.float64).reshape(-1, 2), where, group=group, **more)
    elif kind == "mask":
        _mask(drawn, image, label_name, np.asarray(held.image) > 0, where, {"group": group, **more})
    elif kind == "points":
        _points(drawn, image, label_name, held, joints.get(label if isinstance(label, int) else -1), (where, group))
    else:
        drawn.unread(kind, where.partition(":")[0])


def _mask(drawn: Drawn, image: int, name: str, mask: np.ndarray, where: str, more: dict[str, Any]) -> None:
    if mask.shape != drawn.sizes[image]:
        drawn.lose(image, Problem("ANN-MASK", where, f"a mask of {mask.shape} for an image of {drawn.sizes[image]} (h, w)"))
    else:
        drawn.shapes.append(masked(image, name, where, mask, **more))


def _points(drawn: Drawn, image: int, name: str, held: Any, joints: list[str] | None, at: tuple[str, Hashable]) -> None:
    """Key points by the names of their class, else dots."""
    where, group = at
    table = np.array(held.points, dtype=np.float64).reshape(-1, 2)
    seen = [int(getattr(v, "value", v)) for v in held.visibility]
    joints = [str(k) for k in range(len(table))] if joints == [] else joints
    if joints is None or len(joints) != len(table):
        for x, y in table.tolist():
            drawn.point(image, name, (x, y), where)
        return
    if group is None or not any(s.image == image and s.group == group for s in drawn.shapes):
        group = where
        labelled = table[np.array(seen) > 0] if any(seen) else table
        drawn.shapes.append(Shape(image, name, where, (*labelled.min(0).tolist(), *labelled.max(0).tolist()), group=group))
    for joint, (x, y), visible in zip(joints, table.tolist(), seen, strict=True):
        if visible:
            drawn.point(image, joint, (x, y), where, group=group, visible=visible)
