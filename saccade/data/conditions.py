"""Columns of a table as what generated pictures are told: read beside the pictures, and put where the class would stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saccade.core import IGNORE
from saccade.data.dataset import ImageDataset
from saccade.data.open import open_dataset
from saccade.data.told import Told
from saccade.targets import Label

HEAD = "label"


@dataclass(frozen=True)
class Condition(Label):
    """What a picture is told in place of a class. index: always -1, for it has none. probabilities: `Told.vector` of its columns, which are any numbers."""


def a_number(column: str) -> str:
    """How a data set is opened for the numbers of a column alone."""
    return f"number:{column}"


def columns_of(data: str | Path, columns: Sequence[str], **options: Any) -> dict[str, dict[str, float]]:
    """{record id: {column: number}} of the table that a data set is. Raises DataError and UsageError as `open_dataset` does for a column that is none."""
    found: dict[str, dict[str, float]] = {}
    for name in columns:
        for record in open_dataset(data, label=a_number(name), **options).records:
            target = record.targets.get("number")
            if target is not None:
                found.setdefault(record.id, {})[name] = float(target.value)
    return found


def conditioned(dataset: ImageDataset, told: Told, values: Mapping[str, Mapping[str, float]]) -> ImageDataset:
    """The data set whose pictures are told their columns, in place of classes; nothing where none is known."""
    records = []
    for record in dataset.records:
        vector = told.vector(values.get(record.id, {}))
        records.append(replace(record, targets={HEAD: Condition(IGNORE, vector) if vector.any() else None}))
    return replace(dataset, records=tuple(records), spaces={name: space for name, space in dataset.spaces.items() if name != HEAD})
