"""Files in, answers out: one result for each input, in their order, whatever the threads do and wherever it was begun.

Pictures are read and warped in threads while the network computes. The batches are fixed by the places of the inputs
(batch k holds inputs k B to (k + 1) B - 1); the row of a picture that cannot be read, or that has an answer already, stays
zero. So every picture meets kernels of the same shape in the same row, and a job that goes on after a kill gives the bytes
of one that never stopped (same processor, number of threads and version of torch).

Where the model has a tiling the rows are windows: those of inputs k B to (k + 1) B - 1, in batches of B. An input is answered
when its last window is; decoded pictures are kept for their next windows within `KEPT_BYTES`, and always the last one. The objects of an input
that a model of single objects answers are its rows likewise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from saccade.bundle import Bundle
from saccade.core import Geometry, Meta, Model
from saccade.data.crops import Crops, JoinedCrops
from saccade.data.image import MAX_PIXELS, Picture, header, read_image
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import KEPT_BYTES, Joining, Kept, Window
from saccade.errors import DataError, ModelError, UsageError
from saccade.inference.device import Mode, inference_mode_for, trained_precision
from saccade.inference.fold import ready
from saccade.inference.postprocess import Postprocess, postprocess_of
from saccade.inference.sources import Input
from saccade.metrics.thresholds import Thresholds
from saccade.targets import Boxes, Keypoints


@dataclass(frozen=True)
class Result:
    """What became of one input: an answer (a target), or the reason why there is none."""

    input: Input
    answer: Any
    error: DataError | None = None
    picture: np.ndarray | None = None  # (h, w, 3) uint8 of the answer, where it was drawn already


class Part(NamedTuple):
    """A row of a batch: an input, or a window of it. `whole` is the (h, w) of the image that the window is of."""

    place: int  # of the input
    item: Input
    window: Window | None = None
    whole: tuple[int, int] | None = None
    last: bool = True  # of the input


class Predictor:
    """A model file made ready to answer: on its device, in its precision, with its own pre- and post-processing.

    thresholds: below which the answer is "unknown"; None takes those of the model file. The attribute `boxes` says, for a model of single objects, which
    objects an input of a (h, w) has, None where nothing is said of it; it is set by who knows.
    Raises ModelError MODEL-ARGS for a card that names unknown processing; UsageError; ResourceError DEVICE.
    """

    CHANNELS: tuple[int, ...] | None = (1, 3)  # that its inputs may have, None for any number

    def __init__(self, bundle: Bundle, *, device: str = "auto", precision: str = "auto", thresholds: Thresholds = None) -> None:
        card = bundle.card
        if not hasattr(bundle.model, "predict"):
            got = f"{card.model} makes pictures and answers none"
            raise UsageError("USE-VALUE", got, where="MODEL", fix="ask it for some: saccade sample MODEL")
        self.head, self.space = next(iter(card.spaces.items()))
        self.channels, self.preprocess = card.inputs.channels, _preprocess(bundle, self.CHANNELS)
        stored = postprocess_of(self.head).from_dict(card.postprocess, self.space)
        self.postprocess: Postprocess = stored if thresholds is None else stored.with_thresholds(thresholds, self.space)
        model = cast(Model, bundle.model)
        self.boxes: Callable[[Input, tuple[int, int]], Boxes | None] = lambda item, size: None
        self.mode: Mode = inference_mode_for(
            model, card.inputs._replace(size=self.preprocess.size), device=device, precision=trained_precision(card) if precision == "auto" else precision
        )
        self.model = ready(model, self.mode)

    def parts(self, place: int, item: Input) -> list[Part]:
        """The rows of an input: itself, or the windows of its image; itself too when its size cannot be read, so that reading it tells why."""
        if self.preprocess.crops is not None:
            return self._objects(place, item, self.preprocess.crops)
        if self.preprocess.tiling is None:
            return [Part(place, item)]
        try:
            whole = header(item.path).size
        except (DataError, ValueError):
            return [Part(place, item)]
        windows = self.preprocess.tiling.windows(whole)
        return [Part(place, item, window, whole, i + 1 == len(windows)) for i, window in enumerate(windows)]

    def _objects(self, place: int, item: Input, crops: Crops) -> list[Part]:
        """The rows of an input's objects; one of the whole image, whose answer is dropped, where there are none."""
        try:
            whole = header(item.path).size
        except (DataError, ValueError):
            return [Part(place, item)]
        boxes = self.boxes(item, whole)
        if boxes is None or not len(boxes):
            return [Part(place, item, None, whole)]
        windows = [crops.window(box, whole, self.preprocess.size[0] / self.preprocess.size[1]) for box in boxes.xyxy.tolist()]
        return [Part(place, item, window, whole, i + 1 == len(windows)) for i, window in enumerate(windows)]

    def joining(self, part: Part) -> Joining | JoinedCrops:
        """What puts the answers of an input's rows together."""
        if self.preprocess.crops is None or part.whole is None:
            return Joining(part.whole, self.preprocess.tiling)
        boxes = self.boxes(part.item, part.whole) or Boxes.empty()
        windows = [row.window for row in self._objects(part.place, part.item, self.preprocess.crops) if row.window is not None]
        return JoinedCrops(part.whole, boxes, windows, Keypoints.empty(len(self.space.keypoints), self.space.pairs))

    def read(self, part: Part, out: np.ndarray, kept: Kept) -> Meta:
        """Reads one picture, or a window of one that is kept for its next windows, into `out` (h, w, C) float32. Raises DataError."""
        size, pixels = self._pixels(part, kept)
        if self.preprocess.crops is not None and self.boxes(part.item, size) is None:
            raise DataError("PRED-BOXES", "", where=part.item.id)
        pixels = self.preprocess.shrink(pixels)
        geometry = self.preprocess.geometry(pixels.shape[:2])
        white = 255.0 if pixels.dtype == np.uint8 else 1.0
        np.divide(self.preprocess.warp(pixels, geometry), white, out=out, dtype=np.float32, casting="unsafe")
        source = Geometry.resize(size, pixels.shape[:2]) if size != pixels.shape[:2] else Geometry.identity(size)
        return Meta(part.item.id, size, source.then(geometry))

    def _pixels(self, part: Part, kept: Kept) -> tuple[tuple[int, int], np.ndarray]:
        """The whole size (h, w) of a picture and its pixels, perhaps reduced; of a window of it, its own size and all of its pixels."""
        if part.window is None or part.window.size == part.whole:
            picture = self._picture(part.item, self.preprocess.size)
            return picture.size, picture.pixels
        picture = kept.get(part.place, lambda: self._attempt(part.item), lambda made: 0 if isinstance(made, DataError) else made.pixels.nbytes)
        if isinstance(picture, DataError):
            raise picture
        if picture.size != part.whole:
            raise DataError("IMG-CHANGED", f"{picture.size[0]}x{picture.size[1]}, a moment ago {part.whole}", where=str(part.item.path))
        (x, y, (h, w)) = part.window
        return (h, w), np.ascontiguousarray(picture.pixels[y : y + h, x : x + w])

    def _attempt(self, item: Input) -> Picture | DataError:
        """The whole picture, or why there is none: so that what cannot be decoded is not tried again for every window."""
        try:
            return self._picture(item, None)
        except DataError as error:
            return error

    def _picture(self, item: Input, at_least: tuple[int, int] | None) -> Picture:
        try:
            return read_image(item.path, channels=self.channels, at_least=at_least, value_range=self.preprocess.value_range)
        except ValueError as error:  # a path with a zero byte
            raise DataError("IMG-MISSING", str(error), where=str(item.path)) from error

    def answers(self, inputs: torch.Tensor, meta: Sequence[Meta]) -> list[Any]:
        """(n, C, h, w) in [0, 1] -> n answers of the network, in the pixels of the picture or window that each was made of."""
        sizes = torch.tensor([self.preprocess.shown(m.size, m.geometry) for m in meta], device=self.mode.device)
        with torch.inference_mode(), self.mode.autocast():
            return self.model.predict(inputs.to(self.mode.device), sizes, meta)[self.head]


