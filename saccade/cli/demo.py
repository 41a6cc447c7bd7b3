"""saccade demo"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from saccade.cli.output import Output
from saccade.cli.progress import show_events, show_result

EXAMPLES = ("saccade demo", "saccade demo detect --out /tmp/demo", "saccade demo --list")


def demo(
    task: Annotated[str | None, Parameter(help="the task to show, classify when none is named")] = None,
    *,
    list: Annotated[bool, Parameter(help="what can be shown", negative="")] = False,
    out: Annotated[Path, Parameter(help="where the images and the run go", metavar="DIR")] = Path("saccade-demo"),
    budget: Annotated[str | None, Parameter(help="time for everything; 60s for classify, 2m for the others", metavar="TIME")] = None,
    seed: Annotated[int, Parameter(help="of every random choice")] = 0,
    open: Annotated[bool | None, Parameter(help="show the report in the browser; when nothing is said, for a task that is named, at a desktop")] = None,
    show: Output,
) -> int:
    """Trains on data that come with saccade, real handwritten digits or a simulated world: nothing is downloaded and no data of yours is needed."""
    from saccade import api
    from saccade.jobs.demo import demos

    if list:
        for name, shown in demos().items():
            show.line(f"{name:<12}{shown.text}" if len(name) < 12 else f"{name}  {shown.text}")
            show.event("demo", task=name, text=shown.text)
        return 0
    result = api.demo(task or "classify", out=out, budget=budget, seed=seed, listeners=show_events(show))
    code = show_result(result, show)
    if open or (open is None and task is not None and at_desktop()):
        import webbrowser

        webbrowser.open(Path(result.report).resolve().as_uri())
    return code


def at_desktop() -> bool:
    """Whether a person is there to look: a terminal, and something that can show a page."""
    return sys.stdout.isatty() and (sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")))
