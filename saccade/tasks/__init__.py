"""One file for each task, and the literal table of them."""

from __future__ import annotations

from typing import Any

from saccade.errors import UsageError, nearest
from saccade.tasks.classify import CLASSIFY
from saccade.tasks.task import Task

TASKS: dict[str, Task[Any]] = {"classify": CLASSIFY}


def find_task(name: str) -> Task[Any]:
    """The task of a name. Raises UsageError USE-OPTION that lists the tasks."""
    if name not in TASKS:
        raise UsageError("USE-OPTION", f"task {name}; {nearest(name, TASKS)}", where="--task")
    return TASKS[name]


__all__ = ["TASKS", "Task", "find_task"]
