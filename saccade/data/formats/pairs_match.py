"""Which picture of a folder answers which: masks, dots, depth maps and second pictures beside their images, found by their names.

A path is cut into what says its role (a folder `masks`, a stem ending in `_mask`) and a key, which is all the rest: its other folders
and its stem. Pictures with equal keys belong together: `train/images/a.jpg` and `train/masks/a_mask.png`, `images/train/a.jpg` and
`masks/train/a.png`, `train/a.png` and `trainannot/a.png`. Where the folders differ, the folders after the role count, then the stem
alone, as long as one image only has it.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from saccade.core import Record
from saccade.data.formats.lookup import Lookup
from saccade.data.formats.source import SPLITS, Source
from saccade.errors import DataError, Problem

IMAGE_FOLDERS = frozenset("images image imgs img rgb color colour leftimg8bit jpegimages photos photo pictures raw frames rgbleft".split())
IMAGE_MARKS = frozenset("image img leftimg8bit rgb color colour sat photo input raw".split())
_SPLIT_WORDS = frozenset([*SPLITS, "tr", "ts", "va", "trn", "tst", "left", "right", ""])
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PARTS = re.compile(r"[_\-. ]+")
_LIST = re.compile(r"(train|training|val|valid|validation|dev|test|testing)\.txt", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """How a role shows: names of folders, and marks at the end (`x_mask`) or the beginning (`mask_x`, `mask2d`) of a stem, in lower case."""

    folders: frozenset[str]
    marks: frozenset[str] = frozenset()
    images: frozenset[str] = IMAGE_FOLDERS
    image_marks: frozenset[str] = IMAGE_MARKS


class _Name(NamedTuple):
    before: tuple[str, ...]  # folders before the one that says the role, that one's split included
    after: tuple[str, ...]  # folders behind it
    stem: str
    plain: str  # the stem without marks
    role: bool  # a folder says so
    marked: bool  # the stem says so


@dataclass
class Match:
    """images: all pictures that are no answers, in order. answers: image -> its answer. orphans: answers without an image.

    doubles: answers whose image has one already. folders: the folders of the answers that were matched.
    """

    images: list[str]
    answers: dict[str, str]
    orphans: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)

    @property
    def folders(self) -> list[str]:
        return sorted({posixpath.dirname(path) for path in self.answers.values()})


def in_folder(path: str, folders: frozenset[str]) -> bool:
    """Whether one of the path's folders says the role."""
    return _place(posixpath.dirname(path), folders)[2]


@lru_cache(maxsize=4096)
def _folder(name: str, words: frozenset[str]) -> str | None:
    """What is left of a folder's name (its split, perhaps "") when it says the role, else None.

    >>> _folder("trainannot", frozenset({"annot"})), _folder("cell_masks", frozenset({"masks"})), _folder("masks2", frozenset({"masks"}))
    ('train', '', None)
    """
    low = name.lower()
    if low in words:
        return ""
    for word in sorted(words, key=len, reverse=True):
        if low.endswith(word) and (rest := low[: -len(word)].rstrip("_- ")) in _SPLIT_WORDS:
            return rest
        if low.startswith(word) and (rest := low[len(word) :].lstrip("_- ")) in _SPLIT_WORDS:
            return rest
    parts = _PARTS.split(low)
    return "" if len(parts) > 1 and parts[-1] in words and len(parts[-1]) > 2 else None


def _plain(stem: str, marks: frozenset[str]) -> str:
    """The stem without its marks; the stem itself when it has none, or nothing else.

    >>> _plain("x_gtFine_labelIds", frozenset({"gtfine", "labelids"})), _plain("mask2d", frozenset({"mask"})), _plain("a_mask_1", frozenset({"mask"}))
    ('x', '2d', 'a_mask_1')
    """
    rest = stem
    while (cut := max(map(rest.rfind, "_-. "))) > 0 and rest[cut + 1 :].lower() in marks:
        rest = rest[:cut]
    if rest == stem:
        letters = len(stem) - len(stem.lstrip(_LETTERS))
        tail = stem[letters:].lstrip("_-. ")
        if tail and (tail[0].isdigit() or stem[letters] in "_-. ") and stem[:letters].lower() in marks:
            return tail
    return rest


@lru_cache(maxsize=64)
def _mark(marks: frozenset[str]) -> re.Pattern[str]:
    """What every marked file name has somewhere: a quick first look."""
    return re.compile(rf"(?:^|[_\-. ])(?:{'|'.join(map(re.escape, marks)) or '(?!)'})(?=[_\-. \d])", re.IGNORECASE)


