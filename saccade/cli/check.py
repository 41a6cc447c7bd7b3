"""saccade check"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = ("saccade check photos/", "saccade check labels.csv --label diagnosis --group patient", "saccade check photos/ --json --max-bad 0")
PROBLEMS_SHOWN = 25


def check(
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    format: Annotated[str | None, Parameter(help="the layout, where it is not recognised")] = None,
    label: Annotated[str | None, Parameter(help="the label's column in a table", metavar="COLUMN")] = None,
    group: Annotated[str | None, Parameter(help="column or pattern whose groups are never divided", metavar="COLUMN|REGEX")] = None,
    out: Annotated[Path | None, Parameter(help="write data_problems.csv there; nothing is written without it", metavar="DIR")] = None,
    max_bad: Annotated[float, Parameter(help="share of unusable images that is let through", metavar="SHARE")] = 0.05,
    max_pixels: Annotated[int, Parameter(help="largest image that is decoded")] = 100_000_000,
    max_problems: Annotated[int, Parameter(help="kinds of problems listed", metavar="N")] = PROBLEMS_SHOWN,
    allow_leak: Annotated[bool, Parameter(help="let a picture or group in two splits pass", negative="")] = False,
    isolate: Annotated[bool, Parameter(help="decode in a process of its own, which a crash of the decoder does not outlive", negative="")] = False,
    show: Output,
) -> int:
    """Reads every file of a data set and lists its problems, each with what to do; training refuses what this refuses (exit code 3)."""
    raise SystemExit
