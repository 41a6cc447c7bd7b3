"""The shapes that people drew in a labelling tool, named by class, gathered over the images of a set: what such tools' files share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from saccade.core import EMPTY, LabelSpace, Record
from saccade.data.formats.objects import Objects, Share
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs, runs_from_mask, tight_box
from saccade.targets import Points

FLAGS = ("crowd", "difficult")
FARTHEST = 1e8  # pixels that a corner may be away
CIRCLE = 64  # corners of the polygon that stands for a circle


@dataclass
class Shape:
    """One thing as drawn: a box, or an outline of rings (m, 2), or run lengths; `group` joins rings and key points to one object."""

    image: int
    name: str
    where: str
    box: tuple[float, ...] | None = None
    rings: list[np.ndarray] = field(default_factory=list)
    runs: Runs | None = None
    group: Hashable = None
    flags: dict[str, Any] = field(default_factory=dict)


@dataclass
class Point:
    """One point as drawn; visible: 1 hidden, 2 visible."""

    image: int
    name: str
    where: str
    xy: tuple[float, float]
    group: Hashable = None
    visible: int = 2


class Drawn:
    """Images with their shapes and points; `found` makes records of them.

    Points whose group holds exactly one shape of their image are that object's key points; other points are dots.
    `extras` are whole-image targets that the format has made itself: head -> image number -> target.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ids: list[str] = []
        self.sizes: list[tuple[int, int] | None] = []
        self.shapes: list[Shape] = []
        self.points: list[Point] = []
        self.problems: list[Problem] = []
        self.extras: dict[str, dict[int, Any]] = defaultdict(dict)
        self.unlabelled: set[int] = set()
        self.aside: set[str] = set()  # pictures that are no images of the set: masks, scribbles
        self._numbers: dict[str, int] = {}
        self._lost: set[int] = set()
        self._unread: Counter[tuple[str, str]] = Counter()

    def image(self, name: str, where: str, near: str = "", size: tuple[int, int] | None = None, *others: str) -> int | None:
        """The number of the image that a label file names (or by `others`, the first that is there); None when it is not there or was listed before."""
        path = next((path for given in (name, *others) if given and (path := self.source.lookup.find(given, near))), None)
        if path is None:
            self.problems.append(self.source.lookup.missing(name, where))
            return None
        if path in self._numbers:
            self.problems.append(Problem("ANN-CONFLICT", where, f"{path} is labelled a second time", image=path))
            self._lost.add(self._numbers[path])
            return None
        number = self._numbers[path] = len(self.ids)
        self.ids.append(path)
        self.sizes.append(size if size is not None else self.source.size(path))
        return number

    def lose(self, image: int, problem: Problem) -> None:
        """An image whose labels cannot be understood: it gets no record."""
        self.problems.append(Problem(problem.code, problem.where, problem.got, "error", self.ids[image]))
        self._lost.add(image)

    def unread(self, kind: str, file: str) -> None:
        """A kind of annotation that is not read: told once for each file."""
        self._unread[kind, file] += 1

    def box(self, image: int, name: str, xyxy: Sequence[float], where: str, **more: Any) -> None:
        self.shapes.append(Shape(image, name, where, tuple(xyxy), **more))

    def outline(self, image: int, name: str, ring: np.ndarray, where: str, **more: Any) -> None:
        """A polygon (m, 2). One with fewer than three corners or a number that is not finite loses its image."""
        if len(ring) < 3:
            self.lose(image, Problem("ANN-POLYGON", where, f"{len(ring)} points"))
        elif not (np.abs(ring) <= FARTHEST).all():
            self.lose(image, Problem("ANN-NUMBER", where, "a corner of the polygon is not finite, or far away"))
        else:
            self.shapes.append(Shape(image, name, where, None, [ring], **more))

    def point(self, image: int, name: str, xy: tuple[float, float], where: str, **more: Any) -> None:
        """A dot or key point: lost with its image when it is not finite."""
        size = self.sizes[image]
        if not (np.abs(xy) <= FARTHEST).all():
            self.lose(image, Problem("ANN-NUMBER", where, f"x y = {xy[0]:g} {xy[1]:g}"))
        elif size is not None and not (-1 <= xy[0] <= size[1] + 1 and -1 <= xy[1] <= size[0] + 1):
            self.lose(image, Problem("ANN-POINT-OUT", where, f"x y = {xy[0]:g} {xy[1]:g}, image {size[1]} x {size[0]}"))
        else:
            self.points.append(Point(image, name, where, xy, **more))

    def found(self, reason: str, order: Iterable[str] = (), spaces: Mapping[str, LabelSpace] = EMPTY, *, dot_order: Iterable[str] | None = None) -> Found:
        """The records. order: names that a list beside the labels gives; what it does not name follows in natural order. dot_order: those of points
        and key points where the data list them apart, else `order` has them too, and a name that nothing bears may be any class."""
        shapes, owners = _merged(self.shapes), _owners(self.shapes)
        grouped = [p for p in self.points if owners[p.image, p.group] == 1 and p.group is not None]
        dots = [p for p in self.points if owners[p.image, p.group] != 1 or p.group is None]
        objects, dotted, joints = _names(shapes, dots, grouped, list(dict.fromkeys(order)), dot_order)
        targets: list[dict[str, Any]] = [{} for _ in self.ids]
        held = dict(spaces)
        if shapes or not (dots or self.extras):
            held |= self._objects(shapes, grouped, objects, joints, targets)
        if dots:
            held["points"] = dotted
            self._dots(dots, dotted, targets)
        for head, given in self.extras.items():
            for i, each in enumerate(targets):
                each[head] = given.get(i)
        heads = {head for each in targets for head in each}
        for i in self.unlabelled:
            targets[i] = dict.fromkeys(heads)
        for (kind, file), n in sorted(self._unread.items()):
            self.problems.append(Problem("ANN-KIND", file, f"{n} of kind {kind}"))
        return Found(self._records(targets), held, reason, self.problems + self._unlisted() + self.source.leftovers)

    def _objects(
        self, shapes: list[Shape], grouped: list[Point], space: LabelSpace, joints: tuple[str, ...], targets: list[dict[str, Any]]
    ) -> dict[str, LabelSpace]:
        columns, masks = Objects(), any(s.rings or s.runs is not None for s in shapes)
        mine: dict[tuple[int, Hashable], list[Point]] = defaultdict(list)
        for p in grouped:
            mine[p.image, p.group].append(p)
        index = {name: i for i, name in enumerate(space.names)}
        for s in shapes:
            more: dict[str, Any] = {name: True for name in FLAGS if s.flags.get(name) is True}
            if attributes := {k: v for k, v in s.flags.items() if not (k in FLAGS and v is True)}:
                more["attributes"] = attributes
            if s.runs is not None:
                more["shape"] = s.runs
            elif s.rings:
                more["shape"] = Polygons(self.sizes[s.image] or (0, 0), tuple(s.rings))
            if joints and s.group is not None and (own := mine.get((s.image, s.group))):
                more["points"] = self._joints(own, joints)
            columns.add(s.image, index[s.name], s.box if s.box is not None else _around(s), s.where, **more)
        spaces = {"boxes": space} | ({"instances": space} if masks else {})
        if joints:
            spaces["keypoints"] = LabelSpace(space.names, keypoints=joints)
        for i, share in enumerate(columns.finish(self.ids, self.sizes, self.problems)):
            if share is None:
                self._lost.add(i)
            else:
                targets[i] |= self._targets(share, self.sizes[i], spaces)
        return spaces

    def _joints(self, own: list[Point], names: tuple[str, ...]) -> np.ndarray:
        table = np.zeros((len(names), 3))
        for p in own:
            row = names.index(p.name)
            if table[row, 2]:
                self.problems.append(Problem("ANN-BOX-DUP", p.where, f"the key point {p.name} of one object", image=self.ids[p.image]))
            else:
                table[row] = (*p.xy, p.visible)
        return table

    def _targets(self, share: Share, size: tuple[int, int] | None, spaces: Mapping[str, LabelSpace]) -> dict[str, Any]:
        held: dict[str, Any] = {"boxes": share.boxes}
        if "instances" in spaces:
            held["instances"] = share.instances(size) if size is not None else None
        if "keypoints" in spaces:
            held["keypoints"] = share.keypoints(spaces["keypoints"])
        return held

    def _dots(self, dots: list[Point], space: LabelSpace, targets: list[dict[str, Any]]) -> None:
        mine: dict[int, list[Point]] = defaultdict(list)
        for p in dots:
            mine[p.image].append(p)
        index = {name: i for i, name in enumerate(space.names)}
        for i, each in enumerate(targets):
            own = mine[i]
            xy = torch.tensor([p.xy for p in own], dtype=torch.float64).reshape(-1, 2)
            each["points"] = Points(xy, torch.tensor([index[p.name] for p in own], dtype=torch.int64))

    def _records(self, targets: list[dict[str, Any]]) -> list[Record]:
        kept = [i for i in range(len(self.ids)) if i not in self._lost]
        kept.sort(key=lambda i: natural(self.ids[i]))
        root = self.source.root
        return [Record(self.ids[i], root / self.ids[i], targets=targets[i], split=split_of(self.ids[i]), size=self.sizes[i]) for i in kept]

    def _unlisted(self) -> list[Problem]:
        files = self.source.listing.files
        left = [path for path in files if path not in self._numbers and path not in self.aside]
        return [Problem("ANN-UNLISTED", left[0], f"{len(left)} of {len(files)} images ({len(left) / len(files):.0%})")] if left else []


