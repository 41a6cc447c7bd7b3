"""saccade predict"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import AllowNan, Batch, Boxes, Combine, Detector, Device, Precision, Threads, Tile, TileOverlap, Views, With
from saccade.cli.output import Output
from saccade.cli.progress import show_progress
from saccade.errors import displayable

Form = Literal["jsonl", "csv", "coco", "yolo", "crops", "deeplabcut", "segments"]
FORMS = "jsonl|csv|coco|yolo|crops|deeplabcut|segments"
EXAMPLES = (
    "saccade predict runs/digits/model.saccade new/ --out answers.jsonl",
    "saccade predict model.saccade 'new/*.jpg' --as csv --threshold 0.9 --overlay --out answers.csv",
    "saccade predict gestures.saccade walks.jsonl --as segments --out answers/",
)

MAIN = ("--out", "--as", "--threshold", "--top", "--overlay", "--resume", "--on-error", "--with", "--views", "--tile", "--boxes", "--detector", "--device")


def predict(
    model: Annotated[Path, Parameter(help="a model.saccade, or a run's folder")],
    images: Annotated[list[str], Parameter(help="files, folders, patterns; @FILE lists paths, - reads them from standard input; or sequences")],
    *,
    out: Annotated[Path | None, Parameter(help="a .jsonl or .csv file, or a folder (default: runs/<date>_predict_<source>)", metavar="PATH")] = None,
    as_: Annotated[
        Form | None,
        Parameter(name="--as", help="the form of the answers; coco, yolo and crops are of objects, deeplabcut of key points, segments of tags", metavar=FORMS),
    ] = None,
    threshold: Annotated[float | None, Parameter(help="less probable answers are unknown (default: the model file's own)")] = None,
    top: Annotated[int, Parameter(help="most probable classes that are listed", metavar="K")] = 5,
    probabilities: Annotated[bool, Parameter(help="list the probability of every class, of tags for every frame", negative="")] = False,
    overlay: Annotated[bool, Parameter(help="also write every picture with its answer below it, every sequence as ribbons", negative="")] = False,
    resume: Annotated[bool, Parameter(help="go on with what a killed prediction left in --out", negative="")] = False,
    on_error: Annotated[Literal["skip", "stop"], Parameter(help="at an image that cannot be read: list it and go on, or stop")] = "skip",
    with_: With = (),
    views: Views = "none",
    combine: Combine = "mean",
    tile: Tile = None,
    tile_overlap: TileOverlap = None,
    boxes: Boxes = None,
    detector: Detector = None,
    batch: Batch = None,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = "auto",
    allow_nan: AllowNan = False,
    show: Output,
) -> int:
    """One answer for each image or sequence: exactly one line an input, failures among them; what was killed goes on where it was with --resume."""
    from saccade import api

    chosen: dict[str, Any] = {"as_": as_, "threshold": threshold, "top": top, "probabilities": probabilities, "overlay": overlay, "resume": resume}
    chosen |= {"on_error": on_error, "batch": batch, "threads": threads, "device": device, "precision": precision, "allow_nan": allow_nan}
    chosen |= {"tile": tile, "tile_overlap": tile_overlap, "with_": with_, "views": views, "combine": combine, "boxes": boxes, "detector": detector}
    with show_progress(show, "predict") as progress:
        summary = api.predict(model, images, out=out, progress=lambda done, failed, total: progress(done, total), **chosen)
    show.event("result", **summary.to_dict())
    show.line(f"done   {summary.ok} of {summary.n} answered, {summary.failed} failed, {summary.rate:.0f} {summary.samples}/s")
    for problem in summary.problems:
        show.line(f"{problem.severity:<6} {problem.code}  {displayable(problem.where)}", str(problem.severity))
    show.finish(summary.path)
    if error := summary.error():
        raise error
    return 0
