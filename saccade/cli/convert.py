"""saccade convert"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import Follow, Format, LabelColumn, MaxBad, MaxPixels, PathColumn
from saccade.cli.output import Output
from saccade.errors import UsageError

EXAMPLES = (
    "saccade convert voc/ --to coco --out coco/",
    "saccade convert cells.json --to yolo --classes RBC,WBC --images link --out yolo/",
    "saccade convert --list",
)


def convert(
    data: Annotated[str | None, Parameter(help="the data set to read: a folder or a label file")] = None,
    *,
    out: Annotated[Path | None, Parameter(help="the folder to write, new or empty", metavar="DIR")] = None,
    to: Annotated[str | None, Parameter(help="the layout to write, such as coco, voc, yolo, masks or table", metavar="NAME")] = None,
    list: Annotated[bool, Parameter(help="the layouts, what they hold and which are written", negative="")] = False,
    heads: Annotated[str, Parameter(help="kinds of labels to write, such as boxes,instances; default all that fit", metavar="A,B")] = "",
    classes: Annotated[str, Parameter(help="only these classes, in this order", metavar="A,B")] = "",
    images: Annotated[Literal["copy", "link", "none"], Parameter(help="copy the images, link to them, or leave them")] = "copy",
    format: Format = None,
    label: LabelColumn = None,
    path_column: PathColumn = None,
    max_bad: MaxBad = 0.05,
    max_pixels: MaxPixels = 100_000_000,
    follow: Follow = False,
    show: Output,
) -> int:
    """Writes a data set in another layout, lists what that layout cannot hold, and reads it again to see that all is there. The data stay as they are."""
    if list:
        return _list(show)
    if data is None or out is None:
        missing = "DATA, the data set to read" if data is None else "--out, the folder to write"
        raise UsageError("USE-MISSING", missing, where="saccade convert", fix="see saccade convert --help")
    from saccade import api

    chosen: dict[str, Any] = {"to": to, "heads": heads, "classes": classes, "images": images}
    chosen |= {"format": format, "label": label, "path_column": path_column, "max_bad": max_bad, "max_pixels": max_pixels, "follow": follow}
    result = api.convert(data, out, **chosen)
    for problem in result.losses:
        show.event("problem", **problem.to_dict())
    show.event("convert", **result.to_dict())
    show.line(result.text())
    show.finish(result.path, ("saccade", "check", result.path))
    return 0


def _list(show: Output) -> int:
    """Every layout: its name, whether it is written, what it can hold, how it is recognised."""
    from saccade.data.formats import FORMATS

    rows = [(name, "read, written" if layout.save else "read", ",".join(sorted(layout.holds)) or "label", layout.wants) for name, layout in FORMATS.items()]
    show.table(("layout", "is", "labels", "recognised by"), rows)
    for name, is_, holds, wants in rows:
        show.event("layout", name=name, written="written" in is_, holds=holds.split(","), wants=wants)
    return 0
