"""What `import saccade` shows: the verbs of the command line as functions, with the same names and the same words.

Each one calls the job of its name in `saccade.jobs`; a keyword that is not known raises TypeError with the likely name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from saccade.errors import nearest

if TYPE_CHECKING:
    from saccade.jobs.doctor import DoctorReport
    from saccade.jobs.runs import RunInfo
    from saccade.jobs.train import RunResult

P = ParamSpec("P")
R = TypeVar("R")
Listener = Callable[[dict[str, Any]], None]


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, whose TypeError for an unknown keyword names the likely one.

    >>> doctor(foldr=".")
    Traceback (most recent call last):
    ...
    TypeError: doctor() has no keyword 'foldr'; did you mean folder? The options are folder
    """
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        from saccade.jobs.options import HINTS, TrainOptions

        options = [*known, *(name for name in TrainOptions.model_fields if name not in known)] if open_ended else known
        for name in kwargs:
            if name not in options:
                raise TypeError(f"{function.__name__}() has no keyword {name!r}; {nearest(name, options, HINTS)}")
        return function(*args, **kwargs)

    return checked


@suggesting
def train(data: Path | str = "", *, listeners: Sequence[Listener] = (), **options: Any) -> RunResult:
    """Trains, evaluates and reports; returns the run's folder and its metrics. Raises SaccadeError of every kind.

    data: a folder, a CSV or IDX files; not needed with resume=RUN.
    listeners: functions that are told every event as a mapping with the key "event".

    The other keywords are the options of `saccade train`, with the same names and meanings.
    """
    from saccade.jobs.options import make_options
    from saccade.jobs.train import run_train

    given = {**options, "data": str(data)} if data else options
    return run_train(make_options(**given), listeners=listeners)


@suggesting
def demo(task: str = "classify", *, out: Path | str = "saccade-demo", budget: str = "60s", seed: int = 0, listeners: Sequence[Listener] = ()) -> RunResult:
    """Trains on data that come with the libraries of saccade, a fifth held out.

    task: what to show; `saccade demo --list` names the choice.
    out: where the images and the run go.
    budget: time for everything, such as 60s.
    seed: of every random choice.
    listeners: functions that are told every event.
    """
    from saccade.jobs.demo import run_demo

    return run_demo(task, out=out, budget=budget, seed=seed, listeners=listeners)


@suggesting
def doctor(folder: Path | str = ".") -> DoctorReport:
    """Versions, device, disk and a self-test of this machine.

    folder: where the speed of the disk is tried, by a temporary file that is removed.
    """
    from saccade.jobs.doctor import run_doctor

    return run_doctor(folder)


@suggesting
def runs(folder: Path | str = "runs") -> list[RunInfo]:
    """The runs in a folder, the youngest last. Raises UsageError RUN-MISSING when there is none.

    folder: the folder that holds the runs, or a run.
    """
    from saccade.jobs.runs import run_runs

    return run_runs(folder)
