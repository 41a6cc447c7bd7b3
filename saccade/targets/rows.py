"""Rows of targets: which ones are meant, several targets one after another, numbers on their way between torch and NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from saccade.ops.geometry import Geometry
from saccade.ops.resample import smooth

KEPT = 0.1
"""The share of its area that a box must have left inside of the target to stay when it is warped."""
SMALLEST = 1.0
"""Pixels of a side that a box must have left."""
OVERLAP = 0.5
"""IoU above which the worse of two answers of one class is dropped when views are merged."""

Rows = Tensor | np.ndarray | Sequence[int] | Sequence[bool]
Entry = TypeVar("Entry")


def places(rows: Rows, n: int) -> Tensor:
    """Row numbers (k,) int64 on the CPU, from numbers (negative ones count from the end) or from n yes-or-no values.

    Raises IndexError for a number beyond n rows, ValueError for yes-or-no values of another length or an array that is not flat.
    """
    given = torch.as_tensor(rows).cpu()
    if given.ndim != 1:
        raise ValueError(f"rows of shape {tuple(given.shape)}, expected one axis")
    if given.dtype == torch.bool:
        if len(given) != n:
            raise ValueError(f"{len(given)} yes-or-no values for {n} rows")
        return given.nonzero().flatten()
    given = given.long()
    wrong = (given < -n) | (given >= n)
    if wrong.any():
        raise IndexError(f"row {int(given[wrong][0])} of {n} rows")
    return torch.where(given < 0, given + n, given)


def chosen(column: Tensor | None, at: Tensor) -> Tensor | None:
    """These rows of a column that may not be there."""
    return None if column is None else column[at.to(column.device)]


def picked(entries: Sequence[Entry], at: Tensor) -> tuple[Entry, ...]:
    """These entries."""
    return tuple(entries[i] for i in at.tolist())


def moved(column: Tensor | None, device: torch.device | str) -> Tensor | None:
    """A column that may not be there, on a device."""
    return None if column is None else column.to(device)


def array(tensor: Tensor) -> np.ndarray:
    """As float64 on the CPU."""
    numbers: np.ndarray = tensor.detach().cpu().numpy().astype(np.float64, copy=False)
    return numbers


def tensor(numbers: np.ndarray) -> Tensor:
    """As float32 on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))


def column(parts: Iterable[tuple[int, Tensor | None]], missing: float) -> Tensor | None:
    """Columns one after another, each with its number of rows; `missing` where a part has none, None where all have none."""
    listed = list(parts)
    held = next((values for _, values in listed if values is not None), None)
    if held is None:
        return None
    kind = next((values.dtype for n, values in listed if values is not None and n), held.dtype)
    shape = held.shape[1:]
    return torch.cat([torch.full((n, *shape), missing, dtype=kind) if values is None else values.to(kind).reshape(n, *shape) for n, values in listed])


def some(parts: Sequence[Entry]) -> Sequence[Entry]:
    """The parts of a merge. Raises ValueError when there are none."""
    if not parts:
        raise ValueError("merge needs at least one part, got none")
    return parts


def planes(maps: Tensor, g: Geometry, fill: float) -> np.ndarray:
    """(C, h, w) under a geometry, resampled like a picture: float32, `fill` outside."""
    source = np.ascontiguousarray(maps.detach().cpu().numpy().astype(np.float32, copy=False).transpose(1, 2, 0))
    return np.ascontiguousarray(smooth(source, g, fill).transpose(2, 0, 1))


def known_mean(maps: Sequence[Tensor]) -> Tensor:
    """The mean of maps of one shape over those that are not nan there; nan where all are."""
    stacked = torch.stack(list(maps))
    return stacked.nanmean(0)
