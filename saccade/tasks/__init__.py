"""One file for each task, and the literal table of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from saccade.errors import DataError, UsageError, nearest
from saccade.tasks.classify import CLASSIFY
from saccade.tasks.colorize import COLORIZE
from saccade.tasks.count import COUNT
from saccade.tasks.denoise import DENOISE
from saccade.tasks.detect import DETECT
from saccade.tasks.generate import GENERATE
from saccade.tasks.instances import INSTANCES
from saccade.tasks.keypoints import KEYPOINTS
from saccade.tasks.localize import LOCALIZE
from saccade.tasks.multilabel import MULTILABEL
from saccade.tasks.represent import REPRESENT
from saccade.tasks.segment import SEGMENT
from saccade.tasks.sequence import SEQUENCE, SEQUENCE_LABEL
from saccade.tasks.task import Task
from saccade.tasks.upscale import UPSCALE

# in the order in which a data set is asked what it is for, where the user does not say
TASKS: dict[str, Task[Any]] = {
    "sequence": SEQUENCE,
    "classify": CLASSIFY,
    "multilabel": MULTILABEL,
    "sequence_label": SEQUENCE_LABEL,
    "detect": DETECT,
    "localize": LOCALIZE,
    "instances": INSTANCES,
    "keypoints": KEYPOINTS,
    "segment": SEGMENT,
    "count": COUNT,
    "colorize": COLORIZE,
    "upscale": UPSCALE,
    "denoise": DENOISE,
    "represent": REPRESENT,
    "generate": GENERATE,
}


def find_task(name: str) -> Task[Any]:
    """The task of a name. Raises UsageError USE-OPTION that lists the tasks."""
    if name not in TASKS:
        raise UsageError("USE-OPTION", f"task {name}; {nearest(name, TASKS)}", where="--task")
    return TASKS[name]


def task_of(heads: Sequence[str], sequences: bool = False, *, where: str = "") -> Task[Any]:
    """What a data set with these heads, of sequences or not, is for. Raises DataError DATA-TASK when nothing here learns from them.

    >>> task_of(["label"]).name
    'classify'
    """
    for task in TASKS.values():
        if task.needs_labels and task.suits(heads, sequences):
            return task
    raise DataError("DATA-TASK", f"the data have {', '.join(heads) or 'no labels'}; the tasks are {', '.join(TASKS)}", where=where, fix="name one by --task")


__all__ = ["TASKS", "Task", "find_task", "task_of"]
