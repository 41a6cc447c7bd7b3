"""saccade world"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from saccade.cli.options import Seed
from saccade.cli.output import Output
from saccade.errors import UsageError

EXAMPLES = (
    "saccade world tabletop --labels boxes,masks --n 1000 --seed 5 --weather fog --out scenes/",
    "saccade world --list",
    "saccade train world:digits --task classify",
)


def world(
    name: Annotated[str | None, Parameter(help="the world to draw: tabletop, street, wildlife ...")] = None,
    *,
    out: Annotated[Path | None, Parameter(help="the folder to write, new or empty", metavar="DIR")] = None,
    list: Annotated[bool, Parameter(help="the worlds, their classes and their kinds of labels", negative="")] = False,
    labels: Annotated[str, Parameter(help="kinds of labels, such as boxes,masks; default all that the layout can hold", metavar="A,B")] = "",
    n: Annotated[int | None, Parameter(help="images; default the world's own number")] = None,
    size: Annotated[str | None, Parameter(help="pixels, as 128 or 96x128 (height x width); default the world's own")] = None,
    seed: Seed = 0,
    weather: Annotated[str, Parameter(help="clear, fog, rain, dusk, night, noise, or mixed")] = "clear",
    difficulty: Annotated[str, Parameter(help="easy, medium or hard")] = "medium",
    supersample: Annotated[int, Parameter(help="rays along each side of a pixel")] = 1,
    objects: Annotated[str | None, Parameter(help="things in a scene, as 4 or 3-8", metavar="A-B")] = None,
    clutter: Annotated[float | None, Parameter(help="what is no object, 0 to 1", metavar="SHARE")] = None,
    occlusion: Annotated[float | None, Parameter(help="how much things hide one another, 0 to 1", metavar="SHARE")] = None,
    to: Annotated[str | None, Parameter(help="the layout to write, such as coco, voc, yolo, masks or kitti", metavar="NAME")] = None,
    show: Output,
) -> int:
    """Draws scenes whose every label is exact, and writes them as a data set. `world:NAME?n=2000&size=96` in place of DATA streams them without files."""
    if list:
        return _list(show)
    if name is None or out is None:
        missing = "NAME, the world to draw" if name is None else "--out, the folder to write"
        raise UsageError("USE-MISSING", missing, where="saccade world", fix="see saccade world --list")
    from saccade import api

    chosen: dict[str, Any] = {"labels": labels, "n": n, "size": size, "seed": seed, "weather": weather, "difficulty": difficulty}
    chosen |= {"supersample": supersample, "objects": objects, "clutter": clutter, "occlusion": occlusion, "to": to}
    result = api.world(name, out, **chosen)
    for problem in result.losses:
        show.event("problem", **problem.to_dict())
    show.event("world", **result.to_dict())
    show.line(result.text())
    show.finish(result.path, ("saccade", "check", result.path))
    return 0


def _list(show: Output) -> int:
    """Every world: what it is, its classes, its kinds of labels."""
    from saccade.data.world.labels import heads_of
    from saccade.data.world.table import WORLDS

    rows = [(name, world.about, str(len(world.classes)), str(len(world.names)), str(world.frames)) for name, world in WORLDS.items()]
    show.table(("world", "shows", "scenes", "things", "frames"), rows)
    for name, world in WORLDS.items():
        show.event("world", name=name, about=world.about, classes=world.classes, things=world.names, frames=world.frames, labels=heads_of(world))
    show.line()
    show.line("labels   " + " ".join(dict.fromkeys(head for world in WORLDS.values() for head in heads_of(world))))
    return 0
