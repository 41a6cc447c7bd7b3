"""Stochastic weight averaging: the equal mean of the weights at the ends of the last epochs (Izmailov et al. 2018, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from saccade.core import Batch, System
from saccade.training.ema import Average, MovingAverage
from saccade.training.engine import Engine
from saccade.training.settings import Settings

NORMS = (nn.modules.batchnorm._BatchNorm,)


class EqualAverage(Average):
    """The equal mean over the ends of the epochs from the share `begin` of the run on; until then it is what the system has."""

    def __init__(self, module: nn.Module, begin: float) -> None:
        super().__init__(module)
        self.begin = begin

    def after_epoch(self, module: nn.Module, done: float) -> bool:
        if done <= self.begin:
            self.steps = 0
        self.steps += 1
        self.move(module, 1 / self.steps)
        return self.steps > 1


def make_average(system: System, settings: Settings) -> Average | None:
    """The mean that the settings ask for: none, of every step (`ema`), or of the last epochs (`swa`)."""
    if settings.swa:
        return EqualAverage(system, settings.swa)
    return MovingAverage(system, settings.ema) if settings.ema else None


@torch.no_grad()
def refresh_norms(system: System, batches: Iterable[Batch], engine: Engine) -> None:
    """Measures the means and variances of batch norm anew: their equal mean over the batches, all else as in evaluation.

    The system is left in the mode that it was in; without batch norm no batch is read.
    """
    norms = [m for m in system.modules() if isinstance(m, NORMS) and m.track_running_stats]
    if not norms:
        return
    was_training, momenta = system.training, [norm.momentum for norm in norms]
    system.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the equal mean over all that follows
        norm.train()
    for batch in batches:
        engine.losses(system, engine.place_batch(batch), "all")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    system.train(was_training)
