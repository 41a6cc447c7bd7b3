"""What `import saccade` shows: the verbs of the command line as functions, with the same names and the same words.

Each one calls the job of its name in `saccade.jobs`; a keyword that is not known raises TypeError with the likely name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from saccade.errors import UsageError, nearest

if TYPE_CHECKING:
    from saccade.jobs.doctor import DoctorReport
    from saccade.jobs.runs import RunInfo

P = ParamSpec("P")
R = TypeVar("R")
Listeners = tuple[Callable[[dict[str, Any]], None], ...]


def suggesting(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, whose TypeError for an unknown keyword names the likely one.

    >>> doctor(foldr=".")
    Traceback (most recent call last):
    ...
    TypeError: doctor() has no keyword 'foldr'; did you mean folder? The options are folder
    """
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{function.__name__}() has no keyword {name!r}; {nearest(name, known, _hints())}")
        return function(*args, **kwargs)

    return checked


def _hints() -> dict[str, str]:
    from saccade.jobs.options import HINTS

    return HINTS


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
