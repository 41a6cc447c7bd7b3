"""What is wrong with the truths of a data set as a whole: classes without objects, images without labels, sizes and numbers that stand out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saccade.core import LabelSpace
from saccade.data.check_sets import alike_names, some
from saccade.data.contents import OBJECTS, Contents, heads, plain
from saccade.data.dataset import ImageDataset
from saccade.data.object_sizes import DETECTOR_SIDE, sides, warning
from saccade.errors import Problem, Severity

LARGE_INPUT = 640
"""Pixels of the longer side of the larger inputs that detectors are given."""
SEEN = 4.0
"""Pixels of a box's shorter side below which a network sees nothing of an object."""

_TINY_SHARE = 0.01
_FOREIGN = 0.05  # of a split's objects whose class train does not have, above which the lists of classes differ
_HALF = 0.5
_UNBALANCED = 10
_SAME_SIDE, _PAIRS = 0.95, 20  # how often left must be on one side before the others are told, and how many pairs that needs
_FAR = 10.0  # interquartile ranges


@dataclass(frozen=True)
class Seen:
    """One usable record: its id, split, size (h, w), and the contents of its heads."""

    id: str
    split: str | None
    size: tuple[int, int]
    contents: Mapping[str, Contents]

    def of(self, head: str) -> Contents:
        return self.contents.get(head, _NOTHING)


_NOTHING = Contents(known=False)


def whole(dataset: ImageDataset, seen: Sequence[Seen]) -> list[Problem]:
    """Every check of the set as a whole that is not one of single classes (`check_sets`); `label` heads have their own there."""
    own = [head for head in heads(dataset) if head != "label"]
    problems = unlabelled(seen, heads(dataset), str(dataset.root))
    done: list[tuple[str, ...]] = []
    for head in own:
        problems += _objects(seen, head, own, str(dataset.root))
        space = dataset.spaces.get(head)
        if space is not None and len(space) and space.names not in done:
            done.append(space.names)
            problems += coverage(seen, head, space, str(dataset.root)) + split_coverage(seen, head, space)
    problems += tiny(seen, own)
    if "keypoints" in own and dataset.spaces.get("keypoints") is not None:
        problems += swapped(dataset, seen, dataset.spaces["keypoints"])
    if "number" in own:
        problems += numbers(seen, str(dataset.root))
    return problems


def unlabelled(seen: Sequence[Seen], every: Sequence[str], root: str) -> list[Problem]:
    """CLS-NONE when no image says anything, LABEL-NONE for the share of those that say nothing."""
    if every == ("label",) or not every:
        return []
    without = [record for record in seen if not any(record.of(head).known for head in every)]
    if len(without) == len(seen):
        return [Problem("CLS-NONE", root)]
    return [share("LABEL-NONE", without[0].id, len(without), len(seen), "images have no label")] if without else []


def alone(dataset: ImageDataset) -> list[Problem]:
    """LABEL-ALONE: the share of the labelled images that opening the data set did not find; each is an IMG-MISSING too."""
    missing = [problem for problem in dataset.problems if problem.code == "IMG-MISSING" and problem.severity == "error"]
    if not missing or plain(dataset):
        return []
    return [share("LABEL-ALONE", missing[0].where, len(missing), len(missing) + len(dataset), "labelled images are not there")]


def share(code: str, where: str, n: int, of: int, what: str) -> Problem:
    """A ratio as a problem: a warning above one half."""
    ratio = f"{n / of:.0%}" if n >= 0.01 * of else "below 1 %"
    return Problem(code, where, f"{n:,} of {of:,} {what}: {ratio}", "warn" if n > _HALF * of else None)


def _objects(seen: Sequence[Seen], head: str, own: Sequence[str], root: str) -> list[Problem]:
    """OBJ-NONE and OBJ-EMPTY of one head; key points and graphs beside boxes of the same file say nothing new."""
    if head not in OBJECTS | {"labels", "map"} or (head != "boxes" and "boxes" in own and head in ("instances", "keypoints", "graph", "regions", "boxes3d")):
        return []
    known = [record for record in seen if record.of(head).known]
    empty = [record for record in known if _bare(record.of(head), head)]
    if not known or not empty:
        return []
    if len(empty) == len(known):
        return [Problem("OBJ-NONE", root, f"{len(known):,} images, {head}")] if head != "map" else []  # CLS-ONE says it of maps
    what = {"labels": "images have none of the labels", "map": "maps have one class alone"}.get(head, "images have no object")
    return [share("OBJ-EMPTY", empty[0].id, len(empty), len(known), what)]


def _bare(held: Contents, head: str) -> bool:
    return held.objects <= 1 if head == "map" else held.objects == 0


