"""saccade evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = (
    "saccade evaluate runs/digits/model.saccade photos/",
    "saccade evaluate model.saccade photos/ --split all --out eval/",
    'saccade evaluate model.saccade photos/ --gate "accuracy>=0.9" --json',
)


def evaluate(
    model: Annotated[Path, Parameter(help="a model.saccade, or a run's folder")],
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    split: Annotated[str | None, Parameter(help="train, val, test or all (default: test if there is one, else val, else all)")] = None,
    show: Output,
) -> int:
    """Metrics with 95 % intervals of a model on a data set, the confusions, the calibration, and every prediction, the worst first."""
    raise SystemExit
