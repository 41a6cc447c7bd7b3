"""How the events of a long job are shown: a live line on a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from saccade.cli.output import Output
from saccade.errors import displayable

Listener = Callable[[dict[str, Any]], None]
BAR_CELLS = 20


def show_events(show: Output) -> tuple[Listener, ...]:
    """The listeners of a job: the JSON lines of --json, and the lines for people."""
    return (show.listener, Progress(show))


class Progress:
    """Shows epochs, alerts and every event that carries a `text`; steps only on a terminal, in one line that is written over."""

    def __init__(self, show: Output) -> None:
        self.show, self.live, self.epochs = show, False, 0

    def __call__(self, told: dict[str, Any]) -> None:
        kind = told["event"]
        if kind == "step":
            self._step(told)
        elif kind == "epoch":
            self._clear()
            self.show.line(epoch_line(told))
        elif kind == "alert":
            self._clear()
            self.show.line(f"alert  {told.get('code', '')}  {displayable(str(told.get('text', '')))}", "warn")
        elif told.get("text"):
            self._clear()
            for line in str(told["text"]).splitlines():
                self.show.line(f"{kind:<7}{displayable(line)}")

    def _step(self, told: Mapping[str, Any]) -> None:
        if not self.show.terminal or self.show.quiet:
            return
        share = told["n"] / max(1, told.get("total") or 1)
        filled = round(BAR_CELLS * min(1.0, share))
        loss = told.get("loss")
        text = f"{'#' * filled}{'.' * (BAR_CELLS - filled)} {share:4.0%}  step {told['n']}" + (f"  loss {loss:.3f}" if isinstance(loss, float) else "")
        stream = sys.stderr if self.show.json else sys.stdout
        stream.write(f"\r\x1b[K{text}")
        stream.flush()
        self.live = True

    def _clear(self) -> None:
        if self.live:
            stream = sys.stderr if self.show.json else sys.stdout
            stream.write("\r\x1b[K")
            self.live = False


# What of an epoch's row is not a metric, or is shown in a place of its own.
PLACED = {"event", "time", "epoch", "epochs", "step", "stage", "train_loss", "val_loss", "lr", "images_per_s", "seconds", "best", "skipped"}


def epoch_line(row: Mapping[str, Any]) -> str:
    """One epoch in one line: its number, the losses, the metrics, the speed, and whether it is the best so far.

    >>> epoch_line({"epoch": 3, "epochs": 14, "train_loss": 0.5, "val_loss": 0.4321, "accuracy": 0.9, "images_per_s": 812.0, "best": True})
    'epoch    3/14  train_loss 0.500  val_loss 0.432  accuracy 0.900  812 img/s  best'
    """
    words = [f"epoch  {row['epoch']:>3}/{row.get('epochs', '?')}"]
    words += [f"{name} {row[name]:.3f}" for name in ("train_loss", "val_loss") if isinstance(row.get(name), float)]
    words += [f"{name} {value:.3f}" for name, value in row.items() if name not in PLACED and isinstance(value, float) and "." not in name][:4]
    if isinstance(row.get("images_per_s"), float):
        words.append(f"{row['images_per_s']:.0f} img/s")
    return "  ".join(words + (["best"] if row.get("best") else []))
