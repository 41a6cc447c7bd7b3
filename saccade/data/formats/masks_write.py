"""Mask folders written: `images/`, `masks/` (indices with a palette that can be seen) and `instances/` (16-bit ids), each with its `classes.json`."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.masks import THOUSAND
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem
from saccade.ops.masks import mask_of
from saccade.targets import Boxes, Instances
from saccade.targets.segmentation_map import IGNORED

HOLDS = frozenset({"map", "instances"})
_IGNORED_COLOUR = (224, 224, 192)


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes the pictures, the masks and the class lists, by split. What it cannot hold: overlaps, boxes that are not tight, flags, scores, numbers,
    areas, attributes of objects, and classes of more than 999 objects in one image."""
    losses = Losses()
    spaces = {head: space for head, space in dataset.spaces.items() if head in HOLDS}
    counted = "instances" in spaces and len(spaces["instances"]) > 1
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i)
        path = placed(pictures.put(i, "images" + (f"/{record.split}" if record.split else "")))
        if (found := truth.get("map")) is not None and "map" in spaces:
            write_indices(out / answer_path(path, "masks"), found.ids.numpy(), spaces["map"])
        if (found := truth.get("instances")) is not None and "instances" in spaces:
            write_samples(out / answer_path(path, "instances"), _ids(found, counted, losses))
    for head, folder in (("map", "masks"), ("instances", "instances")):
        if head in spaces:
            (out / folder).mkdir(parents=True, exist_ok=True)
            write_classes(out / folder / "classes.json", spaces[head], first=1 if head == "instances" and counted else 0)
            losses.add(head, "colours of the classes", bool(spaces[head].colours) and head == "instances" and not counted)
    return losses.problems()


def placed(path: str) -> str:
    """A picture's path as a name of a file: a place in a file of many (#3) becomes part of the name."""
    return path.replace("#", "_") + (".png" if "#" in path else "")


def answer_path(path: str, folder: str, suffix: str = ".png", base: str = "images") -> str:
    """`images/train/a.jpg` -> `masks/train/a.png`: the folder of pictures becomes that of the answers.

    >>> answer_path("images/train/a.jpg", "masks"), answer_path("b.png", "masks")
    ('masks/train/a.png', 'masks/b.png')
    """
    return posixpath.join(folder, posixpath.splitext(path.removeprefix(f"{base}/"))[0] + suffix)


def write_indices(path: Path, ids: np.ndarray, space: LabelSpace) -> None:
    """A palette PNG: index = class id, each class in its colour, 255 for what is ignored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(ids))
    colours = [_visible(space, index) for index in range(len(space))]
    table = colours + [(0, 0, 0)] * (256 - len(colours))
    table[IGNORED] = _IGNORED_COLOUR
    image.putpalette([value for colour in table for value in colour])
    image.save(path)


def _visible(space: LabelSpace, index: int) -> tuple[int, int, int]:
    """The class's colour; black for a background without one, and a shade of its own for each class after the twelfth."""
    if not space.colours and index == space.background:
        return 0, 0, 0
    r, g, b = space.rgb(index)
    turn = 0 if space.colours else index // 12 * 37
    return (r + turn) % 256, (g + 2 * turn) % 256, (b + 3 * turn) % 256


def write_samples(path: Path, values: np.ndarray) -> None:
    """A grey PNG of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values)).save(path)


def write_classes(path: Path, space: LabelSpace, first: int = 0) -> None:
    """The class list that says everything itself: number, name, colour, whether it is the background, whether it is ignored."""
    classes: list[dict[str, Any]] = []
    for index, name in enumerate(space.names):
        entry: dict[str, Any] = {"id": index + first, "name": name, "background": index == space.background, "ignored": False}
        classes.append(entry | ({"color": space.colours[index]} if space.colours else {}))
    path.write_text(json.dumps(classes, ensure_ascii=False, indent=1), encoding="utf-8")


def _ids(found: Instances, counted: bool, losses: Losses) -> np.ndarray:
    """(h, w) uint16 ids 1..n, or class x 1000 + number; large objects first, so that none is hidden by another."""
    n, boxes = len(found), found.boxes
    numbers = np.arange(1, n + 1)
    if counted:
        seen: dict[int, int] = {}
        for i, k in enumerate(boxes.classes.tolist()):
            seen[k] = seen.get(k, 0) + 1
            numbers[i] = (k + 1) * THOUSAND + seen[k]
        if seen and (max(seen.values()) >= THOUSAND or numbers.max() > 65535):
            losses.add("instances", "classes of objects", n)
            numbers = np.arange(1, n + 1)
    ids = np.zeros(found.size, np.uint16)
    planes = [_plane(found, i) for i in range(n)]
    covered = np.zeros(found.size, np.int32)
    for i in sorted(range(n), key=lambda i: (-int(planes[i].sum()), i)):
        ids[planes[i]] = numbers[i]
        covered += planes[i]
    losses.add("instances", "pixels of two objects", int((covered > 1).sum()))
    _count_losses(found, boxes, planes, losses)
    return ids


def _plane(found: Instances, i: int) -> np.ndarray:
    if found.shapes is not None:
        return mask_of(found.shapes[i])
    assert found.ids is not None  # a mask is one or the other
    return found.ids.numpy() == i + 1


def _count_losses(found: Instances, boxes: Boxes, planes: list[np.ndarray], losses: Losses) -> None:
    for name in ("scores", "areas", "ids"):
        losses.add("instances", name, len(boxes) if getattr(boxes, name) is not None else 0)
    for name in ("crowd", "difficult"):
        flags = getattr(boxes, name)
        losses.add("instances", f"the flag {name}", 0 if flags is None else int(flags.sum()))
    losses.add("instances", "attributes", sum(bool(a) for a in boxes.attributes or ()))
    for plane, box in zip(planes, boxes.xyxy.tolist(), strict=True):
        rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
        own = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)
        losses.add("instances", "boxes that are not tight around their mask", int(np.abs(np.subtract(own, box)).max() > 1e-6))
