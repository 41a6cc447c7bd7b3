"""The images that COCO files list, found among those of the folder, each once, with what all files together say of it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.core import LabelSpace
from saccade.data.formats.coco_file import LOST, CocoFile, Size, folder_split
from saccade.data.formats.lookup import SIBLINGS
from saccade.data.formats.source import READ, Source
from saccade.errors import DataError, Problem

_TRIED = 64  # names by which a folder is judged
_MOST_FOLDERS = 5000
_NEIGHBOURS = 300  # folders looked into above a file that was given


@dataclass
class Gallery:
    """`paths` without one twice, (h, w) and split of each as the files say, the numbers of those that cannot be used, and the truths."""

    source: Source
    paths: list[str] = field(default_factory=list)
    sizes: list[Size | None] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)  # path -> number
    heads: dict[str, dict[int, Any]] = field(default_factory=dict)  # head -> number -> truth
    spaces: dict[str, LabelSpace] = field(default_factory=dict)

    def measure(self, numbers: Iterable[int]) -> None:
        """Fills in from the headers of the images the sizes that no file gives."""
        if None in self.sizes:
            for number in set(numbers):
                if self.sizes[number] is None:
                    self.sizes[number] = self.source.size(self.paths[number])

    def place(self, files: Sequence[CocoFile]) -> None:
        """Gives every image its number and sets `numbers` of each file. Images that are not there, twice there, or in two splits are told.

        Raises DataError IMG-MISSING when none of them is there.
        """
        places = Places(self.source)
        for file in files:
            self.problems += file.problems
            paths = places.find(file.names, file.path.rpartition("/")[0], file.split)
            file.numbers = dict.fromkeys(file.lost, LOST)
            if None not in paths and len(set(paths)) == len(paths) and not self.paths:
                self._take(file, [path for path in paths if path is not None], places)
            else:
                self._enter(file, paths, places)
        if not self.paths and (first := next((file for file in files if file.names), None)):
            listed = sum(len(file.names) for file in files)
            got = f"none of the {listed:,} images that {first.path} lists is there, such as {first.names[0][:100]}"
            raise DataError("IMG-MISSING", got, where=str(self.source.root), fix="give the folder that holds both the images and the JSON file")

    def _take(self, file: CocoFile, paths: list[str], places: Places) -> None:
        """The images of the first file, when all are there and none twice."""
        self.paths, self.sizes = paths, list(file.sizes)
        self.splits = [file.split] * len(paths) if file.split else places.splits(paths)
        self.numbers = dict(zip(paths, range(len(paths)), strict=True))
        file.numbers |= zip(file.ids, range(len(paths)), strict=True)

    def _enter(self, file: CocoFile, paths: Sequence[str | None], places: Places) -> None:
        seen: dict[int, int] = {}
        for place, (own, path, size) in enumerate(zip(file.ids, paths, file.sizes, strict=True)):
            where = f"{file.path}:images[{file.rows[place]}]"
            if path is None:
                self.problems.append(self.source.lookup.missing(file.names[place], where))
                file.numbers[own] = LOST
                continue
            split = file.split or places.splits([path])[0]
            number = file.numbers[own] = self.numbers.setdefault(path, len(self.paths))
            if number == len(self.paths):
                self.paths.append(path)
                self.sizes.append(size)
                self.splits.append(split)
                seen[number] = place
                continue
            if (first := seen.setdefault(number, place)) != place:
                text = f"images[{file.rows[first]}] is the same picture; the objects of both are put together"
                self.problems.append(Problem("ANN-DUP", where, text, image=path))
            if split and self.splits[number] and split != self.splits[number]:
                self.problems.append(Problem("LEAK-EXACT", path, f"{self.splits[number]}, and {split} in {file.path}"))
            self.splits[number] = self.splits[number] or split
            self.sizes[number] = self.sizes[number] or size


class Places:
    """From the names in a file to the images of the folder: those of one file mostly lie in one folder, which is found first."""

    def __init__(self, source: Source) -> None:
        self.source, self.there = source, set(source.listing.files)
        self.folders = list(dict.fromkeys(path.rpartition("/")[0] for path in source.listing.files))

    def find(self, names: Sequence[str], near: str, split: str | None) -> list[str | None]:
        """The image that each name means, None when there is none or several; `near` is the folder of the file that names them."""
        prefix = self._prefix(names, near, split)
        if prefix is None:
            return [self._elsewhere(name, near) for name in names]
        paths: list[str | None] = [prefix + name for name in names]
        if not self.there.issuperset(paths):
            paths = [path if path in self.there else self._elsewhere(name, near) for path, name in zip(paths, names, strict=True)]
        return paths

    def _elsewhere(self, name: str, near: str) -> str | None:
        """The image that a name means wherever it lies, but none of another kind of file: x.png may be the mask of x.jpg."""
        found = self.source.lookup.find(name, near)
        wanted, got = (posixpath.splitext(path)[1].lower().replace("jpeg", "jpg") for path in (name, found or ""))
        return found if wanted == got or wanted not in READ else None

    def _prefix(self, names: Sequence[str], near: str, split: str | None) -> str | None:
        """The folder, ending in /, in which most of the names are; one of the file's split before others, then the nearest. None when it is open."""
        sample = names[:: max(1, len(names) // _TRIED)]
        beside = [near, "", *(posixpath.normpath(posixpath.join(near, "..", folder)) for folder in SIBLINGS)]
        tried = list(dict.fromkeys([*beside, *self.folders[:_MOST_FOLDERS]]))
        scores = []
        for order, folder in enumerate(tried):
            prefix = f"{folder}/" if folder and folder != "." else ""
            hits = sum(prefix + name in self.there for name in sample)
            if hits:
                scores.append((hits, split is not None and folder_split(folder) == split, -min(order, len(beside)), prefix))
        if not scores:
            return None
        best = max(scores)[:3]
        found = [score[3] for score in scores if score[:3] == best]
        return found[0] if len(found) == 1 else None

    def splits(self, paths: Sequence[str]) -> list[str | None]:
        """The split that the folders of each image say."""
        known: dict[str, str | None] = {}
        folders = [path.rpartition("/")[0] for path in paths]
        for folder in set(folders):
            known[folder] = folder_split(folder)
        return [known[folder] for folder in folders]


def merged_classes(files: Sequence[CocoFile], problems: list[Problem]) -> tuple[tuple[str, ...], list[dict[Any, int]]]:
    """The names of the classes of several files, by ascending id, and for each file: category id -> class id. Classes meet by their names."""
    every = sorted({(isinstance(c.id, str), c.id, c.name) for file in files for c in file.categories}, key=lambda c: (c[0], c[1]))
    names = tuple(dict.fromkeys(name for _, _, name in every))
    first = files[0]
    for other in files[1:]:
        differing = {c.name for c in other.categories} ^ {c.name for c in first.categories}
        if differing and other.categories and first.categories:
            text = f"{', '.join(sorted(differing)[:5])}: only in one of this and {first.path}; all are used, classes meet by their names"
            problems.append(Problem("CLS-SPLIT", other.path, text, severity="warn"))
    return names, [{c.id: names.index(c.name) for c in file.categories} for file in files]


def home(source: Source, named: Sequence[str]) -> Source:
    """Where the images that a given file names lie: beside it, else one or two folders above, where its names are tried one by one.

    Names are tried as they stand first, then in the folders of each place. Nothing is listed above the file unless an image that it
    names has been found there. A folder that was given is left as it is.
    """
    names = [name for name in named[:: max(1, len(named) // 16)] if _plain(name)][:16]
    if not source.only or not names:
        return source
    own = Path(os.path.abspath(source.root))
    levels = [own, *[folder for folder in own.parents[:2] if folder.parent != folder]]
    for there in (_named, _named_below):
        for folder in levels:
            if any(there(folder, name) for name in names):
                only = os.path.relpath(own / source.only, folder).replace(os.sep, "/")
                return source if folder == own else Source(folder, only, source.wishes)
    return source


def _named(folder: Path, name: str) -> bool:
    """Whether folder/name is a file."""
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):
        return False


def _plain(name: str) -> bool:
    """Whether a name stays below the folder it is joined to."""
    normal = posixpath.normpath(name.replace("\\", "/"))
    return "\0" not in name and not normal.startswith(("/", "..")) and ":" not in normal


def _named_below(folder: Path, name: str) -> bool:
    """Whether folder/any/name or folder/any/any/name is a file."""
    level = [folder]
    try:
        for _ in range(2):
            inner = [entry for one in level for entry in os.scandir(one) if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")]
            level = [Path(entry.path) for entry in inner[:_NEIGHBOURS]]
            if any(_named(one, name) for one in level):
                return True
    except OSError:
        return False
    return False
