"""Whitening of inputs: values without correlation and of unit variance, by a matrix fitted on the training part.

>>> chance = np.random.default_rng(0)
>>> mixed = chance.normal(size=(500, 3)) @ chance.normal(size=(3, 3))
>>> white = Whitener.fit(mixed, epsilon=0.0).transform(mixed)
>>> np.allclose(np.cov(white.T), np.eye(3))
True
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import cv2
import numpy as np

from saccade.errors import ModelError, UsageError, unknown_name
from saccade.ops.principal import moments

Kind = Literal["zca", "pca"]
LARGEST = 4096  # values a row: the matrix has the square of it, 134 MB while it is fitted
STORED = 400  # values of an image (20 x 20) or a patch (11 x 11 x 3) of a `Whitening`, which a model file holds
EPSILON = 1e-3  # added to the variances, for values in [0, 1]
EXAMPLES = 20_000  # images or patches that the matrix is estimated from


@dataclass(frozen=True)
class Whitener:
    """mean: (d,). matrix: (k, d) float64, what a centred row is multiplied by: k = d for zca, the number of components for pca.

    ZCA turns the whitened components back into the space they came from, so that the result is as like the original as whitened
    values can be (Bell and Sejnowski 1997, equation 11); PCA leaves them in the order of their variance.
    """

    mean: np.ndarray
    matrix: np.ndarray
    kind: Kind = "zca"

    @classmethod
    def fit(cls, rows: np.ndarray, *, kind: Kind = "zca", epsilon: float = EPSILON, components: int | None = None) -> Self:
        """From (n, d) rows. epsilon: added to every variance. components: the leading ones that are kept, None for all.

        Raises UsageError USE-VALUE for fewer than two rows, too many values a row, an epsilon below 0, or too many components.
        """
        n, d = rows.shape
        if kind not in ("zca", "pca"):
            raise UsageError("USE-VALUE", f"whitening kind {kind}, expected zca or pca", where="--whiten")
        if d > LARGEST:
            raise UsageError("USE-VALUE", f"whitening {d} values at once, expected at most {LARGEST}", where="--whiten", fix="use a smaller --size, or patches")
        if n < 2 or epsilon < 0 or not (components is None or 1 <= components <= d):
            got = f"{n} rows, epsilon {epsilon}, {components} components"
            raise UsageError("USE-VALUE", f"whitening from {got}; expected 2 rows or more, 0 or more, and 1 to {d}", where="--whiten")
        found = moments([rows.astype(np.float64)])
        return cls.along(found.mean, *found.axes(components), kind=kind, epsilon=epsilon)

    @classmethod
    def along(cls, mean: np.ndarray, variances: np.ndarray, axes: np.ndarray, *, kind: Kind = "zca", epsilon: float = EPSILON) -> Self:
        """From variances (k,) along principal axes (k, d) that are known."""
        spread = np.sqrt(variances + epsilon)
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-12)  # a direction without any variance stays at zero
        white = scale[:, None] * axes
        return cls(mean, axes.T @ white if kind == "zca" else white, kind)

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float64."""
        return (rows - self.mean) @ self.matrix.T


