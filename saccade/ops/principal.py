"""Principal axes of rows: means and scatter gathered in one pass over parts of any number of rows, and their eigenvectors in the order of variance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROWS = 4096  # of a part that is worked on at once
LARGE = 0.9  # of a column's mean square, the square of its mean, up to which rows need no centring


class Moments:
    """count, mean (d,) and scatter (d, d) float64 of all rows added so far: the sum of the outer products of the centred rows.

    Each part is multiplied in float32 unless it is float64, centred by its own mean before if that is large, and joined in float64 (Chan, Golub
    and LeVeque 1983), so that nothing is lost to a large mean. Memory: one part and three matrices.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean: Any = np.zeros(width)
        self.scatter: Any = np.zeros((width, width))

    def add(self, rows: Array) -> Moments:
        """(n, d) numbers of any type. Raises ValueError for another width and for numbers that are not finite."""
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise ValueError(f"rows of {len(self.mean)} values, got {rows.shape}")
        kind = np.float64 if rows.dtype in (np.float64, np.int64) else np.float32
        room = np.empty((min(ROWS, len(rows)), rows.shape[1]), kind)
        for start in range(0, len(rows), ROWS):
            part: Any = rows[start : start + ROWS]
            if part.dtype == kind and self._plain(part):
                continue
            np.copyto(room[: len(part)], part, casting="unsafe")  # into the same memory each time: fresh memory costs as much as the product
            self._centred(room[: len(part)])
        return self

    def _plain(self, part: Any) -> bool:
        """Adds rows without a copy, where the means are not so large that squares of them would swallow the variances; else adds nothing."""
        n, near = len(part), _means(part)
        with np.errstate(over="ignore", invalid="ignore"):
            product = part.T @ part
            energy = product.diagonal()
            if not (n * near**2 <= LARGE * energy).all():
                return False
        near = near.astype(np.float64)
        self._join(n, near, product, near)
        return True

    def _centred(self, wide: Any) -> None:
        """Adds floats that may be overwritten, centred by their own mean before they are multiplied."""
        near = _means(wide)
        wide -= near
        left = _means(wide).astype(np.float64)  # what rounding left of the mean
        if not np.isfinite(left).all():
            raise ValueError("rows hold numbers that are not finite")
        self._join(len(wide), near.astype(np.float64) + left, wide.T @ wide, left)

    def _join(self, n: int, mean: Array, product: Array, own: Array) -> None:
        """Rows of this mean: the sum of their outer products about a point from which their mean is `own` away."""
        total = self.count + n
        gap: Any = mean - self.mean
        both = np.stack([own, gap])
        self.scatter += product
        self.scatter += both.T @ (both * [[-n], [self.count * n / total]])
        self.mean += gap * (n / total)
        self.count = total

    @property
    def variance(self) -> float:
        """The sum of the variances of all columns, which is that of all axes."""
        return max(0.0, float(self.scatter.trace()) / (self.count - 1))

    def axes(self, count: int | None = None) -> tuple[Array, Array]:
        """The `count` largest variances, or all, falling, and their axes as rows (count, d), the largest value of each positive.

        Raises ValueError for fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"variances need two rows or more, got {self.count}")
        from scipy.linalg import eigh

        d = len(self.mean)
        few = None if count is None or count > d // 4 else [d - count, d - 1]
        variances, columns = eigh(self.scatter / (self.count - 1), subset_by_index=few, check_finite=False)
        order = np.argsort(variances, kind="stable")[::-1][:count]
        return np.clip(variances[order], 0, None), upright(columns[:, order].T)


def _means(part: Any) -> Any:
    """(n, d) floats -> (d,): by a product with ones, many times as fast as a sum along the rows."""
    return np.ones(len(part), part.dtype) @ part / part.dtype.type(len(part))


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
