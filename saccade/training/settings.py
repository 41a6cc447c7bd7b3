"""Every number of a training run that `fit` obeys, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from saccade.errors import UsageError, unknown_name
from saccade.training.penalties import Table

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Settings:
    """What `fit` obeys. Rates are a step, shares are of the whole run, times are in seconds.

    Raises UsageError USE-VALUE when a value is out of range.
    """

    epochs: int
    extensions: tuple[int, ...] = ()  # epochs added to the finished run, each time it was extended
    rate: float = 2e-3  # the learning rate at its highest
    optimiser: str = "adamw"  # a key of `optimisers.OPTIMISERS`
    momentum: float = 0.9
    weight_decay: float = 0.05
    l1: Table = ()  # strengths by layer, see `penalties`
    l2: Table = ()
    schedule: str = "cosine"  # a key of `schedules.SCHEDULES`
    plateau_epochs: int = 5  # validated epochs without a better monitor before the schedule `plateau` lowers the rate
    warmup: float = 0.1  # share of the steps in which the rate rises from 0
    clip: float = 0.0  # largest norm of the gradient; 0 = no limit
    accumulate: int = 1  # batches whose gradients are added before a step
    ema: float = 0.0  # decay of the running mean of the weights a step; 0 = off
    swa: float = 0.0  # share of the run from which on the weights at the ends of epochs are averaged equally; 0 = off
    patience: int = 0  # epochs without a better monitor before the run ends; 0 = never
    validate_every: int = 1  # epochs between validations; the last epoch is always validated
    keep: Literal["best", "last"] = "best"  # which weights the run ends with
    save_every_s: float = 30.0  # at most this long between checkpoints inside an epoch
    save_every_steps: int = 0  # steps between checkpoints inside an epoch; 0 = by time alone
    seed: int = 0
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        limits = {"epochs": (1, 1_000_000), "rate": (0, 1e9), "weight_decay": (0, 100), "warmup": (0, 1), "clip": (0, 1e9), "ema": (0, 1)}
        limits |= {
            "swa": (0, 1),
            "plateau_epochs": (1, 1_000_000),
            "accumulate": (1, 65_536),
            "patience": (0, 1_000_000),
            "validate_every": (1, 1_000_000),
            "momentum": (0, 1),
            "save_every_s": (0, 1e9),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError("USE-VALUE", f"{name} = {value}, expected {low} to {high}", where=f"--{name.replace('_', '-')}")

        if self.ema and self.swa:
            raise UsageError("USE-VALUE", f"ema = {self.ema} and swa = {self.swa}, expected one mean of the weights at most", where="--average")

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The stored settings of a run. Raises UsageError USE-OPTION for a name that is not one of the settings."""
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise UsageError("USE-OPTION", unknown)
        tables = {name: tuple((pattern, strength) for pattern, strength in stored.get(name, ())) for name in ("l1", "l2")}
        return cls(**{**stored, **tables, "extensions": tuple(stored.get("extensions", ()))})
