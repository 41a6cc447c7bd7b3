"""The floors of segmentation beside a network's evaluation: the most frequent class, and superpixels with a logistic regression, on the same images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from saccade.classic.floors import Clock, OutOfTime
from saccade.classic.superpixel_classes import Classifier, Regions, counted, described, fitted
from saccade.core import Dataset, Geometry, LabelSpace
from saccade.errors import DataError
from saccade.inference.evaluate import Evaluation
from saccade.metrics import bootstrap
from saccade.metrics.paired import paired_bootstrap
from saccade.metrics.segmentation import Segmentation
from saccade.metrics.statistics import mean
from saccade.targets.segmentation_map import IGNORED, SegmentationMap

SIDE = 512  # pixels: larger pictures are made smaller for the floors, and their answers larger
LEARNT = 300  # training images at most
LEARNING, FITTING = 0.4, 0.25  # shares of the time that reading the training images may take, and the fit
KEY = "image_iou"
Array = np.ndarray


class Seen(NamedTuple):
    """An image at the floors' size: its superpixels, and its truth as it is."""

    place: int
    regions: Regions
    truth: SegmentationMap


def segment_floors(
    dataset: Dataset, train: Sequence[int], test: Sequence[int], *, space: LabelSpace, evaluation: Evaluation, budget_s: float = 20.0
) -> dict[str, Any]:
    """{"majority", "superpixels": {key: {value, low, high, n}, "p", "paired", "trained_on", "seconds", "note"}}, or {"unfinished": why} instead.

    Learned from at most 300 training images and asked the evaluated ones, each in a shuffled order, fewer where the time does not allow more, which
    `trained_on` and n then say. Pixels without a class teach nothing and are not measured. "p" and "paired" are of the means over images of each
    one's mean IoU, network minus floor, by the paired bootstrap; over groups where images have them.
    """
    began, clock = time.monotonic(), Clock(budget_s)
    learnt = list(_seen(dataset, _shuffled(train)[:LEARNT], Clock(LEARNING * budget_s)))
    if not learnt:
        return {"majority": {"unfinished": "no training image with a labelled pixel could be read"}}
    counts = [counted(seen.regions.ids, _at(seen.truth, seen.regions.ids.shape), len(space)) for seen in learnt]
    frequent = int(np.sum([found.sum(0) for found in counts], axis=0).argmax())
    classifier, why = _fitted([seen.regions.features for seen in learnt], counts, Clock(FITTING * budget_s))
    own = {row["id"]: row for row in evaluation.rows if row["facts"].get("mean_iou") is not None}
    asked = [i for i in _shuffled(test) if dataset.records[i].id in own]
    found = {"majority": _Tally(space), **({"superpixels": _Tally(space)} if classifier is not None else {})}
    for seen in _seen(dataset, asked, Clock(clock.end - time.monotonic())):
        row = own[dataset.records[seen.place].id]
        constant = torch.full(seen.truth.size, frequent, dtype=torch.uint8)
        found["majority"].add(SegmentationMap(constant), seen.truth, row)
        if classifier is not None:
            found["superpixels"].add(SegmentationMap(torch.from_numpy(answered(classifier, seen.regions, seen.truth.size))), seen.truth, row)
    seconds = round(time.monotonic() - began, 3)
    told = {"trained_on": len(learnt), "seconds": seconds}
    entries = {name: tally.entry(told, of=len(asked)) for name, tally in found.items()}
    return entries if classifier is not None else {**entries, "superpixels": {"unfinished": why, "seconds": seconds}}


def answered(classifier: Classifier, regions: Regions, size: tuple[int, int]) -> Array:
    """(h, w) uint8 of this size: the most probable class of each pixel's superpixel."""
    ids = classifier.probabilities(regions.features).argmax(1).astype(np.uint8)[regions.ids]
    return ids if ids.shape == size else cv2.resize(ids, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)


class _Tally:
    """The answers of one floor, beside the network's on the same images."""

    def __init__(self, space: LabelSpace) -> None:
        self.space, self.metric = space, Segmentation(space)
        self.own: list[float] = []
        self.floor: list[float] = []
        self.groups: list[str | None] = []

    def add(self, answer: SegmentationMap, truth: SegmentationMap, row: Mapping[str, Any]) -> None:
        one = Segmentation(self.space)
        one.update(answer, truth, row["group"])
        self.metric += one
        self.own.append(float(row["facts"]["mean_iou"]))
        self.floor.append(one.points()["mean_iou"])
        self.groups.append(row["group"])

    def entry(self, told: Mapping[str, Any], *, of: int) -> dict[str, Any]:
        """Lines of floors.json."""
        n = len(self.own)
        if not n:
            return {"unfinished": f"none of {of} images was answered in the time", **told}
        codes = bootstrap.group_codes(self.groups)
        test = paired_bootstrap(mean(np.array(self.own)), mean(np.array(self.floor)), n, groups=codes)
        note = f"asked {n} of {of} images in the time" if n < of else ""
        return {**{key: value._asdict() for key, value in self.metric.compute().items()}, "p": test.p, "paired": {KEY: test.to_dict()}, **told, "note": note}


def _fitted(features: list[Array], counts: list[Array], clock: Clock) -> tuple[Classifier | None, str]:
    """The classifier, or None and why there is none."""
    try:
        return fitted(features, counts, clock=clock), ""
    except OutOfTime:
        return None, f"did not end within the {clock.seconds:.3g} s that its fit may take"
    except MemoryError:
        return None, "needs more memory than there is"


def _shuffled(places: Sequence[int]) -> list[int]:
    """An order whose every beginning is an even choice."""
    return [int(i) for i in np.random.default_rng(0).permutation(np.asarray(places, np.int64))]


def _seen(dataset: Dataset, places: Sequence[int], clock: Clock) -> Iterator[Seen]:
    """The images that can be read and have a known pixel, until the time is over; the first one in any case."""
    first = True
    for i in places:
        if clock.over and not first:
            return
        try:
            truth = dataset.truth(i).get("map")
            if truth is None or not bool((truth.ids != IGNORED).any()):
                continue
            pixels = dataset.read(i)
        except DataError:
            continue
        first = False
        yield Seen(i, described(_small(pixels)), truth)


def _small(pixels: Array) -> Array:
    """(h, w, C) float32 in [0, 1], at most `SIDE` a side."""
    values = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
    h, w = values.shape[:2]
    scale = SIDE / max(h, w)
    if scale >= 1:
        return values
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)


def _at(truth: SegmentationMap, size: tuple[int, ...]) -> Array:
    """The truth's ids at another size, (h, w) uint8."""
    return truth.ids.cpu().numpy() if truth.size == size else truth.warp(Geometry.resize(truth.size, (size[0], size[1]))).ids.cpu().numpy()
