"""saccade summary"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output

EXAMPLES = ("saccade summary vgg16", "saccade summary runs/latest --csv layers.csv", "saccade summary resnet50 --input 1,96,96 --set width=0.5 --classes 10")


def summary(
    model: Annotated[str, Parameter(help="a model.saccade, a run, or a network by name")],
    *,
    input: Annotated[str | None, Parameter(help="channels,height,width; default that of the model", metavar="C,H,W")] = None,
    classes: Annotated[int, Parameter(help="of a network by name", metavar="K")] = 1000,
    set: Annotated[tuple[str, ...], Parameter(help="an argument of a network by name, such as width=0.5", metavar="NAME=VALUE")] = (),
    csv: Annotated[Path | None, Parameter(help="write the table there", metavar="FILE")] = None,
    show: Output,
) -> int:
    """The layers of a network: output, parameters, multiply-adds, stride, and how much of the picture a cell sees (exact for any graph)."""
    from saccade import api

    found = api.summary(model, input=input, classes=classes, set=set, csv=csv)
    for layer in found.layers:
        show.event("layer", **{"layer" if key == "name" else "type" if key == "kind" else key: value for key, value in layer.__dict__.items()})
    show.event("summary", parameters=found.parameters, multiply_adds=found.multiply_adds, activation_bytes=found.memory, size=found.size)
    show.line(found.text())
    show.finish(csv)
    return 0
