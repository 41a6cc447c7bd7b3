"""What the user names as images, as an ordered list of inputs: files, folders, patterns, lists of paths, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from saccade.data.formats.source import natural, scan
from saccade.errors import DataError, Problem


@dataclass(frozen=True)
class Input:
    """One image to predict: a name that is unique among the inputs, and where the file is."""

    id: str
    path: Path


@dataclass(frozen=True)
class Inputs:
    """The inputs in order, and what was met and left out in the folders: links that leave them, files of special kinds."""

    items: tuple[Input, ...]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.items)


def expand(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, stdin: BinaryIO | None = None) -> Inputs:
    """The images that sources name, in the order of the sources.

    A source is a folder (its images at any depth, as a data set's are found, in natural order), a pattern with * ? [ ] or
    ** (in natural order), @FILE (a path a line, relative to the list's folder), - (the same from standard input), or a file.
    A file that is named is an input whatever it is, and so is one that does not exist; only patterns and folders select.
    Ids are relative to the folder when it is the only source, else the paths as given; a path named twice gets #2.

    Raises DataError: DATA-MISSING when nothing named exists, PRED-NONE when what exists holds no image, ANN-UNREADABLE for a list.
    """
    named = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found: list[tuple[str, Path]] = []
    problems: list[Problem] = []
    for source in named:
        items, more = _one(os.fspath(source), len(named) == 1, stdin)
        found += items
        problems += more
    shown = " ".join(os.fspath(source) for source in named)[:200]
    if not found:
        raise DataError("PRED-NONE", "nothing was named" if not named else f"{len(problems)} files were left out", where=shown)
    if not any(os.path.lexists(path) for _, path in found):
        raise DataError("DATA-MISSING", f"none of {len(found)}" if len(found) > 1 else "", where=shown)
    return Inputs(tuple(_unique(found)), tuple(problems))


def _one(source: str, alone: bool, stdin: BinaryIO | None) -> tuple[list[tuple[str, Path]], list[Problem]]:
    if source == "-":
        return _lines((stdin or sys.stdin.buffer).read(), ""), []
    if os.path.isdir(source):
        listing = scan(Path(source))
        names = sorted(listing.files, key=natural)
        return [(name if alone else os.path.join(source, name), Path(source, name)) for name in names], listing.problems
    if source.startswith("@") and not os.path.lexists(source):
        try:
            return _lines(Path(source[1:]).read_bytes(), os.path.dirname(source[1:])), []
        except OSError as error:
            raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=source[1:]) from error
    if glob.has_magic(source) and not os.path.lexists(source):
        matches = sorted(glob.glob(source, recursive=True), key=natural)
        return [(match, Path(match)) for match in matches if not os.path.isdir(match)], []
    return [(source, Path(source))], []


def _lines(data: bytes, folder: str) -> list[tuple[str, Path]]:
    """A path a line; file names are bytes, so undecodable ones are kept. Blank lines are none."""
    text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [(line, Path(folder, line)) for line in lines if line.strip()]


def _unique(found: list[tuple[str, Path]]) -> list[Input]:
    taken, items = {name for name, _ in found}, []
    used: set[str] = set()
    for name, path in found:
        own, count = name, 1
        while own in used or (count > 1 and own in taken):
            count += 1
            own = f"{name}#{count}"
        used.add(own)
        items.append(Input(own, path))
    return items
