"""Principal axes of rows: means and scatter gathered in one pass over parts of any number of rows, and their eigenvectors in the order of variance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROWS = 4096  # of a part that is worked on at once


class Moments:
    """count, mean (d,) and scatter (d, d) float64 of all rows added so far: the sum of the outer products of the centred rows.

    Each part is centred by its own mean before it is multiplied (in float32 unless it is float64) and joined in float64 (Chan, Golub and LeVeque 1983), so that
    nothing is lost to a large mean. Memory: one part and two matrices.
    """

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.scatter = 0, np.zeros(width), np.zeros((width, width))

    def add(self, rows: Array) -> Moments:
        """(n, d) numbers of any type. Raises ValueError for another width and for numbers that are not finite."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ValueError(f"rows of {len(self.mean)} values, got {rows.shape}")
        for start in range(0, len(rows), ROWS):
            self._join(rows[start : start + ROWS])
        return self

    def _join(self, rows: Array) -> None:
        wide = rows.astype(np.float64 if rows.dtype in (np.float64, np.int64) else np.float32)
        n, total = len(wide), self.count + len(wide)
        mean = wide.mean(0, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise ValueError("rows hold numbers that are not finite")
        wide -= mean.astype(wide.dtype)
        left = wide.mean(0, dtype=np.float64)  # what rounding the mean leaves
        gap = mean - self.mean
        self.scatter += wide.T @ wide
        self.scatter += np.outer(gap, gap * (self.count * n / total)) - n * np.outer(left, left)
        self.mean += gap * (n / total)
        self.count = total

    def axes(self) -> tuple[Array, Array]:
        """Variances (d,), largest first, and the axes as rows (d, d), each with its largest value positive. Raises ValueError for fewer than two rows."""
        if self.count < 2:
            raise ValueError(f"variances need two rows or more, got {self.count}")
        variances, columns = np.linalg.eigh(self.scatter / (self.count - 1))
        order = np.argsort(variances, kind="stable")[::-1]
        return np.clip(variances[order], 0, None), upright(columns[:, order].T)


def moments(parts: Iterable[Array]) -> Moments:
    """Of parts (n_i, d) that are looked at once, one after the other. Raises ValueError without any."""
    found: Moments | None = None
    for part in parts:
        found = Moments(part.shape[1]) if found is None else found
        found.add(part)
    if found is None:
        raise ValueError("no rows at all")
    return found


def upright(axes: Array) -> Array:
    """The rows with the sign that makes the value of largest size positive."""
    most = axes[np.arange(len(axes)), np.abs(axes).argmax(1)]
    turned: Array = axes * np.where(most < 0, -1.0, 1.0)[:, None]
    return turned
