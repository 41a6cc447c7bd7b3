"""Records to batches: read, warped and coloured in threads, in an order and with changes that follow from the seed alone.

Decoders, OpenCV and NumPy release Python's lock, so threads do what worker processes would, without their start and without
copies. A batch is one piece of work for one thread; it is the same whatever the number of threads and wherever an epoch begins.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core import Batch, Dataset, Stored
from saccade.data import mosaic
from saccade.data.augment import Policy, uniforms
from saccade.data.augment_mix import Mix
from saccade.data.crew import LEAVE_S, Crew
from saccade.data.degrade import Degrade
from saccade.data.loader_inputs import Inputs, Sample
from saccade.data.preprocess import PADDED, Preprocess
from saccade.data.sampling import balanced_order, classes_of
from saccade.errors import DataError, Problem, ResourceError, UsageError

CACHE_LIMIT, CACHE_SHARE = 2_000_000_000, 0.25  # bytes; share of the memory that is free
PATIENCE_S = 120.0
SMALL = 512  # bytes that a truth without pixels is counted as


class Loader:
    """Batches of a data set, in order or shuffled, unchanged or augmented.

    most: records of an epoch, where that is not all; epochs go through all of them before one comes again.
    threads: 0 works in the caller. cache_bytes: memory for decoded pictures (reduced to what the input needs); None: 2 GB or a
    quarter of the free memory, whichever is less; used only when all pictures fit. What a batch holds never depends on it.
    A picture that cannot be read is left out of its batch and noted in `problems`; in order, a batch without any is left out
    too. A last batch of one joins the one before when shuffled, because batch norm cannot learn from a single image.
    balanced: an epoch has every class of the head `label` equally often (`sampling.balanced_order`), so that images of rare classes come
    several times, changed differently each time, and some of frequent ones do not come; only when shuffled.
    patience_s: how long the threads may be at one picture; without threads nobody watches. degrade: the input is made from the
    clean picture, which is the truth of the head `image`. schedules: the epochs of the run and of each of its extensions, whose last ones
    the policy may treat otherwise (`Policy.mosaic_off`).

    A batch holds every head of the data set, a list of one target a sample: moved into the input's pixels, None where there is
    none. `Meta` tells of the whole image where a head's truth follows the geometry; where none does, the size of an image that
    was never checked is that of the pixels read, because finding out costs a look at the file.
    """

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess,
        *,
        batch_size: int,
        policy: Policy | None = None,
        mix: Mix | None = None,
        degrade: Degrade | None = None,
        shuffle: bool = False,
        balanced: bool = False,
        most: int | None = None,
        seed: int = 0,
        threads: int = 2,
        cache_bytes: int | None = None,
        patience_s: float = PATIENCE_S,
        schedules: Sequence[int] = (),
    ) -> None:
        if batch_size < 1:
            raise UsageError("USE-VALUE", f"batch size {batch_size}, expected 1 or more", where="--batch")
        if threads < 0:
            raise UsageError("USE-VALUE", f"{threads} loader threads, expected 0 or more", where="--workers")
        self.dataset, self.preprocess, self.batch_size, self.policy, self.mix = dataset, preprocess, batch_size, policy, mix
        self.shuffle, self.seed, self.threads, self.patience_s = shuffle, seed, threads, patience_s
        self.most = None if most is None or most >= len(dataset) else most
        self._classes = classes_of(dataset) if balanced else None  # places, and the class of each
        self.problems: list[Problem] = []
        self._known: set[int] = set()
        self._pictures: dict[int, np.ndarray] = {}
        self._kept = 0  # bytes of them
        self._truths: dict[int, dict[str, Any]] = {}  # those that were loaded from files
        self._sizes: dict[int, tuple[int, int]] = {}
        self._at: dict[int, tuple[str, float]] = {}  # batch -> the image being read for it, since when
        self._budget = _cache_budget() if cache_bytes is None else cache_bytes
        self._zoom = 1.0 if policy is None else policy.zoom
        self.caches, self.cache_note = _fits(dataset, preprocess, self._zoom, self._budget)
        self.heads = heads_of(dataset)
        if self.most is not None and (balanced or not shuffle):
            raise UsageError("USE-OPTION", "only epochs of shuffled images may be a part of them", where="most")
        if balanced and not shuffle:
            raise UsageError("USE-OPTION", "images in order are not balanced", where="--sampling")
        _require_suited(self.heads, preprocess, policy, mix, degrade)
        self.inputs = Inputs(preprocess, policy, degrade, self.heads, seed, len(dataset), schedules)

    def __len__(self) -> int:
        return len(self._bounds())

    def _bounds(self) -> list[tuple[int, int]]:
        n = self.most or len(self.dataset if self._classes is None else self._classes[0])
        bounds = [(first, min(first + self.batch_size, n)) for first in range(0, n, self.batch_size)]
        if self.shuffle and len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
            bounds[-2:] = [(bounds[-2][0], n)]
        return bounds

    def order(self, epoch: int) -> np.ndarray:
        """The places of the records in the order of an epoch; n records further on for one that comes the second time, and so on."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        if self._classes is not None:
            places, repeats = balanced_order(self._classes[1], self.seed, epoch)
            return self._classes[0][places] + repeats * len(self.dataset)
        if self.most is None:
            return self._shuffled(epoch)
        rounds, first = divmod(epoch * self.most, len(self.dataset))
        last = first + self.most - len(self.dataset)  # beyond the end of a shuffle: the next one goes on
        return np.concatenate([self._shuffled(rounds)[first : first + self.most], self._shuffled(rounds + 1)[: max(0, last)]])

    def _shuffled(self, number: int) -> np.ndarray:
        return np.argsort(uniforms(self.seed, number, np.arange(len(self.dataset)), 17)[:, 16], kind="stable")

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, before number `stop`; none beyond is begun.

        Raises DataError DATA-BAD when no image of a shuffled batch can be read (a run counts its batches, so none may be missing),
        ResourceError RUN-WORKER when one is not read in time.
        """
        order, bounds = self.order(epoch), self._bounds()
        work = deque(partial(self._batch, epoch, number, order[first:last]) for number, (first, last) in enumerate(bounds[:stop]) if number >= start)
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
            found = self.preprocess.shrink(self.dataset.read(place, self.preprocess.reading(self._zoom)), self._zoom)
            if self._keeps(found.nbytes):
                self._pictures[place] = found
        return found

    def _keeps(self, size: int) -> bool:
        """Whether so many bytes more may be kept; two threads may forget one another's here, the budget is not that exact."""
        if not self.caches or self._kept + size > self._budget:
            return False
        self._kept += size
        return True

    def sample(self, entry: int) -> Sample:
        """A record with its picture and its truths, for an entry of `order`. Raises DataError."""
        place = entry % len(self.dataset)
        pixels, record = self.picture(place), self.dataset.records[place]
        if not self.inputs.moves:
            read = (pixels.shape[0], pixels.shape[1])
            return Sample(entry, record.id, pixels, self._still(place), record.size or read)
        size = self._sizes.get(place)
        if size is None:
            size = self._sizes[place] = self.dataset.size(place)
        truth = self._truths.get(place)
        if truth is None:
            truth = self.dataset.truth(place)
            if any(isinstance(target, Stored) for target in record.targets.values()) and self._keeps(size[0] * size[1]):
                self._truths[place] = truth
        return Sample(entry, record.id, pixels, truth, size)

    def _still(self, place: int) -> dict[str, Any]:
        """The truths of a record where none of them follows the geometry; those that have to be made or read are kept, for they are small."""
        targets = self.dataset.records[place].targets
        if not any(isinstance(target, Stored) for target in targets.values()):
            return dict(targets)
        truth = self._truths.get(place)
        if truth is None:
            truth = self.dataset.truth(place)
            if self._keeps(SMALL):
                self._truths[place] = truth
        return truth

    def _batch(self, epoch: int, number: int, places: np.ndarray) -> Batch | None:
        samples = [sample for place in places if (sample := self._read(number, int(place))) is not None]
        if not samples and not self.shuffle:
            self._at.pop(number, None)
            return None
        if not samples:
            raise DataError("DATA-BAD", f"none of {len(places)} images can be read", where=self.dataset.records[places[0] % len(self.dataset)].id)
        good = {sample.place: sample for sample in samples}
        for place in sorted(self.inputs.needed(np.array(list(good)), epoch)):
            good[place] = self._read(number, place) or samples[0]
        self._at.pop(number, None)
        batch = self.inputs.batch(samples, epoch, good)
        return batch if self.mix is None else self.mix(batch, self.dataset.spaces, (self.seed, epoch, number))

    def _read(self, number: int, entry: int) -> Sample | None:
        """The sample for a batch; None, and a note, when it cannot be read."""
        place = entry % len(self.dataset)
        self._at[number] = self.dataset.records[place].id, time.monotonic()
        try:
            return self.sample(entry)
        except DataError as problem:
            self._note(place, problem)
            return None

    def _note(self, place: int, problem: DataError) -> None:
        if place not in self._known:
            self._known.add(place)
            self.problems.append(problem.problem())


