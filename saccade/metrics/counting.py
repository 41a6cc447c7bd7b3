"""The numbers of a counter: mean absolute error, root mean squared error, and the error by parts of the image, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from saccade.core import LabelSpace, Value
from saccade.metrics import bootstrap, statistics
from saccade.targets.points import Points

Array = np.ndarray
GRIDS = (1, 2, 3)  # powers of two that the sides are divided by for GAME


@dataclass
class Counting:
    """Metric of Points: mae and rmse of the number of dots an image, mae_share (mae divided by the mean true number), bias (mean of answered less true),
    and game1 to game3.

    GAME(L) adds the errors up over 2^L x 2^L equal parts of each image (Guerrero-Gomez-Olmedo et al. 2015), so that objects found in the wrong place are
    errors too; it needs the size of the image, which the answer or the truth carries, and is left out where neither does. Classes are counted
    together here and one by one in `per_class`. Dots with the class -1 are ignored, answered dots are never.

    >>> import torch
    >>> metric = Counting(LabelSpace(("cell",)))
    >>> metric.update(Points(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)), Points(torch.zeros(5, 2), torch.zeros(5, dtype=torch.int64)))
    >>> metric.compute()["mae"].value
    1.0
    """

    space: LabelSpace
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _rows: list[Array] = field(default_factory=list, repr=False)  # (K, 2) answered and true
    _games: list[tuple[float, ...] | None] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)
    worst = "high"

    def update(self, prediction: Points, truth: Points | None, group: str | None = None) -> None:
        if truth is None:
            return
        self._rows.append(np.stack([self._counts(prediction), self._counts(truth)], 1))
        size = prediction.size or truth.size
        self._games.append(None if size is None else tuple(self._game(prediction, truth, size, 2**level) for level in GRIDS))
        self._groups.append(group)

    def _counts(self, points: Points) -> Array:
        ids = points.classes.cpu().numpy()
        return np.bincount(ids[ids >= 0], minlength=len(self.space))

    def _game(self, prediction: Points, truth: Points, size: tuple[int, int], parts: int) -> float:
        counts = [self._by_part(points, size, parts) for points in (prediction, truth)]
        return float(np.abs(counts[0] - counts[1]).sum())

    def _by_part(self, points: Points, size: tuple[int, int], parts: int) -> Array:
        known = points.classes.cpu().numpy() >= 0
        share = points.xy.detach().cpu().double().numpy()[known] / (size[1], size[0])
        column, row = np.clip(np.floor(share * parts).astype(int), 0, parts - 1).T
        return np.bincount(row * parts + column, minlength=parts * parts)

    def of_image(self, prediction: Points, truth: Points) -> dict[str, float]:
        """{error (absolute), answered, true} of one image, all classes together."""
        answered, right = (float(self._counts(points).sum()) for points in (prediction, truth))
        return {"error": abs(answered - right), "answered": answered, "true": right}

    def __add__(self, other: Self) -> Self:
        if self.space != other.space:
            raise ValueError("only counts of the same classes can be added")
        return type(self)(self.space, self.resamples, self.seed, self._rows + other._rows, self._games + other._games, self._groups + other._groups)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def counts(self) -> Array:
        """(n, K, 2) answered and true."""
        return np.stack(self._rows) if self._rows else np.zeros((0, len(self.space), 2), np.int64)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def compute(self) -> dict[str, Value]:
        """{mae, rmse, mae_share, bias, game1, game2, game3: Value}; nan with n = 0 for no images."""
        return self._resampled(self.resamples)

    def _resampled(self, resamples: int) -> dict[str, Value]:
        both = self.counts.sum(1)
        games = [game for game in self._games if game is not None]
        named = errors(both[:, 0], both[:, 1])
        if len(games) == len(self):
            named |= {f"game{level}": statistics.mean(np.array(games).reshape(-1, len(GRIDS))[:, place]) for place, level in enumerate(GRIDS)}
        return intervals(named, len(self), self._groups, resamples, self.seed)

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class: class, true and answered (dots of all images), images (that have some), mae, rmse, mae_share, bias with _low and _high."""
        rows = []
        for k, name in enumerate(self.space.names if len(self) else ()):
            answered, right = self.counts[:, k].T
            row: dict[str, Any] = {"class": name, "true": int(right.sum()), "answered": int(answered.sum()), "images": int((right > 0).sum())}
            for key, value in intervals(errors(answered, right), len(self), self._groups, self.resamples, self.seed).items():
                row |= {key: value.value, f"{key}_low": value.low, f"{key}_high": value.high}
            rows.append(row)
        return rows


def errors(answered: Array, right: Array) -> dict[str, bootstrap.Statistic]:
    """mae, rmse, mae_share and bias of numbers (n,) as functions of weights."""
    difference = np.asarray(answered, np.float64) - right
    size, true = np.abs(difference), np.asarray(right, np.float64)

    def share(w: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(true @ w > 0, size @ w / (true @ w), np.nan))

    squares = statistics.mean(difference**2)
    return {"mae": statistics.mean(size), "rmse": lambda w: np.sqrt(squares(w)), "mae_share": share, "bias": statistics.mean(difference)}


def intervals(named: dict[str, bootstrap.Statistic], n: int, groups: Sequence[str | None], resamples: int, seed: int) -> dict[str, Value]:
    """Each statistic with its interval, whole groups being drawn where there are any."""
    if not n:
        return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in named}
    codes = bootstrap.group_codes(groups)
    found = bootstrap.evaluate(named, n, groups=codes, resamples=resamples, seed=seed)
    return {key: Value(float(value), *bounds(drawn, float(value)), n) for key, (value, drawn) in found.items()}


def bounds(drawn: Array, value: float) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of the resamples that have a value, no shares and so without the bound that `bootstrap.interval` has for shares of
    0 and 1; nan without any."""
    finite = drawn[np.isfinite(drawn)]
    if not len(finite) or not np.isfinite(value):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(min(low, value)), float(max(high, value))
