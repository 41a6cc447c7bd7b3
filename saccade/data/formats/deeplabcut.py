"""DeepLabCut's label tables: CollectedData_*.csv beside the frames of each video, key points of one animal or of several (Mathis et al. 2018).

Three header rows (scorer, bodyparts, coords), with several animals four (individuals after scorer); then a row a frame: its path, in one
cell or in three, and x, y of each point; a blank point is not labelled. All animals are of the class `animal`, with their name as the
attribute `individual`; points of no animal in particular (individual `single`) are objects of the class `single`. Order and lines of the
points come from config.yaml where there is one, left and right from their names. A box is tight around the labelled points, at least one
pixel wide. With three videos or more, the frames of one video are a group, which no split divides.
"""

from __future__ import annotations

import csv
import io
import math
import posixpath
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.data.formats import strict_yaml
from saccade.data.formats.beside import sizes_of, text_of, unlisted
from saccade.data.formats.objects import Objects
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.data.formats.source import Found, Source
from saccade.errors import DataError, Problem

ANIMAL, SINGLE = "animal", "single"
VIDEOS = 3
MOST_POINTS = 10_000


class Columns(NamedTuple):
    """A table's columns: how many hold the path, and for each point (individual, name) the column of its x, the next being y."""

    path: int
    points: dict[tuple[str, str], int]


class Table(NamedTuple):
    """One file: its path, columns and rows (line, cells)."""

    where: str
    columns: Columns
    rows: list[tuple[int, list[str]]]


class Frame(NamedTuple):
    """A row of a table: the image's path in the data set, and the cells."""

    image: str
    table: Table
    line: int
    cells: list[str]


def detect(source: Source) -> list[str] | None:
    """The tables whose first rows are DeepLabCut's."""
    tables = [path for path in source.labels(".csv") if _headed(source.head(path, 1 << 14))]
    return tables or None


def _headed(head: bytes) -> bool:
    rows = [line.split(b",", 1)[0].strip().lower() for line in head.removeprefix(b"\xef\xbb\xbf").splitlines()[:4]]
    return rows[:3] == [b"scorer", b"bodyparts", b"coords"] or rows == [b"scorer", b"individuals", b"bodyparts", b"coords"]


def load(source: Source, plan: list[str]) -> Found:
    """A record for each frame that is listed. Raises DataError ANN-COLUMNS, ANN-UNREADABLE, ANN-YAML.

    Problems: ANN-ROW, ANN-NUMBER (one coordinate of two, or no number), ANN-POINT-OUT, IMG-MISSING, ANN-DUP, ANN-CONFLICT.
    """
    problems: list[Problem] = []
    tables = [read_table(text_of(source, path), path) for path in plan]
    space = _space(source, tables, problems)
    frames = _frames(source, tables, problems)
    images = list(frames)
    sizes = sizes_of(source, images)
    objects, lost = Objects(), set[str]()
    for i, frame in enumerate(frames.values()):
        if not _add(frame, i, sizes[i], space, objects, problems):
            lost.add(frame.image)
    videos = {posixpath.dirname(image) for image in images}
    records = []
    for i, share in enumerate(objects.finish(images, sizes, problems)):
        image, size = images[i], sizes[i]
        if share is None or image in lost:
            continue
        targets: dict[str, Any] = {"keypoints": share.keypoints(space) if size is not None else None}
        group = posixpath.dirname(image) if len(videos) >= VIDEOS else None
        records.append(Record(image, source.root / image, targets=targets, group=group, size=size))
    left = [image for image in source.listing.files if image not in frames]
    problems += unlisted(left, len(source.listing.files)) + source.leftovers
    reason = f"DeepLabCut: {len(space.keypoints)} points in {plan[0]}" + (f" and {len(plan) - 1} more tables" if len(plan) > 1 else "")
    return Found(records, {"keypoints": space}, reason, problems)


