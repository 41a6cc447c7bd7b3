"""saccade map"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from saccade.cli.options import CodedData, Device, Follow, Format, LabelColumn, ModelFile, Part, Seed, Threads
from saccade.cli.output import Output
from saccade.cli.progress import show_progress

EXAMPLES = (
    "saccade map runs/digits/model.saccade photos/ --out map/",
    "saccade map model.saccade photos/ --method pca --out flat/",
    "saccade map model.saccade new/ --onto map/ --out map_with_new/",
)


def map(
    model: ModelFile,
    data: CodedData,
    *,
    out: Annotated[Path, Parameter(help="a new folder: map.html, map.svg, map.png, map.csv, codes.npy, map.json", metavar="DIR")] = Path("map"),
    method: Annotated[Literal["tsne", "pca"], Parameter(help="t-SNE, or the first two principal components")] = "tsne",
    perplexity: Annotated[float, Parameter(help="of t-SNE: about how many neighbours count")] = 30.0,
    onto: Annotated[Path | None, Parameter(help="a map that is there: its points stay, and these are placed on it", metavar="DIR")] = None,
    thumbnails: Annotated[int, Parameter(help="pictures in the page, drawn evenly", metavar="N")] = 1500,
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
    """A map of pictures or vectors by their codes, near ones alike, coloured by label where there are labels: a page to walk on, and drawings."""
    from saccade import api

    chosen: dict[str, Any] = {"split": split, "format": format, "label": label, "follow": follow, "batch": batch, "threads": threads, "device": device}
    chosen |= {"method": method, "perplexity": perplexity, "onto": onto, "thumbnails": thumbnails, "seed": seed}
    with show_progress(show, "images") as progress:
        result = api.map(model, data, out=out, progress=progress, **chosen)
    show.event("result", **result.to_dict())
    show.line(result.text())
    show.finish(result.path / "map.html", ("saccade", "map", model, "NEW", "--onto", result.path, "--out", f"{result.path}_new"))
    if result.failed:
        raise result.failed
    return 0
