"""saccade report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = ("saccade report runs/a", "saccade report runs/a --json", "saccade runs report runs/a")


def report(
    run: Annotated[Path, Parameter(help="the run's folder")],
    *,
    show: Output,
) -> int:
    """Writes report.html of a run again, from the run's folder alone. The file opens without a network."""
    from saccade.jobs.report import run_report

    show.finish(run_report(run))
    return 0