def heads_of(dataset: Dataset) -> tuple[str, ...]:
    """The heads that have class names, in that order, and then those that records have besides."""
    return tuple({**dict.fromkeys(dataset.spaces), **dict.fromkeys(head for record in dataset.records for head in record.targets)})


def _require_suited(heads: tuple[str, ...], preprocess: Preprocess, policy: Policy | None, mix: Mix | None, degrade: Degrade | None) -> None:
    """Raises UsageError for a choice that means nothing for these truths or beside another choice."""
    if mix is not None:
        mix.suits(heads)
    if policy is not None and policy.mosaic and (others := [head for head in heads if head not in mosaic.HEADS]):
        got = f"mosaic puts {', '.join(mosaic.HEADS)} side by side, and the data have {', '.join(others)}"
        raise UsageError("USE-OPTION", got, where="--augment", fix="set mosaic to 0")
    if degrade is None:
        return
    if "image" in heads:
        raise UsageError("USE-OPTION", "the data have clean pictures of their own, nothing needs to be degraded", where="--degrade", fix="leave it out")
    if preprocess.whitening is not None or mix is not None:
        raise UsageError("USE-OPTION", "degraded pictures are neither whitened nor mixed", where="--degrade", fix="leave the other out")
    if preprocess.mode not in PADDED:
        degrade.size(preprocess.size)


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


def _fits(dataset: Dataset, preprocess: Preprocess, zoom: float, budget: int) -> tuple[bool, str]:
    """Whether every picture, reduced to what the input needs, fits into so many bytes; and the sentence that says so."""
    each = 0
    for place in np.linspace(0, len(dataset) - 1, min(5, len(dataset))).astype(int):
        try:
            each = max(each, preprocess.shrink(dataset.read(int(place), preprocess.reading(zoom)), zoom).nbytes)
        except DataError:
            continue
    need = each * len(dataset)
    kept = need <= budget
    return kept, f"{len(dataset)} decoded images need {need / 1e6:.0f} MB of {budget / 1e6:.0f} MB: {'kept' if kept else 'decoded anew each epoch'}"
