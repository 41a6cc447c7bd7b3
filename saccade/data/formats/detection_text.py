"""Boxes as plain text, a file an image, without the images: `ground-truth/*.txt` and `detection-results/*.txt` of the common mAP tool.

A line of the truth is `class left top right bottom [difficult]`, one of the detections `class confidence left top right bottom`. The numbers are
pixels, of which the last is inside (Pascal VOC's way), so that a box goes from left to right + 1 in continuous pixels. A class of several
words is one class.
"""

from __future__ import annotations

import math
import posixpath
from pathlib import Path
from typing import NamedTuple

import torch

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.data.formats.source import Found, Source, natural
from saccade.errors import DataError, Problem
from saccade.targets import Boxes

TRUTH = ("ground-truth", "groundtruth", "ground_truth", "groundtruths")
DETECTIONS = ("detection-results", "detections", "predicted", "detection_results")


class Plan(NamedTuple):
    """The files of the truth, and how many files of detections are beside them."""

    files: list[str]
    detections: int


class Line(NamedTuple):
    """One box: its class, its corners in continuous pixels, its confidence (1 for a truth) and whether it is difficult."""

    name: str
    box: tuple[float, float, float, float]
    score: float
    difficult: bool


def detect(source: Source) -> Plan | None:
    """Text files in a folder of the truth's name, of which the first that is not empty reads as boxes."""
    if source.only:
        return None
    files = [path for path in source.labels(".txt") if posixpath.basename(posixpath.dirname(path)).lower() in TRUTH]
    lines = (line for path in files[:20] for line in source.head(path).decode("utf-8", "replace").splitlines()[:1])
    first = next(lines, "")
    if not first or _line(first, scored=False) is None:
        return None
    beside = sum(posixpath.basename(posixpath.dirname(path)).lower() in DETECTIONS for path in source.labels(".txt"))
    return Plan(files, beside)


def load(source: Source, plan: Plan) -> Found:
    """A record for each text file: the image's when one of that name is there, else the text file's own, which has no pixels."""
    problems: list[Problem] = []
    read = {path: _lines(source.content(path), path, problems, scored=False) for path in plan.files}
    names = tuple(sorted({line.name for lines in read.values() for line in lines or ()}, key=natural))
    records = []
    pictures = 0
    for path, lines in read.items():
        if lines is None:
            continue
        stem = posixpath.splitext(posixpath.basename(path))[0]
        picture = source.lookup.find(stem)
        pictures += picture is not None
        held = picture or path
        records.append(Record(held, source.root / held, targets={"boxes": boxes(lines, names, scored=False)}))
    if not pictures:
        problems.append(Problem("DATA-NOIMAGES", str(source.root), f"{len(records)} label files"))
    reason = f"detection text: {len(plan.files)} files of ground truth" + (f", {plan.detections} of detections" if plan.detections else "")
    return Found(records, {"boxes": LabelSpace(names)}, reason, problems + source.leftovers)


def boxes(lines: list[Line], names: tuple[str, ...], *, scored: bool) -> Boxes:
    """The boxes of one file; those of a class that is not among the names are left out."""
    kept = [line for line in lines if line.name in names]
    xyxy = torch.tensor([line.box for line in kept], dtype=torch.float64).reshape(-1, 4)
    classes = torch.tensor([names.index(line.name) for line in kept], dtype=torch.int64)
    scores = torch.tensor([line.score for line in kept], dtype=torch.float64) if scored else None
    difficult = torch.tensor([line.difficult for line in kept], dtype=torch.bool) if any(line.difficult for line in kept) else None
    return Boxes(xyxy, classes, scores, difficult=difficult)


def read_detections(folder: Path, dataset: ImageDataset) -> list[Boxes]:
    """The detections of each record of a data set, from the text files of its images' names; an image without a file has none.

    Detections of classes that the data set does not have are left out: they can be right nowhere. Raises DataError ANN-FIELD or
    ANN-NUMBER for a line that cannot be read, ANN-UNREADABLE for a folder without any file of the data set.
    """
    source = Source(folder)
    files = {posixpath.splitext(posixpath.basename(path))[0]: path for path in source.labels(".txt")}
    stems = [posixpath.splitext(posixpath.basename(record.id))[0] for record in dataset.records]
    if not any(stem in files for stem in stems):
        raise DataError("ANN-UNREADABLE", f"none of its {len(files)} text files is named like an image of the data set", where=str(folder))
    names, found = dataset.spaces["boxes"].names, []
    for stem in stems:
        problems: list[Problem] = []
        lines = _lines(source.content(files[stem]), files[stem], problems, scored=True) if stem in files else []
        if problems:
            raise DataError(problems[0].code, problems[0].got, where=problems[0].where)
        found.append(boxes(lines or [], names, scored=True))
    return found


def _lines(data: bytes, where: str, problems: list[Problem], *, scored: bool) -> list[Line] | None:
    """The lines of a file; None when one cannot be read, which is told."""
    found, sound = [], True
    for number, text in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        if not text.strip():
            continue
        line = _line(text, scored=scored)
        if line is None:
            wanted = "class confidence left top right bottom" if scored else "class left top right bottom"
            problems.append(Problem("ANN-FIELD", f"{where}:{number}", f"{text[:80]!r}, expected {wanted}", image=where))
        elif not all(map(math.isfinite, (*line.box, line.score))):
            problems.append(Problem("ANN-NUMBER", f"{where}:{number}", text[:80], image=where))
        elif line.box[2] <= line.box[0] or line.box[3] <= line.box[1]:
            problems.append(Problem("ANN-BOX-NEGATIVE", f"{where}:{number}", text[:80], image=where))
        else:
            found.append(line)
            continue
        sound = False
    return found if sound else None


def _line(text: str, *, scored: bool) -> Line | None:
    words = text.split()
    difficult = not scored and words[-1:] == ["difficult"]
    words = words[:-1] if difficult else words
    numbers = 5 if scored else 4
    if len(words) <= numbers:
        return None
    try:
        values = [float(word) for word in words[-numbers:]]
    except ValueError:
        return None
    left, top, right, bottom = values[-4:]
    return Line(" ".join(words[:-numbers]), (left, top, right + 1, bottom + 1), values[0] if scored else 1.0, difficult)
