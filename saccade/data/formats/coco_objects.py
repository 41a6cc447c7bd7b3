"""The objects of COCO files, annotation by annotation but column by column: boxes, masks, key points, checked as they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import numpy as np

from saccade.core import LabelSpace
from saccade.data.formats.coco_file import UNKNOWN, CocoFile, Size, column, shown
from saccade.data.formats.coco_gallery import Gallery, merged_classes
from saccade.data.formats.coco_plain import PlainRows
from saccade.data.formats.coco_shapes import Shapes, box_of, read_shapes
from saccade.data.formats.objects import Objects, Share
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.data.formats.values import number
from saccade.errors import CODES, Problem

_MOST_POINTS = 1000
_ROWS = 10_000  # annotations whose masks are read together
_IDS = {int, float, str}  # what an id may be; 3.0 is 3
_NO_BOX = [0.0, 0.0, 0.0, 0.0]


def array_of(rows: Sequence[dict[str, Any]], key: str) -> np.ndarray | None:
    """(n,) numbers of a field where the rows are known to have nothing else, else None."""
    return rows.array(key) if isinstance(rows, PlainRows) else None


def _looked_up(values: np.ndarray, known: Mapping[Any, int]) -> np.ndarray | None:
    """`known` of each value, UNKNOWN where it is not there; None where the keys are not whole numbers close together."""
    if not known or not set(map(type, known)) <= {int} or values.dtype != np.int64:
        return None
    low, high = min(known), max(known)
    if high - low > 10 * len(known) + 1000:
        return None
    table = np.full(high - low + 2, UNKNOWN)  # the last one for what lies outside
    table[np.fromiter(known, np.int64, len(known)) - low] = np.fromiter(known.values(), np.int64, len(known))
    found: np.ndarray = table[np.where((values >= low) & (values <= high), values - low, high - low + 1)]
    return found


class Reader:
    """The rows of one file on their way into `Objects`: which of them are kept, and what is wrong with the others."""

    def __init__(self, file: CocoFile, gallery: Gallery) -> None:
        self.file, self.gallery, self.rows = file, gallery, file.annotations
        self.image = self._images(file.numbers)
        self.kept = self.image >= 0
        self._ids()

    def tell(self, row: int, code: str, text: str) -> None:
        """A problem that costs the object, and the whole image when it is an error. Once for each row."""
        if not self.kept[row]:
            return
        image = int(self.image[row])
        self.gallery.problems.append(Problem(code, self.file.where(row), text, image=self.gallery.paths[image]))
        self.kept[row] = False
        if CODES[code].severity == "error":
            self.gallery.lost.add(image)

    def _images(self, numbers: Mapping[Any, int]) -> np.ndarray:
        """(n,) the number of each row's image, LOST when it cannot be used, UNKNOWN when the file does not list it (told once an id)."""
        plain = array_of(self.rows, "image_id")
        if plain is not None and (image := _looked_up(plain, numbers)) is not None and (image != UNKNOWN).all():
            return image
        ids = column(self.rows, "image_id")
        sound = set(map(type, ids)) <= _IDS
        image = np.fromiter(map(numbers.get, ids if sound else [v if type(v) in _IDS else None for v in ids], repeat(UNKNOWN)), np.int64, len(ids))
        unknown: dict[Any, list[int]] = {}
        for row in np.flatnonzero(image == UNKNOWN).tolist():
            if type(ids[row]) in _IDS:
                unknown.setdefault(ids[row], []).append(row)
            else:
                self.gallery.problems.append(Problem("ANN-FIELD", self.file.where(row), f"image_id is {shown(ids[row])}, expected a number"))
        for own, rows in unknown.items():
            more = f" ({len(rows)} annotations)" if len(rows) > 1 else ""
            self.gallery.problems.append(Problem("ANN-REF", self.file.where(rows[0]), f"image_id {shown(own)} is not among the images{more}"))
        return image

    def _ids(self) -> None:
        """Sets `ids`: (n,) int64, -1 where an annotation has none."""
        plain = array_of(self.rows, "id")
        ids = column(self.rows, "id", -1) if plain is None or plain.dtype != np.int64 else []
        if plain is not None and plain.dtype == np.int64:
            self.ids = plain
        elif set(map(type, ids)) <= {int} and (not ids or (-(2**62) < min(ids) and max(ids) < 2**62)):
            self.ids = np.array(ids, dtype=np.int64)
        else:
            self.ids = np.array([v if type(v) is int and abs(v) < 2**62 else -1 for v in ids], dtype=np.int64)
        if (self.ids[1:] > self.ids[:-1]).all():
            return
        order = np.argsort(self.ids, kind="stable")
        again = np.sort(order[1:][(self.ids[order][1:] == self.ids[order][:-1]) & (self.ids[order][1:] != -1)])
        if len(again):
            text = f"{len(again):,} of {len(self.ids):,} annotations have the id of another, first {self.ids[again[0]]}"
            self.gallery.problems.append(Problem("ANN-ID", self.file.where(int(again[0])), text, severity="warn"))

    def labels(self, classes: Mapping[Any, int]) -> np.ndarray:
        """(n,) class ids; rows of unknown categories are told."""
        plain = array_of(self.rows, "category_id")
        if plain is not None and (label := _looked_up(plain, classes)) is not None and (label != UNKNOWN).all():
            return label
        ids = column(self.rows, "category_id")
        if not set(map(type, ids)) <= _IDS:
            ids = [v if type(v) in _IDS else None for v in ids]
        label = np.fromiter(map(classes.get, ids, repeat(UNKNOWN)), np.int64, len(ids))
        for row in np.flatnonzero(label == UNKNOWN).tolist():
            given = self.rows[row].get("category_id")
            known = type(given) in _IDS
            text = f"category_id {shown(given)} is not among the categories" if known else f"category_id is {shown(given)}, expected a number"
            self.tell(row, "ANN-REF" if known else "ANN-FIELD", text)
        return label

    def boxes(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, 4) x1 y1 x2 y2, and (n,) where the file has none."""
        missing = np.zeros(len(self.rows), bool)
        if isinstance(self.rows, PlainRows) and (plain := self.rows.table("bbox", 4)) is not None:
            plain[:, 2:] += plain[:, :2]
            return plain, missing
        held = column(self.rows, "bbox")
        flat = list(chain.from_iterable(held)) if set(map(type, held)) <= {list} else [None]
        if not (len(flat) == 4 * len(held) and set(map(len, held)) <= {4} and set(map(type, flat)) <= {int, float}):
            held = list(held)
            for row, box in enumerate(held):
                if box is None or box == []:
                    missing[row], held[row] = True, _NO_BOX
                elif type(box) is not list or len(box) != 4 or not {type(v) for v in box} <= {int, float}:
                    self.tell(row, "ANN-FIELD", f"bbox is {str(box)[:80]}, expected four numbers x, y, width, height")
                    held[row] = _NO_BOX
            flat = list(chain.from_iterable(held))
        xywh = np.array(flat, dtype=np.float64).reshape(-1, 4)
        xywh[:, 2:] += xywh[:, :2]
        return xywh, missing

    def flags(self, key: str) -> np.ndarray | None:
        """(n,) bool of a field that is 0 or 1, None when it is 0 everywhere."""
        plain = array_of(self.rows, key)
        if plain is not None and ((plain == 0) | (plain == 1)).all():
            return plain.astype(bool) if plain.any() else None
        held = column(self.rows, key, 0)
        if not set(map(type, held)) <= {int, bool} or not set(held) <= {0, 1}:
            for row, value in enumerate(held):
                if type(value) not in (int, bool) or value not in (0, 1):
                    self.tell(row, "ANN-FIELD", f"{key} is {shown(value)}, expected 0 or 1")
            held = [value if value in (0, 1) else 0 for value in held]
        return np.array(held, dtype=bool) if any(held) else None

    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) square pixels as the file says, nan for what is no number, and (n,) where it says anything."""
        plain = array_of(self.rows, "area")
        if plain is not None:
            return plain.astype(np.float64), np.ones(len(plain), bool)
        held = column(self.rows, "area")
        kinds = set(map(type, held))
        given = np.array([value is not None for value in held], bool) if type(None) in kinds else np.ones(len(held), bool)
        return np.array(held if kinds <= {int, float} else [number(v) for v in held], dtype=np.float64), given

    def sound_areas(self, area: np.ndarray, given: np.ndarray, xyxy: np.ndarray) -> np.ndarray | None:
        """The areas, nan where one cannot be that of the object, which is told; None when there are none."""
        sides = xyxy[:, 2:] - xyxy[:, :2]
        with np.errstate(over="ignore"):
            most = sides[:, 0] * sides[:, 1] * 1.01 + sides.sum(1) + 1  # pixels at the edge count whole
        wrong = ~((area > 0) & (area <= most)) & (sides > 0).all(1) & given
        if wrong.any():
            row = int(np.argmax(wrong))
            first = "no number" if np.isnan(area[row]) else f"{area[row]:.6g}"
            text = f"{int(wrong.sum()):,} of {len(area):,} objects, first {first} for a box of {sides[row, 0]:.6g} x {sides[row, 1]:.6g}"
            self.gallery.problems.append(Problem("ANN-AREA", self.file.where(row), text))
            area[wrong] = np.nan
        return None if np.isnan(area).all() else area


