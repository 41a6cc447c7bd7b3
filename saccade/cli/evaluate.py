"""saccade evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import Boxes, Combine, Detector, Device, Follow, Format, Group, LabelColumn, MaxBad, Threads, Tile, TileOverlap, Views, With
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

EXAMPLES = (
    "saccade evaluate runs/digits/model.saccade photos/",
    "saccade evaluate model.saccade photos/ --split all --out eval/",
    "saccade evaluate model.saccade photos/ --gate 'accuracy>=0.9' --json",
)

MAIN = ("--out", "--split", "--gate", "--threshold", "--format", "--label", "--group", "--with", "--views", "--tile", "--boxes", "--detector", "--device")


def evaluate(
    model: Annotated[Path, Parameter(help="a model.saccade, or a run's folder")],
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    out: Annotated[Path | None, Parameter(help="write metrics, tables and predictions there; else nothing is written", metavar="DIR")] = None,
    split: Annotated[Literal["train", "val", "test", "all"] | None, Parameter(help="default: test if there is one, else val, else all", metavar="PART")] = None,
    gate: Annotated[tuple[str, ...], Parameter(help="a bar that must be met, such as 'accuracy>=0.9'; exit code 8 when it is not")] = (),
    threshold: Annotated[float | None, Parameter(help="less probable answers are unknown (default: the model file's own)")] = None,
    format: Format = None,
    label: LabelColumn = None,
    group: Group = None,
    follow: Follow = False,
    max_bad: MaxBad = 0.05,
    with_: With = (),
    views: Views = "none",
    combine: Combine = "mean",
    tile: Tile = None,
    tile_overlap: TileOverlap = None,
    boxes: Boxes = None,
    detector: Detector = None,
    judge: Annotated[Path | None, Parameter(help="a classifier that samples are judged by (default: that of the model's run)", metavar="MODEL")] = None,
    batch: Annotated[int, Parameter(help="images at a time", metavar="N")] = 64,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """Metrics with 95 % intervals of a model on a data set, class by class; with --out also the confusions, the calibration and every prediction."""
    from saccade import api
    from saccade.jobs.evaluate import EvaluateOptions, held

    api.filled(EvaluateOptions, {"gate": gate})  # a gate that cannot be read is refused before the work
    chosen: dict[str, Any] = {"split": split, "threshold": threshold, "format": format, "label": label, "group": group}
    chosen |= {"follow": follow, "max_bad": max_bad, "batch": batch, "threads": threads, "device": device}
    chosen |= {
        "tile": tile,
        "tile_overlap": tile_overlap,
        "with_": with_,
        "views": views,
        "combine": combine,
        "boxes": boxes,
        "detector": detector,
        "judge": judge,
    }
    with show_progress(show, "images") as progress:
        result = api.evaluate(model, data, out=out, progress=progress, **chosen)
    show.event("result", part=result.part, reason=result.reason, metrics=result.metrics)
    show.line(result.text())
    show.finish(out, ("saccade", "predict", model, result.samples.upper()))
    held(result.evaluation, gate)  # last, so that the numbers are there to look at
    return 0
