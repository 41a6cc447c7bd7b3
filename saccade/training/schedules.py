"""Learning-rate schedules: pure functions of the share of the run that is done, and one that watches the monitor."""

from __future__ import annotations

import math
from collections.abc import Callable

from saccade.errors import UsageError, nearest

PLATEAU, REDUCTIONS = 0.1, 3  # what a plateau multiplies the rate by, and how often at most (Krizhevsky et al. 2012, section 5)


def cosine(done: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, equation 5, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def linear(done: float) -> float:
    """A straight line from 1 to 0."""
    return 1 - done


def steps(done: float) -> float:
    """A tenth at half of the run and a hundredth at three quarters (He et al. 2016, section 4.2)."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def constant(done: float) -> float:
    """The same rate throughout."""
    return 1.0


def plateau(done: float) -> float:
    """The same rate until the monitor stops improving; then a tenth of it, three times at most (`plateau_epochs`, see `fit`)."""
    return 1.0


def hold(done: float) -> float:
    """1 for half of the run, down to a half at three quarters, and that to the end: a rate at which averaging has something to average
    (Izmailov et al. 2018, section 3.1 and appendix A.2, where the final rate of the residual networks is half of the first)."""
    return 1.0 if done < 0.5 else 1 - 2 * (done - 0.5) if done < 0.75 else 0.5


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": cosine,
    "linear": linear,
    "steps": steps,
    "constant": constant,
    "plateau": plateau,
    "hold": hold,
}


def rate_factor(step: int, total: int, *, schedule: str = "cosine", warmup: float = 0.0) -> float:
    """What the highest rate is multiplied by at a step in 0..total-1: a linear rise over the first `warmup` share, then the schedule.

    >>> [round(rate_factor(s, 10, warmup=0.2), 3) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    if schedule not in SCHEDULES:
        raise UsageError("USE-VALUE", f"{schedule}; {nearest(schedule, SCHEDULES)}", where="--schedule")
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    return SCHEDULES[schedule]((step - rising) / max(1, total - rising))
