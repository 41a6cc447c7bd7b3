"""saccade split"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import Deep, Follow, Format, Group, Isolate, LabelColumn, Leak, MaxBad, MaxPixels, Near, PathColumn, Reading, Seed
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

EXAMPLES = (
    "saccade split photos/ --out split.csv",
    "saccade split labels.csv --group patient --test 0.2 --out split.csv",
    "saccade split photos/ --folds 5 --out folds/",
)


def split(
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    out: Annotated[Path | None, Parameter(help="the table to write, or with --folds a folder; else nothing is written", metavar="PATH")] = None,
    test: Annotated[float | None, Parameter(help="share (or number) of images kept aside for the final numbers", metavar="SHARE")] = None,
    val: Annotated[float, Parameter(help="share (or number) of images to choose by", metavar="SHARE")] = 0.15,
    folds: Annotated[int | None, Parameter(help="as many splits, each with another part as test", metavar="K")] = None,
    order: Annotated[Literal["random", "last"], Parameter(help="which images are kept aside")] = "random",
    seed: Seed = 0,
    max_bad: MaxBad = 0.05,
    allow_leak: Leak = False,
    format: Format = None,
    label: LabelColumn = None,
    path_column: PathColumn = None,
    group: Group = None,
    max_pixels: MaxPixels = 100_000_000,
    follow: Follow = False,
    deep: Deep = True,
    near: Near = True,
    isolate: Isolate = False,
    threads: Reading = 2,
    show: Output,
) -> int:
    """Divides a data set into train, val and test: classes in proportion, groups and near-duplicates kept together. The data stay as they are."""
    from saccade import api

    chosen: dict[str, Any] = {"format": format, "label": label, "path_column": path_column, "group": group, "max_pixels": max_pixels, "follow": follow}
    chosen |= {"deep": deep, "near": near, "isolate": isolate, "threads": threads, "max_bad": max_bad, "allow_leak": allow_leak}
    with show_progress(show, "check") as progress:
        result = api.split(data, out=out, progress=progress, test=test, val=val, folds=folds, order=order, seed=seed, **chosen)
    show.event("split", **result.to_dict())
    show.line(result.text())
    train = ("saccade", "train", data, "--split", result.paths[0]) if result.paths and not folds else ()
    show.finish(out, train)
    return 0