def add_objects(gallery: Gallery, files: Sequence[CocoFile], only: Sequence[str] = ()) -> list[str]:
    """Boxes, masks and key points of files of one kind, as the heads that they have; `only` these when some are named."""
    names, classes = merged_classes(files, gallery.problems)
    space, objects = keypoint_space(files, names), Objects()
    for file, own in zip(files, classes, strict=True):
        _add_file(objects, file, gallery, own, space)
    gallery.measure(np.asarray(objects.image, dtype=np.int64).tolist())
    shares = objects.finish(gallery.paths, gallery.sizes, gallery.problems)
    asked = {number for file in files for number in file.numbers.values() if number >= 0}
    gallery.lost |= {number for number in asked if shares[number] is None}
    asked -= gallery.lost
    there = ["boxes"] + ["instances"] * bool(objects.shape) + ["keypoints"] * bool(objects.points)
    plain = replace(space, keypoints=(), skeleton=(), pairs=())
    new = [head for head in there if not only or head in only]
    for head in new:
        gallery.spaces[head] = space if head == "keypoints" else plain
        gallery.heads[head] = {number: _truth(head, share, gallery.sizes[number], space) for number in asked if (share := shares[number]) is not None}
    _mixed(objects, files[0], gallery)
    return new


def _truth(head: str, share: Share, size: Size | None, space: LabelSpace) -> Any:
    if head == "keypoints":
        return share.keypoints(space)
    return share.boxes if head == "boxes" or size is None else share.instances(size)


