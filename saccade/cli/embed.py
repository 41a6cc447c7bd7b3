"""saccade embed"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from saccade.cli.options import CodedData, Device, Follow, Format, LabelColumn, ModelFile, Part, Threads
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

EXAMPLES = (
    "saccade embed runs/digits/model.saccade photos/ --out codes.npy",
    "saccade embed model.saccade photos/ --out codes.csv --split test",
    "saccade embed model.saccade rows.npy --out codes.parquet --json",
)


def embed(
    model: ModelFile,
    data: CodedData,
    *,
    out: Annotated[Path, Parameter(help="codes.npy (with a CSV of ids and labels beside it), .csv or .parquet", metavar="FILE")] = Path("codes.npy"),
    split: Part = "all",
    format: Format = None,
    label: LabelColumn = None,
    follow: Follow = False,
    batch: Annotated[int, Parameter(help="images at a time", metavar="N")] = 64,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """The code of every picture or vector: of a model of the task represent its own, of any other network the features of its last map."""
    from saccade import api

    chosen: dict[str, Any] = {"split": split, "format": format, "label": label, "follow": follow, "batch": batch, "threads": threads, "device": device}
    with show_progress(show, "images") as progress:
        result = api.embed(model, data, out=out, progress=progress, **chosen)
    show.event("result", **result.to_dict())
    show.line(f"done   {len(result.codes):,} codes of {result.codes.shape[1]} numbers")
    show.finish(result.path)
    if result.failed:
        raise result.failed
    return 0
