"""saccade add-class"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.options import Device, Format, Seed, Threads
from saccade.cli.output import Output

EXAMPLES = (
    "saccade add-class runs/animals/model.saccade lynx lynx_photos/ --replay photos/",
    "saccade add-class model.saccade lynx a.jpg b.jpg --out with_lynx.saccade",
    "saccade add-class model.saccade lynx 'lynx/*.jpg' --replay photos/ --keep 0.3",
)


def add_class(
    model: Annotated[Path, Parameter(help="a model.saccade, or a run's folder")],
    name: Annotated[str, Parameter(help="the new class")],
    images: Annotated[list[str], Parameter(help="pictures of it: files, folders, patterns")],
    *,
    replay: Annotated[str | None, Parameter(help="data of the old classes, to learn beside and to measure what is forgotten", metavar="DATA")] = None,
    out: Annotated[Path | None, Parameter(help="the model file to write (default: beside the old one)", metavar="FILE")] = None,
    keep: Annotated[float, Parameter(help="share of the replay that measures and is not learnt from", metavar="SHARE")] = 0.5,
    penalty: Annotated[float, Parameter(help="on the squared weights of the new row")] = 1e-2,
    format: Format = None,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """Teaches a trained classifier one more class: a new row of its last layer, every other weight as it was, bit for bit; prints what each old class lost."""
    from saccade import api

    chosen = {"replay": replay, "keep": keep, "penalty": penalty, "format": format, "seed": seed, "threads": threads, "device": device}
    result = api.add_class(model, name, images, out=out, **chosen)
    show.event("result", **result.to_dict())
    show.line(result.text())
    show.finish(result.path, ("saccade", "predict", result.path, "IMAGES"))
    return 0
