"""Scene graphs, captions of regions and captions of images as JSON lines, a line an image; and Visual Genome's lists of the same.

| line | head |
|---|---|
| `{"image": "a.png", "objects": [{"name": "dog", "bbox": [x, y, w, h], "attributes": ["brown"]}], "relations": [[0, "left of", 1]]}` | graph, boxes |
| `{"image": "a.png", "regions": [{"bbox": [x, y, w, h], "text": "a brown dog"}]}` | regions |
| `{"image": "a.png", "caption": "a dog"}` (or `captions`: a list; `file_name` and `text`, as in metadata.jsonl) | caption |

Relations are rows of the objects; they may be objects with `subject`, `predicate`, `object`. Visual Genome (Krishna et al., IJCV 2017)
gives `image_id`, numbers `object_id`, `names`, x y w h or x y width height, `relationships` by numbers, and `phrase` for the text. Lines
that name no image (NLVR's dev.json: a sentence, whether it is true, and no file name) are no lines of this layout. A first line
`{"classes": {"names": [...], "relations": [...]}}` gives the names in order; else they are in natural order.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from saccade.core import LabelSpace, Record
from saccade.data.formats.objects import Objects
from saccade.data.formats.sequences_lines import SUFFIXES, Line, files_with, group_of_line, header_of, read_lines, split_of_line
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.strict_json import parse
from saccade.data.formats.values import items, mapping, name, number
from saccade.errors import DataError, Problem
from saccade.targets import Caption, RegionCaptions, SceneGraph

IMAGE = ("image", "file_name", "filename", "image_path", "path", "file", "image_id", "id")
_KEYS = ("objects", "regions", "caption", "captions", "text")


def detect(source: Source) -> list[str] | None:
    """The files of JSON lines about images, and Visual Genome's lists."""
    found = files_with(source, *_KEYS)
    found = [each for each in found if any(key in source.head(each, 1 << 16) for key in (b'"image', b'"file', b'"path'))]
    for each in source.labels(".json"):
        head = source.head(each, 1 << 14)
        if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"[") and (b'"relationships"' in head or (b'"phrase"' in head and b'"regions"' in head)):
            found.append(each)
    return found or None


@dataclass
class _Image:
    """What the lines say of one image, before the classes are known."""

    where: str
    split: str | None
    group: str | None
    objects: list[tuple[str, list[float], tuple[str, ...]]] | None = None  # class, x1 y1 x2 y2, attributes
    relations: list[tuple[int, str, int]] = field(default_factory=list)
    regions: list[tuple[str, list[float]]] | None = None
    texts: list[str] | None = None


def load(source: Source, plan: list[str]) -> Found:
    """A record for each image named. Raises DataError ANN-JSON, ANN-UNREADABLE."""
    images: dict[str, _Image] = {}
    problems: list[Problem] = []
    listed: dict[str, list[str]] = {}
    lost: set[str] = set()
    for file in plan:
        for line in _lines(source, file, problems):
            if (header := header_of(line.content, line.where)) is not None:
                listed |= header
                continue
            image = _image(source, file, line, problems)
            if image is None:
                continue
            try:
                _add(line, file, images.get(image), image, images)
            except DataError as error:
                problems.append(Problem(error.code, line.where, error.got, image=image))
                lost.add(image)
    names = sorted(images, key=natural)
    targets: dict[str, dict[str, Any]] = {image: {} for image in names}
    spaces = _graphs(source, images, names, listed, targets, problems, lost)
    spaces |= _regions(source, images, names, targets, problems, lost)
    if any(images[image].texts is not None for image in names):
        spaces["caption"] = LabelSpace(())
        for image in names:
            texts = images[image].texts
            targets[image]["caption"] = Caption(tuple(texts)) if texts else None
    records = [Record(i, source.root / i, targets=targets[i], split=images[i].split, group=images[i].group) for i in names if i not in lost]
    unlisted = sum(path not in images for path in source.listing.files)
    if unlisted:
        problems.append(Problem("ANN-UNLISTED", plan[0], f"{unlisted} of {len(source.listing.files)} images"))
    reason = f"{', '.join(plan[:3])}{' and more' if len(plan) > 3 else ''}: {', '.join(spaces)} of {len(records):,} images"
    return Found(records, spaces, reason, problems + source.listing.problems)


