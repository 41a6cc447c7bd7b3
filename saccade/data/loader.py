"""Records to batches: read, warped and coloured in threads, in an order and with changes that follow from the seed alone.

Decoders, OpenCV and NumPy release Python's lock, so threads do what worker processes would, without their start and without
copies. A batch is one piece of work for one thread; it is the same whatever the number of threads and wherever an epoch begins.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.core import Batch, Dataset, Meta
from saccade.data.augment import Draws, Mix, Policy, composed, draw, uniforms
from saccade.data.crew import LEAVE_S, Crew
from saccade.data.preprocess import SHRINKS, Preprocess, centred, scales
from saccade.errors import DataError, Problem, ResourceError, UsageError
from saccade.ops.geometry import Geometry

CACHE_LIMIT, CACHE_SHARE = 2_000_000_000, 0.25  # bytes; share of the memory that is free
PATIENCE_S = 120.0


class Loader:
    """Batches of a data set, in order or shuffled, unchanged or augmented.

    threads: 0 works in the caller. cache_bytes: memory for decoded pictures (reduced to what the input needs); None: 2 GB or a
    quarter of the free memory, whichever is less; used only when all pictures fit. What a batch holds never depends on it.
    A picture that cannot be read is left out of its batch and noted in `problems`; in order, a batch without any is left out
    too. A last batch of one joins the one before when shuffled, because batch norm cannot learn from a single image.
    patience_s: how long the threads may be at one picture; without threads nobody watches.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess,
        *,
        batch_size: int,
        policy: Policy | None = None,
        mix: Mix | None = None,
        shuffle: bool = False,
        seed: int = 0,
        threads: int = 2,
        cache_bytes: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        if batch_size < 1:
            raise UsageError("USE-VALUE", f"batch size {batch_size}, expected 1 or more", where="--batch")
        if threads < 0:
            raise UsageError("USE-VALUE", f"{threads} loader threads, expected 0 or more", where="--workers")
        self.dataset, self.preprocess, self.batch_size, self.policy, self.mix = dataset, preprocess, batch_size, policy, mix
        self.shuffle, self.seed, self.threads, self.patience_s = shuffle, seed, threads, patience_s
        self.problems: list[Problem] = []
        self._known: set[int] = set()
        self._pictures: dict[int, np.ndarray] = {}
        self._kept = 0  # bytes of them
        self._fits: dict[tuple[int, int], Geometry] = {}
        self._at: dict[int, tuple[str, float]] = {}  # batch -> the image being read for it, since when
        self._budget = _cache_budget() if cache_bytes is None else cache_bytes
        self.caches, self.cache_note = _fits(dataset, preprocess, self._budget)

    def __len__(self) -> int:
        return len(self._bounds())

    def _bounds(self) -> list[tuple[int, int]]:
        n = len(self.dataset)
        bounds = [(first, min(first + self.batch_size, n)) for first in range(0, n, self.batch_size)]
        if self.shuffle and len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
            bounds[-2:] = [(bounds[-2][0], n)]
        return bounds

    def order(self, epoch: int) -> np.ndarray:
        """The places of the records in the order of an epoch."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.argsort(uniforms(self.seed, epoch, np.arange(len(self.dataset)), 17)[:, 16], kind="stable")

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on.

        Raises DataError DATA-BAD when no image of a shuffled batch can be read (a run counts its batches, so none may be missing),
        ResourceError RUN-WORKER when one is not read in time.
        """
        order, bounds = self.order(epoch), self._bounds()
        work = deque(partial(self._batch, epoch, number, order[first:last]) for number, (first, last) in enumerate(bounds) if number >= start)
        for batch in self._threaded(work, start) if self.threads else (call() for call in work):
            if batch is not None:
                yield batch

    def _threaded(self, work: deque[partial[Batch | None]], start: int) -> Iterator[Batch | None]:
        crew, waiting, hung = Crew[Batch | None](self.threads), deque[Future[Batch | None]](), False
        try:
            for number in range(start, start + len(work)):
                while work and len(waiting) <= 2 * self.threads:
                    waiting.append(crew.submit(work.popleft()))
                yield self._taken(number, waiting.popleft())
        except ResourceError:
            hung = True
            raise
        finally:
            for future in waiting:
                future.cancel()
            crew.close(0.0 if hung else LEAVE_S)

    def _taken(self, number: int, future: Future[Batch | None]) -> Batch | None:
        """The batch, waited for as long as no single image of it takes longer than `patience_s`."""
        left = self.patience_s
        while True:
            try:
                return future.result(left)
            except Late:
                image, since = self._at.get(number, ("", time.monotonic()))
                left = since + self.patience_s - time.monotonic()
                if left <= 0:
                    raise ResourceError("RUN-WORKER", f"no answer in {self.patience_s:g} s", where=image) from None

    def picture(self, place: int) -> np.ndarray:
        """The pixels of a record, reduced to what the input needs. Raises DataError."""
        found = self._pictures.get(place)
        if found is None:
            found = self.preprocess.shrink(self.dataset.read(place, self.preprocess.size))
            if self.caches and self._kept + found.nbytes <= self._budget:
                self._kept += found.nbytes  # two threads may forget one another's picture here: the budget is not that exact
                self._pictures[place] = found
        return found

    def _batch(self, epoch: int, number: int, places: np.ndarray) -> Batch | None:
        pictures, good = [], []
        for row, place in enumerate(places):
            self._at[number] = self.dataset.records[place].id, time.monotonic()
            try:
                pictures.append(self.picture(int(place)))
                good.append(row)
            except DataError as problem:
                self._note(int(place), problem)
        self._at.pop(number, None)
        if not pictures and not self.shuffle:
            return None
        if not pictures:
            raise DataError("DATA-BAD", f"none of {len(places)} images can be read", where=self.dataset.records[places[0]].id)
        places, size = places[good], self.preprocess.size
        drawn = None
        if self.policy is not None:
            drawn = draw(self.policy, uniforms(self.seed, epoch, places), size, pictures[0].shape[2])
        inputs, geometries = self._inputs(pictures, drawn, epoch, places)
        batch = Batch(inputs, torch.tensor([size] * len(places)), *self._truth(places, pictures, geometries))
        if self.mix is not None:
            return self.mix(batch, len(self.dataset.spaces["label"]), (self.seed, epoch, number))
        return batch

    def _inputs(self, pictures: list[np.ndarray], drawn: Draws | None, epoch: int, places: np.ndarray) -> tuple[Tensor, list[Geometry]]:
        """(n, C, h, w) in [0, 1], channels last in memory, and how each picture came there."""
        size, depth = self.preprocess.size, pictures[0].shape[2]
        out = np.empty((len(pictures), *size, depth), np.float32)
        fits = [self._fit(pixels.shape[:2]) for pixels in pictures]
        if drawn is None:
            for i, (pixels, fit) in enumerate(zip(pictures, fits, strict=True)):
                np.divide(self.preprocess.warp(pixels, fit), _unit(pixels), out=out[i], dtype=np.float32, casting="unsafe")
            return torch.from_numpy(out).permute(0, 3, 1, 2), fits
        geometries = [Geometry(m, size) for m in composed(drawn.matrices, np.stack([fit.matrix for fit in fits]))]
        matrices, border = np.stack([g.matrix for g in geometries]), self.preprocess.border
        shrinks, indexed = np.minimum(*scales(matrices)) < SHRINKS, centred(matrices)
        colours = drawn.colours.astype(np.float32)
        for i, pixels in enumerate(pictures):
            warped = self.preprocess.warp(pixels, geometries[i], border) if shrinks[i] else self.preprocess.moved(pixels, indexed[i], border)
            if depth == 1:
                np.multiply(warped.reshape(*size, 1), colours[i, 0, 0] / _unit(pixels), out=out[i], dtype=np.float32, casting="unsafe")
            else:
                colours[i, :, :-1] /= _unit(pixels)
                cv2.transform(warped.astype(np.float32), colours[i], dst=out[i])
        if depth == 1:
            out += colours[:, 0, 1][:, None, None, None]
        _finish(out, drawn, self.seed, epoch, places)
        return torch.from_numpy(out).permute(0, 3, 1, 2), geometries

    def _fit(self, shape: tuple[int, int]) -> Geometry:
        """The geometry of a picture without any change, kept for each shape."""
        found = self._fits.get(shape)
        if found is None:
            found = self._fits[shape] = self.preprocess.geometry(shape)
        return found

    def _truth(self, places: np.ndarray, pictures: list[np.ndarray], geometries: list[Geometry]) -> tuple[dict[str, list[object]], list[Meta]]:
        records = [self.dataset.records[p] for p in places]
        heads = list(self.dataset.spaces)
        given = {head: [t if (t := r.targets.get(head)) is None else t.warp(g) for r, g in zip(records, geometries, strict=True)] for head in heads}
        meta = [Meta(r.id, (p.shape[0], p.shape[1]), g) for r, p, g in zip(records, pictures, geometries, strict=True)]
        return given, meta

    def _note(self, place: int, problem: DataError) -> None:
        if place not in self._known:
            self._known.add(place)
            self.problems.append(problem.problem())


