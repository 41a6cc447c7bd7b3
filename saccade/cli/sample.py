"""saccade sample"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import Device, DrawnCondition, DrawnLabel, DrawSteps, GenerativeModel, Guidance, NewFolder, NoiseSeed, Threads
from saccade.cli.output import Output

Density = Literal["standard", "gaussian", "mixture", "kernel"]
DENSITIES = "standard|gaussian|mixture|kernel"
EXAMPLES = (
    "saccade sample runs/digits/model.saccade -n 100 --out samples",
    "saccade sample model.saccade --label 7 --guidance 2 --steps 250 --eta 1",
    "saccade sample runs/autoencoder --density kernel --seed 3",
)


def sample(
    model: GenerativeModel,
    *,
    number: Annotated[int, Parameter(name=["--number", "-n"], help="pictures to draw", metavar="N")] = 64,
    label: DrawnLabel = None,
    condition: DrawnCondition = (),
    seed: NoiseSeed = 0,
    steps: DrawSteps = None,
    guidance: Guidance = 1.0,
    eta: Annotated[float, Parameter(help="of diffusion: fresh noise in every step, 0 = none, 1 = as DDPM has", metavar="SHARE")] = 0.0,
    density: Annotated[Density | None, Parameter(help="of a model of codes: fitted to codes and drawn from (default: mixture)", metavar=DENSITIES)] = None,
    codes: Annotated[Path | None, Parameter(help="of a model of codes: what saccade embed wrote (default: its run's own)", metavar="FILE.npy")] = None,
    out: NewFolder = Path("samples"),
    batch: Annotated[int, Parameter(help="pictures at a time", metavar="N")] = 64,
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """New pictures of a generative model, or of a density of codes: one file each, a sheet of them, and a table that tells seed and class."""
    from saccade import api

    chosen: dict[str, Any] = {
        "number": number,
        "label": label,
        "condition": condition,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "eta": eta,
        "batch": batch,
    }
    chosen |= {"density": density, "codes": codes}
    result = api.sample(model, out=out, threads=threads, device=device, **chosen)
    show.event("result", **result.to_dict())
    show.line(f"done   {len(result.pictures):,} pictures, see {result.path / 'sheet.png'}")
    show.finish(result.path)
    return 0
