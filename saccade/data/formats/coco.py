"""COCO: JSON files of images, categories and annotations, and the folders of images that they name.

Read are instances, key points, captions, panoptic segments and labels of whole images, in one file or one for each split and kind:
`annotations/instances_train2017.json` with `train2017/`, `train/_annotations.coco.json` (Roboflow), or one file anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from saccade.core import LabelSpace, Record
from saccade.data.formats.coco_file import CocoFile, Kind, column, read_file, shown
from saccade.data.formats.coco_gallery import Gallery, home, merged_classes
from saccade.data.formats.coco_objects import add_objects
from saccade.data.formats.coco_panoptic import add_panoptic
from saccade.data.formats.source import Found, Source
from saccade.data.formats.strict_json import collector_paused
from saccade.errors import DataError, Problem
from saccade.targets import Caption, Labels

OBJECTS: tuple[Kind, ...] = ("instances", "keypoints", "stuff")
"""The kinds of files with boxes; where there are several, the first gives the boxes and masks."""

_FIRST_KEYS = tuple(f'"{key}"'.encode() for key in ("info", "images", "licenses", "categories", "annotations", "type"))
_MOST_FILES = 200  # JSON files of one folder: more are one for each image, in another format


class Plan(NamedTuple):
    """The COCO files, relative to the root."""

    files: tuple[str, ...]


def detect(source: Source) -> Plan | None:
    """The JSON files that have images and annotations."""
    paths = source.labels(".json")
    crowded = Counter(path.rpartition("/")[0] for path in paths)
    found = []
    for path in paths:
        head = source.head(path)
        if crowded[path.rpartition("/")[0]] > _MOST_FILES or not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            continue
        if any(key in head for key in _FIRST_KEYS):
            content = source.content(path)
            if b'"images"' in content and (b'"annotations"' in content or "image_info" in path):
                found.append(path)
    return Plan(tuple(found)) if found else None


def load(source: Source, plan: Plan) -> Found:
    """All files merged: a record for each image that one of them lists and that is there.

    Raises DataError ANN-JSON, ANN-COCO, ANN-CLASS for a file that cannot be used, IMG-MISSING when none of the images is there.
    """
    with collector_paused():
        files, notes = _chosen([read_file(path, source.content(path)) for path in plan.files])
        if not any(file.annotations or file.categories for file in files):
            images = sum(len(file.ids) for file in files)
            fix = "label some, or check the images alone with --format images"
            raise DataError("ANN-COCO", f"{images} images, but neither annotations nor categories", where=files[0].path, fix=fix)
        gallery = Gallery(home(source, [name for file in files for name in file.names]))
        if gallery.source is not source:
            files[0].path = gallery.source.only or files[0].path
        gallery.place(files)
        sources = _truths(gallery, files, notes)
        records = _records(gallery)
    base = gallery.source
    reason = "COCO: " + "; ".join(f"{', '.join(heads)} from {_listed(own)}" for heads, own in _by_files(sources)) + "".join(f"; {note}" for note in notes)
    if base is not source:
        reason += f"; its images are above it, in {base.root.name or base.root}"
    problems = gallery.problems + _unlisted(gallery, files) + [problem for problem in base.leftovers if problem.code != "IMG-OTHER"]
    return Found(records, gallery.spaces, reason, problems, root=base.root if base is not source else None)


def _chosen(files: list[CocoFile]) -> tuple[list[CocoFile], list[str]]:
    """Without the file of all images when others give its images by split."""
    notes = []
    for file in [file for file in files if file.split is None]:
        parts = [other for other in files if other.kind == file.kind and other.split is not None]
        if len(parts) > 1 and set(file.names) <= {name for other in parts for name in other.names}:
            files = [other for other in files if other is not file]
            notes.append(f"{file.path} is left out, {', '.join(other.path for other in parts[:3])} have its images by split")
    return files, notes


def _truths(gallery: Gallery, files: Sequence[CocoFile], notes: list[str]) -> dict[str, list[CocoFile]]:
    """Fills the gallery's heads; the files that each head comes from."""
    sources: dict[str, list[CocoFile]] = {}

    def of(kind: Kind) -> list[CocoFile]:
        return [file for file in files if file.kind == kind]

    kinds = [kind for kind in OBJECTS if of(kind)]
    for kind in kinds[:1]:
        sources |= {head: of(kind) for head in add_objects(gallery, of(kind))}
    if kinds and "keypoints" in kinds[1:]:
        sources |= {head: of("keypoints") for head in add_objects(gallery, of("keypoints"), ["keypoints"])}
    notes += [f"{file.path} is left out, {kinds[0]} have the objects" for file in of("stuff") if kinds[0] != "stuff"]
    if of("labels"):
        sources |= dict.fromkeys(_add_labels(gallery, of("labels")), of("labels"))
    if of("captions"):
        sources |= dict.fromkeys(_add_captions(gallery, of("captions")), of("captions"))
    if of("panoptic"):
        sources |= dict.fromkeys(add_panoptic(gallery, of("panoptic")), of("panoptic"))
    return sources


