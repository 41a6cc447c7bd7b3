"""One pass over the validation set: losses, metrics, and how often each class was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from saccade.core import Batch, Geometry, Meta, Metric, System
from saccade.targets import SegmentationMap
from saccade.training.engine import Engine

Metrics = Mapping[str, Callable[[], Metric[Any]]]  # head -> a fresh metric


class Validation(NamedTuple):
    """`loss` is the mean over labelled images of the sum of the terms; `values` the metrics, prefixed by the head when there are several."""

    loss: float
    values: dict[str, float]
    answers: Counter[Any]


@torch.no_grad()
def validate(system: System, batches: Iterable[Batch], *, engine: Engine, metrics: Metrics) -> Validation:
    """Evaluates in eval mode and puts the system back into the mode it was in."""
    was_training = system.training
    system.eval()
    total, images, answers = 0.0, 0, Counter[Any]()
    running = {head: make() for head, make in metrics.items()}
    for batch in batches:
        placed = engine.place_batch(batch)
        with engine.autocast():
            terms, predictions = system.evaluate(in_input_pixels(placed))
        if terms:
            total, images = total + len(batch) * float(sum(terms.values())), images + len(batch)
        for head, metric in running.items():
            truths = batch.targets.get(head, [None] * len(batch))
            for prediction, truth, size in zip(predictions[head], truths, batch.sizes.tolist(), strict=True):
                metric.update(prediction, unpadded(truth, size))
                if hasattr(prediction, "index"):  # one class an image; of other answers nothing is counted
                    answers[prediction.index] += 1
    system.train(was_training)
    values = {f"{head}.{key}" if len(running) > 1 else key: value for head, metric in running.items() for key, value in points(metric).items()}
    return Validation(total / max(1, images), values, answers)


def in_input_pixels(batch: Batch) -> Batch:
    """The batch with answers to be given in the pixels of the inputs, which its targets are in, and not in those of the sources."""
    sizes = [(int(size[0]), int(size[-1])) for size in batch.sizes.tolist()]
    meta = [Meta(one.id, size, Geometry.identity(size)) for one, size in zip(batch.meta, sizes, strict=True)]
    return replace(batch, meta=meta)


def unpadded(truth: Any, size: Sequence[int]) -> Any:
    """A truth without the padding of its batch: of a map the part of this (h, w) at the top left, anything else as it is."""
    if isinstance(truth, SegmentationMap) and truth.size != tuple(size):
        return truth.warp(Geometry.identity((size[0], size[1])))
    return truth


def points(metric: Metric[Any]) -> dict[str, float]:
    """The values of a metric without their intervals, which an epoch does not need, where the metric can leave them out."""
    if hasattr(metric, "points"):
        return dict(metric.points())
    return {key: value.value for key, value in metric.compute().items()}