def _mixed(objects: Objects, file: CocoFile, gallery: Gallery) -> None:
    """Tells that some objects have a mask and others have none."""
    without = sum(shape is None for shape in objects.shape)
    if objects.shape and without:
        gallery.problems.append(Problem("ANN-MIXED", file.path, f"{without:,} of {len(objects):,} objects have no outline"))


def _add_file(objects: Objects, file: CocoFile, gallery: Gallery, classes: Mapping[Any, int], space: LabelSpace) -> None:
    """Appends the objects of one file. classes: category id -> class id."""
    reader = Reader(file, gallery)
    label = reader.labels(classes)
    xyxy, missing = reader.boxes()
    crowd, difficult = reader.flags("iscrowd"), reader.flags("ignore")
    areas = reader.areas()
    points = _points(reader, crowd, space)
    _sentences(reader)
    attributes = column(file.annotations, "attributes")
    own = _attributes(attributes) if any(attributes) else None
    shapes = _shapes(reader)  # the last: it lets go of the rows
    for row in np.flatnonzero(missing & reader.kept).tolist():
        box = box_of(shape) if shapes and (shape := shapes[row]) is not None else None
        if box is None:
            reader.tell(row, "ANN-FIELD", "there is neither a bbox nor a segmentation")
        else:
            xyxy[row] = box
    area = reader.sound_areas(*areas, xyxy)
    rows = np.flatnonzero(reader.kept)
    columns = {"image": reader.image, "label": label, "xyxy": xyxy, "crowd": crowd, "difficult": difficult, "area": area, "id": reader.ids}
    listed = {"shape": shapes, "points": points, "attributes": own}
    _append(objects, rows, columns, listed, file)


def _sentences(reader: Reader) -> None:
    """Tells that objects have sentences of their own, which are not read."""
    rows = [row for row, text in enumerate(column(reader.rows, "caption")) if text not in (None, "")]
    if rows:
        text = f"{len(rows):,} of {len(reader.rows):,} objects have a caption; sentences are read from files of captions, one for a whole image"
        reader.gallery.problems.append(Problem("ANN-IGNORED", reader.file.where(rows[0]), text))


def _shapes(reader: Reader) -> Shapes | None:
    """The mask of each row, None when no row has one; to be called when everything else has been read.

    The rows are let go of as soon as their masks stand in arrays, since their numbers fill the memory.
    """
    held = column(reader.rows, "segmentation")
    if not any(held):
        return None
    reader.gallery.measure(reader.image[reader.kept].tolist())
    shapes: Shapes = []
    for first in range(0, len(held), _ROWS):
        part, kept = held[first : first + _ROWS], reader.kept[first : first + _ROWS].tolist()
        sizes = [reader.gallery.sizes[i] if i >= 0 else None for i in reader.image[first : first + _ROWS].tolist()]
        held[first : first + _ROWS] = [None] * len(part)
        if isinstance(reader.rows, list):
            reader.rows[first : first + _ROWS] = [{}] * len(part)

        def tell(row: int, code: str, text: str, first: int = first) -> None:
            reader.tell(first + row, code, text)

        shapes += read_shapes([value if keep else None for value, keep in zip(part, kept, strict=True)], sizes, tell)
    return shapes


