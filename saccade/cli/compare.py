"""saccade compare"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = ("saccade compare runs/a runs/b", "saccade compare eval_a/ eval_b/", "saccade compare runs/a runs/b --json")


def compare(
    first: Annotated[Path, Parameter(help="a run, or a folder that evaluate --out wrote")],
    second: Annotated[Path, Parameter(help="another one, of the same images")],
    *,
    show: Output,
) -> int:
    """Two evaluations of the same images as a paired test: the differences (second minus first) with their 95 % intervals and p-values."""
    from saccade import api

    found = api.compare(first, second)
    show.event("compare", **found.to_dict())
    show.line(found.text())
    return 0
