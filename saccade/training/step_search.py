"""Bottou's search of the step size: pass over a small part of the training set with several rates, and keep the one that ends lowest.

Bottou 2012, "Stochastic gradient descent tricks", section 5.2: the best rate hardly depends on the size of the training set, so it may be
chosen on a sample of it; rates double or halve until the cost gets worse. Here a rate is judged by the mean loss of the sample after the passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from saccade.core import Batch, Feed, System
from saccade.training.engine import Engine
from saccade.training.probes import RateCurve, Trial
from saccade.training.settings import Settings

if TYPE_CHECKING:
    from saccade.core import Feed

IMAGES, STEPS, FACTOR, MOST = 1000, 60, 2.0, 16  # of the sample; at each rate, in whole passes; between rates; rates that are tried


def search_rate(
    system: System, feed: Feed, *, settings: Settings, engine: Engine, images: int = IMAGES, steps: int = STEPS, factor: float = FACTOR
) -> RateCurve:
    """The rates tried, rising, the cost after each, and the best of them; begins at `settings.rate`.

    Every rate starts from a copy of the system, at a constant rate, with the run's optimiser; the system is not changed.
    """
    sample = list(_first(feed.epoch(0), images))
    passes = -(-steps // len(sample))  # fewer steps would end before a momentum has built up
    costs: dict[int, float] = {}  # by the power of the factor

    def cost(power: int) -> float:
        if power not in costs:
            costs[power] = _cost(system, sample, settings.rate * factor**power, settings=settings, engine=engine, passes=passes)
        return costs[power]

    best, way = 0, 1 if cost(1) < cost(0) else -1
    while len(costs) < MOST and cost(best + way) < cost(best):
        best += way
    powers = sorted(costs)
    return RateCurve([settings.rate * factor**k for k in powers], [costs[k] for k in powers], settings.rate * factor**best)


def _first(batches: Iterable[Batch], images: int) -> Iterable[Batch]:
    """As many batches as hold so many images, one at least."""
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if seen >= images:
            return


def _cost(system: System, sample: Sequence[Batch], rate: float, *, settings: Settings, engine: Engine, passes: int) -> float:
    """The mean loss of the sample after training on it at this rate: with the statistics of each batch, as in training, and nothing dropped;
    infinite where it is no number."""
    trial = Trial(system, settings, engine)
    trial.rate(rate)
    for _ in range(passes):
        for batch in sample:
            if not math.isfinite(trial.step(batch)):
                return math.inf
    for module in trial.system.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.eval()
    total = 0.0
    with torch.no_grad():
        for batch in sample:
            terms = engine.losses(trial.system, engine.place_batch(batch), trial.phases[0][0])
            total += len(batch) * float(sum(terms.values())) if terms else 0.0
    mean = total / sum(len(batch) for batch in sample)
    return mean if math.isfinite(mean) else math.inf
