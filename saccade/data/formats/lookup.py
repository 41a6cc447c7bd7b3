"""From the way a label file names an image to the image of the folder that is meant."""

from __future__ import annotations

import ntpath
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from saccade.errors import Problem

SIBLINGS = ("images", "image", "imgs", "img", "JPEGImages", "image_2", "data")


class Lookup:
    """The images of a folder by every name they may be given: path, tail of a path, file name, file name without suffix.

    A name that fits several images names none.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.files = list(files)
        self._there = set(files)

    def find(self, name: str, near: str = "") -> str | None:
        r"""The image that a label file in the folder `near` calls `name`, None when there is none or several.

        Tried in this order: beside the label file, from the root, in a folder of images beside the label file, by the longest
        tail of the path that only one image has, by the path without suffix.

        >>> Lookup(["train/images/a.jpg", "b.png"]).find("C:\\data\\a.jpg")
        'train/images/a.jpg'
        """
        plain = posixpath.normpath(name.strip().replace("\\", "/")) if name.strip() else ""
        if not plain or "\0" in plain:
            return None
        up = posixpath.dirname(near)
        relative = plain if not plain.startswith("/") else ""
        tried = [posixpath.join(near, relative), relative, *(posixpath.join(up, folder, relative) for folder in SIBLINGS)] if relative else []
        for path in tried:
            if (normal := posixpath.normpath(path)) in self._there:
                return normal
        parts = [part for part in ntpath.splitdrive(plain)[1].split("/") if part not in ("", "..")]
        for table, cut in ((self._tails, False), (self._stems, True)):
            for first in range(len(parts)):
                tail = "/".join(parts[first:])
                found = table.get(_without_suffix(tail) if cut else tail)
                if found:
                    return found[0] if len(found) == 1 else None
        return None

    def missing(self, name: str, where: str) -> Problem:
        """The problem of a name that `find` does not find: it leaves the folder, or is not there."""
        plain = name.strip().replace("\\", "/")
        if plain.startswith("/") or ntpath.splitdrive(plain)[0] or posixpath.normpath(plain or ".").startswith(".."):
            return Problem("ANN-PATH", where, name[:200])
        return Problem("IMG-MISSING", name[:200] or "an empty name", f"named in {where}")

    @cached_property
    def _tails(self) -> dict[str, list[str]]:
        return _table(self.files, False)

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        return _table(self.files, True)


def _table(files: Sequence[str], cut: bool) -> dict[str, list[str]]:
    """Every tail of every path -> the paths that end so."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files:
        parts = path.split("/")
        for first in range(len(parts)):
            tail = "/".join(parts[first:])
            found[_without_suffix(tail) if cut else tail].append(path)
    return found


def _without_suffix(path: str) -> str:
    """The path without the suffix of an image; other dots belong to the name."""
    stem, suffix = posixpath.splitext(path)
    return stem if suffix[1:].isalnum() and len(suffix) <= 5 and not suffix[1:].isdecimal() else path
