"""Images with masks beside them: classes for every pixel, id maps of objects, or one mask file an object."""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats import masks_cities, masks_files
from saccade.data.formats.masks_classes import ClassList, class_list
from saccade.data.formats.masks_look import FEW, MANY, Look, are_objects, classes_of, look
from saccade.data.formats.pairs_match import Match, Words, answers_of, match, shown_folders, split_lists, split_of
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import InstanceFile, MaskFile
from saccade.errors import Problem

MASKS = Words(
    frozenset(
        "mask masks label labels annotation annotations annot annots gt gts groundtruth ground_truth ground-truth seg segs segmentation "
        "segmentations semantic semseg semantics segmentation_masks labelids gtleft groundtruths target targets".split()
    ),
    frozenset("mask masks gt seg label labels labelids segmentation annotation annot groundtruth l".split()) - {"l"},
)
OBJECTS = Words(
    frozenset("instances instance instance_masks instance_ids instanceids inst instance_maps".split()),
    frozenset("instances instance instanceids inst".split()),
)
THOUSAND = 1000
"""In id maps whose ids all lie above: the class is id // 1000 (MOTS: Voigtlaender et al., CVPR 2019)."""
UNCOUNTED = 10_000
"""The id of regions that are not told apart, in such maps."""


class Plan(NamedTuple):
    """Masks of classes and masks of objects, each None when there are none."""

    maps: Match | None
    objects: Match | None


Any_Plan = Plan | masks_files.Plan | masks_cities.Plan


def detect(source: Source) -> Any_Plan | None:
    """The masks that are found beside images, by the names of folders and files."""
    if source.only or len(source.listing.files) < 2:
        return None
    files = source.listing.files
    cities = masks_cities.detect(files)
    if cities is not None:
        return cities
    split = masks_files.detect(files)
    if split is not None:
        return split
    objects, maps = answers_of(files, OBJECTS), answers_of(files, MASKS)
    found = Plan(match(files, MASKS, set(objects)), match(files, OBJECTS, {path for path in maps if path not in objects}) if objects else None)
    return found if found.maps or found.objects else None


def files_of(plan: Any_Plan) -> set[str]:
    """All mask files of a plan."""
    if isinstance(plan, masks_files.Plan):
        return {path for paths in plan.masks.values() for path in paths} | set(plan.orphans)
    if isinstance(plan, dict):
        return {path for files in plan.values() for path in files.values()}
    return {path for found in plan if found is not None for path in (*found.answers.values(), *found.orphans, *found.doubles)}


def load(source: Source, plan: Any_Plan) -> Found:
    """A record for each image; those without a mask have no truth. Raises DataError MAP-VALUES, ANN-UNREADABLE, ANN-JSON."""
    if isinstance(plan, masks_files.Plan):
        return masks_files.load(source, plan)
    if isinstance(plan, dict):
        return masks_cities.load(source, plan)
    heads: dict[str, dict[str, Any]] = {}
    spaces: dict[str, LabelSpace] = {}
    reasons, problems = [], []
    for found, called in ((plan.maps, False), (plan.objects, True)):
        if found is not None:
            head, targets, space, reason = _read(source, found, called or _called(found))
            if head not in heads:
                heads[head], spaces[head] = targets, space
                reasons.append(f"{reason} ({len(found.answers):,} masks of {len(found.images):,} images in {shown_folders(found)})")
            problems += [Problem("MAP-ORPHAN", path, "no image has its name") for path in found.orphans]
            problems += [Problem("MAP-ORPHAN", path, "its image has another mask already") for path in found.doubles]
    images = list(dict.fromkeys(image for found in plan if found is not None for image in found.images))
    lists = split_lists(source, images)
    records = [
        Record(image, source.root / image, targets={head: held.get(image) for head, held in heads.items()}, split=split_of(image) or lists.get(image))
        for image in images
    ]
    used = {*images, *files_of(plan)}
    if loose := [path for path in source.listing.files if path not in used]:
        problems.append(Problem("IMG-LOOSE", loose[0], f"{len(loose)} of {len(source.listing.files)} images"))
    return Found(records, spaces, "; ".join(reasons), problems + source.leftovers)


def _called(found: Match) -> bool:
    """Whether most masks are called x_masks, as Cellpose writes id maps."""
    ends = [posixpath.splitext(path)[0].lower().endswith(("_masks", "_cp_masks")) for path in found.answers.values()]
    return sum(ends) * 2 > len(ends)


def _read(source: Source, found: Match, called: bool) -> tuple[str, dict[str, Any], LabelSpace, str]:
    """The head that the masks are truths of, image -> truth, the classes, and why."""
    listed = class_list(source, found.folders)
    paths = [source.root / path for path in found.answers.values()]
    most = source.wishes.max_pixels
    seen = look(paths, FEW if listed is not None else MANY, bool(listed and listed.colours and not listed.values), most)
    if are_objects(seen, listed, called):
        target, space, reason = _objects(seen, listed)
        held = {image: InstanceFile(source.root / path, max_pixels=most, **target) for image, path in found.answers.items()}
        return "instances", held, space, reason
    coding, space, reason = classes_of(seen, listed, found.folders[0] if found.folders else "")
    return "map", {image: MaskFile(source.root / path, coding, max_pixels=most) for image, path in found.answers.items()}, space, f"masks: {reason}"


def _objects(seen: Look, listed: ClassList | None) -> tuple[dict[str, Any], LabelSpace, str]:
    """The fields of every InstanceFile, the classes, and why."""
    ids = [value for value in seen.used if value]
    names = [name for i, name in enumerate(listed.names) if i != listed.background and i not in listed.void] if listed else []
    if seen.kind == "index" and (ids[0] >= THOUSAND if ids else len(names) > 1):
        called = dict(zip(listed.values or range(1, len(listed.names) + 1), listed.names, strict=True)) if listed else {}
        called = {k: name for k, name in called.items() if k} or {k: str(k) for k in sorted({value // THOUSAND for value in ids if value != UNCOUNTED})}
        target = {"divisor": THOUSAND, "classes": tuple((k, place) for place, k in enumerate(called)), "ignored": (UNCOUNTED,)}
        colours = tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in listed.colours) if listed and len(listed.colours) == len(called) else ()
        return target, LabelSpace(tuple(called.values()), colours=colours), "id maps of objects, class x 1000 + number"
    how = "each colour an object" if seen.kind == "colour" else "more than 8 bits" if seen.deep else "ids from 1 to n in each mask"
    return {"kind": seen.kind}, LabelSpace((names[0] if len(names) == 1 else "object",)), f"id maps of objects ({how})"
