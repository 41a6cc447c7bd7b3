"""saccade check"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from saccade.cli.options import Deep, Follow, Format, Group, Isolate, LabelColumn, Leak, MaxBad, MaxPixels, Near, PathColumn, Reading
from saccade.cli.output import Output
from saccade.cli.progress import show_progress
from saccade.errors import SaccadeError

EXAMPLES = (
    "saccade check photos/ --out report/",
    "saccade check labels.csv --label diagnosis --group patient --max-bad 0",
    "saccade check cells/ --preview seen.png --augment cells",
)


def check(
    data: Annotated[str, Parameter(help="a folder, a CSV or IDX files")],
    *,
    out: Annotated[Path | None, Parameter(help="write data_report.html, data_problems.csv and more there; else nothing is written", metavar="DIR")] = None,
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
    preview: Annotated[Path | None, Parameter(help="draw what a network would see, with the labels", metavar="FILE.png")] = None,
    augment: Annotated[str | None, Parameter(help="the policy that the preview shows, as in training", metavar="POLICY")] = None,
    size: Annotated[int | None, Parameter(help="pixels of a side of the preview's inputs", metavar="N")] = None,
    whiten: Annotated[int | None, Parameter(help="show ZCA whitening: the odd side of the patches, 0 for whole images", metavar="N")] = None,
    show: Output,
) -> int:
    """Reads every file of a data set and lists its problems, each with what to do; training refuses what this refuses (exit code 3)."""
    from saccade import api

    chosen: dict[str, Any] = {"format": format, "label": label, "path_column": path_column, "group": group, "max_pixels": max_pixels, "follow": follow}
    chosen |= {"deep": deep, "near": near, "isolate": isolate, "threads": threads, "preview": preview, "augment": augment, "size": size, "whiten": whiten}
    with show_progress(show, "check") as progress:
        report = api.check(data, out=out, progress=progress, **chosen)
    for problem in report.problems if show.json else ():
        show.event("problem", **problem.to_dict())
    show.event("check", **report.to_dict())
    show.line(report.text(max_bad))
    if preview is not None:
        show.line(f"preview: {preview}")
    try:
        report.gate(max_bad, allow_leak=allow_leak)
    except SaccadeError:
        show.line()
        raise
    show.finish(out, ("saccade", "train", data) if "label" in report.dataset.spaces else ())
    return 0