def _unit(pixels: np.ndarray) -> float:
    """What white is."""
    return 255.0 if pixels.dtype == np.uint8 else 1.0


def _finish(out: np.ndarray, drawn: Draws, seed: int, epoch: int, places: np.ndarray) -> None:
    """Noise, rectangles cut out (filled with the image's mean), and back into [0, 1]; in place."""
    for i in np.flatnonzero(drawn.noise):
        chance = np.random.Generator(np.random.Philox(key=np.array([((seed << 32) + epoch) % 2**64, places[i]], np.uint64)))
        out[i] += chance.standard_normal(out[i].shape, np.float32) * np.float32(drawn.noise[i])
    h, w = out.shape[1:3]
    for i in np.flatnonzero(drawn.boxes[:, 2] > drawn.boxes[:, 0]):
        x0, y0, x1, y1 = np.round(drawn.boxes[i] * (w, h, w, h)).astype(int)
        out[i, y0:y1, x0:x1] = out[i].mean((0, 1))
    np.clip(out, 0, 1, out=out)


def _cache_budget() -> int:
    """Bytes for decoded pictures when nothing is said: a share of the memory that programs can have, within the container's limit."""
    root, free = Path("/sys/fs/cgroup"), CACHE_LIMIT
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024  # also what the disk cache would give up, unlike the pages that are free
        free = min(free, int((root / "memory.max").read_text()) - int((root / "memory.current").read_text()))
    except (OSError, ValueError, KeyError):  # no limit, or not Linux
        pass
    return max(0, min(CACHE_LIMIT, int(CACHE_SHARE * free)))


def _fits(dataset: Dataset, preprocess: Preprocess, budget: int) -> tuple[bool, str]:
    """Whether every picture, reduced to what the input needs, fits into so many bytes; and the sentence that says so."""
    each = 0
    for place in np.linspace(0, len(dataset) - 1, min(5, len(dataset))).astype(int):
        try:
            each = max(each, preprocess.shrink(dataset.read(int(place), preprocess.size)).nbytes)
        except DataError:
            continue
    need = each * len(dataset)
    kept = need <= budget
    return kept, f"{len(dataset)} decoded images need {need / 1e6:.0f} MB of {budget / 1e6:.0f} MB: {'kept' if kept else 'decoded anew each epoch'}"
