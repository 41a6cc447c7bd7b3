"""A second picture as the answer: `input/` and `target/`, `A/` and `B/`, `lr/` and `hr/`, `noisy/` and `clean/`, with equal names."""

from __future__ import annotations

import posixpath
from typing import NamedTuple

import cv2
import numpy as np

from saccade.core import LabelSpace
from saccade.data.formats.masks_look import MOST_CLASSES
from saccade.data.formats.pairs_match import Match, Words, answered, in_folder, match
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import ImageFile, packed
from saccade.data.image import read_image, read_samples
from saccade.errors import DataError

_MARKED = frozenset("input inputs target targets lr hr noisy clean blur blurred sharp gt low high source".split())


class Kind(NamedTuple):
    """Folders of pictures and of their answers. bare: the names say little, so every picture must have its answer, and no third folder may be there.

    classes: the names may as well be those of two classes, so the pictures must show the same things.
    """

    inputs: frozenset[str]
    answers: frozenset[str]
    bare: bool = False
    classes: bool = False


def _kind(inputs: str, answers: str, bare: bool = False, classes: bool = False) -> Kind:
    return Kind(frozenset(inputs.split()), frozenset(answers.split()), bare, classes or bare)


KINDS = (
    _kind("input inputs", "target targets output outputs expected groundtruth ground_truth gt"),
    _kind("source sources src", "target targets dest"),
    _kind("lr low_res lowres low_resolution lr_bicubic small", "hr high_res highres high_resolution large"),
    _kind("noisy noise noised", "clean denoised groundtruth gt"),
    _kind("blur blurred blurry", "sharp clear", classes=True),
    _kind("degraded distorted corrupted damaged", "original originals restored clean"),
    _kind("grey gray greyscale grayscale", "color colour colored coloured rgb", classes=True),
    _kind("rain rainy hazy haze fog foggy", "clean clear gt norain", classes=True),
    _kind("low dark", "high bright normal", bare=True),
    _kind("a", "b", bare=True),
)
LOOKED = 9
ALIKE, TINY = 0.5, 16


class Plan(NamedTuple):
    """The kind that fits, and which picture answers which."""

    kind: Kind
    found: Match


def detect(source: Source) -> Plan | None:
    """The first kind whose two folders hold pictures of the same names; of the same things, too, where the names may be those of classes.

    Folders called sharp and blurred, or A and B, are pairs only when asked for or when each picture is much like its answer.
    """
    if source.only:
        return None
    folders = {posixpath.dirname(path) for path in source.listing.files}
    for kind in KINDS:
        if not (any(in_folder(f"{f}/", kind.inputs) for f in folders) and any(in_folder(f"{f}/", kind.answers) for f in folders)):
            continue
        inputs = [path for path in source.listing.files if in_folder(path, kind.inputs)]
        answers = [path for path in source.listing.files if in_folder(path, kind.answers) and not in_folder(path, kind.inputs)] if inputs else []
        if not answers:
            continue
        found = match([*inputs, *answers], Words(kind.answers, _MARKED, kind.inputs, _MARKED))
        if found is not None and not _masks(source, found) and (not kind.bare or _whole(source, found)):
            doubtful = kind.classes and source.wishes.format != "pairs"
            return None if doubtful and not _alike(source, found) else Plan(kind, found)
    return None


def _alike(source: Source, found: Match) -> bool:
    """Whether the median correlation of a few pictures with their answers, both as 16x16 greys, is above one half."""
    correlations = []
    for image, answer in list(found.answers.items())[:: max(1, len(found.answers) // LOOKED)][:LOOKED]:
        try:
            first, second = (_tiny(source, path) for path in (image, answer))
        except DataError:
            continue
        spread = float(first.std() * second.std())
        if spread > 1e-6:
            correlations.append(float((first - first.mean()) @ (second - second.mean())) / first.size / spread)
    return bool(correlations) and float(np.median(correlations)) > ALIKE


def _tiny(source: Source, path: str) -> np.ndarray:
    """(256,) greys of a picture made 16x16."""
    pixels = read_image(source.root / path, channels=1, at_least=(TINY, TINY), max_pixels=source.wishes.max_pixels).pixels
    return cv2.resize(pixels[..., 0].astype(np.float32), (TINY, TINY), interpolation=cv2.INTER_AREA).ravel()


def _masks(source: Source, found: Match) -> bool:
    """Whether the answers are rather masks: a few different values, where the pictures have many."""
    fewer = []
    for image, answer in list(found.answers.items())[:: max(1, len(found.answers) // 3)][:3]:
        try:
            first, second = (_values(read_samples(source.root / path, max_pixels=source.wishes.max_pixels).values) for path in (image, answer))
        except DataError:
            continue
        fewer.append(second <= MOST_CLASSES < first)
    return bool(fewer) and all(fewer)


def _values(samples: np.ndarray) -> int:
    """The number of different values or colours."""
    return len(np.unique(packed(samples[..., :3]) if samples.ndim == 3 and samples.shape[2] >= 3 else samples))


def _whole(source: Source, found: Match) -> bool:
    """Whether all pictures are paired, nothing else is there, and a few pairs have the same shape."""
    count = len(found.answers)
    if count != len(found.images) or found.orphans or found.doubles or 2 * count != len(source.listing.files):
        return False
    for image, answer in list(found.answers.items())[:: max(1, count // LOOKED)]:
        first, second = source.size(image), source.size(answer)
        if first and second and abs(first[0] * second[1] - first[1] * second[0]) > max(*first, *second) * 2:
            return False
    return True


def load(source: Source, plan: Plan) -> Found:
    """A record for each picture, its answer as a Stored truth."""
    most = source.wishes.max_pixels
    truths = {image: ImageFile(source.root / path, max_pixels=most) for image, path in plan.found.answers.items()}
    records, problems = answered(source, plan.found, "image", truths)
    first = next(iter(plan.found.answers.items()))
    reason = f"pairs of pictures such as {first[0]} with {first[1]} ({len(truths):,} of {len(records):,})"
    return Found(records, {"image": LabelSpace(())}, reason, problems)
