"""saccade outliers"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import CodedData, Device, Follow, Format, LabelColumn, ModelFile, Part, Seed, Threads
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

Score = Literal["all", "reconstruction", "density", "forest", "neighbours"]
SCORES = "all|reconstruction|density|forest|neighbours"
EXAMPLES = (
    "saccade outliers runs/faces/model.saccade photos/ --out strange/",
    "saccade outliers model.saccade new/ --normal photos/ --score density",
    "saccade outliers model.saccade animals/ --inliers cat,dog",
)


def outliers(
    model: ModelFile,
    data: CodedData,
    *,
    out: Annotated[Path, Parameter(help="a new folder: outliers.csv, outliers.png, metrics.json", metavar="DIR")] = Path("outliers"),
    score: Annotated[Score, Parameter(help="what ranks them; all = the largest rank by any score that the model has", metavar=SCORES)] = "all",
    normal: Annotated[str | None, Parameter(help="data known to be usual (default: most of DATA are)", metavar="DATA")] = None,
    inliers: Annotated[str | None, Parameter(help="classes that belong, a,b,c: gives the AUROC of telling all others from them", metavar="CLASSES")] = None,
    top: Annotated[int, Parameter(help="pictures on the sheet", metavar="N")] = 40,
    split: Part = "all",
    format: Format = None,
    label: LabelColumn = None,
    follow: Follow = False,
    seed: Seed = 0,
    batch: Annotated[int, Parameter(help="images at a time", metavar="N")] = 64,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """Pictures or vectors ranked by how strange they are: reconstructed badly, in thin air among the codes, soon cut off, far from neighbours."""
    from saccade import api

    chosen: dict[str, Any] = {"split": split, "format": format, "label": label, "follow": follow, "batch": batch, "threads": threads, "device": device}
    chosen |= {"score": score, "normal": normal, "inliers": inliers, "top": top, "seed": seed}
    with show_progress(show, "images") as progress:
        result = api.outliers(model, data, out=out, progress=progress, **chosen)
    show.event("result", **result.to_dict())
    show.line(result.text())
    show.finish(result.path)
    if result.failed:
        raise result.failed
    return 0