def read_table(text: str, where: str) -> Table:
    """The columns and rows of a file. Raises DataError ANN-COLUMNS, ANN-UNREADABLE."""
    reader = csv.reader(io.StringIO(text, newline=""))
    rows = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((reader.line_num, [cell.strip() for cell in row]))
    except csv.Error as error:
        raise DataError("ANN-UNREADABLE", f"line {reader.line_num}: {error}", where=where) from error
    header = {row[0].lower(): row for _, row in rows[:4] if row[0].lower() in ("scorer", "individuals", "bodyparts", "coords")}
    several = "individuals" in header
    if not {"bodyparts", "coords"} <= header.keys():
        raise DataError("ANN-COLUMNS", "no header rows scorer, bodyparts and coords", where=where, fix="export the table again with DeepLabCut")
    parts, coords = header["bodyparts"], [cell.lower() for cell in header["coords"]]
    owners = header["individuals"] if several else [""] * len(parts)
    first = next((i for i in range(1, len(coords)) if coords[i]), len(coords))
    points: dict[tuple[str, str], int] = {}
    for i in range(first, len(coords)):
        if coords[i] == "x" and (i + 1 >= len(coords) or coords[i + 1] != "y" or len(parts) <= i or len(owners) <= i):
            raise DataError("ANN-COLUMNS", f"column {i + 1} is an x without a y behind it", where=where, fix="export the table again with DeepLabCut")
        if coords[i] == "x" and points.setdefault((owners[i], parts[i]), i) != i:
            raise DataError("ANN-COLUMNS", f"the point {parts[i]} {owners[i]} has several columns", where=where, fix="keep one of them")
    if not points or len(points) > MOST_POINTS:
        raise DataError("ANN-COLUMNS", f"{len(points):,} points", where=where, fix="export the table again with DeepLabCut")
    return Table(where, Columns(first, points), rows[len(header) :])


def _space(source: Source, tables: Sequence[Table], problems: list[Problem]) -> LabelSpace:
    """Classes and points: those of the tables, in the order of config.yaml where that names them, with its lines."""
    found = list(dict.fromkeys(name for table in tables for _, name in table.columns.points))
    single = any(owner == SINGLE for table in tables for owner, _ in table.columns.points)
    animals = any(owner != SINGLE for table in tables for owner, _ in table.columns.points)
    classes = (*((ANIMAL,) if animals else ()), *((SINGLE,) if single else ()))
    configs = [path for path in source.listing.labels if posixpath.basename(path) == "config.yaml"]
    if not configs:
        return LabelSpace(classes, keypoints=tuple(found), pairs=mirrored_pairs(found))
    path = min(configs, key=lambda p: p.count("/"))
    config = strict_yaml.parse(source.content(path, strict_yaml.LARGEST + 1), path)
    values = config if isinstance(config, dict) else {}
    keys = ("multianimalbodyparts", "uniquebodyparts", "bodyparts") if str(values.get("multianimalproject", "")).lower() == "true" else ("bodyparts",)
    named = [name for key in keys if isinstance(given := values.get(key), list) for name in given if isinstance(name, str)]
    names = (*(name for name in dict.fromkeys(named) if name in found), *(name for name in found if name not in named))
    if absent := [name for name in named if name not in found]:
        problems.append(Problem("ANN-IGNORED", path, f"points that no table has: {', '.join(absent)[:200]}"))
    return LabelSpace(classes, keypoints=names, skeleton=_skeleton(values.get("skeleton"), names), pairs=mirrored_pairs(names))


