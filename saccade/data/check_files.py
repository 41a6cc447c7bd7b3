"""What is found out about one image and its truths: hash, size, tiny copy and every problem, without letting any exception pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from saccade.core import Record, Stored
from saccade.data.check_truth import Seen, look, sized
from saccade.data.contents import Contents, box_record
from saccade.data.dataset import ImageDataset, Stamp, stamp
from saccade.data.formats.source import LABELS
from saccade.data.image import Picture, content_hash, header, raw_range, read_image, tiny
from saccade.errors import DataError, Problem

SMALLEST = 4
"""Pixels of the shorter side below which an image shows nothing."""

_AT_LEAST = (64, 64)  # the tiny copy needs no more; a JPEG decodes all its data at any scale


@dataclass(frozen=True)
class Finding:
    """What `check` knows of one record; `copy` is its tiny copy, `raw` the extreme raw values of a deep image.

    contents: the numbers of its truths by head (not of labels alone). mended: targets that were cut at the image's edge.
    """

    hash: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    copy: np.ndarray | None = None
    raw: tuple[float, float] | None = None
    stamp: Stamp | None = None
    problems: tuple[Problem, ...] = ()
    contents: Mapping[str, Contents] = field(default_factory=dict)
    mended: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bad(self) -> bool:
        return any(problem.severity in ("error", "fatal") for problem in self.problems)


class Depth(NamedTuple):
    """How closely to look: `pixels` decodes, `copies` makes tiny copies for near duplicates, `isolate` decodes in child processes."""

    pixels: bool = True
    copies: bool = True
    isolate: bool = False


def inspect_all(dataset: ImageDataset, depth: Depth, threads: int, progress: Callable[[int], None]) -> list[Finding]:
    """A finding for each record, in order; `progress` is called with the number done."""
    findings = []
    with ExitStack() as opened:
        readers = Readers(opened, depth.isolate)
        for finding in _mapped(lambda record: inspect(record, dataset, depth, readers), dataset.records, threads):
            findings.append(finding)
            progress(len(findings))
    return findings


def _mapped(function: Callable[[Record], Finding], records: Sequence[Record], threads: int) -> Iterator[Finding]:
    if threads < 2 or all(record.index is not None for record in records):  # pictures in memory are too quick for threads to help
        yield from map(function, records)
        return
    block = 64 * threads
    with ThreadPoolExecutor(threads, thread_name_prefix="check") as pool:
        for top in range(0, len(records), 64 * block):  # not all at once: an interrupt must not wait for 100,000 files
            yield from pool.map(function, records[top : top + 64 * block])


class Readers:
    """`read_image`, or in each thread one that decodes in a child process."""

    def __init__(self, opened: ExitStack, isolate: bool) -> None:
        self.opened, self.isolate, self.local = opened, isolate, threading.local()

    def read(self, record: Record, max_pixels: int) -> Picture:
        if not self.isolate:
            return read_image(record.path, at_least=_AT_LEAST, max_pixels=max_pixels)
        if not hasattr(self.local, "reader"):
            from saccade.data.isolate import IsolatedReader

            self.local.reader = self.opened.enter_context(IsolatedReader())
        return self.local.reader.read(record.path, at_least=_AT_LEAST, max_pixels=max_pixels)


def inspect(record: Record, dataset: ImageDataset, depth: Depth, readers: Readers) -> Finding:
    """One record; whatever is wrong with it is a problem of the finding."""
    try:
        if record.index is not None:
            found = _stored(record, dataset, depth)
        elif record.path.suffix.lower() in LABELS:
            found = _words(record, dataset)
        else:
            found = _file(record, dataset, depth, readers)
    except DataError as error:
        found = Finding(problems=(error.problem(),))
    problems = tuple(replace(problem, where=record.id) for problem in found.problems)
    if found.size != (0, 0) and min(found.size) < SMALLEST and not found.bad:
        problems += (Problem("IMG-SIZE", record.id, f"{found.size[1]} x {found.size[0]} pixels, at least {SMALLEST} are needed"),)
    if problems:
        found = replace(found, problems=problems)
    return found if found.bad else _with_truth(found, record, dataset, depth)


def _with_truth(found: Finding, record: Record, dataset: ImageDataset, depth: Depth) -> Finding:
    """The finding with what the record's truths say against the image's size; a class alone needs no look."""
    turned = next((problem.got for problem in found.problems if problem.code == "IMG-EXIF"), "")
    problems = tuple(sized(record, found.size, turned))
    seen = look(record, found.size, dataset, depth.pixels) if not problems and set(record.targets) - {"label"} else Seen()
    if not problems and not seen.contents and not seen.problems:
        return found
    return replace(found, problems=found.problems + problems + seen.problems, contents=seen.contents, mended=seen.mended)


def _stored(record: Record, dataset: ImageDataset, depth: Depth) -> Finding:
    pixels = dataset.arrays[record.path.name][record.index]
    if len(pixels.shape) != 3 or isinstance(pixels, Stored):  # a sequence: as long and as wide as it is; or a document
        shape = dataset.stored(record).shape if depth.pixels else pixels.shape
        return Finding(dataset.content(record), (max(shape[0], SMALLEST), max(shape[1], SMALLEST)), shape[-1])
    copy = tiny(pixels) if depth.copies else None
    return Finding(dataset.content(record), pixels.shape[:2], pixels.shape[2], copy)


def _words(record: Record, dataset: ImageDataset) -> Finding:
    """A record whose file is a label file: there is no picture to look at, and two files of the same content are not the same picture.

    Its size is the one stated, else as far as its boxes reach.
    """
    content = content_hash(f"{record.id}\0{dataset.content(record)}".encode("utf-8", "surrogateescape"))
    corners = [boxes.xyxy[:, 2:].max(0).values.tolist() for t in record.targets.values() if (boxes := box_record(t)) is not None and len(boxes)]
    reach = [int(np.ceil(max(c[axis] for c in corners))) for axis in (1, 0)] if corners else [SMALLEST, SMALLEST]
    size = record.size or (max(reach[0], SMALLEST), max(reach[1], SMALLEST))
    return Finding(content, size, dataset.channels, stamp=stamp(record.path))


def _file(record: Record, dataset: ImageDataset, depth: Depth, readers: Readers) -> Finding:
    before = stamp(record.path)
    if not depth.pixels:
        seen = header(record.path, max_pixels=dataset.max_pixels)
        return Finding(dataset.content(record), seen.size, seen.channels, None, None, before, seen.problems)
    picture = readers.read(record, dataset.max_pixels)
    raw = raw_range(record.path, max_pixels=dataset.max_pixels) if picture.pixels.dtype != np.uint8 else None
    found = Finding(
        hash=dataset.content(record),
        size=picture.size,
        channels=picture.pixels.shape[2],
        copy=tiny(picture.pixels) if depth.copies else None,
        raw=raw,
        stamp=before,
        problems=tuple(picture.problems),
    )
    if stamp(record.path) != before:
        raise DataError("IMG-CHANGED", "while it was read", where=record.id)
    return found