@dataclass(frozen=True)
class Whitening:
    """ZCA whitening of inputs (h, w, C): of whole small images by a matrix, or of larger ones by its middle row as a filter.

    mean: (d,) float32 and matrix: (d, d) float32 of images of the size, values in the order row, column, channel, when
    `patch` is 0. Else patch: the odd side p of square patches, mean: (C,), matrix: (C, p, p, C): output channel, row, column,
    input channel; a pixel becomes what ZCA makes of the middle of the patch around it. Beyond the edge the picture is mirrored.
    """

    mean: np.ndarray
    matrix: np.ndarray
    patch: int = 0

    @classmethod
    def fit(cls, inputs: np.ndarray, *, patch: int = 0, epsilon: float = EPSILON, components: int | None = None, seed: int = 0) -> Self:
        """From (n, h, w, C) inputs in [0, 1] of the training part. patch: 0 for whole images, else the odd side of the patches that are sampled.

        Raises UsageError USE-VALUE where the matrix would be larger than 400 x 400, and for values out of range.
        """
        n, h, w, depth = inputs.shape
        values = (patch or h) * (patch or w) * depth
        if values > STORED:
            fix = "use patches of an odd side" if not patch else "use smaller patches"
            raise UsageError("USE-VALUE", f"whitening {values} values at once, expected at most {STORED}", where="--whiten", fix=fix)
        if not patch:
            whole = Whitener.fit(inputs.reshape(n, -1), epsilon=epsilon, components=components)
            return cls(whole.mean.astype(np.float32), whole.matrix.astype(np.float32))
        if patch % 2 == 0 or not 3 <= patch <= min(h, w):
            raise UsageError("USE-VALUE", f"whitening patch {patch}, expected an odd number from 3 to {min(h, w)}", where="--whiten")
        chance = np.random.default_rng(seed % 2**64)
        image, y, x = (chance.integers(0, most, EXAMPLES) for most in (n, h - patch + 1, w - patch + 1))
        reach = np.arange(patch)
        patches = inputs[image[:, None, None], y[:, None, None] + reach[:, None], x[:, None, None] + reach]
        found = Whitener.fit(patches.reshape(EXAMPLES, -1), epsilon=epsilon, components=components)
        middle = found.matrix.reshape(patch, patch, depth, patch, patch, depth)[patch // 2, patch // 2]
        return cls(patches.mean((0, 1, 2), dtype=np.float64).astype(np.float32), middle.astype(np.float32), patch)

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """(n, h, w, C) float32 in [0, 1] -> the same shape, zero mean and nearly unit variance."""
        n = len(inputs)
        if not self.patch:
            return ((inputs.reshape(n, -1) - self.mean) @ self.matrix.T).reshape(inputs.shape)
        out = np.zeros_like(inputs)
        for i in range(n):
            centred = inputs[i] - self.mean
            for to in range(len(self.matrix)):
                for source in range(inputs.shape[3]):
                    out[i, :, :, to] += cv2.filter2D(centred[..., source], cv2.CV_32F, self.matrix[to, :, :, source], borderType=cv2.BORDER_REFLECT_101)
        return out

    def misfit(self, size: tuple[int, int], channels: int, mode: str) -> str:
        """Why it cannot be applied to such inputs; empty when it can."""
        d = size[0] * size[1] * channels
        patches: tuple[tuple[int, ...], ...] = (channels,), (channels, self.patch, self.patch, channels)
        wanted = patches if self.patch else ((d,), (d, d))
        if not self.patch and mode == "pad":
            return "of whole images needs inputs of one size, and mode pad gives several"
        got = self.mean.shape, self.matrix.shape
        return "" if got == wanted else f"has the shapes {got}, expected {wanted}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; numbers as base64 of little-endian float32."""
        return {"patch": self.patch, "mean": _text(self.mean), "matrix": _text(self.matrix), "shape": list(self.matrix.shape)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises ModelError MODEL-ARGS for what is not there, unknown or damaged."""
        names = [*(f.name for f in fields(cls)), "shape"]
        if not isinstance(stored, Mapping) or set(stored) != set(names):
            raise ModelError("MODEL-ARGS", f"preprocess whitening {unknown_name(stored, names) or 'must have ' + ', '.join(names)}")
        shape, patch = stored["shape"], stored["patch"]
        whole = isinstance(shape, list) and all(isinstance(v, int) and 1 <= v <= STORED for v in shape) and isinstance(patch, int) and patch >= 0
        if not whole or len(shape) != (4 if patch else 2) or np.prod(shape) > STORED**2:
            raise ModelError("MODEL-ARGS", f"preprocess whitening has shape {str(shape)[:60]} and patch {str(patch)[:20]}")
        mean, matrix = _numbers(stored["mean"]), _numbers(stored["matrix"])
        if matrix.size != np.prod(shape) or len(mean) != shape[0]:
            raise ModelError("MODEL-ARGS", f"preprocess whitening has {matrix.size} and {len(mean)} numbers, expected {np.prod(shape)} and {shape[0]}")
        return cls(mean, matrix.reshape(shape), patch)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Whitening):
            return NotImplemented
        return self.patch == other.patch and np.array_equal(self.mean, other.mean) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash((self.patch, self.mean.tobytes(), self.matrix.tobytes()))


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _numbers(text: Any) -> np.ndarray:
    """Raises ModelError MODEL-ARGS when the text is not base64 of finite float32 numbers."""
    try:
        found = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ModelError("MODEL-ARGS", f"preprocess whitening: {error}") from error
    if not np.isfinite(found).all():
        raise ModelError("MODEL-ARGS", "preprocess whitening holds numbers that are not finite")
    return found
