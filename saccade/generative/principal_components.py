"""Principal component analysis as a model: the linear code of least squared error, found without steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from saccade.classic.pca import PART, PCA, WIDEST
from saccade.core import Backbone, Estimated, Features, Feeds, Inputs, Level, Run
from saccade.errors import UsageError
from saccade.generative.autoencoder import Autoencoder
from saccade.nn.heads.reconstruct import Reconstruct
from saccade.ops.principal import Moments, upright

Array = np.ndarray[Any, Any]


class Projection(Backbone):
    """(N, C, h, w) -> one map (N, codes, 1, 1): the coordinates along `axes` (codes, C h w), orthonormal rows, about `centre` (C h w).

    standardise: of the values in units of each channel's deviation, else of the values as they are. whiten: each coordinate in units of its
    deviation, the root of `variances` (codes,). Raises ValueError in `forward` for inputs of another size.
    """

    deviation: Tensor

    def __init__(self, inputs: Inputs, codes: int, *, standardise: bool = False, whiten: bool = False) -> None:
        super().__init__(inputs)
        self.shape, self.standardise, self.whiten = (inputs.channels, *inputs.size), standardise, whiten
        width = math.prod(self.shape)
        self.centre = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.axes = nn.Parameter(torch.zeros(codes, width), requires_grad=False)
        self.variances = nn.Parameter(torch.ones(codes), requires_grad=False)
        deviation = torch.tensor(inputs.std if standardise else [1.0] * inputs.channels)
        self.register_buffer("deviation", deviation.repeat_interleave(math.prod(inputs.size)), persistent=False)
        self.levels = (Level(inputs.channels, 1), Level(codes, max(inputs.size)))

    def rows(self, inputs: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C h w) float32 in the units that the axes are of."""
        if tuple(inputs.shape[1:]) != self.shape:
            raise ValueError(f"made for inputs of {self.shape[1]}x{self.shape[2]} px and {self.shape[0]} channels, got {tuple(inputs.shape[1:])}")
        return inputs.float().flatten(1) / self.deviation

    def forward(self, inputs: Tensor, sizes: Tensor) -> Features:
        with torch.autocast(inputs.device.type, enabled=False):
            codes = (self.rows(inputs) - self.centre) @ self.axes.T
            codes = codes / self.spread if self.whiten else codes
        return Features([inputs, codes[:, :, None, None]], sizes)

    @property
    def spread(self) -> Tensor:
        """(codes,): the deviation along each axis; 1 where there is none."""
        return torch.where(self.variances > 0, self.variances, 1.0).sqrt()

    def back(self, codes: Tensor) -> Tensor:
        """(N, codes) -> (N, C, h, w): the inputs nearest to those with these codes."""
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes.float() * self.spread if self.whiten else codes.float()
            rows = (codes @ self.axes + self.centre) * self.deviation
        return rows.unflatten(1, self.shape)


class Transposed(nn.Module):
    """The decoder that shares the axes of a `Projection`, and holds no weight of its own."""

    def __init__(self, projection: Projection) -> None:
        super().__init__()
        self._of = (projection,)  # in a tuple, so that its weights are listed once

    def forward(self, codes: Tensor) -> Tensor:
        return self._of[0].back(codes)


class Linear(Reconstruct):
    """Whose decoder gives pictures as they are."""

    def pictures(self, values: Tensor) -> Tensor:
        return values


class PrincipalComponents(Autoencoder, Estimated):
    """An autoencoder of one linear layer each way, whose weights are the eigenvectors of the covariances (Baldi and Hornik 1989)."""

    def __init__(self, inputs: Inputs, codes: int, *, standardise: bool = False, whiten: bool = False) -> None:
        projection = Projection(inputs, codes, standardise=standardise, whiten=whiten)
        super().__init__(projection, Linear(inputs, Transposed(projection), standardise=standardise))

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """One pass over the training inputs: exact for up to 4,096 values or 4,096 inputs, else incremental. Raises UsageError USE-VALUE for more
        codes than inputs or values."""
        projection = self.backbone
        assert isinstance(projection, Projection)
        found = Gathered(len(projection.axes))
        for n, batch in enumerate(feeds.train.epoch(0)):
            found.add(projection.rows(batch.inputs).cpu().numpy())
            run.event("step", phase="components", n=n + 1, total=len(feeds.train))
        mean, variances, axes = found.finish()
        with torch.no_grad():
            for own, value in ((projection.centre, mean), (projection.variances, variances), (projection.axes, axes)):
                own.copy_(torch.from_numpy(np.ascontiguousarray(value)))


class Gathered:
    """The principal axes of rows that come in parts: all of them are kept while they are few, then moments, or the leading axes of wide rows."""

    def __init__(self, codes: int) -> None:
        self.codes, self.kept, self.count = codes, list[Array](), 0
        self.moments: Moments | None = None
        self.many: PCA | None = None

    def add(self, rows: Array) -> None:
        """(n, d) float32."""
        self.kept.append(rows)
        self.count += len(rows)
        if sum(map(len, self.kept)) > PART:
            self._spend(np.concatenate(self.kept))

    def _spend(self, rows: Array) -> None:
        """Takes rows into the sums, but for a last few, so that there are always enough for a part of the incremental method."""
        if rows.shape[1] <= WIDEST:
            self.moments = (self.moments or Moments(rows.shape[1])).add(rows)
            self.kept = []
            return
        left = min(len(rows) // 2, 2 * self.codes)
        self.many = (self.many or PCA(self.codes, method="incremental")).partial_fit(rows[: len(rows) - left])
        self.kept = [rows[len(rows) - left :]]

    def finish(self) -> tuple[Array, Array, Array]:
        """mean (d,), variances (codes,), axes (codes, d). Raises UsageError USE-VALUE."""
        width = self.kept[0].shape[1] if self.kept else len(self.moments.mean) if self.moments is not None else 0
        if self.codes > min(self.count, width) or self.count < 2:
            got = f"{self.codes} codes of {self.count} inputs with {width} values"
            raise UsageError("USE-VALUE", got, where="--set codes", fix=f"choose at most {min(self.count, width)}")
        rows = np.concatenate(self.kept) if self.kept else None
        if self.moments is not None:
            found = self.moments if rows is None else self.moments.add(rows)
            return (found.mean, *found.axes(self.codes))
        assert rows is not None
        if self.many is None and len(rows) < width and width > WIDEST:
            return wide_axes(rows, self.codes)
        pca = PCA(self.codes).fit(rows) if self.many is None else self.many.partial_fit(rows)
        return pca.mean_, pca.explained_variance_, pca.components_


def wide_axes(rows: Array, codes: int) -> tuple[Array, Array, Array]:
    """mean (d,), variances (codes,), axes (codes, d) of fewer rows than values: by the eigenvectors of the (n, n) products of the rows with one another."""
    from scipy.linalg import eigh

    centred = rows.astype(np.float64)
    mean = centred.mean(0)
    centred -= mean
    n = len(centred)
    values, columns = eigh(centred @ centred.T, subset_by_index=[n - codes, n - 1])
    axes = columns[:, ::-1].T @ centred
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    return mean, np.clip(values[::-1], 0, None) / (n - 1), upright(axes / np.where(lengths > 0, lengths, 1.0))
