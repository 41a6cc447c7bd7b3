"""Pascal VOC: an XML file an image, lists of images and of classes, masks as palette pictures (Everingham et al. 2010, "The Pascal Visual Object Classes").

Boxes in the files count pixels from 1 and include the last one: xmin..xmax is [xmin - 1, xmax] here. A label file belongs to the image
of its name (the tags `filename` and `folder` are often wrong). `difficult` is a flag of the box; truncated, occluded, pose and what else
tools write are its attributes. Classes are those of labelmap.txt or labels.txt; else the challenge's own 20 where the folder is laid out as
the challenge's and names no others; else the names found, in natural order.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from saccade.core import LabelSpace, Record
from saccade.data.formats import strict_xml, voc_parts
from saccade.data.formats.beside import Beside, orphans, sizes_of, split_of, unlisted, without_labels
from saccade.data.formats.objects import Share
from saccade.data.formats.source import Found, Source, natural
from saccade.data.formats.stored import Coding, MaskFile
from saccade.data.formats.voc_masks import ObjectMasks
from saccade.data.formats.voc_parts import Colour, Lists
from saccade.data.formats.voc_xml import Page, columns, read_page
from saccade.data.image import header
from saccade.errors import DataError, Problem
from saccade.targets import Labels

LARGEST = 1 << 24
"""Bytes of the label file of one image."""
_PEEKS = 9


class Plan(NamedTuple):
    """The XML files, the folders that hold ImageSets, and masks by kind and by (folder above, name without suffix)."""

    xmls: tuple[str, ...]
    bases: tuple[str, ...]
    masks: dict[tuple[str, str, str], str]


def detect(source: Source) -> Plan | None:
    """Whether there are XML files of the kind, or lists or masks in the challenge's folders."""
    if source.only:
        return None
    xmls = tuple(path for path in source.listing.labels if path.lower().endswith(".xml"))
    heads = [source.head(path).replace(b"\0", b"") for path in xmls[:: max(1, len(xmls) // _PEEKS)][:_PEEKS]]
    known = [b"<annotation" in head and b"<annotations" not in head and b"<polygon" not in head.split(b"<bndbox")[0] for head in heads]
    if xmls and not any(known):
        xmls = ()
    masks = _masks(source)
    bases = tuple(voc_parts.bases(source))
    listed = any(path.startswith(f"{base}ImageSets/") for base in bases for path in source.listing.labels)
    if xmls or (listed and (masks or any(path.startswith(f"{base}JPEGImages/") for base in bases for path in source.listing.files))):
        return Plan(xmls, bases, masks)
    return Plan((), bases, masks) if any(kind == "segmentationclass" for kind, _, _ in masks) and voc_parts.pictures(source) else None


def _masks(source: Source) -> dict[tuple[str, str, str], str]:
    found = {}
    for path in source.listing.files:
        parts = path.split("/")
        place = next((i for i, part in enumerate(parts[:-1]) if part.lower() in voc_parts.MASKS), None)
        if place is not None:
            found[parts[place].lower(), "/".join(parts[:place]), posixpath.splitext("/".join(parts[place + 1 :]))[0]] = path
    return found


def load(source: Source, plan: Plan) -> Found:
    """A record for each image that the lists name; without lists, for each in a folder where images have label files.

    Raises DataError ANN-CLASS, ANN-UNREADABLE for the lists of classes and images.
    """
    problems: list[Problem] = []
    pictures = voc_parts.pictures(source)
    lists = voc_parts.read_lists(source, pictures, problems)
    own = _own(source, plan, pictures)
    images = _chosen(plan, pictures, lists, own)
    pages = _pages(source, images, own, problems)
    listed = voc_parts.label_map(source)
    names, colours = _names(plan, pages, listed)
    lost = {image for image, page in pages.items() if page is None}
    images = [image for image in images if image not in lost]
    sizes = _sizes(source, images, pages)
    shares = columns([pages.get(image) for image in images], images, sizes, names, listed[0] if listed else "", problems)
    coding = _coding(plan, source, colours) if plan.masks else Coding("index", (), ())
    heads = _heads(plan, lists)
    records = []
    for i, image in enumerate(images):
        share = shares[i]
        if share is None:
            continue
        targets: dict[str, Any] = {"boxes": share.boxes if image in pages else None} if "boxes" in heads else {}
        targets |= _mask_targets(source, plan, image, share, pages.get(image), coding, heads)
        if "labels" in heads:
            targets["labels"] = _labels(lists, image, names)
        records.append(Record(image, source.root / image, targets=targets, split=lists.splits.get(image, split_of(image)), size=sizes[i]))
    spaces = {head: LabelSpace(names) for head in heads}
    if "map" in heads:
        spaces["map"] = _map_space(colours)
    return Found(records, spaces, _reason(plan, heads, listed), problems + _told(source, plan, images, pictures, own, lost))


def _own(source: Source, plan: Plan, pictures: Sequence[str]) -> dict[str, str]:
    """Image -> its XML file. Of images that differ in their suffix only, the one that the file names has it, else the first."""
    beside, owners = Beside(plan.xmls), dict[str, list[str]]()
    for image in pictures:
        if (xml := beside.label(image)) is not None:
            owners.setdefault(xml, []).append(image)
    own = {}
    for xml, images in owners.items():
        head = source.head(xml) if len(images) > 1 else b""
        own[next((image for image in images if posixpath.basename(image).encode() in head), images[0])] = xml
    return own


def _chosen(plan: Plan, pictures: Sequence[str], lists: Lists, own: dict[str, str]) -> list[str]:
    if lists.splits or lists.classes:
        return [image for image in pictures if image in lists.splits or image in lists.classes]
    masked = {(above, stem) for kind, above, stem in plan.masks if kind == "segmentationclass"}
    folders = {posixpath.dirname(image) for image in own}
    return [
        image for image in pictures if posixpath.dirname(image) in folders or (not plan.xmls and any(_mask_key(image, above) == stem for above, stem in masked))
    ]


def _mask_key(image: str, above: str) -> str:
    """The name without suffix that the mask of an image has, inside the folder of masks in `above`."""
    inner = posixpath.splitext(image.removeprefix(f"{above}/" if above else ""))[0]
    return inner.partition("/")[2] or inner


def _pages(source: Source, images: Sequence[str], own: dict[str, str], problems: list[Problem]) -> dict[str, Page | None]:
    """The label file of each image that has one, None where it cannot be read."""
    pages: dict[str, Page | None] = {}
    for image in images:
        if image in own:
            try:
                pages[image] = read_page(strict_xml.parse(source.content(own[image], LARGEST), own[image]), own[image])
            except DataError as error:
                severity = "fatal" if error.code == "ANN-XML" else "error"  # one damaged file of many; what could do harm stops everything
                problems.append(Problem(error.code, error.where, error.got, severity, image))  # type: ignore[arg-type]
                pages[image] = None
    return pages


def _names(plan: Plan, pages: dict[str, Page | None], listed: tuple[str, list[Colour]] | None) -> tuple[tuple[str, ...], list[Colour]]:
    """The classes of boxes, and the classes of masks with their colours."""
    used = {name for page in pages.values() if page is not None for name in page.names}
    if listed is not None:
        colours = [colour for colour in listed[1] if colour.rgb != voc_parts.VOID]
        plain = [colour.name for colour in colours if colour.name != "background" or "background" in used]
        return tuple(plain), colours
    challenge = bool(plan.bases or plan.masks) and used <= set(voc_parts.CLASSES)
    names = voc_parts.CLASSES if challenge else tuple(sorted(used, key=natural))
    return names, [Colour("background", None), *(Colour(name, None) for name in names)]


def _sizes(source: Source, images: Sequence[str], pages: dict[str, Page | None]) -> list[tuple[int, int] | None]:
    """(h, w) as the label files say, from the image's header where they do not."""
    said = [page.size if (page := pages.get(image)) is not None else None for image in images]
    unsaid = [image for image, size in zip(images, said, strict=True) if size is None]
    read = dict(zip(unsaid, sizes_of(source, unsaid), strict=True))
    return [size if size is not None else read[image] for image, size in zip(images, said, strict=True)]


def _coding(plan: Plan, source: Source, colours: Sequence[Colour]) -> Coding:
    """How the class masks are read: by index, or by colour where they are no palette pictures and labelmap.txt names colours."""
    first = next((path for (kind, _, _), path in plan.masks.items() if kind == "segmentationclass"), None)
    given = [colour.rgb for colour in colours]
    try:
        coloured = first is not None and header(source.root / first).mode in ("RGB", "RGBA")
    except DataError:
        coloured = False
    if coloured and all(rgb is not None for rgb in given):
        rgbs = [*(rgb for rgb in given if rgb is not None), voc_parts.VOID]
        return Coding("colour", tuple(r << 16 | g << 8 | b for r, g, b in rgbs), (*range(len(given)), 255))
    return Coding("index", (*range(len(colours)), 255), (*range(len(colours)), 255))


def _heads(plan: Plan, lists: Lists) -> list[str]:
    kinds = {kind for kind, _, _ in plan.masks}
    heads = ["boxes"] if plan.xmls else []
    heads += ["labels"] if lists.classes and not plan.xmls else []
    return heads + (["map"] if "segmentationclass" in kinds else []) + (["instances"] if "segmentationobject" in kinds else [])


def _mask_targets(source: Source, plan: Plan, image: str, share: Share, page: Page | None, coding: Coding, heads: Sequence[str]) -> dict[str, Any]:
    """The masks of one image, which stay in their files."""
    found: dict[str, Any] = {head: None for head in ("map", "instances") if head in heads}
    for above in {above for _, above, _ in plan.masks} if found else ():
        key = _mask_key(image, above)
        classes, objects = (plan.masks.get((kind, above, key)) for kind in ("segmentationclass", "segmentationobject"))
        if classes is not None:
            found["map"] = MaskFile(source.root / classes, coding)
        if objects is not None:
            whole = page is not None and len(page.names) == len(share.boxes)
            path = source.root / classes if classes is not None else None
            found["instances"] = ObjectMasks(source.root / objects, path, coding, share.boxes if whole else None)
    return found


def _map_space(colours: Sequence[Colour]) -> LabelSpace:
    names = tuple(colour.name for colour in colours)
    shown = tuple("#{:02x}{:02x}{:02x}".format(*colour.rgb) for colour in colours if colour.rgb is not None)
    return LabelSpace(names, background=names.index("background") if "background" in names else None, colours=shown if len(shown) == len(names) else ())


def _labels(lists: Lists, image: str, names: Sequence[str]) -> Labels | None:
    said = lists.classes.get(image)
    return None if said is None else Labels(torch.tensor(np.array([said.get(name, -1) for name in names], dtype=np.int8)))


def _told(source: Source, plan: Plan, images: Sequence[str], pictures: Sequence[str], own: dict[str, str], lost: set[str]) -> list[Problem]:
    """What has no counterpart."""
    chosen = {*images, *lost}
    alone = sorted(set(plan.xmls) - set(own.values()), key=natural)
    bare = [image for image in images if image not in own] if plan.xmls else []
    left = [image for image in pictures if image not in chosen]
    told = without_labels(bare, len(chosen), "they count as not labelled") + orphans(alone, len(plan.xmls))
    return told + unlisted(left, len(pictures)) + source.leftovers


def _reason(plan: Plan, heads: Sequence[str], listed: tuple[str, Any] | None) -> str:
    kinds = {"boxes": f"{len(plan.xmls):,} XML files", "labels": "lists of classes", "map": "class masks", "instances": "object masks"}
    return "Pascal VOC: " + ", ".join(kinds[head] for head in heads) + (f", classes of {listed[0]}" if listed else "")