def _lines(source: Source, file: str, problems: list[Problem]) -> Iterator[Line]:
    if file.lower().endswith(SUFFIXES):
        yield from read_lines(source, file, problems)
        return
    for place, content in enumerate(items(parse(source.content(file), file))):
        if isinstance(content, dict):
            yield Line(f"{file}:[{place}]", content)


def _image(source: Source, file: str, line: Line, problems: list[Problem]) -> str | None:
    """The image of a line, None with a problem when there is none."""
    said = next((value for key in IMAGE if (value := name(line.content.get(key)))), "")
    if not said:
        problems.append(Problem("ANN-FIELD", line.where, "no image is named"))
        return None
    found = source.lookup.find(said, posixpath.dirname(file))
    if found is None:
        problems.append(source.lookup.missing(said, line.where))
    return found


def _add(line: Line, file: str, before: _Image | None, image: str, images: dict[str, _Image]) -> None:
    """One line about an image. Raises DataError ANN-FIELD, ANN-SPLIT, ANN-CONFLICT."""
    content = line.content
    row = before or _Image(line.where, split_of_line(content, file), group_of_line(content))
    objects = content.get("objects")
    if isinstance(objects, list):
        if row.objects is not None:
            raise DataError("ANN-CONFLICT", f"the objects of {image} are in {row.where} too")
        row.objects, places = _objects(objects)
        row.relations = _relations(content.get("relations", content.get("relationships", [])), places, len(objects))
    if isinstance(content.get("regions"), list):
        row.regions = (row.regions or []) + [_region(region) for region in content["regions"]]
    texts = content.get("captions", content.get("caption", content.get("text", content.get("sentence"))))
    if texts is not None and not (isinstance(objects, list) or isinstance(content.get("regions"), list)):
        given = [texts] if isinstance(texts, str) else items(texts)
        if not all(isinstance(text, str) for text in given):
            raise DataError("ANN-FIELD", "a caption that is no text")
        row.texts = (row.texts or []) + [text for text in given if text.strip()]
    images[image] = row


def _box(content: Mapping[str, Any]) -> list[float]:
    """x1 y1 x2 y2 of `bbox` (x y w h), or of x, y, w, h; nan where there is no number."""
    given = items(content.get("bbox"))
    if not given:
        given = [content.get("x"), content.get("y"), content.get("w", content.get("width")), content.get("h", content.get("height"))]
    if len(given) != 4:
        raise DataError("ANN-FIELD", f"a bbox of {len(given)} numbers, where x y w h are expected")
    x, y, w, h = map(number, given)
    return [x, y, x + w, y + h]


def _objects(objects: list[Any]) -> tuple[list[tuple[str, list[float], tuple[str, ...]]], dict[int, int]]:
    """The objects of a line, and the row of each number that they have."""
    found, places = [], dict[int, int]()
    for row, given in enumerate(objects):
        content = mapping(given)
        names = items(content.get("names"))
        called = name(content.get("name", content.get("class", names[0] if names else None)))
        if not called:
            raise DataError("ANN-FIELD", f"object {row} has no name")
        attributes = items(content.get("attributes"))
        if not all(isinstance(each, str) for each in attributes):
            raise DataError("ANN-FIELD", f"an attribute of object {row} is no text")
        if type(content.get("object_id")) is int:
            places[content["object_id"]] = row
        found.append((called, _box(content), tuple(attributes)))
    return found, places


