"""Learning-rate schedules: pure functions of the share of the run that is done."""

from __future__ import annotations

import math
from collections.abc import Callable

from saccade.errors import UsageError, nearest


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


SCHEDULES: dict[str, Callable[[float], float]] = {"cosine": cosine, "linear": linear, "steps": steps, "constant": constant}


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
