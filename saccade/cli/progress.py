"""How a long job is shown: a live line on a terminal, one line an event elsewhere; and how a trained run is summed up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from saccade.cli.output import Output
from saccade.cli.words import WORDS
from saccade.errors import displayable

Listener = Callable[[dict[str, Any]], None]
BAR_CELLS = 20
METRICS_SHOWN = 6


def show_events(show: Output) -> tuple[Listener, ...]:
    """The listeners of a job: the JSON lines of --json, and the lines for people."""
    return (show.listener, Progress(show))


class Progress:
    """Shows the events that `words` has words for; steps only on a terminal, in one line that is written over."""

    def __init__(self, show: Output) -> None:
        self.show, self.live = show, False
        self.phase, self.began, self.first = "", 0.0, 0  # of the phase under way: its name, when it was first seen and at which n

    def __call__(self, told: dict[str, Any]) -> None:
        kind = told["event"]
        if kind == "step":
            self._step(told)
        elif kind in WORDS:
            self.clear()
            for line in WORDS[kind](told):
                self.show.line(displayable(line), "warn" if kind == "alert" else "")

    def _step(self, told: Mapping[str, Any]) -> None:
        if not self.show.terminal or self.show.quiet:
            return
        share = min(1.0, told["n"] / max(1, told.get("total") or 1))
        filled, loss = round(BAR_CELLS * share), told.get("loss")
        words = f"{told.get('phase') or 'step'} {told['n']}" + (f"  loss {loss:.3f}" if isinstance(loss, float) else "") + self._pace(told)
        self._over(f"{'#' * filled}{'.' * (BAR_CELLS - filled)} {share:4.0%}  {words}")
        self.live = True

    def _pace(self, told: Mapping[str, Any]) -> str:
        """The rate of the phase under way and the time it has left, once there is something to tell them by."""
        phase, now = str(told.get("phase") or "step"), time.monotonic()
        if phase != self.phase or told["n"] < self.first:
            self.phase, self.began, self.first = phase, now, told["n"]
        done, passed = told["n"] - self.first, now - self.began
        if done <= 0 or passed <= 0:
            return ""
        left = max(0, (told.get("total") or told["n"]) - told["n"]) * passed / done
        return f"  {done / passed:.1f}/s  {int(left // 60)}m{int(left % 60):02d}s left"

    def clear(self) -> None:
        """Takes the live line away, if there is one."""
        if self.live:
            self._over("")
            self.live = False

    def _over(self, text: str) -> None:
        stream = sys.stderr if self.show.json else sys.stdout
        stream.write(f"\r\x1b[K{text}")
        stream.flush()


@contextmanager
def show_progress(show: Output, phase: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that draws the live line of one phase, which is gone at the end."""
    watch = Progress(show)
    try:
        yield lambda done, total: watch({"event": "step", "phase": phase, "n": done, "total": total})
    finally:
        watch.clear()


def metric_lines(metrics: Mapping[str, Mapping[str, Any]], most: int = METRICS_SHOWN) -> list[str]:
    """Metrics with their 95 % intervals, one a line.

    >>> metric_lines({"accuracy": {"value": 0.98, "low": 0.96, "high": 0.99, "n": 360}})
    ['  accuracy              0.980  [0.960, 0.990]  n 360']
    """
    return [f"  {name:<20}{_number(v['value']):>7}  [{_number(v['low'])}, {_number(v['high'])}]  n {v['n']}" for name, v in list(metrics.items())[:most]]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def show_result(result: Any, show: Output) -> int:
    """The end of a training: the numbers, where they are, and what can be done next."""
    show.line(
        f"done   on {result.samples} of {result.evaluated}:" if result.evaluated == "every fold" else f"done   on the {result.evaluated} {result.samples}:"
    )
    for line in metric_lines(result.metrics):
        show.line(line)
    report = Path(result.report).resolve()
    show.line(f"report {displayable(str(report))}")
    show.event("result", metrics=result.metrics, evaluated=result.evaluated, report=str(report), model=str(result.model))
    show.finish(
        result.path, ("saccade", "sample", result.model) if getattr(result, "draws", False) else ("saccade", "predict", result.model, result.samples.upper())
    )
    return 0
