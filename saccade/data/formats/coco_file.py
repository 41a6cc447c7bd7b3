"""One file in COCO's JSON: its images, categories and annotations as columns, each entry checked.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", 2014, and the format described at cocodataset.org.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from saccade.data.formats.coco_plain import PlainRows, split_annotations
from saccade.data.formats.source import SPLITS
from saccade.data.formats.strict_json import parse
from saccade.data.formats.values import name as name_of
from saccade.errors import DataError, Problem

Kind = Literal["instances", "keypoints", "stuff", "labels", "captions", "panoptic", "images"]
Size = tuple[int, int]
LARGEST_SIDE = 1_000_000
UNKNOWN, LOST = -1, -2

_WORD = re.compile(r"[a-z]+")
_TAIL = re.compile(r"[\d_.\- ]+$")


class Category(NamedTuple):
    """One class of the file. keypoints: names of its key points. skeleton: as the file has it, pairs of numbers. thing: no stuff (panoptic)."""

    id: int | str
    name: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    thing: bool = True


@dataclass
class CocoFile:
    """What one file says. `ids`, `names` and `sizes` (h, w) are of the images that can be used, `rows` their places in the file."""

    path: str
    kind: Kind = "instances"
    split: str | None = None
    ids: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: list[Size | None] = field(default_factory=list)
    rows: Sequence[int] = ()
    lost: set[Any] = field(default_factory=set)  # ids of images that cannot be used, whose annotations are not asked for
    annotations: Sequence[dict[str, Any]] = ()
    places: Sequence[int] = ()  # of the annotations in the file
    categories: list[Category] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    numbers: dict[Any, int] = field(default_factory=dict)  # image id -> its number in the gallery, LOST for one that cannot be used
    masks: set[str] = field(default_factory=set)  # the pictures of panoptic segments

    def where(self, row: int) -> str:
        """The place of an annotation, for people."""
        return f"{self.path}:annotations[{self.places[row]}]"


def read_file(path: str, content: bytes) -> CocoFile:
    """Raises DataError ANN-JSON, ANN-COCO when the file is no COCO file, ANN-CLASS when two categories have the same id or name."""
    plain = split_annotations(content, path)
    root = plain[0] if plain is not None else parse(content, path)
    if not isinstance(root, dict):
        raise DataError("ANN-COCO", f"the file is {shown(root)}, expected an object with images and annotations", where=path)
    file = CocoFile(path, split=split_of(path))
    entries, rows = _objects(root, "images", file)
    file.annotations, file.places = _objects(root, "annotations", file) if plain is None else (plain[1], range(len(plain[1])))
    file.categories = _categories(root, file)
    file.kind = _kind(file)
    _images(entries, rows, file)
    return file


def shown(value: Any) -> str:
    """A value of the wrong kind, in a few words."""
    if isinstance(value, dict | list):
        return ("an object" if isinstance(value, dict) else "a list") + f" of {len(value)}"
    return "missing" if value is None else repr(value)[:60]


def column(rows: Sequence[dict[str, Any]], key: str, default: Any = None) -> list[Any]:
    """One field of every row, `default` where it is missing."""
    if isinstance(rows, PlainRows):
        return rows.column(key, default)
    try:
        return list(map(itemgetter(key), rows))
    except KeyError:
        return [row.get(key, default) for row in rows]


def split_of(path: str) -> str | None:
    """The split that a file's name says, else the nearest of its folders.

    >>> split_of("annotations/instances_val2017.json"), split_of("train/_annotations.coco.json"), split_of("a/b.json")
    ('val', 'train', None)
    """
    *folders, name = path.split("/")
    word = next((word for word in _WORD.findall(name.lower()) if word in SPLITS), None)
    return SPLITS[word] if word else folder_split("/".join(folders))


def folder_split(folder: str) -> str | None:
    """The split that the last of nested folders says: train2017 is train."""
    return next((SPLITS[name] for part in reversed(folder.split("/")) if (name := _TAIL.sub("", part.lower())) in SPLITS), None)


def _objects(root: dict[str, Any], key: str, file: CocoFile) -> tuple[list[dict[str, Any]], Sequence[int]]:
    """A list of objects and their places; what is no object is told and left out."""
    held = root.get(key, [] if key != "images" else None)
    if not isinstance(held, list):
        raise DataError("ANN-COCO", f"{key} is {shown(held)}, expected a list", where=file.path)
    if set(map(type, held)) <= {dict}:
        return held, range(len(held))
    sound = [i for i, entry in enumerate(held) if type(entry) is dict]
    for i, entry in enumerate(held):
        if type(entry) is not dict:
            file.problems.append(Problem("ANN-FIELD", f"{file.path}:{key}[{i}]", f"{shown(entry)}, expected an object"))
    return [held[i] for i in sound], sound


def _categories(root: dict[str, Any], file: CocoFile) -> list[Category]:
    """The classes by ascending id."""
    held = root.get("categories") or []
    if not isinstance(held, list):
        raise DataError("ANN-COCO", f"categories is {shown(held)}, expected a list", where=file.path)
    found: list[Category] = []
    for i, entry in enumerate(held):
        where = f"{file.path}:categories[{i}]"
        if not isinstance(entry, dict) or type(entry.get("id")) not in (int, str) or not name_of(entry.get("name")):
            raise DataError("ANN-COCO", f"{str(entry)[:80]}, expected an object with id and name", where=where)
        category = Category(entry["id"], name_of(entry["name"]), *_points(entry, where, file), entry.get("isthing") not in (0, False))
        before = next((c for c in found if c.id == category.id or c.name == category.name), None)
        if before is not None:
            what = f"the name {category.name} of" if before.name == category.name else "the id of"
            raise DataError("ANN-CLASS", f"{what} category {category.id} ({category.name}) is also that of {before.id} ({before.name})", where=where)
        found.append(category)
    return sorted(found, key=lambda c: (isinstance(c.id, str), c.id))


def _points(entry: dict[str, Any], where: str, file: CocoFile) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """The names of a category's key points, and the pairs that a line joins, counted from 0."""
    held, lines = entry.get("keypoints") or [], entry.get("skeleton") or []
    names = tuple(name_of(name) for name in held) if isinstance(held, list) else ("",)
    if "" in names or len(set(names)) != len(names):
        raise DataError("ANN-COCO", f"keypoints {str(held)[:80]}, expected a list of different names", where=where)
    pairs = [tuple(line) for line in lines if isinstance(line, list) and len(line) == 2 and {type(v) for v in line} == {int}] if isinstance(lines, list) else []
    first = 0 if any(0 in pair for pair in pairs) else 1
    inside = [(a - first, b - first) for a, b in pairs if min(a, b) >= first and (not names or max(a, b) - first < len(names))]
    if not isinstance(lines, list) or len(inside) != len(lines):
        file.problems.append(Problem("ANN-IGNORED", where, f"lines of the skeleton that join no two of the {len(names)} key points"))
    return names, tuple(inside)