def _preprocess(bundle: Bundle, channels: tuple[int, ...] | None) -> Preprocess:
    """The card's preprocessing, with every value in its range."""
    try:
        found = Preprocess.from_dict(bundle.card.preprocess)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("MODEL-ARGS", f"preprocess: {error!r}") from error
    low, high = found.value_range if isinstance(found.value_range, tuple) and len(found.value_range) == 2 else (0.0, 1.0)
    ranges = {
        "size": len(found.size) == 2 and all(type(side) is int and side >= 1 for side in found.size) and found.size[0] * found.size[1] <= MAX_PIXELS,
        "channels": found.channels == bundle.card.inputs.channels and (channels is None or found.channels in channels),
        "fill": type(found.fill) in (int, float) and 0 <= found.fill <= 1,
        "value_range": found.value_range is None or (type(low) in (int, float) and type(high) in (int, float) and low < high),
    }
    for name, right in ranges.items():
        if not right:
            raise ModelError("MODEL-ARGS", f"preprocess {name} is {str(getattr(found, name))[:60]}")
    return found


@dataclass
class _Work:
    """One batch under way: its parts, the rows still to answer, and what the threads make of them."""

    parts: Sequence[Part]
    rows: list[int]
    pixels: np.ndarray
    read: list[Future[Meta]]


