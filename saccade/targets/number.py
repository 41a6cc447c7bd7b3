"""A number that belongs to a whole image: an age, a weight, a count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """value: a finite number in the unit of the data. deviation: its standard deviation where a model gives one, else None."""

    value: float
    deviation: float | None = None
