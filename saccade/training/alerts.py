"""Plain words for curves that go wrong, from the rows of metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Alert(NamedTuple):
    """A code of the registry and one sentence with the numbers."""

    code: str
    text: str


def look_at(rows: Sequence[Mapping[str, Any]], answers: Mapping[Any, int] | None = None) -> list[Alert]:
    """What an experienced person would say of these epochs.

    rows: as in metrics.jsonl, oldest first; answers: how often each class was answered in the last validation.
    """
    losses = [row["train_loss"] for row in rows if row.get("train_loss") is not None]
    alerts = []
    if len(losses) >= 5 and min(losses[1:]) > 0.99 * losses[0]:
        alerts.append(Alert("RUN-FLAT", f"{len(losses)} epochs, and the loss is still {losses[-1]:.3g} (it began at {losses[0]:.3g})"))
    if len(losses) >= 3 and losses[-1] > 1.5 * min(losses) and losses[-1] > losses[-2] > losses[-3]:
        alerts.append(Alert("RUN-RATE", f"it rose from {min(losses):.3g} to {losses[-1]:.3g} over three epochs"))
    if answers and len(rows) >= 5 and sum(answers.values()) >= 10 and len(answers) == 1:
        alerts.append(Alert("RUN-ONECLASS", f"all {sum(answers.values())} validation images"))
    return alerts
