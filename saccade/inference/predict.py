"""Files in, answers out: one result for each input, in their order, whatever the threads do and wherever it was begun.

Pictures are read and warped in threads while the network computes. The batches are fixed by the places of the inputs
(batch k holds inputs k B to (k + 1) B - 1); the row of a picture that cannot be read, or that has an answer already, stays
zero. So every picture meets kernels of the same shape in the same row, and a job that goes on after a kill gives the bytes
of one that never stopped (same processor, number of threads and version of torch).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from saccade.bundle import Bundle
from saccade.core import Geometry, Meta, Model
from saccade.data.image import MAX_PIXELS, read_image
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError, ModelError, UsageError
from saccade.inference.device import Mode, inference_mode_for, trained_precision
from saccade.inference.fold import ready
from saccade.inference.postprocess import Postprocess
from saccade.inference.sources import Input
from saccade.metrics.thresholds import Thresholds
from saccade.targets.label import Label


@dataclass(frozen=True)
class Result:
    """What became of one input: a label, or the reason why there is none."""

    input: Input
    label: Label | None
    error: DataError | None = None


class Predictor:
    """A model file made ready to answer: on its device, in its precision, with its own pre- and post-processing.

    thresholds: below which the answer is "unknown"; None takes those of the model file.
    Raises ModelError MODEL-ARGS for a card that names unknown processing; UsageError; ResourceError DEVICE.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", precision: str = "auto", thresholds: Thresholds = None) -> None:
        card = bundle.card
        self.head, self.space = next(iter(card.spaces.items()))
        self.channels, self.preprocess = card.inputs.channels, _preprocess(bundle)
        stored = Postprocess.from_dict(card.postprocess, self.space)
        self.postprocess = stored if thresholds is None else stored.with_thresholds(thresholds, self.space)
        model = cast(Model, bundle.model)
        self.mode: Mode = inference_mode_for(
            model, card.inputs._replace(size=self.preprocess.size), device=device, precision=trained_precision(card) if precision == "auto" else precision
        )
        self.model = ready(model, self.mode)

    def read(self, item: Input, out: np.ndarray) -> Meta:
        """Reads one picture into `out` (h, w, C) float32. Raises DataError."""
        try:
            picture = read_image(item.path, channels=self.channels, at_least=self.preprocess.size, value_range=self.preprocess.value_range)
        except ValueError as error:  # a path with a zero byte
            raise DataError("IMG-MISSING", str(error), where=str(item.path)) from error
        pixels = self.preprocess.shrink(picture.pixels)
        geometry = self.preprocess.geometry(pixels.shape[:2])
        white = 255.0 if pixels.dtype == np.uint8 else 1.0
        np.divide(self.preprocess.warp(pixels, geometry), white, out=out, dtype=np.float32, casting="unsafe")
        source = Geometry.resize(picture.size, pixels.shape[:2]) if picture.size != pixels.shape[:2] else Geometry.identity(picture.size)
        return Meta(item.id, picture.size, source.then(geometry))

    def answers(self, inputs: torch.Tensor, meta: Sequence[Meta]) -> list[Label]:
        """(n, C, h, w) in [0, 1] -> n labels after temperature and thresholds."""
        sizes = torch.tensor([self.preprocess.shown(m.size, m.geometry) for m in meta], device=self.mode.device)
        with torch.inference_mode(), self.mode.autocast():
            found = self.model.predict(inputs.to(self.mode.device), sizes, meta)[self.head]
        return self.postprocess.apply(found, self.space)


def _preprocess(bundle: Bundle) -> Preprocess:
    """The card's preprocessing, with every value in its range."""
    try:
        found = Preprocess.from_dict(bundle.card.preprocess)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("MODEL-ARGS", f"preprocess: {error!r}") from error
    low, high = found.value_range if isinstance(found.value_range, tuple) and len(found.value_range) == 2 else (0.0, 1.0)
    ranges = {
        "size": len(found.size) == 2 and all(type(side) is int and side >= 1 for side in found.size) and found.size[0] * found.size[1] <= MAX_PIXELS,
        "channels": found.channels == bundle.card.inputs.channels and found.channels in (1, 3),
        "fill": type(found.fill) in (int, float) and 0 <= found.fill <= 1,
        "value_range": found.value_range is None or (type(low) in (int, float) and type(high) in (int, float) and low < high),
    }
    for name, right in ranges.items():
        if not right:
            raise ModelError("MODEL-ARGS", f"preprocess {name} is {str(getattr(found, name))[:60]}")
    return found


@dataclass
class _Work:
    """One batch under way: its inputs, the rows still to answer, and what the threads make of them."""

    items: Sequence[Input]
    rows: list[int]
    pixels: np.ndarray
    read: list[Future[Meta]]


def predict(predictor: Predictor, inputs: Sequence[Input], *, batch: int = 32, workers: int = 2, done: int = 0) -> Iterator[list[Result]]:
    """The results of the inputs from number `done` on, in order, a batch at a time. Raises UsageError USE-VALUE.

    workers: threads that read. What is given does not depend on it, nor on `done`; `batch` may change the last digits.
    """
    for name, value in (("batch", batch), ("threads", workers)):
        if not 1 <= value <= 4096:
            raise UsageError("USE-VALUE", f"{name} = {value}, expected 1 to 4096", where=f"--{name}")
    shape, waiting = (*predictor.preprocess.size, predictor.channels), deque[_Work]()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="saccade-read")
    try:
        for first in range(done // batch * batch, len(inputs), batch):
            items = inputs[first : first + batch]
            rows = list(range(max(0, done - first), len(items)))
            pixels = np.zeros((len(items), *shape), np.float32)
            waiting.append(_Work(items, rows, pixels, [pool.submit(predictor.read, items[row], pixels[row]) for row in rows]))
            if len(waiting) > 2:
                yield _finish(predictor, waiting.popleft())
        while waiting:
            yield _finish(predictor, waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(predictor: Predictor, work: _Work) -> list[Result]:
    blank = Meta("", predictor.preprocess.size, Geometry.identity(predictor.preprocess.size))
    meta, errors = [blank] * len(work.items), dict[int, DataError]()
    for row, future in zip(work.rows, work.read, strict=True):
        try:
            meta[row] = future.result()
        except DataError as error:
            errors[row] = error
    for row in errors:
        work.pixels[row] = 0  # it may have been half written
    if len(errors) == len(work.rows):
        return [Result(work.items[row], None, errors[row]) for row in work.rows]
    labels = predictor.answers(predictor.preprocess.whitened(work.pixels).permute(0, 3, 1, 2), meta)
    return [Result(work.items[row], None if row in errors else labels[row], errors.get(row)) for row in work.rows]
