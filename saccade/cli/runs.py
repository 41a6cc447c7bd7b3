"""saccade runs"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output
from saccade.errors import displayable
from saccade.jobs.runs import RunInfo

EXAMPLES = ("saccade runs", "saccade runs experiments/ --json", "saccade runs compare runs/a runs/b")


def runs(
    folder: Annotated[Path, Parameter(help="the folder that holds the runs, or a run")] = Path("runs"),
    *,
    show: Output,
) -> int:
    """The runs of a folder and where they stand; one whose process is gone is shown as interrupted, with the command that goes on with it."""
    from saccade import api

    found = api.runs(folder)
    for run in found:
        show.event("run", **run.to_dict())
    show.table(("run", "status", "task", "model", "data", "result", "when", "took"), [_row(run) for run in found])
    for run in found:
        if run.resume:
            show.line(f"go on  {displayable(run.resume)}")
    return 0


def _row(run: RunInfo) -> tuple[str, ...]:
    when = "" if run.started is None else f"{datetime.fromtimestamp(run.started):%m-%d %H:%M}"
    return (run.path.name, run.status, run.task, run.model, run.data, result(run), when, "" if run.seconds is None else duration(run.seconds))


def result(run: RunInfo) -> str:
    """The main number with its interval: accuracy 0.981 [0.962-0.994]."""
    if run.value is None:
        return ""
    interval = "" if run.low is None or run.high is None else f" [{run.low:.3f}-{run.high:.3f}]"
    return f"{run.metric} {run.value:.3f}{interval}"


def duration(seconds: float) -> str:
    """A duration in two units: 1h05m, 4m09s, 31s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