def _skeleton(value: strict_yaml.Value | None, names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The pairs of points that config.yaml joins; a longer list is a chain."""
    pairs: list[tuple[str, str]] = []
    for line in value if isinstance(value, list) else ():
        known = [name for name in line if isinstance(name, str) and name in names] if isinstance(line, list) else []
        if isinstance(line, list) and len(known) == len(line):
            pairs += pairwise(known)
    return tuple((names.index(a), names.index(b)) for a, b in pairs)


def _frames(source: Source, tables: Sequence[Table], problems: list[Problem]) -> dict[str, Frame]:
    """The rows by the image they are of."""
    frames: dict[str, Frame] = {}
    refused: set[str] = set()
    for table in tables:
        width = max(table.columns.points.values()) + 2
        for line, cells in table.rows:
            where = f"{table.where}:{line}"
            path = "/".join(cell.replace("\\", "/") for cell in cells[: table.columns.path] if cell)
            near = posixpath.dirname(table.where)
            image = source.lookup.find(posixpath.join(near, posixpath.basename(path)) if path else "") or source.lookup.find(path, near)
            if image is None:
                problems.append(source.lookup.missing(path, where))
            elif len(cells) < width:
                problems.append(Problem("ANN-ROW", where, f"{len(cells)} cells, expected {width}", image=image))
                refused.add(image)
            elif image in frames:
                before = frames[image]
                same = before.cells == cells and before.table.columns == table.columns
                problems.append(Problem("ANN-DUP" if same else "ANN-CONFLICT", where, f"{image}, as in {before.table.where}:{before.line}", image=image))
                refused |= set() if same else {image}
            else:
                frames[image] = Frame(image, table, line, cells)
    return {image: frame for image, frame in frames.items() if image not in refused}


def _add(frame: Frame, number: int, size: tuple[int, int] | None, space: LabelSpace, objects: Objects, problems: list[Problem]) -> bool:
    """The animals of one frame; False when a coordinate cannot be understood, or lies outside of the image."""
    where = f"{frame.table.where}:{frame.line}"
    points: dict[str, np.ndarray] = {}
    for (owner, name), column in frame.table.columns.points.items():
        try:
            x, y = (float(cell) if cell else math.nan for cell in frame.cells[column : column + 2])
        except ValueError:
            x, y = math.inf, math.inf
        if math.isnan(x) and math.isnan(y):
            continue
        if not (math.isfinite(x) and math.isfinite(y)):
            problems.append(Problem("ANN-NUMBER", where, f"{name}: {' '.join(frame.cells[column : column + 2])[:60]}", image=frame.image))
            return False
        if size is not None and not (-1 <= x <= size[1] + 1 and -1 <= y <= size[0] + 1):
            problems.append(Problem("ANN-POINT-OUT", where, f"{name}: x y = {x:g} {y:g}, image {size[1]} x {size[0]}", image=frame.image))
            return False
        points.setdefault(owner, np.zeros((len(space.keypoints), 3)))[space.keypoints.index(name)] = x, y, 2
    for owner, table in points.items():
        own = table[table[:, 2] > 0, :2]
        label = space.index(SINGLE if owner == SINGLE else ANIMAL)
        attributes = {"individual": owner} if owner not in ("", SINGLE) else {}
        objects.add(
            number, label, around(own, size), f"{where}:{owner}" if owner else where, points=table, **({"attributes": attributes} if attributes else {})
        )
    return True


def around(points: np.ndarray, size: tuple[int, int] | None) -> tuple[float, ...]:
    """The box x1 y1 x2 y2 around points (n, 2), widened evenly to one pixel where it is narrower, inside of the image.

    >>> around(np.array([[3.0, 4.0], [9.0, 4.0]]), (10, 10))
    (3.0, 3.5, 9.0, 4.5)
    """
    limit = np.array([size[1], size[0]]) if size is not None else np.array([np.inf, np.inf])
    low, high = np.clip(points.min(0), 0, limit), np.clip(points.max(0), 0, limit)
    short = np.maximum(1.0 - (high - low), 0)
    low = np.clip(low - short / 2, 0, np.maximum(limit - 1.0, 0))
    high = np.maximum(high, low + np.where(short > 0, 1.0, 0.0))
    return (*low.tolist(), *high.tolist())
