"""saccade split"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = (
    "saccade split photos/ --out split.csv",
    "saccade split labels.csv --group patient --test 0.2 --out split.csv",
    "saccade split photos/ --folds 5 --json",
)


def split(
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    out: Annotated[Path | None, Parameter(help="the split file to write; nothing is written without it", metavar="FILE")] = None,
    test: Annotated[float, Parameter(help="share (or number) of images kept aside for the final numbers", metavar="SHARE")] = 0.15,
    val: Annotated[float, Parameter(help="share (or number) of images to choose by", metavar="SHARE")] = 0.15,
    order: Annotated[Literal["random", "last"], Parameter(help="which images are kept aside")] = "random",
    folds: Annotated[int, Parameter(help="show the folds of a cross-validation instead", metavar="K")] = 0,
    group: Annotated[str | None, Parameter(help="column or pattern whose groups are never divided", metavar="COLUMN|REGEX")] = None,
    label: Annotated[str | None, Parameter(help="the label's column in a table", metavar="COLUMN")] = None,
    format: Annotated[str | None, Parameter(help="the layout, where it is not recognised")] = None,
    seed: Annotated[int, Parameter(help="of every random choice")] = 0,
    show: Output,
) -> int:
    """Divides a data set into train, val and test: classes in proportion, groups and near-duplicates kept together. The data stay as they are."""
    raise SystemExit