@lru_cache(maxsize=1 << 16)
def _place(folder: str, folders: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The folders before the last one that says the role, its split included; those behind it; whether there is one."""
    parts = folder.split("/") if folder else []
    for place in range(len(parts) - 1, -1, -1):
        rest = _folder(parts[place], folders)
        if rest is not None:
            return (*parts[:place], *([rest] if rest else [])), tuple(parts[place + 1 :]), True
    return (), tuple(parts), False


def _name(path: str, folders: frozenset[str], marks: frozenset[str]) -> _Name:
    folder, _, file = path.rpartition("/")
    before, after, role = _place(folder, folders)
    stem = posixpath.splitext(file)[0]
    plain = _plain(stem, marks)
    return _Name(before, after, stem, plain, role, plain != stem)


def answers_of(files: Sequence[str], words: Words) -> dict[str, _Name]:
    """The pictures whose names say the role. A mark at a stem says nothing in a folder of images when a folder of answers is there.

    >>> list(answers_of(["images/x_mask.png", "masks/x_mask.png"], Words(frozenset({"masks"}), frozenset({"mask"}))))
    ['masks/x_mask.png']
    """
    says: dict[str, bool] = {}
    marked = _mark(words.marks)
    names: dict[str, _Name] = {}
    for path in files:
        folder, _, file = path.rpartition("/")
        if folder not in says:
            says[folder] = _place(folder, words.folders)[2]
        if (says[folder] or marked.search(file)) and ((name := _name(path, words.folders, words.marks)).role or name.marked):
            names[path] = name
    if not any(name.role for name in names.values()):
        return names
    return {path: name for path, name in names.items() if name.role or not _name(path, words.images, words.image_marks).role}


def match(files: Sequence[str], words: Words, others: Collection[str] = ()) -> Match | None:
    """The images and their answers, None when fewer than half of what looks like an answer has an image. others: answers of another role, no images.

    >>> match(["images/a.jpg", "images/b.jpg", "masks/a.png"], Words(frozenset({"masks"}))).answers
    {'images/a.jpg': 'masks/a.png'}
    """
    answers = answers_of([path for path in files if path not in others], words)
    images = [path for path in files if path not in others and path not in answers]
    if not answers or not images:
        return None
    seen = {path: _name(path, words.images, words.image_marks) for path in images}
    if any(name.role for name in seen.values()):  # with a folder of images, what lies elsewhere is something else
        inside = {path: name for path, name in seen.items() if name.role}
        found = _matched(inside, answers)
        if found is not None and len(found.answers) * 2 >= len(answers):
            return found
    found = _matched(seen, answers)
    return found if found is not None and len(found.answers) * 2 >= len(answers) - len(found.doubles) else None


def _matched(images: Mapping[str, _Name], answers: Mapping[str, _Name]) -> Match | None:
    """Every answer with the image of its key: exact stems before marked ones, whole folders before their ends."""
    tables: list[dict[tuple[object, ...], list[str]]] = [defaultdict(list) for _ in range(6)]
    for path, name in images.items():
        folders = name.before + name.after
        for table, key in zip(tables, _keys(name), strict=True):
            table[key].append(path)
        for first in range(1, len(folders)):  # the ends of the path too: test/crack/000.png for ground_truth/crack/000_mask.png
            for table, stem in ((tables[2], name.stem), (tables[3], name.plain)):
                if (key := (folders[first:], stem)) != (name.after, stem):
                    table[key].append(path)
    found = Match(list(images), {})
    for path, name in answers.items():
        image = next((candidates[0] for table, key in zip(tables, _keys(name), strict=True) if len(candidates := table.get(key, [])) == 1), None)
        if image is None:
            found.orphans.append(path)
        elif image in found.answers:
            found.doubles.append(path)
        else:
            found.answers[image] = path
    return found if found.answers else None


def _keys(name: _Name) -> tuple[tuple[object, ...], ...]:
    whole, after = name.before + name.after, name.after
    return (whole, name.stem), (whole, name.plain), (after, name.stem), (after, name.plain), (name.stem,), (name.plain,)


def split_of(path: str) -> str | None:
    """The split that the folders of a path name: the outermost that does.

    >>> split_of("images/valid/a.png"), split_of("trainannot/a.png"), split_of("a/b.png")
    ('val', 'train', None)
    """
    for part in path.split("/")[:-1]:
        low = part.lower()
        if low in SPLITS:
            return SPLITS[low]
        for split in sorted(SPLITS, key=len, reverse=True):
            rests = [low[len(split) :].lstrip("_-")] * low.startswith(split) + [low[: -len(split)].rstrip("_-")] * low.endswith(split)
            if any(rest in _ROLES for rest in rests):
                return SPLITS[split]
    return None


_ROLES = IMAGE_FOLDERS | frozenset("annot masks mask labels label gt set data".split())


def split_lists(source: Source, images: Collection[str]) -> dict[str, str]:
    """Image -> split by the lists train.txt, val.txt, test.txt at the root, whose lines begin with the name of an image."""
    found: dict[str, str] = {}
    lookup, wanted = Lookup(list(images)), set(images)
    for name in source.labels(".txt"):
        listed = _LIST.fullmatch(posixpath.basename(name))
        if not listed or name.count("/") > 2:
            continue
        try:
            lines = source.content(name).decode("utf-8-sig").splitlines()
        except (DataError, UnicodeDecodeError):
            continue
        for line in lines:
            first = line.split("\t")[0].strip() if "\t" in line else line.strip()
            for cell in (first, first.split(" ")[0]):
                image = lookup.find(cell.lstrip("/"), posixpath.dirname(name)) if cell else None
                if image in wanted and image is not None:
                    found.setdefault(image, SPLITS[listed[1].lower()])
                    break
    return found


def answered(source: Source, found: Match, head: str, truths: Mapping[str, Any]) -> tuple[list[Record], list[Problem]]:
    """A record for each image with its truth under one head, and what was left over: answers without an image, pictures elsewhere."""
    lists = split_lists(source, found.images)
    records = [Record(image, source.root / image, targets={head: truths.get(image)}, split=split_of(image) or lists.get(image)) for image in found.images]
    problems = [Problem("MAP-ORPHAN", path, "no image has its name") for path in found.orphans]
    problems += [Problem("MAP-ORPHAN", path, "its image has another one already") for path in found.doubles]
    used = {*found.images, *found.answers.values(), *found.orphans, *found.doubles}
    if loose := [path for path in source.listing.files if path not in used]:
        problems.append(Problem("IMG-LOOSE", loose[0], f"{len(loose)} of {len(source.listing.files)} images"))
    return records, problems + source.leftovers


def shown_folders(found: Match) -> str:
    """`masks/, val/masks/ and 2 more`, for the reason."""
    names = [f"{folder or '.'}/" for folder in found.folders]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