def split_of(path: str) -> str | None:
    """The part of the data that the folders of a path name: the first of train, val, test and their other names.

    >>> split_of("data/valid/a.png"), split_of("train.png")
    ('val', None)
    """
    return next((SPLITS[part.lower()] for part in path.split("/")[:-1] if part.lower() in SPLITS), None)


def masked(image: int, name: str, where: str, mask: np.ndarray, **more: Any) -> Shape:
    """A mask (h, w) bool as a shape, with the box around its pixels."""
    runs = runs_from_mask(mask)
    box = tight_box(runs) or (0, 0, 0, 0)
    return Shape(image, name, where, tuple(map(float, box)), [], runs, **more)


def circle(x: float, y: float, rx: float, ry: float, degrees: float = 0.0) -> np.ndarray:
    """The ellipse around (x, y), turned clockwise as seen, as a polygon with its corners on the rim: (64, 2), 0.2 % smaller."""
    angles = np.arange(CIRCLE) * (2 * np.pi / CIRCLE)
    corners = np.stack([rx * np.cos(angles), ry * np.sin(angles)], 1)
    turn = np.deg2rad(degrees)
    turned: np.ndarray = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (x, y)
    return turned


def _names(
    shapes: list[Shape], dots: list[Point], grouped: list[Point], order: list[str], dot_order: Iterable[str] | None
) -> tuple[LabelSpace, LabelSpace, tuple[str, ...]]:
    """The classes of objects, the classes of dots, the names of key points."""
    used, of_dots, of_joints = {s.name for s in shapes}, {p.name for p in dots}, {p.name for p in grouped}
    if dot_order is None:
        idle = set(order) - used - of_dots - of_joints
        return LabelSpace(_ordered(used | idle, order)), LabelSpace(_ordered(of_dots | idle, order)), _ordered(of_joints, order)
    apart = list(dict.fromkeys(dot_order))
    idle = set(apart) - of_dots - of_joints
    joints = _ordered(of_joints | (set() if dots or not grouped else idle), apart)
    return LabelSpace(_ordered(used | set(order), order)), LabelSpace(_ordered(of_dots | idle, apart)), joints


def _ordered(names: set[str], listed: list[str]) -> tuple[str, ...]:
    """The names in the order of the list, then the others in natural order."""
    return (*(name for name in listed if name in names), *sorted(names - set(listed), key=natural))


def _merged(shapes: list[Shape]) -> list[Shape]:
    """Outlines of one group and class as one object, in place of the first of them."""
    merged: list[Shape] = []
    first: dict[tuple[int, Hashable, str], Shape] = {}
    for s in shapes:
        key = (s.image, s.group, s.name)
        if s.group is None or not s.rings:
            merged.append(s)
        elif key in first:
            first[key].rings.extend(s.rings)
        else:
            first[key] = s
            merged.append(s)
    return merged


def _owners(shapes: list[Shape]) -> Counter[tuple[int, Hashable]]:
    """How many objects each group of each image has (outlines of one class are one)."""
    return Counter({(s.image, s.group, s.name if s.rings else i): (s.image, s.group) for i, s in enumerate(shapes)}.values())


def _around(shape: Shape) -> tuple[float, ...]:
    """The box around an outline."""
    corners = np.concatenate(shape.rings)
    return (*corners.min(0).tolist(), *corners.max(0).tolist())
