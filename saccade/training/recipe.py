"""What training does when nothing is said, for one kind of network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """policy: a name of `data.augment.POLICIES`; rate: of an adaptive optimiser at up to 64 images a step (32 where `batch` is below);
    epochs: factor on `jobs.defaults.enough_epochs`; batch: images a step, None for the rule of `jobs.defaults.batch_size`; ema: decay of
    the averaged weights, None for the rule; arguments: of the builder; monitor: the key that chooses the best epoch, the task's
    where it is empty; brief: what is done instead where a budget allows so little (`is_brief`) that nothing can be learnt by heart, and
    changes and smoothing only slow the learning; why: the words printed with each of them.
    """

    why: str
    policy: str = "default"
    rate: float = 2e-3
    weight_decay: float = 0.05
    epochs: float = 1.0
    batch: int | None = None
    ema: float | None = None
    clip: float = 0.0
    monitor: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    brief: Recipe | None = None


BRIEF_EPOCHS, BRIEF_STEPS = 12, 1000


def is_brief(epochs: int, steps: int) -> bool:
    """Whether so few passes over the images, and so few steps in all, are a brief training."""
    return epochs < BRIEF_EPOCHS and steps < BRIEF_STEPS