def _relations(relations: Any, places: Mapping[int, int], count: int) -> list[tuple[int, str, int]]:
    """Rows (subject, predicate, object). Raises DataError ANN-FIELD for one that names no object."""
    found = []
    for row, given in enumerate(items(relations)):
        if isinstance(given, list) and len(given) == 3:
            subject, predicate, end = given
        else:
            content = mapping(given)
            subject, predicate = (content.get("subject_id", content.get("subject"))), content.get("predicate", content.get("relation"))
            end = content.get("object_id", content.get("object"))
            subject, end = (mapping(each).get("object_id", each) if isinstance(each, dict) else each for each in (subject, end))
        byname = places if not isinstance(given, list) and places else None
        ends = [(byname.get(each) if byname is not None else each) if type(each) is int else None for each in (subject, end)]
        if not name(predicate) or any(each is None or not 0 <= each < count for each in ends):
            raise DataError("ANN-FIELD", f"relation {row} is {str(given)[:80]}, where a row, a word and a row of {count} objects are expected")
        found.append((int(ends[0] or 0), name(predicate), int(ends[1] or 0)))
    return found


def _region(region: Any) -> tuple[str, list[float]]:
    content = mapping(region)
    text = content.get("text", content.get("phrase", content.get("caption")))
    if not isinstance(text, str) or not text.strip():
        raise DataError("ANN-FIELD", "a region without a text")
    return text, _box(content)


def _graphs(
    source: Source, images: Mapping[str, _Image], names: list[str], listed: Mapping[str, list[str]], targets: Any, problems: list[Problem], lost: set[str]
) -> dict[str, LabelSpace]:
    """Adds the graphs and their boxes. Objects that are left out take their relations along."""
    if all(images[image].objects is None for image in names):
        return {}
    classes = _ordered({o[0] for image in names for o in images[image].objects or ()}, listed.get("names", []))
    words = _ordered({r[1] for image in names for r in images[image].relations}, listed.get("relations", []))
    index, verbs = {c: i for i, c in enumerate(classes)}, {w: i for i, w in enumerate(words)}
    columns = Objects()
    for place, image in enumerate(names):
        for at_row, (called, box, _) in enumerate(images[image].objects or ()):
            columns.add(place, index[called], box, f"{images[image].where}.objects[{at_row}]", id=at_row)
    for image, share in zip(names, columns.finish(names, [source.size(i) for i in names], problems), strict=True):
        row = images[image]
        targets[image] |= {"graph": None, "boxes": None}
        if share is None:
            lost.add(image)
        elif row.objects is not None:
            kept = [] if share.boxes.ids is None else share.boxes.ids.tolist()
            at = {old: new for new, old in enumerate(kept)}
            relations = [(at[a], verbs[verb], at[b]) for a, verb, b in row.relations if a in at and b in at]
            boxes = replace(share.boxes, ids=None)
            attributes = tuple(row.objects[old][2] for old in kept)
            targets[image]["graph"] = SceneGraph(boxes, attributes, torch.tensor(relations, dtype=torch.int64).reshape(-1, 3))
            targets[image]["boxes"] = boxes
    return {"graph": LabelSpace(classes, relations=words), "boxes": LabelSpace(classes)}


def _ordered(used: set[str], listed: list[str]) -> tuple[str, ...]:
    first = list(dict.fromkeys(listed))
    return (*first, *sorted(used - set(first), key=natural))


def _regions(source: Source, images: Mapping[str, _Image], names: list[str], targets: Any, problems: list[Problem], lost: set[str]) -> dict[str, LabelSpace]:
    """Adds the regions with their sentences."""
    if all(images[image].regions is None for image in names):
        return {}
    columns = Objects()
    for place, image in enumerate(names):
        for row, (_, box) in enumerate(images[image].regions or ()):
            columns.add(place, row, box, f"{images[image].where}.regions[{row}]", id=row)  # a class of its own: two sentences of one box are two regions
    for image, share in zip(names, columns.finish(names, [source.size(i) for i in names], problems), strict=True):
        given = images[image].regions
        targets[image]["regions"] = None
        if share is None:
            lost.add(image)
        elif given is not None:
            kept = [] if share.boxes.ids is None else share.boxes.ids.tolist()
            targets[image]["regions"] = RegionCaptions(share.boxes.xyxy, tuple(given[row][0] for row in kept))
    return {"regions": LabelSpace(())}
