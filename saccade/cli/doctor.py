"""saccade doctor"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output
from saccade.errors import CODES

EXAMPLES = ("saccade doctor", "saccade doctor --json", "saccade doctor --explain IMG-TRUNC")


def doctor(
    *,
    explain: Annotated[str | None, Parameter(help="what an error code means and what to do; all lists every code", metavar="CODE|all")] = None,
    folder: Annotated[Path, Parameter(help="where the disk is tried", metavar="DIR")] = Path("."),
    show: Output,
) -> int:
    """Versions, device, threads, processor, free disk and memory, the speed of the disk, and a self-test of a small network."""
    if explain is not None:
        return _explain(explain, show)
    from saccade import api

    report = api.doctor(folder)
    show.event("doctor", **report.to_dict())
    for finding in report.findings:
        mark = {"ok": " ", "warn": "!", "error": "x"}[finding.state]
        show.line(f"{mark} {finding.name:<24}{finding.value}", "" if finding.state == "ok" else finding.state)
    show.line("\nall is well" if report.healthy else "\nlines marked x must be mended before training", "" if report.healthy else "error")
    return 0 if report.healthy else 6


def _explain(code: str, show: Output) -> int:
    """One code, or all."""
    from saccade.jobs import doctor as job

    for name, known in CODES.items() if code == "all" else [(code.upper(), job.explain(code))]:
        show.line(f"{known.severity} {name}\n  {known.text}\n  fix: {known.fix}")
        show.event("code", code=name, **known._asdict())
    return 0