def class_tables(seen: Iterable[Seen], head: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (K,) and objects (K,) of each class; of a map, pixels. Ids beyond the list are left out."""
    images, objects = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for record in seen:
        held = record.of(head)
        inside = held.classes < classes
        ids = held.classes[inside]
        images[np.unique(ids)] += 1
        np.add.at(objects, ids, 1 if held.amounts is None else held.amounts[inside])
    return images, objects


def coverage(seen: Sequence[Seen], head: str, space: LabelSpace, root: str) -> list[Problem]:
    """CLS-EMPTY, -SINGLE, -CASE, -BALANCE of one head, CLS-ONE of a map, CLS-CONSTANT of yes-or-no labels."""
    images, objects = class_tables(seen, head, len(space))
    if not images.any():
        return []
    filled = np.flatnonzero(images)
    problems = []
    if lacking := [name for k, name in enumerate(space.names) if not images[k]]:
        what = "image" if head in ("labels", "map", "tags") else "object"
        problems += [Problem("CLS-EMPTY", f"class {name}", f"no {what} ({head})") for name in lacking]
    for k in filled:
        if images[k] == 1 and len(seen) > 1:
            only = next(record.id for record in seen if k in record.of(head).classes)
            problems.append(Problem("CLS-SINGLE", f"class {space.names[k]}", f"only in {only} ({head})"))
    if head == "map" and len(filled) == 1:
        problems.append(Problem("CLS-ONE", root, f"{space.names[filled[0]]} (map)"))
    if head == "labels":
        problems += _constant(seen, space)
    problems += alike_names(space.names, root)
    counts = images if head in ("labels", "tags") else objects
    if len(filled) > 1 and head != "map" and counts[filled].max() > _UNBALANCED * counts[filled].min():
        most, least = filled[counts[filled].argmax()], filled[counts[filled].argmin()]
        problems.append(Problem("CLS-BALANCE", root, f"{space.names[most]} {counts[most]:,}, {space.names[least]} {counts[least]:,} ({head})"))
    return problems


def _constant(seen: Sequence[Seen], space: LabelSpace) -> list[Problem]:
    known = [record.of("labels") for record in seen if record.of("labels").known]
    always = Counter(int(k) for held in known for k in held.classes)
    none_unknown = all(held.values.get("unknown", 0) == 0 for held in known)
    return [
        Problem("CLS-CONSTANT", f"class {space.names[k]}", f"yes in all {n:,} images")
        for k, n in sorted(always.items())
        if n == len(known) > 1 and k < len(space) and none_unknown
    ]


def split_coverage(seen: Sequence[Seen], head: str, space: LabelSpace) -> list[Problem]:
    """CLS-SPLIT for classes that train does not have (fatal when they are more than 5 % of the objects), CLS-EMPTY for those that val or test lack."""
    parts = {name: [record for record in seen if record.split == name and record.of(head).known] for name in ("train", "val", "test")}
    if not parts["train"]:
        return []
    tables = {name: class_tables(part, head, len(space)) for name, part in parts.items() if part}
    trained = tables["train"][0] > 0
    problems = []
    for name, (images, _) in list(tables.items())[1:]:
        foreign = np.flatnonzero((images > 0) & ~trained)
        if len(foreign):
            amount = images[foreign].sum() / max(1, images.sum())
            severity: Severity = "fatal" if amount > _FOREIGN else "warn"
            got = f"{some([space.names[k] for k in foreign])} only in {name}, not in train ({amount:.1%} of its labels, {head})"
            problems.append(Problem("CLS-SPLIT", name, got, severity))
        lacking = np.flatnonzero((images == 0) & trained)
        if len(lacking) and images.any():
            problems.append(Problem("CLS-EMPTY", name, f"{name} has no object of {some([space.names[k] for k in lacking])} ({head})"))
    return problems


def tiny(seen: Sequence[Seen], own: Sequence[str]) -> list[Problem]:
    """BOX-TINY: a quarter of the boxes are too small at a detector's usual input (`object_sizes.warning`), or more than 1 % would be less than 4 pixels
    wide or high even in an image that is shrunk to 640 pixels."""
    head = next((name for name in ("boxes", "instances", "keypoints", "graph", "regions") if name in own), None)
    held = [(record, boxes) for record in seen if head is not None and (boxes := record.of(head).boxes) is not None and len(boxes)]
    if not held:
        return []
    if head in ("boxes", "instances") and (said := _small(held)):
        return [Problem("BOX-TINY", held[0][0].id, said)]
    below = [int(((boxes[:, 2:] - boxes[:, :2]).min(1) * min(1.0, LARGE_INPUT / max(record.size)) < SEEN).sum()) for record, boxes in held]
    small, every = sum(below), sum(len(boxes) for _, boxes in held)
    if small <= _TINY_SHARE * every:
        return []
    first = next(record.id for (record, _), n in zip(held, below, strict=True) if n)
    return [
        Problem("BOX-TINY", first, f"{small:,} of {every:,} boxes ({small / every:.1%}) are below {SEEN:g} pixels when the image is {LARGE_INPUT} pixels long")
    ]


def _small(held: Sequence[tuple[Seen, np.ndarray]]) -> str:
    """The sentence about objects that are too small at a detector's usual input; "" where they are not."""
    scales = [min(1.0, DETECTOR_SIDE / max(record.size)) for record, _ in held]
    scale = float(np.median(scales))
    height, width = (round(float(np.median([record.size[axis] for record, _ in held])) * scale) for axis in (0, 1))
    return warning(np.concatenate([sides(boxes) * own for (_, boxes), own in zip(held, scales, strict=True)]), scale, (height, width))


def swapped(dataset: ImageDataset, seen: Sequence[Seen], space: LabelSpace) -> list[Problem]:
    """KEY-SWAP: objects whose left and right key point stand the other way round along x than in 95 % of all objects.

    Told only where the usual order is that clear over at least 20 objects: where objects are seen from all sides nothing is said.
    """
    records = {record.id: record for record in dataset.records}
    sides: dict[tuple[int, int], list[tuple[float, str]]] = {pair: [] for pair in space.pairs}
    for one in seen:
        target = records[one.id].targets.get("keypoints") if one.id in records else None
        if target is None or not hasattr(target, "visible") or not len(target):
            continue
        xy, labelled = target.xy.numpy(), target.visible.numpy() > 0
        for left, right in space.pairs:
            both = labelled[:, left] & labelled[:, right]
            sides[left, right] += [(float(d), one.id) for d in (xy[both, left, 0] - xy[both, right, 0]) if d]
    problems = []
    for (left, right), found in sides.items():
        above = sum(d > 0 for d, _ in found)
        usual = max(above, len(found) - above)
        if len(found) < _PAIRS or usual == len(found) or usual < _SAME_SIDE * len(found):
            continue
        odd = [where for d, where in found if (d > 0) != (above > len(found) / 2)]
        names = f"{space.keypoints[left]} and {space.keypoints[right]}"
        problems += [Problem("KEY-SWAP", where, f"{names}; {usual:,} of {len(found):,} objects have the other order") for where in dict.fromkeys(odd)]
    return problems


def numbers(seen: Sequence[Seen], root: str) -> list[Problem]:
    """NUM-CONSTANT, and NUM-FAR for numbers more than 10 interquartile ranges beyond the quartiles."""
    given = [(record.of("number").values["value"], record.id) for record in seen if record.of("number").known]
    if len(given) < 2:
        return []
    values = np.array([value for value, _ in given])
    if (values == values[0]).all():
        return [Problem("NUM-CONSTANT", root, f"{values[0]:g} in all {len(values):,} images")]
    with np.errstate(over="ignore", invalid="ignore"):  # numbers as large as a float can hold: nothing is far from them
        low, high = np.percentile(values, (25, 75))
        far = (values < low - _FAR * (high - low)) | (values > high + _FAR * (high - low)) if high > low else np.zeros(len(values), bool)
    return [Problem("NUM-FAR", given[i][1], f"{values[i]:g}; half of all are between {low:g} and {high:g}") for i in np.flatnonzero(far)]


def pairs(places: Sequence[str], sizes: Sequence[tuple[int, int]], held: Sequence[Contents]) -> dict[int, Problem]:
    """PAIR-SIZE by place: pictures whose second picture is not in the ratio of sizes that most pairs have."""
    ratios = [
        None if one.plane is None else (round(one.plane[0] / size[0], 2), round(one.plane[1] / size[1], 2)) for size, one in zip(sizes, held, strict=True)
    ]
    common = Counter(ratio for ratio in ratios if ratio is not None).most_common(1)
    if not common:
        return {}
    usual, n = common[0]
    found = {}
    for i, ratio in enumerate(ratios):
        if ratio is not None and max(abs(ratio[0] - usual[0]), abs(ratio[1] - usual[1])) > 0.05 * max(usual):
            (h, w), plane = sizes[i], held[i].plane or (0, 0)
            got = f"{w} x {h} with {plane[1]} x {plane[0]}; {n:,} of {len(ratios):,} pairs are as 1 to {usual[1]:g}"
            found[i] = Problem("PAIR-SIZE", places[i], got)
    return found
