"""saccade compare"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = ("saccade compare runs/a runs/b", "saccade compare runs/a/eval runs/b/eval", "saccade compare runs/a runs/b --json")


def compare(
    first: Annotated[Path, Parameter(help="a run, or the folder of an evaluation")],
    second: Annotated[Path, Parameter(help="another one, of the same images")],
    *,
    show: Output,
) -> int:
    """Two evaluations of the same images as a paired test: the difference of each metric with its 95 % interval and p-value."""
    raise SystemExit
