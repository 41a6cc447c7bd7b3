"""Which image a label file belongs to where each image has its own, the lists of classes beside them, and the sizes of many images."""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence

from saccade.data.crew import Crew
from saccade.data.formats.lookup import SIBLINGS
from saccade.data.formats.source import SPLITS, Source
from saccade.errors import DataError, Problem

_IMAGES = frozenset(name.lower() for name in SIBLINGS)
_LABELS = frozenset("labels label annotations annotation label_2 xml xmls txt".split())
_PART = 64  # images whose headers a thread reads in one go


class Beside:
    """The label files of one suffix, by the folder they lie in and their name without it: an image's own is the one of its name.

    It lies in the image's folder, or in one that stands for labels where the image's stands for images (images/train/a.jpg and
    labels/train/a.txt, JPEGImages/a.jpg and Annotations/a.xml).
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._there: dict[tuple[str, str], str] = {}
        self._twins: dict[str, list[str]] = defaultdict(list)  # a folder's path with the names for images and labels made one
        for path in labels:
            folder, stem = posixpath.split(posixpath.splitext(path)[0])
            self._there.setdefault((folder, stem), path)
            neutral = _neutral(folder, _LABELS)
            if neutral != folder and folder not in self._twins[neutral]:
                self._twins[neutral].append(folder)

    def label(self, image: str) -> str | None:
        """The label file of an image, None when it has none.

        >>> Beside(["labels/train/a.b.txt"]).label("images/train/a.b.jpg")
        'labels/train/a.b.txt'
        """
        folder, stem = posixpath.split(posixpath.splitext(image)[0])
        found = self._there.get((folder, stem))
        if found is not None or not self._twins:
            return found
        for neutral in (_neutral(folder, _IMAGES), posixpath.join(folder, "*")):  # in place of the image's folder, or within it
            for twin in self._twins.get(neutral, ()):
                if (twin, stem) in self._there:
                    return self._there[twin, stem]
        return None


def _neutral(folder: str, names: frozenset[str]) -> str:
    """The folder with its last part that is one of these names as `*`; as it is when there is none."""
    parts = folder.split("/")
    for place in range(len(parts) - 1, -1, -1):
        if parts[place].lower() in names:
            return "/".join((*parts[:place], "*", *parts[place + 1 :]))
    return folder


def sizes_of(source: Source, images: Sequence[str]) -> list[tuple[int, int] | None]:
    """`source.size` of every image, from several threads where there are many."""
    threads = min(4, os.cpu_count() or 1)
    if len(images) > 4 * _PART and threads > 1:
        crew: Crew[list[tuple[int, int] | None]] = Crew(threads)
        parts = [images[first : first + _PART] for first in range(0, len(images), _PART)]
        futures = [crew.submit(lambda part=part: [source.size(image) for image in part]) for part in parts]  # type: ignore[misc]
        found = [size for future in futures for size in future.result()]
        crew.close()
        return found
    return [source.size(image) for image in images]


def split_of(path: str) -> str | None:
    """The split that a folder on the way to a file is named after: the last one that is."""
    return next((SPLITS[part.lower()] for part in reversed(path.split("/")[:-1]) if part.lower() in SPLITS), None)


def listed_names(source: Source, path: str) -> list[str]:
    """The lines of a list of class names, without empty ones and comments. Raises DataError ANN-UNREADABLE, ANN-CLASS for a name given twice."""
    lines = [line.strip() for line in text_of(source, path).splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    check_names(names, path)
    return names


def check_names(names: Sequence[str], where: str) -> None:
    """Raises DataError ANN-CLASS when a name is empty or there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen or not name:
            raise DataError("ANN-CLASS", f"the class {name} is listed twice" if name else "a class has an empty name", where=where)
        seen.add(name)


def text_of(source: Source, path: str, largest: int = 1 << 26) -> str:
    """A label file as text: UTF-8, or UTF-16 with its mark. Raises DataError ANN-UNREADABLE."""
    data = source.content(path, largest)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("ANN-UNREADABLE", "not UTF-8", where=path, fix="save it as UTF-8") from error


def part(n: int, total: int) -> str:
    """`12 of 400 images (3 %)`."""
    return f"{n:,} of {total:,} ({n / max(1, total):.0%})"


def without_labels(images: Sequence[str], total: int, meaning: str) -> list[Problem]:
    """The note that these images have no label file, and what that is taken for."""
    return [Problem("ANN-NOFILE", images[0], f"{part(len(images), total)} images; {meaning}")] if images else []


def orphans(labels: Sequence[str], total: int) -> list[Problem]:
    """The warning that these label files have no image."""
    return [Problem("ANN-ORPHAN", labels[0], f"{part(len(labels), total)} label files")] if labels else []


def unlisted(images: Sequence[str], total: int) -> list[Problem]:
    """The note that these images are left out."""
    return [Problem("ANN-UNLISTED", images[0], f"{part(len(images), total)} images")] if images else []