@dataclass
class _Begun:
    """The answers of the rows so far of the input that is under way, and the first reason why it can have none."""

    answers: Joining | JoinedCrops | None = None
    error: DataError | None = None


def predict(predictor: Predictor, inputs: Sequence[Input], *, batch: int = 32, workers: int = 2, done: int = 0) -> Iterator[list[Result]]:
    """The results of the inputs from number `done` on, in order, a batch at a time. Raises UsageError USE-VALUE.

    workers: threads that read. What is given does not depend on it, nor on `done`; `batch` may change the last digits.
    """
    for name, value in (("batch", batch), ("threads", workers)):
        if not 1 <= value <= 4096:
            raise UsageError("USE-VALUE", f"{name} = {value}, expected 1 to 4096", where=f"--{name}")
    shape, waiting, begun, kept = (*predictor.preprocess.size, predictor.channels), deque[_Work](), _Begun(), Kept(KEPT_BYTES)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="saccade-read")
    try:
        for parts in _batches(predictor, inputs, batch, done):
            rows = [row for row, part in enumerate(parts) if part.place >= done]
            pixels = np.zeros((len(parts), *shape), np.float32)
            waiting.append(_Work(parts, rows, pixels, [pool.submit(predictor.read, parts[row], pixels[row], kept) for row in rows]))
            if len(waiting) > 2:
                yield from _finish(predictor, waiting.popleft(), begun)
        while waiting:
            yield from _finish(predictor, waiting.popleft(), begun)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(predictor: Predictor, inputs: Sequence[Input], batch: int, done: int) -> Iterator[list[Part]]:
    """The batches that hold a row of an input from number `done` on; where they begin and end does not depend on `done`."""
    for first in range(done // batch * batch, len(inputs), batch):
        rows = [part for place, item in enumerate(inputs[first : first + batch], first) for part in predictor.parts(place, item)]
        for start in range(0, len(rows), batch):
            if rows[start : start + batch][-1].place >= done:
                yield rows[start : start + batch]


def _finish(predictor: Predictor, work: _Work, begun: _Begun) -> Iterator[list[Result]]:
    """The results of the inputs whose last row is in this batch, if there are any."""
    blank = Meta("", predictor.preprocess.size, Geometry.identity(predictor.preprocess.size))
    meta, errors = [blank] * len(work.parts), dict[int, DataError]()
    for row, future in zip(work.rows, work.read, strict=True):
        try:
            meta[row] = future.result()
        except DataError as error:
            errors[row] = error
    for row in errors:
        work.pixels[row] = 0  # it may have been half written
    answers: list[Any] = [None] * len(work.parts)
    if len(errors) < len(work.rows):
        answers = predictor.answers(predictor.preprocess.whitened(work.pixels).permute(0, 3, 1, 2), meta)
    found: list[tuple[Input, Any, DataError | None]] = []
    for row in work.rows:
        part = work.parts[row]
        begun.answers = begun.answers or predictor.joining(part)
        begun.error = begun.error or errors.get(row)
        if begun.error is None:
            begun.answers.add(answers[row])
        answers[row] = None  # a map may be large
        if part.last:
            found.append((part.item, None if begun.error else begun.answers.finish(), begun.error))
            begun.answers, begun.error = None, None
    finished = iter(predictor.postprocess.apply([answer for _, answer, _ in found if answer is not None], predictor.space))
    if found:
        yield [Result(item, None if answer is None else next(finished), error) for item, answer, error in found]
