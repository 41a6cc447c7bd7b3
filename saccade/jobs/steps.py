"""Whether a model learns by gradient steps, and what is refused where it does not."""

from __future__ import annotations

from saccade.core import Estimated, System
from saccade.errors import UsageError
from saccade.jobs.options import TrainOptions

OF_STEPS = frozenset(
    {"epochs", "lr", "optimiser", "momentum", "weight_decay", "l1", "l2", "schedule", "plateau_epochs", "warmup", "ema", "average", "clip", "accumulate"}
    | {"patience"}
)
"""Options that say something of gradient steps and of nothing else."""


def learns_by_steps(model: System, fit: str) -> bool:
    """Whether the training loop runs: not for what learns by counting, by EM or from features once, nor where the last layer is fitted alone."""
    return not isinstance(model, Estimated) and fit == "loop"


def refuse_steps(options: TrainOptions, name: str, fit: str) -> None:
    """Raises UsageError USE-OPTION for options of gradient steps, given for a model `name` that makes none."""
    asked = sorted(option for option in OF_STEPS & options.given if getattr(options, option) not in (None, ()))
    if asked:
        words = [f"--{option.replace('_', '-')}" for option in asked]
        how = f"--fit {fit} makes no gradient steps" if fit != "loop" else f"{name} learns without epochs and gradient steps"
        said = f"{words[0]} says" if len(words) == 1 else f"{', '.join(words)} say"
        fix = "leave it out" if len(words) == 1 else "leave them out"
        raise UsageError("USE-OPTION", f"{how}, and {said} nothing to it", where=words[0], fix=fix)
