"""What a CVAT file says of its labels: their names in order, skeletons and their points, the kinds of attributes; and values by kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from saccade.data.formats.beside import check_names

_LINE = re.compile(r"""<line\b[^>]*>""")
_NODE = re.compile(r"""data-node-(from|to)\s*=\s*["'](\d{1,5})["']""")
FLAGS = {"crowd": "crowd", "is_crowd": "crowd", "iscrowd": "crowd", "difficult": "difficult"}


@dataclass
class Labels:
    """names: of objects and tags, in order. tags: those that are said to be tags. joints: of skeletons, each once, in order; lines: pairs of
    joints. kinds: (label, attribute) -> input type."""

    names: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    joints: list[str] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    kinds: dict[tuple[str, str], str] = field(default_factory=dict)
    size: tuple[int, int] | None = None  # (h, w) of a video's frames


def read_meta(meta: Iterable[Element], where: str) -> Labels:
    """The labels of a file's `meta`. Raises DataError ANN-CLASS for one that is listed twice."""
    labels = Labels()
    for part in meta:
        for listed in part.iter("labels"):
            own: dict[str, list[str]] = {}
            drawings: list[tuple[str, str]] = []
            for label in listed.findall("label"):
                name, parent = (label.findtext("name") or "").strip(), (label.findtext("parent") or "").strip()
                if parent:
                    own.setdefault(parent, []).append(name)
                    continue
                labels.names.append(name)
                labels.tags += [name] if (label.findtext("type") or "").strip() == "tag" else []
                drawings.append((name, label.findtext("svg") or ""))
                for attribute in label.iterfind("attributes/attribute"):
                    labels.kinds[name, (attribute.findtext("name") or "").strip()] = (attribute.findtext("input_type") or "").strip()
            for joints in own.values():
                labels.joints += [joint for joint in joints if joint not in labels.joints]
            for name, svg in drawings:
                labels.lines += [line for line in _lines(svg, own.get(name, ()), labels.joints) if line not in labels.lines]
        for side in part.iter("original_size"):
            given = [(side.findtext(axis) or "").strip() for axis in ("height", "width")]
            labels.size = (int(given[0]), int(given[1])) if all(text.isdecimal() and 0 < int(text[:8]) for text in given) else None
    check_names(labels.names, where)
    return labels


def _lines(svg: str, joints: Iterable[str], known: list[str]) -> list[tuple[int, int]]:
    """The lines of a skeleton's drawing, between joints numbered from 1 in their order."""
    own, found = list(joints), []
    for line in _LINE.findall(svg):
        ends = dict(_NODE.findall(line))
        numbers = [int(ends.get(end, 0)) - 1 for end in ("from", "to")]
        if all(0 <= n < len(own) for n in numbers):
            found.append((known.index(own[numbers[0]]), known.index(own[numbers[1]])))
    return found


def drawing(joints: int, lines: Iterable[tuple[int, int]]) -> str:
    """A skeleton's drawing: the joints on a grid, a line for each pair."""
    place = [(10 + 20 * (k % 5), 10 + 20 * (k // 5)) for k in range(joints)]
    parts = [
        f'<line x1="{place[a][0]}" y1="{place[a][1]}" x2="{place[b][0]}" y2="{place[b][1]}" stroke="black" data-type="edge" '
        f'data-node-from="{a + 1}" stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in lines
    ]
    parts += [
        f'<circle r="1.5" cx="{x}" cy="{y}" data-type="element node" data-element-id="{k + 1}" data-node-id="{k + 1}"></circle>'
        for k, (x, y) in enumerate(place)
    ]
    return "".join(parts)


def attributes_of(shape: Element, label: str, labels: Labels) -> tuple[dict[str, Any], dict[str, bool]]:
    """The attributes of a shape, as the kinds of their values say, and its flags crowd and difficult. `occluded` is there when it is true."""
    found: dict[str, Any] = {"occluded": True} if shape.get("occluded") == "1" else {}
    flags: dict[str, bool] = {}
    for attribute in shape.findall("attribute"):
        name = (attribute.get("name") or "").strip()
        value = _value((attribute.text or "").strip(), labels.kinds.get((label, name), ""))
        if name in FLAGS and (value is True or value in ("1", 1, "true", "True")):
            flags[FLAGS[name]] = True
        elif name and name not in FLAGS:
            found[name] = value
    return found, flags


def _value(text: str, kind: str) -> Any:
    if kind == "checkbox" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "number":
        try:
            return int(text) if text.lstrip("-").isdecimal() and len(text) < 16 else float(text)
        except ValueError:
            return text
    return text


def kind_of(values: Iterable[Any]) -> str:
    """The input type that holds these values of an attribute."""
    types = {type(value) for value in values}
    return "checkbox" if types == {bool} else "number" if types and types <= {int, float} else "text"
