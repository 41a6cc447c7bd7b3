"""CVAT's XML 1.1, for images and for videos: boxes, outlines, brush masks, skeletons, points and tags, with their attributes.

Coordinates are positions in the image. Outlines of one label with one group id are one object; a skeleton takes the box of the one object of
its label and group, else one tight around its points. A turned box and an ellipse are outlines. Tags are labels of the image: one class where no
image has two, else several, all others being "no". Of a track the shapes that are listed are taken, without those outside of the
frame; frames are found by the number at the end of the image's name. Splits are the subsets, else what the file is called.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import torch

from saccade.core import LabelSpace, Record
from saccade.data.formats import strict_xml
from saccade.data.formats.beside import sizes_of, split_of, unlisted
from saccade.data.formats.cvat_labels import Labels, attributes_of, read_meta
from saccade.data.formats.cvat_shapes import OBJECTS, OUTLINES, box_of, outline_of, points_of
from saccade.data.formats.deeplabcut import around
from saccade.data.formats.objects import Objects, Share
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.errors import DataError, Problem
from saccade.ops.masks import Polygons, tight_box
from saccade.targets import Label, Points
from saccade.targets import Labels as ManyLabels

_NUMBER = re.compile(r"(\d{1,9})$")
_LISTED = OBJECTS | {"points", "skeleton", "tag"}


@dataclass
class Image:
    """One image's share of the file: shapes with the place they stand at and their track's number, None for none."""

    path: str
    where: str
    size: tuple[int, int] | None
    split: str | None
    shapes: list[tuple[Element, str, str, int | None]] = field(default_factory=list)  # element, label, place, track


@dataclass
class _Gathered:
    """What has been read so far."""

    source: Source
    images: dict[str, Image] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    unread: Counter[str] = field(default_factory=Counter)
    labels: list[Labels] = field(default_factory=list)
    frames: dict[int, list[str]] = field(default_factory=dict)

    def lose(self, problem: Problem, image: str) -> None:
        self.problems.append(Problem(problem.code, problem.where, problem.got, problem.severity, image))
        self.lost.add(image)


def detect(source: Source) -> list[str] | None:
    """The XML files whose root is `annotations`."""
    files = source.labels(".xml")
    if len(files) > 200:  # one file an image: another format
        return None
    return [path for path in files if b"<annotations>" in source.head(path).replace(b"\0", b"")] or None


def load(source: Source, plan: list[str]) -> Found:
    """A record for each image that is listed. Raises DataError ANN-XML, ANN-UNREADABLE, ANN-CLASS for a file as a whole.

    Problems: ANN-FIELD, ANN-NUMBER, ANN-POLYGON, ANN-MASK, ANN-CLASS, ANN-KIND, ANN-CONFLICT, IMG-MISSING, those of `Objects.finish`.
    """
    gathered = _Gathered(source)
    for path in plan:
        _read(path, gathered)
    labels = _united(gathered)
    images = [gathered.images[path] for path in sorted(gathered.images, key=natural)]
    unsaid = [image for image in images if image.size is None]
    for image, size in zip(unsaid, sizes_of(source, [image.path for image in unsaid]), strict=True):
        image.size = size
    targets, spaces = _Targets(gathered, labels, images).made()
    records = [
        Record(i.path, source.root / i.path, targets=t, split=i.split, size=i.size) for i, t in zip(images, targets, strict=True) if i.path not in gathered.lost
    ]
    problems = gathered.problems + [Problem("ANN-KIND", plan[0], f"{n} of kind {kind}") for kind, n in sorted(gathered.unread.items())]
    left = [path for path in source.listing.files if path not in gathered.images]
    reason = f"CVAT XML: {len(images):,} images in {plan[0]}" + (f" and {len(plan) - 1} more files" if len(plan) > 1 else "")
    return Found(records, spaces, reason, problems + unlisted(left, len(source.listing.files)) + source.leftovers)


def _read(path: str, gathered: _Gathered) -> None:
    """One file: its labels, its images, its tracks."""
    elements = strict_xml.children(gathered.source.content(path), path)
    next(elements)
    meta: list[Element] = []
    tracks = False
    seen: Counter[str] = Counter()
    for element in elements:
        where = f"{path}:{element.tag}[{seen[element.tag]}]"
        seen[element.tag] += 1
        if element.tag == "meta":
            meta.append(element)
            gathered.labels.append(read_meta(meta, path))
        elif element.tag == "image":
            _add_image(element, where, path, gathered)
        elif element.tag == "track":
            tracks = True
            _add_track(element, where, gathered)
    if tracks:
        _add_background(gathered, path)


def _add_image(element: Element, where: str, file: str, gathered: _Gathered) -> None:
    name, subset = element.get("name") or "", element.get("subset") or ""
    lookup, near = gathered.source.lookup, posixpath.dirname(file)
    tried = [f"images/{subset}/{name}", f"{subset}/{name}"] if subset else []
    path = next((path for given in (*tried, f"{near}/images/{name}" if near else name, name) if (path := lookup.find(given, near)) is not None), None)
    if path is None:
        gathered.problems.append(lookup.missing(name, where))
        return
    if path in gathered.images:
        gathered.lose(Problem("ANN-CONFLICT", where, f"{path} is listed a second time"), path)
        return
    given = [element.get("height") or "", element.get("width") or ""]
    size = (int(given[0]), int(given[1])) if all(side.isdecimal() and 0 < int(side[:8]) <= 1_000_000 for side in given) else None
    stem = posixpath.splitext(posixpath.basename(file))[0].lower()
    split = SPLITS.get(subset.lower()) or SPLITS.get(stem) or split_of(path)
    image = gathered.images[path] = Image(path, where, size, split)
    for number, shape in enumerate(element):
        if shape.tag in _LISTED:
            image.shapes.append((shape, (shape.get("label") or "").strip(), f"{where}.{shape.tag}[{number}]", None))
        else:
            gathered.unread[shape.tag] += 1


def _add_track(element: Element, where: str, gathered: _Gathered) -> None:
    """The shapes of one object over the frames."""
    if not gathered.frames:
        for path in gathered.source.listing.files:
            if found := _NUMBER.search(posixpath.splitext(path)[0]):
                gathered.frames.setdefault(int(found[1]), []).append(path)
    label, track = (element.get("label") or "").strip(), element.get("id") or ""
    for number, shape in enumerate(element):
        place, frame = f"{where}.{shape.tag}[{number}]", shape.get("frame") or ""
        paths = gathered.frames.get(int(frame), []) if frame.isdecimal() and len(frame) < 10 else []
        if len(paths) != 1:
            gathered.problems.append(
                Problem("IMG-MISSING", f"frame {frame}", f"named in {place}" + (f"; {len(paths)} images have this number" if paths else ""))
            )
            continue
        size = gathered.labels[-1].size if gathered.labels else None
        image = gathered.images.setdefault(paths[0], Image(paths[0], place, size, split_of(paths[0])))
        if shape.get("outside") == "1":
            continue
        if shape.tag in _LISTED:
            image.shapes.append((shape, label, place, int(track) if track.isdecimal() and len(track) < 19 else None))
        else:
            gathered.unread[shape.tag] += 1


def _add_background(gathered: _Gathered, file: str) -> None:
    """The frames of a video in which nothing is seen."""
    folders = {posixpath.dirname(path) for path in gathered.images}
    for paths in gathered.frames.values():
        for path in paths if len(paths) == 1 else ():
            if posixpath.dirname(path) in folders:
                size = gathered.labels[-1].size if gathered.labels else None
                gathered.images.setdefault(path, Image(path, file, size, split_of(path)))


def _united(gathered: _Gathered) -> Labels:
    """The labels of all files as one list; names that are used but not listed are added where no file lists any."""
    labels = Labels()
    for own in gathered.labels:
        renumbered = {joint: k for k, joint in enumerate(labels.joints)}
        for joint in own.joints:
            renumbered.setdefault(joint, len(renumbered))
        labels.names += [name for name in own.names if name not in labels.names]
        labels.tags += [name for name in own.tags if name not in labels.tags]
        labels.joints = list(renumbered)
        lines = [(renumbered[own.joints[a]], renumbered[own.joints[b]]) for a, b in own.lines]
        labels.lines += [line for line in lines if line not in labels.lines]
        labels.kinds |= own.kinds
    shapes = [shape for image in gathered.images.values() for shape, _, _, _ in image.shapes if shape.tag == "skeleton"]
    for joint in (inner.get("label") or "" for shape in shapes for inner in shape.findall("points")):
        if joint and joint not in labels.joints:
            labels.joints.append(joint)
    if not labels.names:
        used = {label for image in gathered.images.values() for _, label, _, _ in image.shapes}
        labels.names = sorted(used - {""}, key=natural)
    return labels


class _Targets:
    """Makes the targets of all images."""

    def __init__(self, gathered: _Gathered, labels: Labels, images: list[Image]) -> None:
        self.gathered, self.labels, self.images = gathered, labels, images
        used: dict[str, set[str]] = defaultdict(set)
        for image in images:
            for shape, label, _, _ in image.shapes:
                used["tag" if shape.tag == "tag" else "object"].add(label)
        tagged = (used["tag"] | set(labels.tags)) - used["object"]
        shared = not labels.tags and bool(used["tag"] & used["object"])
        self.tags = tuple(name for name in labels.names if shared or name in used["tag"] or name in labels.tags)
        self.space = LabelSpace(tuple(name for name in labels.names if name not in tagged))
        self.pose = LabelSpace(self.space.names, keypoints=tuple(labels.joints), skeleton=tuple(labels.lines), pairs=mirrored_pairs(labels.joints))
        self.kinds = {shape.tag for image in images for shape, _, _, _ in image.shapes}
        self.objects, self.poses = Objects(), Objects()
        self.dots: dict[int, list[tuple[float, float, int]]] = defaultdict(list)
        self.tagged: dict[int, list[int]] = defaultdict(list)

    def made(self) -> tuple[list[dict[str, Any]], dict[str, LabelSpace]]:
        """The targets of each image, and the label spaces of the heads."""
        for number, image in enumerate(self.images):
            try:
                self._gather(number, image)
            except DataError as error:
                self.gathered.lose(error.problem(), image.path)
        paths, sizes = [image.path for image in self.images], [image.size for image in self.images]
        shares = self.objects.finish(paths, sizes, self.gathered.problems)
        poses = self.poses.finish(paths, sizes, self.gathered.problems)
        heads = self._heads()
        found = [self._of(number, image, shares[number], poses[number], heads) for number, image in enumerate(self.images)]
        return found, heads

    def _heads(self) -> dict[str, LabelSpace]:
        several = any(len(set(own)) > 1 for own in self.tagged.values())
        heads = {"keypoints": self.pose} if "skeleton" in self.kinds else {}
        if self.kinds & OBJECTS or not self.kinds:
            heads["boxes"] = self.space
        if self.kinds & OUTLINES or any(shape is not None for shape in self.objects.shape):
            heads["instances"] = self.space
            plain = len(self.objects) - sum(shape is not None for shape in self.objects.shape)
            if plain:
                self.gathered.problems.append(Problem("ANN-MIXED", self.images[0].where, f"{plain:,} of {len(self.objects):,} objects are boxes"))
        if "points" in self.kinds:
            heads["points"] = self.space
        if self.tagged:
            heads["labels" if several else "label"] = LabelSpace(self.tags)
        return heads

    def _gather(self, number: int, image: Image) -> None:
        """The shapes of one image, put where they belong. Raises DataError for the first that cannot be understood."""
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)  # (group, label) -> rows of the objects
        for shape, label, where, track in sorted(image.shapes, key=lambda held: held[0].tag == "skeleton"):
            if not label:
                raise DataError("ANN-FIELD", f"{shape.tag} without a label", where=where)
            if label not in self.labels.names:
                raise DataError("ANN-CLASS", f"{label} is not among the labels of the file", where=where)
            group = shape.get("group_id") or "0"
            if shape.tag == "tag":
                self.tagged[number].append(self.tags.index(label))
            elif shape.tag == "points":
                self.dots[number] += [(x, y, self.space.index(label)) for x, y in self._inside(points_of(shape, where), image, where)]
            elif shape.tag == "skeleton":
                self._skeleton(shape, number, image, label, where, groups[group, label] if group != "0" else [])
            elif shape.tag == "polygon" and group != "0" and len(groups[group, label]) == 1 and self._join(shape, groups[group, label][0], image, where):
                continue
            else:
                groups[group, label].append(self._object(shape, number, image, label, where, track))

    def _object(self, shape: Element, number: int, image: Image, label: str, where: str, track: int | None) -> int:
        """A box or an outline, and the row it has."""
        mask: Any = None
        if shape.tag == "box":
            box, ring = box_of(shape, where)
            mask = None if ring is None else Polygons(image.size or (0, 0), (ring,))
        else:
            mask = outline_of(shape, image.size, where)
            box = _around_mask(mask)
        attributes, flags = attributes_of(shape, label, self.labels)
        more: dict[str, Any] = dict(flags)
        more |= {"attributes": attributes} if attributes else {}
        more |= {"id": track} if track is not None else {}
        more |= {"shape": mask} if mask is not None else {}
        self.objects.add(number, self.space.index(label), box, where, **more)
        return len(self.objects) - 1

    def _join(self, shape: Element, row: int, image: Image, where: str) -> bool:
        """Adds an outline to the object that it belongs to; False when that has none."""
        before = self.objects.shape[row] if row < len(self.objects.shape) else None
        if not isinstance(before, Polygons):
            return False
        more = outline_of(shape, image.size, where)
        assert isinstance(more, Polygons) and isinstance(self.objects.xyxy, list)
        self.objects.shape[row] = Polygons(before.size, before.rings + more.rings)
        self.objects.xyxy[row] = _around_mask(self.objects.shape[row])
        return True

    def _skeleton(self, shape: Element, number: int, image: Image, label: str, where: str, rows: list[int]) -> None:
        table = np.zeros((len(self.labels.joints), 3))
        for joint in shape.findall("points"):
            if not joint.get("label"):
                raise DataError("ANN-FIELD", "a point of a skeleton without a label", where=where)
            if joint.get("outside") != "1":
                (xy,) = self._inside(points_of(joint, where)[:1], image, where) or ((0.0, 0.0),)
                table[self.labels.joints.index(joint.get("label") or "")] = (*xy, 1 if joint.get("occluded") == "1" else 2)
        shown = table[table[:, 2] > 0, :2]
        if len(rows) == 1:
            box: Any = self.objects.xyxy[rows[0]]
        elif len(shown):
            box = around(shown, image.size)
        else:
            return
        attributes, flags = attributes_of(shape, label, self.labels)
        more: dict[str, Any] = {**flags, "points": table} | ({"attributes": attributes} if attributes else {})
        self.poses.add(number, self.space.index(label), box, where, **more)

    def _inside(self, points: np.ndarray, image: Image, where: str) -> list[tuple[float, float]]:
        h, w = image.size or (np.inf, np.inf)
        for x, y in points.tolist():
            if not (-1 <= x <= w + 1 and -1 <= y <= h + 1):
                raise DataError("ANN-POINT-OUT", f"x y = {x:g} {y:g}, image {w:g} x {h:g}", where=where)
        return [(x, y) for x, y in points.tolist()]

    def _of(self, number: int, image: Image, share: Share | None, pose: Share | None, heads: dict[str, LabelSpace]) -> dict[str, Any]:
        if share is None or pose is None:
            self.gathered.lost.add(image.path)
            return {}
        found: dict[str, Any] = {"boxes": share.boxes, "keypoints": pose.keypoints(self.pose) if "keypoints" in heads else None}
        if "instances" in heads and image.size is not None:
            found["instances"] = share.instances(image.size)
        dots = np.array(self.dots[number], dtype=np.float64).reshape(-1, 3)
        found["points"] = Points(torch.from_numpy(dots[:, :2].copy()), torch.from_numpy(dots[:, 2].astype(np.int64)))
        own = self.tagged.get(number)
        found["label"] = Label(own[0]) if own else None
        values = torch.zeros(len(self.tags), dtype=torch.int8)
        values[own or []] = 1
        found["labels"] = ManyLabels(values)
        return {head: found.get(head) for head in heads}


def _around_mask(mask: Any) -> tuple[float, ...]:
    """The box around an outline or run lengths; empty when nothing is set."""
    if isinstance(mask, Polygons):
        corners = np.concatenate(mask.rings)
        return (*corners.min(0).tolist(), *corners.max(0).tolist())
    return tuple(map(float, tight_box(mask) or (0, 0, 0, 0)))
