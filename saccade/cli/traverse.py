"""saccade traverse"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.options import Device, DrawnLabel, GenerativeModel, NewFolder, Threads
from saccade.cli.output import Output

EXAMPLES = (
    "saccade traverse model.saccade --out sliders",
    "saccade traverse model.saccade seven.png --codes 3 --codes 11",
    "saccade traverse model.saccade 5 --top 20 --pictures 15",
)


def traverse(
    model: GenerativeModel,
    image: Annotated[str | None, Parameter(help="a picture's file or the seed of a sample to begin with; default the middle of all codes")] = None,
    *,
    codes: Annotated[tuple[int, ...], Parameter(help="this code, from 0; again for more (default: those that change the picture most)", metavar="K")] = (),
    top: Annotated[int, Parameter(help="how many codes, where none is named", metavar="N")] = 10,
    pictures: Annotated[int, Parameter(help="of a slider", metavar="N")] = 9,
    label: DrawnLabel = None,
    out: NewFolder = Path("sliders"),
    threads: Threads = None,
    device: Device = "auto",
    show: Output,
) -> int:
    """Sliders of a generative model's codes: in every row one of them goes from -3 to 3 deviations, and the others stay."""
    from saccade import api

    result = api.traverse(model, image, out=out, codes=codes, top=top, pictures=pictures, label=label, threads=threads, device=device)
    show.event("result", **result.to_dict())
    show.line(f"done   {len(result.rows):,} codes, see {result.path / 'sliders.png'}")
    show.finish(result.path)
    return 0
