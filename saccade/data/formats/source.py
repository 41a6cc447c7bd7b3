"""What a format is given, what it returns, and the listing of a folder's images."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from saccade.core import EMPTY, LabelSpace, Record
from saccade.data.formats.lookup import Lookup
from saccade.data.image import MAX_PIXELS, header
from saccade.data.image_file import HEAD, recognise
from saccade.errors import DataError, Problem

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""The names that folders, columns and files give the parts of a data set, and ours."""

READ = frozenset(".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .gif .tif .tiff .pnm .pgm .ppm .pbm".split())
REFUSED = frozenset(".avif .heic .heif .jp2 .j2k .jxl .tga .ico .psd .pcx .sgi .dds .dcm .exr .hdr".split())
"""Pictures too, which are listed so that each is refused by name."""

LABELS = frozenset(".txt .csv .tsv .token .json .jsonl .ndjson .xml .yaml .yml".split())
_COMPANIONS = LABELS | frozenset(".toml .md .rst .html .pdf .gz .zip .tar .db .ini".split())
LARGEST = 1 << 30
"""Bytes of one label file."""
_DIGITS = re.compile(r"(\d+)")
_ZEROS = bytes(ord("0") if chr(c) in "0123456789" else c for c in range(256))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """The sort key that puts 2 before 10: numbers by value, the rest by character; names that differ have keys that differ.

    >>> sorted(["img10", "img2", "img02"], key=natural)
    ['img02', 'img2', 'img10']
    """
    parts = _DIGITS.split(name)
    return (*((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p), (-1, 0, name))


def in_natural_order(names: Sequence[str]) -> list[str]:
    """The names sorted by `natural`; far faster where many are alike but for their digits, as those of most data sets are.

    Names that differ in digits alone, each number being as long, are in natural order when they are in that of their characters.
    """
    alike: dict[bytes, list[str]] = defaultdict(list)
    shapes = "\0".join(names).encode("utf-8", "surrogatepass").translate(_ZEROS).split(b"\0")
    for name, shape in zip(names, shapes, strict=len(names) > 0):
        alike[shape].append(name)
    if len(alike) > len(names) // 4:
        return sorted(names, key=natural)
    groups = sorted((sorted(own) for own in alike.values()), key=lambda own: natural(own[0]))
    apart = all(natural(before[-1]) < natural(after[0]) for before, after in pairwise(groups))
    return [name for own in groups for name in own] if apart else sorted(names, key=natural)


@dataclass
class Listing:
    """The images under a root. `files`, `labels` (what may be a label file) and `folders` are relative, with `/`; `others` counts the rest by suffix."""

    files: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def scan(root: Path, follow: bool = False) -> Listing:
    """Lists a folder without opening a file that has a suffix, without following a link out of it, and without blocking on a FIFO.

    Links to files inside are images like others; links to folders inside are not followed, their files being listed already.
    follow: links out of the folder are followed too, to a file or to a folder that has not been listed yet.
    """
    listing, inside, pending = Listing(), os.path.realpath(root) + os.sep, [""]
    listed = {os.path.realpath(root)} if follow else None
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.name != "__MACOSX":
                        _enter(entry, f"{folder}{entry.name}", listing, pending, (inside, listed))
        except OSError as error:
            listing.problems.append(Problem("IMG-DENIED", folder or str(root), error.strerror or str(error)))
    return listing


def _enter(entry: os.DirEntry[str], path: str, listing: Listing, pending: list[str], bounds: tuple[str, set[str] | None]) -> None:
    """One entry of a folder. bounds: the real root, and the real folders that links have led to, None where links out of it are not followed."""
    suffix, (inside, listed) = os.path.splitext(entry.name)[1].lower(), bounds
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not target.startswith(inside) and listed is None:
            listing.problems.append(Problem("IMG-LINK", path, "it leaves the folder; --follow follows it"))
            return
        if os.path.isdir(target) and not target.startswith(inside) and listed is not None and not _known(target, listed):
            listed.add(target)
            listing.folders.append(path)
            pending.append(path + "/")
            return
        if os.path.isdir(target):
            listing.problems.append(Problem("IMG-LINK", path, "a link to a folder whose files are listed already"))
            return
        if not os.path.lexists(target) or os.path.islink(target):
            listing.problems.append(Problem("IMG-MISSING", path, "a link to nothing"))
            return
    if entry.is_dir(follow_symlinks=False):
        if suffix in READ:
            listing.problems.append(Problem("IMG-SPECIAL", path, "a folder named like an image"))
            return
        listing.folders.append(path)
        pending.append(path + "/")
    elif not entry.is_file():
        listing.problems.append(Problem("IMG-SPECIAL", path, "neither a file nor a folder"))
    elif suffix in READ or suffix in REFUSED or (not suffix and _looks_like_image(entry)):
        listing.files.append(path)
    elif suffix in LABELS:
        listing.labels.append(path)
    elif suffix not in _COMPANIONS and not entry.name.upper().startswith(("LICENSE", "LICENCE", "README", "THUMBS.DB")):
        listing.others[suffix or "no suffix"] += 1


def _known(target: str, listed: set[str]) -> bool:
    """Whether a folder was listed already, or holds one that was: a loop."""
    return any(target == other or target.startswith(other + os.sep) or other.startswith(target + os.sep) for other in listed)


def _looks_like_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file without a suffix begins like a picture, even one of a format that is refused."""
    try:
        with open(entry.path, "rb") as stream:
            recognise(stream.read(HEAD), entry.path)
    except DataError as error:
        return error.code == "IMG-FORMAT"
    except OSError:
        return False
    return True


class Wishes(NamedTuple):
    """What the user says: columns of a table, the format asked for by name, and how large a picture may be."""

    label: str | None = None
    path: str | None = None
    group: str | None = None
    format: str | None = None
    max_pixels: int = MAX_PIXELS
    follow: bool = False  # links out of the folder


@dataclass
class Source:
    """What a format looks at: the folder, the one file when DATA is a file, and the user's wishes."""

    root: Path
    only: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    refusals: list[DataError] = field(default_factory=list, repr=False)  # of files that would have been chosen, if they could be read
    _sizes: dict[str, tuple[int, int] | None] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> list[str]:
        """The regular files of the folder itself, in natural order, or the one that was given."""
        if self.only:
            return [self.only]
        with os.scandir(self.root) as entries:
            return sorted((e.name for e in entries if not e.name.startswith(".") and e.is_file()), key=natural)

    @cached_property
    def listing(self) -> Listing:
        listing = scan(self.root, self.wishes.follow)
        listing.files = in_natural_order(listing.files)
        listing.labels = in_natural_order(listing.labels)
        return listing

    def labels(self, *suffixes: str) -> list[str]:
        """The label files with one of these suffixes (".json"), in natural order, relative to the root; the one given when DATA is a file."""
        among = [self.only] if self.only else self.listing.labels
        return [path for path in among if path.lower().endswith(suffixes)]

    def content(self, path: str, largest: int = LARGEST) -> bytes:
        """The content of a label file. Raises DataError ANN-UNREADABLE for one that is no regular file, too large or not readable."""
        try:
            with open(self.root / path, "rb", opener=_without_waiting) as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise DataError("ANN-UNREADABLE", "not a regular file", where=path)
                if status.st_size > largest:
                    raise DataError("ANN-UNREADABLE", f"{status.st_size:,} bytes, the limit is {largest:,}", where=path)
                return stream.read()
        except (OSError, ValueError) as error:
            raise DataError("ANN-UNREADABLE", getattr(error, "strerror", None) or str(error), where=path) from error

    def head(self, path: str, size: int = 4096) -> bytes:
        """The first bytes of a label file, empty when it cannot be read: enough to tell one format from another."""
        try:
            with open(self.root / path, "rb", opener=_without_waiting) as stream:
                return stream.read(size) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else b""
        except (OSError, ValueError):
            return b""

    @cached_property
    def lookup(self) -> Lookup:
        """Finds the images that label files name."""
        return Lookup(self.listing.files)

    def size(self, image: str) -> tuple[int, int] | None:
        """(h, w) of an image after EXIF, from its header; None when it cannot be read (`check` says why)."""
        if image not in self._sizes:
            try:
                self._sizes[image] = header(self.root / image).size
            except DataError:
                self._sizes[image] = None
        return self._sizes[image]

    @property
    def leftovers(self) -> list[Problem]:
        """The listing's problems, and the files that are no images as one note."""
        others = self.listing.others
        kinds = ", ".join(f"{n} {suffix}" for suffix, n in others.most_common(5))
        return self.listing.problems + ([Problem("IMG-OTHER", str(self.root), kinds)] if others else [])


def _without_waiting(path: str, flags: int) -> int:
    """Opens without blocking on a FIFO."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Found(NamedTuple):
    """A layout read: records, what the ids of each head mean, why it was taken for this, problems, and the pictures of files of many.

    records: targets by the head names of `saccade.targets.TARGETS`. Images whose labels cannot be trusted are left out and named
    by a problem of severity error; images without objects are there, with empty targets.
    """

    records: Sequence[Record]
    spaces: Mapping[str, LabelSpace]
    reason: str
    problems: Sequence[Problem] = ()
    arrays: Mapping[str, Any] = EMPTY  # file name -> (n, h, w, c), or a list of sequences: (T, D) arrays, or clips
    grouped: bool = False  # the wish for a group was a column's name
    root: Path | None = None  # where the ids of the records begin, when that is not the folder of the file that was given
