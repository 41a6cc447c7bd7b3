"""saccade interpolate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.options import Device, DrawnCondition, DrawnLabel, DrawSteps, GenerativeModel, Guidance, NewFolder, Threads
from saccade.cli.output import Output

EXAMPLES = (
    "saccade interpolate model.saccade a.png b.png --out strip",
    "saccade interpolate model.saccade 3 8 --pictures 15",
    "saccade interpolate model.saccade 3 8 --label cat --guidance 2",
)


def interpolate(
    model: GenerativeModel,
    first: Annotated[str, Parameter(help="a picture's file, or a whole number: the seed of a sample")],
    last: Annotated[str, Parameter(help="the same")],
    *,
    pictures: Annotated[int, Parameter(help="in the strip, both ends among them", metavar="N")] = 11,
    label: DrawnLabel = None,
    condition: DrawnCondition = (),
    steps: DrawSteps = None,
    guidance: Guidance = 1.0,
    out: NewFolder = Path("strip"),
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """A strip of pictures from one to another, through the codes or the noise of a generative model."""
    from saccade import api

    chosen = {"pictures": pictures, "label": label, "condition": condition, "steps": steps, "guidance": guidance}
    result = api.interpolate(model, first, last, out=out, threads=threads, device=device, **chosen)
    show.event("result", **result.to_dict())
    show.line(f"done   {len(result.pictures):,} pictures, see {result.path / 'strip.png'}")
    show.finish(result.path)
    return 0
