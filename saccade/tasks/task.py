"""What a task is: data, without inheritance and without side effects at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from saccade.core import Dataset, LabelSpace, Metric, T


@dataclass(frozen=True)
class Task(Generic[T]):
    """The one place that knows target, metric, models and how to begin.

    head: the name under which records hold their target; metric: a fresh metric for a label space; monitor: the key that chooses
    the best epoch; models: builders by name, the default first; example: a tiny learnable data set.
    """

    name: str
    head: str
    target: type[T]
    metric: Callable[[LabelSpace], Metric[T]]
    monitor: str
    models: Mapping[str, Callable[..., Any]]
    example: Callable[[], Dataset]
