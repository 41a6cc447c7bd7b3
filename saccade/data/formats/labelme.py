"""LabelMe: a JSON file beside each image, with polygons, rectangles, circles, points and masks.

The point (x, y) of LabelMe is in continuous pixels, as ours. Outlines of one label and one `group_id` are one object; points whose
`group_id` is that of one object are its key points; other points are dots. `flags` of a file are labels of the whole image. A list of
names in `labels.txt`, as LabelMe's own option --labels takes, gives the order of the classes, `flags.txt` that of the flags.
Lines have no area and are left out with a warning; `imageData` is not looked at.
"""

from __future__ import annotations

import base64
import binascii
import io
import posixpath
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.data.formats.drawn import Drawn, circle, masked
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.strict_json import parse
from saccade.data.formats.values import mapping, name, size, table
from saccade.errors import DataError, Problem
from saccade.targets import Labels

LISTS = ("labels.txt", "flags.txt")
_PEEKED = 20  # files looked into before a folder is taken for one without LabelMe files
_NAMELESS = ("__ignore__", "_background_")


class Plan(NamedTuple):
    """The files that look like LabelMe's."""

    files: list[str]


def detect(source: Source) -> Plan | None:
    """JSON files that begin as LabelMe writes them."""
    names = source.labels(".json")
    if not any(_looks(source, name) for name in names[:_PEEKED]):
        return None
    return Plan([name for name in names if _looks(source, name)])


def _looks(source: Source, path: str) -> bool:
    head = source.head(path, 2048)
    return b'"shapes"' in head or (b'"imageData"' in head and b'"imagePath"' in head)


def load(source: Source, plan: Plan) -> Found:
    """A record for each file whose image is there; a file that cannot be read loses its image, and is named."""
    drawn = Drawn(source)
    flags: dict[int, dict[str, bool]] = {}
    for path in plan.files:
        try:
            held = parse(source.content(path), path)
        except DataError as error:
            drawn.problems.append(Problem(error.code, error.where, error.got, "error", source.lookup.find(_stem(path)) or ""))
            continue
        _file(drawn, path, held, flags)
    order, flag_names = (_listed(source, plan, name) for name in LISTS)
    spaces = {}
    used = {flag for own in flags.values() for flag in own}
    if used:
        names = (*dict.fromkeys(flag_names), *sorted(used - set(flag_names), key=natural))
        spaces["labels"] = LabelSpace(names)
        for image, own in flags.items():
            values = [-1 if (v := own.get(n)) is None else int(v) for n in names]
            drawn.extras["labels"][image] = Labels(torch.tensor(values, dtype=torch.int8))
    return drawn.found(f"LabelMe: {len(plan.files)} JSON files", order, spaces)


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _listed(source: Source, plan: Plan, wanted: str) -> list[str]:
    """The names in labels.txt or flags.txt: beside the files or at the root."""
    places = dict.fromkeys([posixpath.dirname(plan.files[0]), ""]) if plan.files else {}
    for folder in places:
        path = posixpath.join(folder, wanted)
        if path in source.listing.labels:
            lines = source.content(path).decode("utf-8-sig", "replace").splitlines()
            return [n for line in lines if (n := line.strip()) and n not in _NAMELESS]
    return []


def _file(drawn: Drawn, path: str, held: Any, flags: dict[int, dict[str, bool]]) -> None:
    top = mapping(held)
    if not isinstance(top.get("shapes"), list):
        drawn.problems.append(Problem("ANN-FIELD", path, "no list of shapes", image=drawn.source.lookup.find(_stem(path)) or ""))
        return
    stated = size(top.get("imageHeight"), top.get("imageWidth"))
    given = top.get("imagePath")
    image = drawn.image(given if isinstance(given, str) else "", path, posixpath.dirname(path), stated, _stem(path))
    if image is None:
        return
    for i, shape in enumerate(top["shapes"]):
        _shape(drawn, image, mapping(shape), path, f"{path}:shapes[{i}]")
    own = {name(key): value for key, value in mapping(top.get("flags")).items() if isinstance(value, bool) and name(key)}
    if own:
        flags[image] = own