_EMPTY: Mapping[str, Any] = {"crowd": False, "difficult": False, "area": np.nan, "id": -1, "shape": None, "points": None, "attributes": {}}


def _append(objects: Objects, rows: np.ndarray, columns: Mapping[str, Any], listed: Mapping[str, Any], file: CocoFile) -> None:
    """The rows of a file behind those that are there; columns that only one of the two has are filled up."""
    before, where = len(objects), objects.where
    for name, values in columns.items():
        held = np.asarray(getattr(objects, name))
        if values is None and not len(held):
            continue
        new = values[rows] if values is not None else np.full(len(rows), _EMPTY[name])
        if before and not len(held):
            held = np.full(before, _EMPTY[name])
        setattr(objects, name, np.concatenate([held.reshape(before, *new.shape[1:]), new]) if before else new)
    for name, values in listed.items():
        held = getattr(objects, name)
        if values is None and not held:
            continue
        new = [values[row] for row in rows.tolist()] if values is not None else [_EMPTY[name]] * len(rows)
        setattr(objects, name, (held or [_EMPTY[name]] * before) + new)

    def place(row: int) -> str:
        if row >= before:
            return file.where(int(rows[row - before]))
        return where(row) if callable(where) else where[row]

    objects.where = place


def _attributes(values: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [value if isinstance(value, dict) else {} for value in values]


def keypoint_space(files: Sequence[CocoFile], names: tuple[str, ...]) -> LabelSpace:
    """The class names with the key points of all categories together: those of the same name are the same.

    Key points without names are called 1, 2, ... as many as the first object of the category has.
    """
    found: list[str] = []
    lines: list[tuple[int, int]] = []
    for file in files:
        if file.kind != "keypoints":
            continue
        counts: dict[Any, int] = {}
        for category, held in zip(column(file.annotations, "category_id"), column(file.annotations, "keypoints"), strict=True):
            if isinstance(held, list) and held and type(category) in (int, str):
                counts.setdefault(category, len(held) // 3)
        for place, category in enumerate(file.categories):
            own = category.keypoints or tuple(str(i + 1) for i in range(min(counts.get(category.id, 0), _MOST_POINTS)))
            file.categories[place] = category._replace(keypoints=own)
            found += [name for name in own if name not in found]
            lines += [(found.index(own[a]), found.index(own[b])) for a, b in category.skeleton if max(a, b) < len(own)]
    return LabelSpace(names, keypoints=tuple(found), skeleton=tuple(dict.fromkeys(lines)), pairs=mirrored_pairs(found))


def _points(reader: Reader, crowd: np.ndarray | None, space: LabelSpace) -> list[np.ndarray | None] | None:
    """(K, 3) x, y, visible for each row, None for rows without and crowds with none labelled; None when no row has any."""
    held = column(reader.rows, "keypoints")
    if not any(held) or not space.keypoints:
        return None
    own: dict[Any, list[int]] = {c.id: [space.keypoints.index(name) for name in c.keypoints] for c in reader.file.categories}
    found: list[np.ndarray | None] = [None] * len(held)
    told: list[tuple[int, int, str]] = []  # row, key points with a place but not labelled, the first of them
    for row, value in enumerate(held):
        if value in (None, []) or not reader.kept[row]:
            continue
        places = own.get(reader.rows[row].get("category_id"), [])
        if not isinstance(value, list) or not {type(v) for v in value} <= {int, float}:
            reader.tell(row, "ANN-FIELD", f"keypoints are {str(value)[:80]}, expected a list of numbers")
        elif len(value) != 3 * len(places):
            reader.tell(row, "ANN-FIELD", f"{len(value)} numbers for {len(places)} key points, expected x, y and visibility of each")
        else:
            table = np.zeros((len(space.keypoints), 3))
            table[places] = np.array(value, dtype=np.float64).reshape(-1, 3)
            if not np.isin(table[:, 2], (0, 1, 2)).all():
                reader.tell(row, "ANN-FIELD", f"visibilities {sorted(set(table[:, 2].tolist()))[:5]}, expected 0, 1 and 2")
            unseen = (table[:, 2] == 0) & table[:, :2].any(1)
            if unseen.any():
                told.append((row, int(unseen.sum()), space.keypoints[int(np.argmax(unseen))]))
            table[table[:, 2] == 0] = 0.0
            found[row] = table if crowd is None or not crowd[row] or table.any() else None
    if told:
        row, _, name = told[0]
        text = f"{sum(n for _, n, _ in told):,} key points in {len(told):,} objects have a place but visibility 0, first {name}; they count as not labelled"
        reader.gallery.problems.append(Problem("KEY-VISIBLE", reader.file.where(row), text, image=reader.gallery.paths[int(reader.image[row])]))
    return found
