"""Values out of parsed label files, which may be of any type: a wrong one becomes nan, None or an empty list, never an exception."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from saccade.ops.rings import LARGEST_PLANE


def number(value: Any) -> float:
    """A number as a float; nan for anything else (text, true, null).

    >>> number(3), number("3"), number(True)
    (3.0, nan, nan)
    """
    if type(value) is float:
        return value
    try:
        return float(value) if type(value) is int else math.nan
    except OverflowError:
        return math.nan


def table(value: Any, width: int = 2) -> np.ndarray:
    """A list of rows of `width` numbers as (n, width) float64, nan where there is none; an empty one for anything else."""
    if not isinstance(value, list):
        return np.zeros((0, width))
    rows = [row if isinstance(row, list) and len(row) == width else [None] * width for row in value]
    return np.array([[number(v) for v in row] for row in rows], dtype=np.float64).reshape(-1, width)


def name(value: Any) -> str:
    """A class name: the text without spaces around it, a whole number as text; empty for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if type(value) is int and abs(value) < 10**18 else ""


def mapping(value: Any) -> dict[str, Any]:
    """The value when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value when it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def size(height: Any, width: Any) -> tuple[int, int] | None:
    """(h, w) when both are whole numbers above 0 and a mask of that size could be held, else None."""
    whole = [int(n) for v in (height, width) if (n := number(v)) == n and 1 <= n <= 1_000_000 and n == int(n)]
    return (whole[0], whole[1]) if len(whole) == 2 and whole[0] * whole[1] <= LARGEST_PLANE else None