def _kind(file: CocoFile) -> Kind:
    """What the annotations are, by a sample of them; by the file's name where there are none."""
    rows = file.annotations
    sample = rows[:: max(1, len(rows) // 500)]
    keys = {key for row in sample for key, value in row.items() if key in ("bbox", "segmentation") or value not in (None, [], {})}
    name = file.path.rpartition("/")[2].lower()
    if "segments_info" in keys or (not rows and "panoptic" in name):
        return "panoptic"
    if ("caption" in keys and "bbox" not in keys) or (not rows and "caption" in name):
        return "captions"
    if "keypoints" in keys or (not rows and "keypoint" in name):
        return "keypoints"
    if rows and "category_id" in keys and not keys & {"bbox", "segmentation"}:
        return "labels"
    if not rows and not file.categories:
        return "images"
    return "stuff" if "stuff" in name else ("images" if not rows and "image_info" in name else "instances")


def _images(entries: list[dict[str, Any]], rows: Sequence[int], file: CocoFile) -> None:
    """The image entries that can be used."""
    ids, names = column(entries, "id"), column(entries, "file_name")
    if not (set(map(type, ids)) <= {int} or set(map(type, ids)) <= {str}) or not set(map(type, names)) <= {str}:
        sound = []
        for place, (row, own, name) in enumerate(zip(rows, ids, names, strict=True)):
            wrong = f"id is {shown(own)}" if type(own) not in (int, str) else ("" if type(name) is str else f"file_name is {shown(name)}")
            if wrong:
                file.problems.append(Problem("ANN-FIELD", f"{file.path}:images[{row}]", wrong, image=name if isinstance(name, str) else ""))
                file.lost |= {own} if type(own) in (int, str) else set()
            else:
                sound.append(place)
        entries, rows, ids, names = _at(entries, sound), _at(rows, sound), _at(ids, sound), _at(names, sound)
    if len(set(ids)) != len(ids):
        sound = _single(ids, names, rows, file)
        entries, rows, ids, names = _at(entries, sound), _at(rows, sound), _at(ids, sound), _at(names, sound)
    heights, widths = column(entries, "height"), column(entries, "width")
    whole = entries and set(map(type, heights)) == set(map(type, widths)) == {int}
    if whole and min(min(heights), min(widths)) >= 1 and max(max(heights), max(widths)) <= LARGEST_SIDE:
        file.sizes = list(zip(heights, widths, strict=True))
    else:
        sound = _sizes(heights, widths, rows, names, file)
        file.lost |= set(ids) - {ids[i] for i in sound}
        rows, ids, names = _at(rows, sound), _at(ids, sound), _at(names, sound)
    file.ids, file.names, file.rows = ids, names, rows


def _at(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    return [values[i] for i in places]


def _single(ids: list[Any], names: list[str], rows: Sequence[int], file: CocoFile) -> list[int]:
    """The places of entries whose id means one image; the same entry twice is used once, an id of two images means none."""
    members: dict[Any, list[int]] = defaultdict(list)
    for place, own in enumerate(ids):
        members[own].append(place)
    sound = []
    for own, places in members.items():
        if len({names[i] for i in places}) == 1:
            sound.append(places[0])
            code = "ANN-DUP"
        else:
            file.lost.add(own)
            code = "ANN-ID"
        for i in places[1:] if code == "ANN-DUP" else places:
            other = rows[places[0] if i != places[0] else places[1]]
            file.problems.append(Problem(code, f"{file.path}:images[{rows[i]}]", f"the id {own} is also that of images[{other}]", image=names[i]))
    return sorted(sound)


def _sizes(heights: list[Any], widths: list[Any], rows: Sequence[int], names: list[str], file: CocoFile) -> list[int]:
    """Sets `file.sizes`, None where both sides are missing; the places of the entries that can be used."""
    sound = []
    for i, sides in enumerate(zip(heights, widths, strict=True)):
        if sides == (None, None):
            file.sizes.append(None)
        elif all(type(side) in (int, float) and 1 <= side <= LARGEST_SIDE and side == int(side) for side in sides):
            file.sizes.append((int(sides[0]), int(sides[1])))
        else:
            got = f"height is {shown(sides[0])}, width is {shown(sides[1])}, expected whole numbers from 1 to {LARGEST_SIDE:,}"
            file.problems.append(Problem("ANN-FIELD", f"{file.path}:images[{rows[i]}]", got, image=names[i]))
            continue
        sound.append(i)
    return sound
