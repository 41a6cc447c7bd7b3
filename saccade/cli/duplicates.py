"""saccade duplicates"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.options import Follow, Format, LabelColumn, Reading
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

EXAMPLES = (
    "saccade duplicates photos/",
    "saccade duplicates photos/ --out copies/",
    "saccade duplicates photos/ --exact --json",
)


def duplicates(
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files; labels are not needed")],
    *,
    out: Annotated[Path | None, Parameter(help="a new folder: duplicates.csv, duplicates.png; else nothing is written", metavar="DIR")] = None,
    exact: Annotated[bool, Parameter(help="only the same content, not nearly the same pictures", negative="")] = False,
    format: Format = None,
    label: LabelColumn = None,
    follow: Follow = False,
    threads: Reading = 2,
    show: Output,
) -> int:
    """Groups of the same and of nearly the same pictures, within and between train, val and test, and where copies have different labels."""
    from saccade import api

    with show_progress(show, "check") as progress:
        result = api.duplicates(data, out=out, progress=progress, exact=exact, format=format, label=label, follow=follow, threads=threads)
    show.event("result", **result.to_dict())
    show.line(result.text())
    show.finish(result.path)
    return 0