def _by_files(sources: Mapping[str, list[CocoFile]]) -> list[tuple[list[str], list[CocoFile]]]:
    """The heads that come from the same files, together."""
    found: dict[tuple[str, ...], tuple[list[str], list[CocoFile]]] = {}
    for head, files in sources.items():
        found.setdefault(tuple(file.path for file in files), ([], files))[0].append(head)
    return list(found.values())


def _listed(files: Sequence[CocoFile]) -> str:
    """`a.json (train), b.json (val)`."""
    listed = ", ".join(file.path + (f" ({file.split})" if file.split else "") for file in files[:4])
    return listed + (f" and {len(files) - 4} more" if len(files) > 4 else "")


def _add_labels(gallery: Gallery, files: Sequence[CocoFile]) -> list[str]:
    """Annotations that name a category and nothing else: the image has these labels and no other."""
    names, classes = merged_classes(files, gallery.problems)
    found = gallery.heads.setdefault("labels", {})
    for file, own in zip(files, classes, strict=True):
        for number in file.numbers.values():
            if number >= 0:
                found.setdefault(number, Labels(torch.zeros(len(names), dtype=torch.int8)))
        for row, number in _known(gallery, file):
            category = file.annotations[row].get("category_id")
            if type(category) not in (int, str) or category not in own:
                text = f"category_id {shown(category)} is not among the categories"
                gallery.problems.append(Problem("ANN-REF", file.where(row), text, image=gallery.paths[number]))
                gallery.lost.add(number)
            else:
                found[number].values[own[category]] = 1
    gallery.spaces["labels"] = LabelSpace(names)
    return ["labels"]


def _add_captions(gallery: Gallery, files: Sequence[CocoFile]) -> list[str]:
    """The sentences of each image, in the order of the file; an image without any has none to learn from."""
    texts: dict[int, list[str]] = {}
    for file in files:
        for row, number in _known(gallery, file):
            text = file.annotations[row].get("caption")
            if isinstance(text, str):
                texts.setdefault(number, []).append(text.strip())
            else:
                text = f"caption is {shown(text)}, expected a sentence"
                gallery.problems.append(Problem("ANN-FIELD", file.where(row), text, image=gallery.paths[number]))
                gallery.lost.add(number)
    gallery.heads["caption"] = {number: Caption(tuple(own)) for number, own in texts.items()}
    gallery.spaces["caption"] = LabelSpace(())
    return ["caption"]


def _known(gallery: Gallery, file: CocoFile) -> list[tuple[int, int]]:
    """(row, number of its image) of the annotations whose image can be used; those of unknown images are told."""
    found = []
    for row, own in enumerate(column(file.annotations, "image_id")):
        number = file.numbers.get(own) if type(own) in (int, str) else None
        if number is None:
            gallery.problems.append(Problem("ANN-REF", file.where(row), f"image_id {shown(own)} is not among the images"))
        elif number >= 0:
            found.append((row, number))
    return found


def _records(gallery: Gallery) -> list[Record]:
    """One for each image that can be used, in the order of the listing."""
    root, heads = gallery.source.root, gallery.heads
    records = []
    for path in gallery.source.listing.files:
        number = gallery.numbers.get(path)
        if number is not None and number not in gallery.lost:
            targets = {head: truths.get(number) for head, truths in heads.items()}
            records.append(Record(path, root / path, targets=targets, split=gallery.splits[number], size=gallery.sizes[number]))
    return records


def _unlisted(gallery: Gallery, files: Sequence[CocoFile]) -> list[Problem]:
    """Images of the folder that no file lists, as one problem; pictures of masks are none."""
    masks = {path for file in files for path in file.masks}
    images = [path for path in gallery.source.listing.files if path not in masks]
    left = [path for path in images if path not in gallery.numbers]
    return [Problem("ANN-UNLISTED", left[0], f"{len(left):,} of {len(images):,} images ({len(left) / len(images):.0%})")] if left else []
