"""One XML file of Pascal VOC as its objects, and the objects of all files as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from saccade.data.formats.objects import Objects, Share
from saccade.errors import DataError, Problem

_TRUE = {"1": True, "true": True, "0": False, "false": False}


@dataclass
class Page:
    """The objects of one image. corners: xmin ymin xmax ymax as the file says, from 1 and inclusive; size: (h, w), None when it does not say."""

    where: str
    size: tuple[int, int] | None
    names: list[str] = field(default_factory=list)
    corners: list[tuple[float, ...]] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)


def read_page(root: Element, where: str) -> Page:
    """The objects of a file. Raises DataError ANN-FIELD for one without name or box, ANN-NUMBER for a corner that is no number."""
    if root.tag != "annotation":
        raise DataError("ANN-FIELD", f"the root element is {root.tag}, expected annotation", where=where)
    page = Page(where, _size(root.find("size")))
    for number, element in enumerate(root.findall("object")):
        inner = {part.tag: part for part in element}
        texts = {tag: part.text.strip() for tag, part in inner.items() if part.text}
        name, box = texts.get("name"), inner.get("bndbox")
        if not name or box is None:
            raise DataError("ANN-FIELD", f"an object without {'name' if not name else 'bndbox'}", where=f"{where}:object[{number}]")
        given = {corner.tag: corner.text or "" for corner in box}
        try:
            corners = (float(given["xmin"]), float(given["ymin"]), float(given["xmax"]), float(given["ymax"]))
        except KeyError as error:
            raise DataError("ANN-FIELD", f"a box without {error.args[0]}", where=f"{where}:object[{number}]") from error
        except ValueError as error:
            raise DataError("ANN-NUMBER", " ".join(given.values())[:80], where=f"{where}:object[{number}]") from error
        page.names.append(name)
        page.corners.append(corners)
        page.difficult.append(texts.get("difficult", "").lower() in ("1", "true"))
        page.attributes.append(_attributes(texts, inner.get("attributes")))
    return page


def _size(element: Element | None) -> tuple[int, int] | None:
    """(h, w), None where it is missing, zero or no whole number."""
    given = [(element.findtext(side) or "").strip() if element is not None else "" for side in ("height", "width")]
    if all(side.isdecimal() and 0 < int(side[:9]) <= 1_000_000 for side in given):
        return int(given[0]), int(given[1])
    return None


def _attributes(texts: Mapping[str, str], more: Element | None) -> dict[str, Any]:
    """truncated, occluded and pose where they are given, and the attributes that CVAT writes."""
    found: dict[str, Any] = {name: _TRUE.get(texts[name].lower(), texts[name]) for name in ("truncated", "occluded") if texts.get(name)}
    pose = texts.get("pose")
    if pose and pose.lower() != "unspecified":
        found["pose"] = pose
    for attribute in more.findall("attribute") if more is not None else ():
        name, value = (attribute.findtext("name") or "").strip(), (attribute.findtext("value") or "").strip()
        if name:
            found[name] = {"true": True, "false": False}.get(value.lower(), value)
    return found


def columns(
    pages: Sequence[Page | None],
    images: Sequence[str],
    sizes: Sequence[tuple[int, int] | None],
    names: Sequence[str],
    listed: str,
    problems: list[Problem],
) -> list[Share | None]:
    """The objects of each image, checked; pages without a file are images without objects. listed: the file that lists the classes.

    Codes: ANN-CLASS for a class that it does not list, ANN-ORIGIN when corners are counted from 0, and those of `Objects.finish`.
    """
    objects, index, first = Objects(), {name: i for i, name in enumerate(names)}, _first_pixel(pages, problems)
    where: list[tuple[str, int]] = []
    lost = set()
    plain = not any(attributes for page in pages if page is not None for attributes in page.attributes)
    image, label, xyxy, difficult, attributes = [], [], [], [], []
    for i, page in enumerate(pages):
        for number, name in enumerate(page.names if page is not None else ()):
            assert page is not None
            if name not in index:
                problems.append(Problem("ANN-CLASS", f"{page.where}:object[{number}]", f"{name} is not in {listed}", image=images[i]))
                lost.add(i)
                continue
            x1, y1, x2, y2 = page.corners[number]
            image.append(i)
            label.append(index[name])
            xyxy.append((x1 - first, y1 - first, x2, y2))
            where.append((page.where, number))
            difficult.append(page.difficult[number])
            if not plain:
                attributes.append(page.attributes[number])
    objects.image, objects.label, objects.xyxy, objects.attributes = image, label, xyxy, attributes  # type: ignore[assignment]
    objects.difficult = difficult if any(difficult) else []
    objects.where = lambda row: f"{where[row][0]}:object[{where[row][1]}]"
    shares = objects.finish(images, sizes, problems)
    return [None if i in lost else share for i, share in enumerate(shares)]


def _first_pixel(pages: Sequence[Page | None], problems: list[Problem]) -> int:
    """What the files call the first pixel: 1, but 0 where more boxes begin at 0 than at 1; corners are then positions between pixels."""
    starts = [(start, page.where) for page in pages if page is not None for corners in page.corners for start in corners[:2] if start in (0, 1)]
    zeros = [where for start, where in starts if start == 0]
    if 2 * len(zeros) <= len(starts):
        return 1
    problems.append(Problem("ANN-ORIGIN", zeros[0], f"{len(zeros):,} sides begin at 0, {len(starts) - len(zeros):,} at 1"))
    return 0
