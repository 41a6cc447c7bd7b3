"""`report RUN`: report.html again, from the run's folder alone."""

from __future__ import annotations

from pathlib import Path

from saccade.errors import UsageError


def run_report(run: Path) -> Path:
    """Writes the report and gives its path. Raises UsageError RUN-MISSING when there is no run."""
    if not (run / "run.json").is_file():
        raise UsageError("RUN-MISSING", where=str(run))
    from saccade.report import write

    return write(run)
