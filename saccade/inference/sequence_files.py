"""Sequences that are to be answered: what the user names as an ordered list of inputs, and the frames of one of them.

A sequence is a line of JSON lines (`data.formats.sequences`, its labels not being looked at), a file of numbers with a row a frame (.npy, .mat, .csv), or a
folder of pictures in natural order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from saccade.core import Stored
from saccade.data.columns import Column
from saccade.data.formats.sequences import detect, frames_of
from saccade.data.formats.sequences_files import NUMBERS, narrow, numbers_of
from saccade.data.formats.sequences_lines import SUFFIXES, header_of
from saccade.data.formats.source import LARGEST, READ, Source, natural, scan
from saccade.data.formats.stored import Clip
from saccade.data.formats.strict_json import parse
from saccade.data.open import base_of
from saccade.data.pixels import with_channels
from saccade.errors import DataError
from saccade.inference.sources import Found, Input, Inputs, expand, unique_names

BOM = b"\xef\xbb\xbf"


def expand_sequences(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, pictures: bool = False, stdin: BinaryIO | None = None) -> Inputs:
    """The sequences that sources name, in the order of the sources; sources are as those of `expand`, patterns selecting folders too.

    Of a folder: the lines of its JSON lines where it has some, else its files of numbers, or the folders that hold pictures; pictures: what the
    model takes, and what is looked for first. A line is called by its id, else as file#number. Lines that cannot be read are inputs too.
    Raises DataError as `expand` does.
    """
    found = expand(sources, stdin=stdin, inside=partial(sequences_in, pictures=pictures), folders=True)
    every = [part for item in found.items for part in _parts(item)]
    if not every:
        raise DataError("PRED-NONE", "the files hold no sequence", where=str(found.items[0].path))
    named = unique_names([item.id for item in every])
    return Inputs(tuple(replace(item, id=name) for item, name in zip(every, named, strict=True)), found.problems)


def sequences_in(folder: Path, *, pictures: bool) -> Found:
    """What of a folder is a sequence or holds some: see `expand_sequences`."""
    listed = detect(Source(folder))
    listing = scan(folder)
    if listed is not None:
        return listed, listing.problems
    clips = {os.path.dirname(name) for name in listing.files}
    numbers = [name for where in ("", *listing.folders) for name in _numbers_in(folder, where)]
    chosen = (clips or numbers) if pictures else (numbers or clips)
    return sorted(chosen, key=natural), listing.problems


def _numbers_in(folder: Path, where: str) -> Iterator[str]:
    with os.scandir(folder / where) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower().endswith(NUMBERS) and entry.is_file(follow_symlinks=False):
                yield os.path.join(where, entry.name)


def _parts(item: Input) -> Iterator[Input]:
    """The lines of a file of JSON lines, else the input itself; a file that cannot be read is one input, and reading it tells why."""
    if item.path.suffix.lower() not in SUFFIXES:
        yield item
        return
    root = base_of(item.path) if item.path.is_file() else item.path.parent
    try:
        with open(item.path, "rb") as stream:
            place = 0
            for number, line in enumerate(stream, 1):
                text = line.removeprefix(BOM) if not place else line
                if text.strip():
                    name = _name(text, f"{item.id}#{number}")
                    if name is not None:
                        yield Input(name, item.path, place, root)
                place += len(line)
    except (OSError, ValueError):
        yield item


def _name(line: bytes, otherwise: str) -> str | None:
    """The id of a line, None for the line that names the classes."""
    try:
        content = parse(line, "")
        if not isinstance(content, dict):
            return otherwise
        if header_of(content, "") is not None:
            return None
    except DataError:
        return otherwise
    said = content.get("id")
    return str(said) if isinstance(said, str | int) and not isinstance(said, bool) else otherwise


class SequenceReader:
    """Reads sequences as the columns that a model takes. channels: numbers a frame, or channels of the pictures; side: pixels of a frame, 1 for
    numbers; longest: pixels of the longest column. Safe to call from several threads."""

    def __init__(self, channels: int, side: int, longest: int) -> None:
        self.channels, self.side, self.longest = channels, side, longest
        self._folders: dict[Path, Source] = {}

    @property
    def wanted(self) -> str:
        """What the model takes, in words."""
        if self.side > 1:
            return f"frames that are pictures ({self.side} px, {'grey' if self.channels == 1 else 'colour'})"
        return f"{self.channels} number{'s' if self.channels > 1 else ''} a frame"

    def read(self, item: Input) -> np.ndarray:
        """(T side, side, C): uint8, or float32. Raises DataError ANN-*, IMG-*, with the file (and line) as its place."""
        try:
            return self._column(self._line(item) if item.line is not None else _frames(item))
        except DataError as error:
            if error.where and not error.code.startswith("ANN-"):
                raise  # a picture: it is named already
            raise DataError(error.code, error.got, where=f"{item.path}" if item.line is None else f"{item.path} ({item.id})", fix=error.fix) from error

    def _column(self, frames: Any) -> np.ndarray:
        clip = isinstance(frames, Stored)
        got = "pictures" if clip else f"{frames.shape[1]} numbers a frame"
        if clip != (self.side > 1) or (not clip and frames.shape[1] != self.channels):
            raise DataError("ANN-SEQ", f"{got}; the model takes {self.wanted}", fix="give it sequences like those it has learnt from")
        steps = len(frames.files) if isinstance(frames, Clip) else len(frames)
        if steps * self.side > self.longest:
            got = f"{steps:,} frames, at most {self.longest // self.side:,} are taken"
            raise DataError("ANN-SEQ", got, fix="cut the sequence into shorter ones")
        if not clip:
            return np.ascontiguousarray(frames[:, None])
        return np.ascontiguousarray(with_channels(Column(frames, self.side).load(), self.channels))

    def _line(self, item: Input) -> Any:
        """The frames of a line; a folder in which lines find their frames is listed once."""
        root = item.root or item.path.parent
        name = item.path.absolute().relative_to(root.absolute()).as_posix()
        try:
            with open(item.path, "rb") as stream:
                stream.seek(item.line or 0)
                text = stream.readline(LARGEST).removeprefix(BOM)
        except OSError as error:
            raise DataError("ANN-UNREADABLE", error.strerror or str(error)) from error
        content = parse(text, name)
        if not isinstance(content, dict):
            raise DataError("ANN-FIELD", f"{type(content).__name__}, where an object is expected")
        return frames_of(self._folders.setdefault(root, Source(root)), name, content)


def _frames(item: Input) -> Any:
    """(T, D) float32 or a clip, of an input that is no line. Raises DataError."""
    path = item.path
    if path.is_dir():
        names = sorted((entry.name for entry in os.scandir(path) if entry.is_file() and _shown(entry.name)), key=natural)
        if not names:
            raise DataError("ANN-SEQ", "there is no picture in the folder")
        return Clip(tuple(path / name for name in names))
    suffix = path.suffix.lower()
    if suffix not in NUMBERS and suffix not in SUFFIXES and os.path.lexists(path):
        what = "a single picture" if suffix in READ else f"a file {suffix or 'without a suffix'}"
        raise DataError("ANN-SEQ", f"{what}; a sequence is a line of JSON lines, a file ({', '.join(NUMBERS)}) or a folder of pictures")
    content = Source(path.parent, path.name).content(path.name)
    if suffix in SUFFIXES:
        raise DataError("ANN-UNREADABLE", "the file could not be read a moment ago")
    return narrow(numbers_of(content, path.name))


def _shown(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in READ
