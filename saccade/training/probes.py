"""Short trials before a long run, each on a copy of the system: how fast is it, can it learn at all, which rate suits it.

None of them changes the system, the order of the data or the random numbers of the run.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from saccade.core import Batch, Feed, System
from saccade.training.engine import Engine
from saccade.training.optimisers import make_optimiser
from saccade.training.settings import Settings


class Trial:
    """A copy of a system with its optimisers, which takes steps at a constant rate."""

    def __init__(self, system: System, settings: Settings, engine: Engine) -> None:
        self.engine, self.system = engine, engine.place(copy.deepcopy(system)).train()
        stage = self.system.stages()[0]
        made = [(p, p.optimiser(p.groups()) if p.optimiser else make_optimiser(p.groups(), settings)) for p in stage.phases]
        self.phases = [(p.name, optimiser) for p, optimiser in made for _ in range(p.repeat)]
        torch.manual_seed(settings.seed)

    def rate(self, rate: float) -> None:
        for _, optimiser in self.phases:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step(self, batch: Batch) -> float:
        """One step of every phase; the sum of the losses before it."""
        total, batch = 0.0, self.engine.place_batch(batch)
        for phase, optimiser in self.phases:
            optimiser.zero_grad(set_to_none=True)
            terms = self.engine.losses(self.system, batch, phase)
            if terms:
                loss = torch.stack([t.float() for t in terms.values()]).sum()
                self.engine.backward(loss)
                optimiser.step()
                total += loss.item()
        return total


class Speed(NamedTuple):
    """Seconds for one image: in training the first time (with reading it), in training later, and in validation."""

    first_s: float
    later_s: float
    validate_s: float


def measure_speed(system: System, feed: Feed, *, settings: Settings, engine: Engine, seconds: float = 4.0) -> Speed:
    """Times steps on a few batches of the first epoch, twice over, so that what a cache saves is seen.

    No batch beyond them is begun: what threads read ahead would slow the steps and be counted for none of them.
    """
    trial, begin = Trial(system, settings, engine), min(2, max(0, len(feed) - 1))
    warm = next(iter(feed.epoch(0, 0, 1)))
    trial.step(warm)
    step_s, read_s = _timed(lambda: trial.step(warm)), _timed(lambda: list(feed.epoch(0, begin - 1, begin)) if begin else [])
    end = begin + min(64, max(3, round(seconds / 2 / (step_s + read_s / 2))))
    batches: list[Batch] = []
    began = time.perf_counter()
    for batch in feed.epoch(0, begin, end):
        trial.step(batch)
        batches.append(batch)
        if time.perf_counter() - began > 2 * seconds and len(batches) > 2:
            break
    first = time.perf_counter() - began
    began = time.perf_counter()
    for batch in feed.epoch(0, begin, begin + len(batches)):
        trial.step(batch)
    later = time.perf_counter() - began
    trial.system.eval()
    began = time.perf_counter()
    with torch.no_grad(), engine.autocast():
        for batch in batches[: max(1, len(batches) // 2)]:
            trial.system(engine.place_batch(batch))
    validate = time.perf_counter() - began
    images = sum(len(b) for b in batches)
    return Speed(first / images, min(first, later) / images, validate / sum(len(b) for b in batches[: max(1, len(batches) // 2)]))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def epochs_in(budget_s: float, speed: Speed, *, train_images: int, val_images: int) -> int:
    """How many epochs fit into so many seconds, an eighth of them kept back, because a machine is rarely as free later as it was in the first
    seconds; at least one. What reading costs the first time is counted once, for the images of both parts.

    >>> epochs_in(110, Speed(0.002, 0.001, 0.0005), train_images=1000, val_images=100)
    90
    """
    epoch_s = speed.later_s * train_images + speed.validate_s * val_images
    extra_s = (speed.first_s - speed.later_s) * (train_images + val_images)
    return max(1, int((0.875 * budget_s - extra_s) / epoch_s))


PARTS = 4  # epochs of a budget that allows no whole one


def part_in(budget_s: float, speed: Speed, *, batch: int, val_images: int) -> int:
    """How many images each of `PARTS` epochs may have in so many seconds, where all of them are too many; a batch at least.

    >>> part_in(100, Speed(0.02, 0.01, 0.005), batch=32, val_images=100)
    1068
    """
    return max(batch, int((0.875 * budget_s - PARTS * speed.validate_s * val_images) / speed.first_s / PARTS))


class Overfit(NamedTuple):
    """Whether a copy of the system learnt a handful of images by heart: the losses before and after, and the steps it took. Not passed where
    the loss fell by less than a half; None where the time ended first, which is no verdict."""

    passed: bool | None
    first: float
    last: float
    steps: int


def overfits(system: System, batch: Batch, *, settings: Settings, engine: Engine, steps: int = 80, seconds: float = math.inf) -> Overfit:
    """Trains a copy on the same few images until the loss is a tenth of what it was; the oldest check that labels, loss and rate fit together."""
    trial, first, last, began = Trial(system, settings, engine), math.nan, math.nan, time.monotonic()
    trial.rate(min(settings.rate, 1e-3) if "adam" in settings.optimiser else settings.rate)
    for step in range(1, steps + 1):
        last = trial.step(batch)
        first = last if step == 1 else first
        if last < 0.1 * first:
            return Overfit(True, first, last, step)
        if time.monotonic() - began > seconds:
            return Overfit(None, first, last, step)
    return Overfit(last < 0.5 * first, first, last, steps)


class RateCurve(NamedTuple):
    """The losses met while the rate rose, and the rate to use."""

    rates: list[float]
    losses: list[float]
    rate: float


def find_rate(system: System, feed: Feed, *, settings: Settings, engine: Engine, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> RateCurve:
    """The learning-rate range test (Smith 2017, section 3.3): the rate rises geometrically until the loss explodes.

    The rate taken is a third of the one at which the smoothed loss was least, and never below `low`.
    """
    trial, rates, losses, smooth, best = Trial(system, settings, engine), [], [], 0.0, math.inf
    batches = _endless(feed)
    for step in range(steps):
        rate = low * (high / low) ** (step / (steps - 1))
        trial.rate(rate)
        loss = trial.step(next(batches))
        smooth = 0.9 * smooth + 0.1 * loss if math.isfinite(loss) else math.inf
        corrected = smooth / (1 - 0.9 ** (step + 1))
        rates.append(rate)
        losses.append(corrected)
        best = min(best, corrected)
        if not math.isfinite(corrected) or (step > steps // 4 and corrected > 4 * best):
            break
    return RateCurve(rates, losses, max(low, rates[_argmin(losses)] / 3))


def _argmin(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__)


def _endless(feed: Feed):  # type: ignore[no-untyped-def]
    epoch = 0
    while True:
        yield from feed.epoch(epoch)
        epoch += 1
