"""Where a run is: everything that `fit` must remember to go on as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

LESS_IS_BETTER = {"val_loss", "train_loss", "ece", "mae", "rmse", "error", "fid", "reconstruction_error"}


@dataclass
class Progress:
    """Counters of a run, all of them plain JSON values.

    `step` counts optimiser steps of the whole run, `epoch` finished epochs, `batch` the batches used of the present one.
    """

    stage: int = 0
    epoch: int = 0  # finished, over all stages
    stage_epoch: int = 0  # finished, in this stage
    batch: int = 0
    step: int = 0
    stage_step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)  # loss terms of the present epoch, summed over its images
    images: int = 0  # images of the present epoch
    best: list[float] | None = None  # the monitor and the validation loss, both so that more is better
    best_epoch: int = 0
    worse_epochs: int = 0  # validated epochs since the best one
    factor: float = 1.0  # of the rate: halved whenever the run had to go back, lowered on a plateau, or told from outside
    bad_steps: int = 0  # in a row, left out because they were not finite
    skipped: int = 0  # in all
    rewinds: int = 0
    rows: int = 0  # of metrics.jsonl
    average_steps: int = 0  # sets of weights in the mean
    stopped: bool = False  # the run was told to end with this epoch
    reductions: int = 0  # how often a plateau lowered the rate
    reduced_at: int = 0  # `worse_epochs` when it last did

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        return cls(**stored)

    def add(self, terms: dict[str, float], images: int) -> None:
        """Adds one batch's loss terms, which are means over its images."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images
        self.images += images

    def means(self) -> dict[str, float]:
        return {name: total / max(1, self.images) for name, total in self.sums.items()}

    def end_epoch(self) -> None:
        self.epoch, self.stage_epoch, self.batch, self.sums, self.images = self.epoch + 1, self.stage_epoch + 1, 0, {}, 0

    def improves(self, monitor: str, value: float, val_loss: float) -> bool:
        """Notes the value of a validated epoch; True when it is the best so far, equal ones being told apart by the validation loss."""
        score = [-value if monitor.rpartition(".")[2] in LESS_IS_BETTER else value, -val_loss]
        if self.best is not None and score <= self.best:
            self.worse_epochs += 1
            return False
        self.best, self.best_epoch, self.worse_epochs, self.reduced_at = score, self.epoch, 0, 0
        return True

    def plateaus(self, epochs: int, most: int) -> bool:
        """Whether so many validated epochs brought nothing, since the best one or the last reduction; notes the reduction, `most` of them at most."""
        if self.reductions >= most or self.worse_epochs - self.reduced_at < epochs:
            return False
        self.reductions, self.reduced_at = self.reductions + 1, self.worse_epochs
        return True
