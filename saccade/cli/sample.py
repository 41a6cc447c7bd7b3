"""saccade sample"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.options import Device, DrawnLabel, DrawSteps, GenerativeModel, Guidance, NewFolder, NoiseSeed, Threads
from saccade.cli.output import Output

EXAMPLES = (
    "saccade sample runs/digits/model.saccade -n 100 --out samples",
    "saccade sample model.saccade --label 7 --guidance 2 --seed 3",
    "saccade sample model.saccade --steps 250 --eta 1 --batch 16",
)


def sample(
    model: GenerativeModel,
    *,
    number: Annotated[int, Parameter(name=["--number", "-n"], help="pictures to draw", metavar="N")] = 64,
    label: DrawnLabel = None,
    seed: NoiseSeed = 0,
    steps: DrawSteps = None,
    guidance: Guidance = 1.0,
    eta: Annotated[float, Parameter(help="of diffusion: fresh noise in every step, 0 = none, 1 = as DDPM has", metavar="SHARE")] = 0.0,
    out: NewFolder = Path("samples"),
    batch: Annotated[int, Parameter(help="pictures at a time", metavar="N")] = 64,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """New pictures of a generative model: one file each, a sheet of them, and a table that tells seed and class."""
    from saccade import api

    chosen = {"number": number, "label": label, "seed": seed, "steps": steps, "guidance": guidance, "eta": eta, "batch": batch}
    result = api.sample(model, out=out, threads=threads, device=device, **chosen)
    show.event("result", **result.to_dict())
    show.line(f"done   {len(result.pictures):,} pictures, see {result.path / 'sheet.png'}")
    show.finish(result.path)
    return 0
