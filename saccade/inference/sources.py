"""What the user names as images (or sequences), as an ordered list of inputs: files, folders, patterns, lists of paths, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from saccade.data.formats.source import natural, scan
from saccade.errors import DataError, Problem


@dataclass(frozen=True)
class Input:
    """One image or sequence to predict: a name that is unique among the inputs, and where the file is.

    line: of a file that holds one a line, where the line begins (bytes). root: the folder that what a line names is looked for in.
    """

    id: str
    path: Path
    line: int | None = None
    root: Path | None = None


@dataclass(frozen=True)
class Inputs:
    """The inputs in order, and what was met and left out in the folders: links that leave them, files of special kinds."""

    items: tuple[Input, ...]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.items)


Found = tuple[list[str], list[Problem]]
"""What of a folder is an input, relative to it ("" for the folder itself), and what is left out."""


def images_in(folder: Path) -> Found:
    """The images of a folder at any depth, in natural order."""
    listing = scan(folder)
    return sorted(listing.files, key=natural), listing.problems


def expand(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    stdin: BinaryIO | None = None,
    inside: Callable[[Path], Found] = images_in,
    folders: bool = False,
) -> Inputs:
    """The images that sources name, in the order of the sources.

    A source is a folder (its images at any depth, as a data set's are found, in natural order), a pattern with * ? [ ] or
    ** (in natural order), @FILE (a path a line, relative to the list's folder), - (the same from standard input), or a file.
    A file that is named is an input whatever it is, and so is one that does not exist; only patterns and folders select.
    Ids are relative to the folder when it is the only source, else the paths as given; a path named twice gets #2.
    inside: what of a folder is an input. folders: a pattern selects folders too, and what is inside of them.

    Raises DataError: DATA-MISSING when nothing named exists, PRED-NONE when what exists holds no image, ANN-UNREADABLE for a list.
    """
    named = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found: list[tuple[str, Path]] = []
    problems: list[Problem] = []
    for source in named:
        items, more = _one(os.fspath(source), len(named) == 1, stdin, (inside, folders))
        found += items
        problems += more
    shown = " ".join(os.fspath(source) for source in named)[:200]
    if not found:
        raise DataError("PRED-NONE", "nothing was named" if not named else f"{len(problems)} files were left out", where=shown)
    if not any(os.path.lexists(path) for _, path in found):
        raise DataError("DATA-MISSING", f"none of {len(found)}" if len(found) > 1 else "", where=shown)
    return Inputs(tuple(_unique(found)), tuple(problems))


def _one(source: str, alone: bool, stdin: BinaryIO | None, chooses: tuple[Callable[[Path], Found], bool]) -> tuple[list[tuple[str, Path]], list[Problem]]:
    inside, folders = chooses
    if source == "-":
        return _lines((stdin or sys.stdin.buffer).read(), ""), []
    if os.path.isdir(source):
        return _folder(source, "" if alone else source, inside)
    if source.startswith("@") and not os.path.lexists(source):
        try:
            return _lines(Path(source[1:]).read_bytes(), os.path.dirname(source[1:])), []
        except OSError as error:
            raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=source[1:]) from error
    if glob.has_magic(source) and not os.path.lexists(source):
        matches = sorted(glob.glob(source, recursive=True), key=natural)
        if not folders:
            return [(match, Path(match)) for match in matches if not os.path.isdir(match)], []
        parts = [_folder(match, match, inside) if os.path.isdir(match) else ([(match, Path(match))], []) for match in matches]
        return [item for items, _ in parts for item in items], [problem for _, problems in parts for problem in problems]
    return [(source, Path(source))], []


def _folder(folder: str, shown: str, inside: Callable[[Path], Found]) -> tuple[list[tuple[str, Path]], list[Problem]]:
    """What is inside of a folder, named relative to it or as `shown` and that."""
    names, problems = inside(Path(folder))
    return [
        (os.path.join(shown, name) if name and shown else name or os.path.basename(os.path.abspath(folder)), Path(folder, name)) for name in names
    ], problems


def _lines(data: bytes, folder: str) -> list[tuple[str, Path]]:
    """A path a line; file names are bytes, so undecodable ones are kept. Blank lines are none."""
    text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [(line, Path(folder, line)) for line in lines if line.strip()]


def _unique(found: list[tuple[str, Path]]) -> list[Input]:
    return [Input(own, path) for own, (_, path) in zip(unique_names([name for name, _ in found]), found, strict=True)]


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, of which those that are there twice get a number that no other has.

    >>> unique_names(["a", "a", "a#2"])
    ['a', 'a#3', 'a#2']
    """
    taken, made = set(names), list[str]()
    used: set[str] = set()
    for name in names:
        own, count = name, 1
        while own in used or (count > 1 and own in taken):
            count += 1
            own = f"{name}#{count}"
        used.add(own)
        made.append(own)
    return made
