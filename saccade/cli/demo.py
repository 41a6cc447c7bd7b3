"""saccade demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output
from saccade.cli.progress import show_events, show_result

EXAMPLES = ("saccade demo", "saccade demo classify --out /tmp/demo", "saccade demo --list")


def demo(
    task: Annotated[str, Parameter(help="the task to show")] = "classify",
    *,
    list: Annotated[bool, Parameter(help="what can be shown", negative="")] = False,
    out: Annotated[Path, Parameter(help="where the images and the run go", metavar="DIR")] = Path("saccade-demo"),
    budget: Annotated[str, Parameter(help="time for everything", metavar="TIME")] = "60s",
    seed: Annotated[int, Parameter(help="of every random choice")] = 0,
    show: Output,
) -> int:
    """Trains on real handwritten digits that come with saccade's own libraries: nothing is downloaded and no data of yours is needed."""
    from saccade import api
    from saccade.jobs.demo import DEMOS

    if list:
        for name, text in DEMOS.items():
            show.line(f"{name:<12}{text}")
            show.event("demo", task=name, text=text)
        return 0
    return show_result(api.demo(task, out=out, budget=budget, seed=seed, listeners=show_events(show)), show)
