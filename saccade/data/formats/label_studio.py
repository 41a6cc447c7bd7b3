"""Label Studio's JSON export: a list of tasks, each an image with the results of its annotators, in percent of the image's sides.

Read: rectanglelabels (a turned one becomes its outline), polygonlabels, ellipselabels, brushlabels, keypointlabels, choices, textarea, number
and rating, and the regions of the short export (JSON_MIN). Of several annotators the first whose work was not cancelled counts; predictions
are left out. A key point whose `parentID` is an object belongs to it, a polygon whose `parentID` is one of its class is a part of that. Several
choices for one image, or a control of the name `labels`, make labels, else choices are the class of the image. A text of a region is its
caption, any other text one of the image. A labelling configuration beside the export (XML, `<View>`) gives the order of the names.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import torch

from saccade.core import LabelSpace
from saccade.data.formats.drawn import Drawn, circle, masked
from saccade.data.formats.label_studio_rle import decode
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.strict_json import parse
from saccade.data.formats.strict_xml import parse as parse_xml
from saccade.data.formats.values import items, mapping, name, number, size, table
from saccade.errors import Problem
from saccade.targets import Caption, Label, Labels, Number, RegionCaptions

_SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint")
_SHORT = tuple(f'"{kind}labels"'.encode() for kind in _SHAPES)
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what an upload puts before a file's name
_SIMPLE = {"choices": "choices", "textarea": "text", "number": "number", "rating": "rating"}


class Plan(NamedTuple):
    """The exports, and the labelling configurations beside them."""

    files: list[str]
    configurations: list[str]


def detect(source: Source) -> Plan | None:
    """JSON files that begin with a list of tasks or of their regions."""
    files = [path for path in source.labels(".json") if _looks(source.head(path))]
    if not files:
        return None
    return Plan(files, [path for path in source.listing.labels if path.lower().endswith(".xml") and b"<View" in source.head(path, 1024)])


def _looks(head: bytes) -> bool:
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return False
    return b'"result"' in head or any(key in head for key in _SHORT) or (b'"data"' in head and b'"annotations"' in head)


class _Whole:
    """What is said of whole images and regions, until all is read."""

    def __init__(self) -> None:
        self.choices: dict[int, list[str]] = {}
        self.several = False
        self.regions: dict[int, list[tuple[tuple[float, ...], str]]] = defaultdict(list)
        self.predicted: Counter[str] = Counter()
        self.annotated: Counter[str] = Counter()


def load(source: Source, plan: Plan) -> Found:
    """A record for each task whose image is there; tasks that nobody has labelled have no truth."""
    drawn, whole = Drawn(source), _Whole()
    for path in plan.files:
        for i, task in enumerate(items(parse(source.content(path), path))):
            _task(drawn, whole, mapping(task), path, f"{path}:tasks[{i}]")
    drawn.problems += [Problem("ANN-PREDICTED", path, f"{n} predictions") for path, n in whole.predicted.items() if n]
    drawn.problems += [Problem("ANN-ANNOTATORS", path, f"{n} images") for path, n in whole.annotated.items() if n]
    shapes, dots, choices = _configured(source, plan)
    return drawn.found(f"Label Studio: {', '.join(plan.files[:3])}", shapes, _whole_spaces(drawn, whole, choices), dot_order=dots)


def _configured(source: Source, plan: Plan) -> tuple[list[str], list[str], list[str]]:
    """The names of the labelling configurations, in order: of shapes, of points, of choices."""
    names: tuple[list[str], list[str], list[str]] = [], [], []
    for path in plan.configurations:
        for control in parse_xml(source.content(path), path).iter():
            kind = 2 if control.tag == "Choices" else 1 if control.tag == "KeyPointLabels" else 0
            if control.tag == "Choices" or control.tag.endswith("Labels"):
                names[kind].extend(n for tag in control.iter() if tag.tag in ("Label", "Choice") and (n := (tag.get("value") or "").strip()))
    return names


def _whole_spaces(drawn: Drawn, whole: _Whole, order: list[str]) -> dict[str, LabelSpace]:
    spaces = {head: LabelSpace(()) for head in drawn.extras}
    if whole.choices:
        used = {choice for own in whole.choices.values() for choice in own}
        names = (*dict.fromkeys(order), *sorted(used - set(order), key=natural))
        several = whole.several or any(len(own) > 1 for own in whole.choices.values())
        spaces["labels" if several else "label"] = LabelSpace(names)
        for image, own in whole.choices.items():
            if several:
                drawn.extras["labels"][image] = Labels(torch.tensor([n in own for n in names], dtype=torch.int8))
            elif own:
                drawn.extras["label"][image] = Label(names.index(own[0]))
    if whole.regions:
        spaces["regions"] = LabelSpace(())
        for image in range(len(drawn.ids)):
            rows = whole.regions[image]
            boxes = torch.tensor([box for box, _ in rows], dtype=torch.float64).reshape(-1, 4)
            drawn.extras["regions"][image] = RegionCaptions(boxes, tuple(text for _, text in rows))
    return spaces


def _task(drawn: Drawn, whole: _Whole, task: dict[str, Any], path: str, where: str) -> None:
    results, labelled = _results(task, whole, path)
    stated = next((s for r in results if (s := size(r.get("original_height"), r.get("original_width")))), None)
    image = _image(drawn, task, path, where, stated)
    if image is None:
        return
    if not labelled:
        drawn.unlabelled.add(image)
    if image in drawn.unlabelled or not results:
        return
    by_id = {r["id"]: r for r in results if isinstance(r.get("id"), str)}
    named = {r["id"]: _names(r, "labels") for r in results if r.get("type") == "labels" and isinstance(r.get("id"), str)}
    for i, result in enumerate(results):
        _result(drawn, whole, image, result, (by_id, named), path, f"{where}.result[{i}]")


def _results(task: dict[str, Any], whole: _Whole, path: str) -> tuple[list[dict[str, Any]], bool]:
    """The results that count, and whether anybody has labelled the task."""
    whole.predicted[path] += len(items(task.get("predictions")))
    given = task.get("annotations", task.get("completions"))
    if isinstance(given, list):
        done = [a for a in map(mapping, given) if not a.get("was_cancelled") and isinstance(a.get("result"), list)]
        whole.annotated[path] += len(done) > 1
        return ([mapping(r) for r in done[0]["result"]], True) if done else ([], False)
    found = [
        {"type": kind, "value": region, **{key: region.get(key) for key in ("original_width", "original_height")}}
        for regions in task.values()
        for region in map(mapping, items(regions))
        for kind in (f"{shape}labels" for shape in _SHAPES)
        if kind in region
    ]
    return found, bool(found)


def _image(drawn: Drawn, task: dict[str, Any], path: str, where: str, stated: tuple[int, int] | None) -> int | None:
    data = mapping(task["data"]) if "data" in task else task
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    given = [texts.pop("image")] if "image" in texts else []
    given += [value for value in texts.values() if "/" in value or "." in value]
    ways = [way for value in given for way in _ways(value)]
    if not ways:
        drawn.problems.append(Problem("ANN-FIELD", where, "no image in the task's data"))
        return None
    return drawn.image(ways[0], where, posixpath.dirname(path), stated, *ways[1:])


def _ways(value: str) -> list[str]:
    """The paths that a task may mean by a link: that of a local file, the path of an address, its name without what an upload puts before it."""
    try:
        parts = urlsplit(value.strip())
        local = parse_qs(parts.query).get("d", [""])[0]
        path = unquote(parts.path if parts.scheme or parts.query or parts.path.startswith("/") else value.strip()).lstrip("/")
    except ValueError:
        return [value.strip()]
    last = posixpath.basename(path.replace("\\", "/"))
    return [way for way in dict.fromkeys((local, path, last, _UPLOAD.sub("", last))) if way]


def _names(result: Mapping[str, Any], kind: str) -> list[str]:
    return [n for given in items(mapping(result.get("value")).get(kind)) if (n := name(given))]


def _result(drawn: Drawn, whole: _Whole, image: int, result: dict[str, Any], ids: tuple[dict[str, Any], dict[str, list[str]]], path: str, where: str) -> None:
    kind, value = str(result.get("type")), mapping(result.get("value"))
    shape = kind.removesuffix("labels")
    if kind in _SIMPLE:
        _said(drawn, whole, image, kind, result, value, where)
    elif shape in _SHAPES:
        own_id = result.get("id") if isinstance(result.get("id"), str) else None
        names = _names(result, kind) or ids[1].get(own_id or "", [])
        if not names:
            drawn.unread(f"{kind} without a label", path)
        for each in names:
            _shape(drawn, image, shape, each, result, ids[0], where)
    elif kind != "labels":
        drawn.unread(kind[:40], path)


def _said(drawn: Drawn, whole: _Whole, image: int, kind: str, result: Mapping[str, Any], value: dict[str, Any], where: str) -> None:
    """Choices, texts and numbers."""
    held = value.get(_SIMPLE[kind])
    texts = [text for text in (items(held) or [held]) if isinstance(text, str)]
    if kind == "choices":
        whole.several |= result.get("from_name") == "labels"
        whole.choices.setdefault(image, []).extend(n for text in texts if (n := name(text)) and n not in whole.choices[image])
    elif kind == "textarea" and "width" in value:
        if (box := _box(drawn, image, value, where)) is not None:
            whole.regions[image] += [(box, text) for text in texts]
    elif kind == "textarea":
        before = drawn.extras["caption"].get(image)
        drawn.extras["caption"][image] = Caption((*(before.texts if before else ()), *texts))
    elif (value_given := number(held)) == value_given:
        drawn.extras["number"][image] = Number(value_given)
    else:
        drawn.lose(image, Problem("ANN-NUMBER", where, f"{held!r:.80}"))


def _plane(drawn: Drawn, image: int, where: str) -> tuple[float, float] | None:
    """(w, h) of the image divided by 100."""
    plane = drawn.sizes[image]
    if plane is None:
        drawn.lose(image, Problem("ANN-FIELD", where, "no original_width and original_height, and the image cannot be read"))
        return None
    return plane[1] / 100, plane[0] / 100


def _box(drawn: Drawn, image: int, value: dict[str, Any], where: str) -> tuple[float, ...] | None:
    if (plane := _plane(drawn, image, where)) is None:
        return None
    x, y, w, h = (number(value.get(key)) * plane[i % 2] for i, key in enumerate(("x", "y", "width", "height")))
    if not np.isfinite([x, y, w, h]).all():
        drawn.lose(image, Problem("ANN-NUMBER", where, f"x y width height = {x:g} {y:g} {w:g} {h:g}"))
        return None
    return x, y, x + w, y + h


def _shape(drawn: Drawn, image: int, shape: str, label: str, result: dict[str, Any], by_id: dict[str, Any], where: str) -> None:
    value, flags = mapping(result.get("value")), dict(mapping(mapping(result.get("meta")).get("attributes")))
    own, parent = result.get("id") or where, result.get("parentID") if isinstance(result.get("parentID"), str) else None
    more: dict[str, Any] = {"group": own, "flags": flags}
    if (plane := _plane(drawn, image, where)) is None:
        return
    x, y, turn = number(value.get("x")) * plane[0], number(value.get("y")) * plane[1], number(value.get("rotation", 0))
    if shape == "keypoint":
        drawn.point(image, label, (x, y), where, group=parent, visible=1 if flags.get("hidden") else 2)
    elif shape == "polygon":
        above = mapping(by_id.get(parent or ""))
        if above.get("type") == result.get("type") and label in _names(above, str(above.get("type"))):
            more["group"] = parent
        drawn.outline(image, label, table(value.get("points")) * plane, where, **more)
    elif shape == "ellipse":
        rx, ry = number(value.get("radiusX")) * plane[0], number(value.get("radiusY")) * plane[1]
        drawn.outline(image, label, circle(x, y, rx, ry, turn), where, **more)
    elif shape == "brush":
        _brush(drawn, image, label, value, where, more)
    elif (box := _box(drawn, image, value, where)) is not None:
        if turn == 0:
            drawn.box(image, label, box, where, **more)
        else:
            drawn.outline(image, label, _turned(box, turn), where, **more)


def _turned(box: tuple[float, ...], degrees: float) -> np.ndarray:
    """The corners of a rectangle turned clockwise, as seen, about its upper left corner: (4, 2)."""
    x1, y1, x2, y2 = box
    angle = np.deg2rad(degrees)
    along, down = np.array([np.cos(angle), np.sin(angle)]) * (x2 - x1), np.array([-np.sin(angle), np.cos(angle)]) * (y2 - y1)
    first = np.array([x1, y1])
    return np.stack([first, first + along, first + along + down, first + down])


def _brush(drawn: Drawn, image: int, label: str, value: dict[str, Any], where: str, more: dict[str, Any]) -> None:
    plane = drawn.sizes[image]
    assert plane is not None  # _plane has seen to it
    try:
        if value.get("format", "rle") != "rle":
            raise ValueError(f"format = {value.get('format')!r:.80}, expected rle")
        mask = decode(value.get("rle"), plane)
    except ValueError as error:
        drawn.lose(image, Problem("ANN-MASK", where, str(error)[:200]))
        return
    drawn.shapes.append(masked(image, label, where, mask, **more))
