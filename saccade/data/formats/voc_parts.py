"""What lies around the XML files of a Pascal VOC folder: lists of images, lists of classes, and which images belong to which."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from saccade.data.formats.beside import check_names, text_of
from saccade.data.formats.source import Source, natural
from saccade.errors import DataError, Problem

# fmt: off
CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person",
           "pottedplant", "sheep", "sofa", "train", "tvmonitor")
# fmt: on
"""The classes of the challenge, in its order; a mask's index is the place here plus one."""
VOID = (224, 224, 192)
"""The colour of index 255, which is ignored."""
MASKS = frozenset({"segmentationclass", "segmentationobject"})
_LISTED = re.compile(r"^(.+)_(train|val|trainval|test)\.txt$")
_PARTS = {"train": "train", "val": "val", "test": "test", "trainval": "train"}


class Colour(NamedTuple):
    """A line of labelmap.txt: a class and its colour, None where none is given."""

    name: str
    rgb: tuple[int, int, int] | None


class Lists(NamedTuple):
    """splits: image -> the split of the list that names it. classes: for each image what the lists of classes say, 1 yes, 0 no, -1 unknown."""

    splits: dict[str, str]
    classes: dict[str, dict[str, int]]


def bases(source: Source) -> list[str]:
    """The folders that hold `ImageSets`, each "" or ending in a slash."""
    found = [folder[: -len("ImageSets")] for folder in source.listing.folders if posixpath.basename(folder) == "ImageSets"]
    return sorted(found, key=natural)


def pictures(source: Source) -> list[str]:
    """The images of the folder that are no masks."""
    return [path for path in source.listing.files if not MASKS & {part.lower() for part in path.split("/")[:-1]}]


def read_lists(source: Source, images: Sequence[str], problems: list[Problem]) -> Lists:
    """The lists of `ImageSets`: those in Main, then those in Segmentation and directly in it for images that Main does not name.

    Problems: IMG-MISSING for what is listed but not there, LEAK-EXACT for an image in two of train, val and test.
    """
    stems = {posixpath.splitext(path)[0]: path for path in images}
    lists, missing = Lists({}, {}), set[str]()
    for base in bases(source):
        for folder in ("Main", "Segmentation", "Action", "Layout", ""):
            inner = posixpath.join(f"{base}ImageSets", folder)
            own: dict[str, str] = {}
            for name in ("train", "val", "test", "trainval"):
                path = posixpath.join(inner, f"{name}.txt")
                if path not in source.listing.labels:
                    continue
                for line, text in enumerate(text_of(source, path).splitlines(), 1):
                    if text.lstrip().startswith("#"):
                        continue
                    image = _image(source, stems, base, text)
                    if image is None and text.strip() and text.strip() not in missing:
                        missing.add(text.strip())
                        problems.append(source.lookup.missing(text, f"{path}:{line}"))
                    elif image is not None and own.setdefault(image, _PARTS[name]) != _PARTS[name] and name != "trainval":
                        problems.append(Problem("LEAK-EXACT", f"{path}:{line}", f"{image} is in {own[image]} too"))
            for image, split in own.items():
                lists.splits.setdefault(image, split)
        _read_classes(source, stems, base, lists.classes)
    return lists


def _image(source: Source, stems: Mapping[str, str], base: str, text: str) -> str | None:
    """The image of a line: its name without suffix, which may hold spaces; what follows a space may also be a flag."""
    for name in dict.fromkeys((text.strip(), text.split(maxsplit=1)[0] if text.strip() else "")):
        found = stems.get(f"{base}JPEGImages/{name}") if name else None
        if found is None and name:
            found = source.lookup.find(name, f"{base}JPEGImages")
        if found is not None and posixpath.splitext(found)[0] in stems:
            return found
    return None


def _read_classes(source: Source, stems: Mapping[str, str], base: str, classes: dict[str, dict[str, int]]) -> None:
    """Lists such as Main/cat_train.txt: an image a line, and 1 for there, -1 for not there, 0 for hard to see."""
    for path in source.listing.labels:
        folder, name = posixpath.split(path)
        found = _LISTED.match(name)
        if folder != f"{base}ImageSets/Main" or found is None:
            continue
        for line in text_of(source, path).splitlines():
            cells = line.rsplit(maxsplit=1)
            if len(cells) == 2 and cells[1] in ("1", "0", "-1") and (image := _image(source, stems, base, cells[0])) is not None:
                classes.setdefault(image, {})[found[1]] = {"1": 1, "-1": 0, "0": -1}[cells[1]]


def label_map(source: Source) -> tuple[str, list[Colour]] | None:
    """`labelmap.txt` (name:r,g,b:parts:actions a line) or `labels.txt` (a name a line) and its classes, None when there is neither.

    Raises DataError ANN-CLASS for a name listed twice or a colour that is none.
    """
    names = [path for path in source.listing.labels if posixpath.basename(path).lower() in ("labelmap.txt", "labels.txt", "classes.txt")]
    if not names:
        return None
    path = min(names, key=lambda p: (p.count("/"), posixpath.basename(p).lower() != "labelmap.txt", natural(p)))
    found = []
    for line in text_of(source, path).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.rsplit(":", 3) if line.count(":") >= 3 else [line]
        found.append(Colour(cells[0].strip(), _colour(cells[1], path) if len(cells) > 1 and cells[1].strip() else None))
    check_names([colour.name for colour in found], path)
    return path, found


def _colour(text: str, where: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) <= 255 for part in parts):
        raise DataError("ANN-CLASS", f"{text[:40]} is no colour", where=where)
    return int(parts[0]), int(parts[1]), int(parts[2])


def palette(n: int = 256) -> list[int]:
    """The challenge's palette, 3 numbers an index: the bits of the index, dealt out to red, green and blue from the highest down; 255 is VOID."""
    colours: list[int] = []
    for index in range(n):
        rgb, rest = [0, 0, 0], index
        for bit in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours += VOID if index == 255 else rgb
    return colours
