"""saccade predict"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = (
    "saccade predict runs/digits/model.saccade new/ --out answers.jsonl",
    "saccade predict model.saccade 'new/*.jpg' --as csv --out answers.csv",
    "saccade predict model.saccade a.jpg b.jpg --threshold 0.9",
)


def predict(
    model: Annotated[Path, Parameter(help="a model.saccade, or a run's folder")],
    source: Annotated[list[str], Parameter(help="files, folders or patterns; - reads paths from stdin")],
    *,
    out: Annotated[Path | None, Parameter(help="where the answers go", metavar="FILE")] = None,
    threshold: Annotated[float | None, Parameter(help="less probable answers are unknown")] = None,
    show: Output,
) -> int:
    """One answer for each image: exactly one line an input, failures among them; a run that was killed goes on where it was."""
    raise SystemExit