def _shape(drawn: Drawn, image: int, shape: dict[str, Any], path: str, where: str) -> None:
    label, points = name(shape.get("label")), table(shape.get("points"))
    kind = shape.get("shape_type") or "polygon"
    if not label:
        drawn.lose(image, Problem("ANN-FIELD", where, f"label = {shape.get('label')!r:.80}"))
        return
    group = shape.get("group_id") if type(shape.get("group_id")) in (int, str) else None
    marks = {key: value for key, value in mapping(shape.get("flags")).items() if isinstance(value, bool)}
    if kind == "point":
        if len(points) != 1:
            drawn.lose(image, Problem("ANN-FIELD", where, f"{len(points)} points of a point"))
            return
        drawn.point(image, label, (float(points[0, 0]), float(points[0, 1])), where, group=group, visible=1 if marks.get("hidden") else 2)
    elif kind == "polygon":
        drawn.outline(image, label, points, where, group=group, flags=marks)
    elif kind == "rectangle":
        _rectangle(drawn, image, label, points, where, {"group": group, "flags": marks})
    elif kind == "circle":
        if len(points) != 2:
            drawn.lose(image, Problem("ANN-FIELD", where, f"{len(points)} points of a circle, expected its middle and one of its rim"))
            return
        radius = float(np.hypot(*(points[1] - points[0])))
        drawn.outline(image, label, circle(float(points[0, 0]), float(points[0, 1]), radius, radius), where, group=group, flags=marks)
    elif kind == "mask":
        _mask(drawn, image, label, points, shape.get("mask"), where, {"group": group, "flags": marks})
    else:
        drawn.unread(str(kind)[:40], path)


def _rectangle(drawn: Drawn, image: int, label: str, points: np.ndarray, where: str, more: dict[str, Any]) -> None:
    """Two opposite corners, or all four."""
    if len(points) not in (2, 4):
        drawn.lose(image, Problem("ANN-FIELD", where, f"{len(points)} points of a rectangle, expected 2 corners or 4"))
        return
    drawn.box(image, label, (*points.min(0).tolist(), *points.max(0).tolist()), where, **more)


def _mask(drawn: Drawn, image: int, label: str, points: np.ndarray, coded: Any, where: str, more: dict[str, Any]) -> None:
    """A mask: its first and last pixel, both set within, and a PNG of the part between."""
    plane = drawn.sizes[image]
    if plane is None or len(points) != 2 or not np.isfinite(points).all() or np.abs(points).max() > 1e6:
        drawn.lose(image, Problem("ANN-MASK", where, "no first and last pixel of the mask" if plane else "the image's size is not known"))
        return
    (x1, y1), (x2, y2) = np.round(points).astype(int).tolist()
    try:
        part = unpacked(coded, (y2 - y1 + 1, x2 - x1 + 1))
    except ValueError as error:
        drawn.lose(image, Problem("ANN-MASK", where, str(error)[:200]))
        return
    if x1 < 0 or y1 < 0 or x2 >= plane[1] or y2 >= plane[0]:
        drawn.lose(image, Problem("ANN-MASK", where, f"pixels {x1} {y1} to {x2} {y2} of an image {plane[1]} x {plane[0]}"))
        return
    whole = np.zeros(plane, bool)
    whole[y1 : y2 + 1, x1 : x2 + 1] = part
    drawn.shapes.append(masked(image, label, where, whole, **more))


def unpacked(coded: Any, expected: tuple[int, int]) -> np.ndarray:
    """The mask (h, w) bool of a PNG in base64. Raises ValueError when it is none of the expected size."""
    from PIL import Image

    if not isinstance(coded, str) or not coded:
        raise ValueError("no mask is given")
    try:
        data = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
                if picture.size != expected[::-1]:
                    raise ValueError(f"the mask is {picture.size[0]} x {picture.size[1]}, its corners say {expected[1]} x {expected[0]}")
                return np.asarray(picture.convert("L")) > 0
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a PNG: {error}") from None
