"""How a picture becomes a network's input: the one object that trains, evaluates, predicts and is stored in the model file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.errors import ModelError, nearest, unknown_name
from saccade.ops.geometry import Geometry

cv2.setNumThreads(1)  # the loader's threads work on different images; more of them on one image only get in their way

Mode = Literal["stretch", "letterbox", "cover"]
SHRINKS = 0.6  # below this scale a bilinear warp would alias: the picture is reduced by its area average first
EXPECTED = {"size": "two whole numbers (h, w) above 0", "channels": "a whole number above 0", "fill": "0 to 1", "value_range": "two numbers, the smaller first"}
MODES = {"stretch": Geometry.resize, "letterbox": Geometry.letterbox, "cover": Geometry.cover}


@dataclass(frozen=True)
class Preprocess:
    """Size and fit of the input, and what stands where there is no picture.

    size: (h, w) of the input. mode: stretch (each axis by its own factor), letterbox (all of the picture, the rest is fill) or
    cover (the input is full, what stands over is cut). fill: grey in [0, 1]. value_range: what deeper images were scaled by.
    """

    size: tuple[int, int]
    channels: int
    mode: Mode = "stretch"
    fill: float = 114 / 255
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.mode not in tuple(MODES):
            raise ModelError("MODEL-ARGS", f"preprocess mode {self.mode}; {nearest(str(self.mode), MODES)}")
        numbers = self.value_range if isinstance(self.value_range, tuple) else (0.0, 1.0)
        right = {
            "size": isinstance(self.size, tuple) and len(self.size) == 2 and all(_whole(side) for side in self.size),
            "channels": _whole(self.channels),
            "fill": _real(self.fill) and 0 <= self.fill <= 1,
            "value_range": len(numbers) == 2 and all(map(_real, numbers)) and numbers[0] < numbers[1],
        }
        for name in (name for name, fits in right.items() if not fits):
            raise ModelError("MODEL-ARGS", f"preprocess {name} is {str(getattr(self, name))[:60]}, expected {EXPECTED[name]}")

    def geometry(self, source: tuple[int, int]) -> Geometry:
        """Source pixels (a picture of the given (h, w)) -> input pixels."""
        return MODES[self.mode]((source[0], source[1]), self.size)

    def shrink(self, pixels: np.ndarray) -> np.ndarray:
        """The picture reduced (area average) until one more reduction would leave fewer pixels than the input has; never enlarged."""
        h, w = pixels.shape[:2]
        factor = max(self.size[0] / h, self.size[1] / w)
        return pixels if factor >= 1 else resized(pixels, (max(self.size[0], round(h * factor)), max(self.size[1], round(w * factor))))

    def apply(self, pixels: np.ndarray, geometry: Geometry, colour: np.ndarray | None = None) -> Tensor:
        """(H, W, C) uint8, or float32 in [0, 1] -> (C, h, w) float32 in [0, 1]; colour is a C x (C+1) matrix on [0, 1] values."""
        warped = self.warp(pixels, geometry)
        out = torch.from_numpy(warped.astype(np.float32))
        if warped.dtype == np.uint8:
            out /= 255
        if colour is not None:
            matrix = torch.from_numpy(colour).float()
            out = (out @ matrix[:, :-1].T + matrix[:, -1]).clamp_(0, 1)
        return out.permute(2, 0, 1).contiguous()

    def warp(self, pixels: np.ndarray, geometry: Geometry, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        """The pixels under a geometry, of their own type: one resize where that is all, else one affine warp, shrunk first where it reduces."""
        smaller = self.shrink(pixels)
        if smaller is not pixels:  # the loader keeps pictures shrunk: the answer must not depend on who did it
            geometry, pixels = Geometry.resize(smaller.shape[:2], pixels.shape[:2]).then(geometry), smaller
        h, w = pixels.shape[:2]
        if np.allclose(geometry.matrix, Geometry.resize((h, w), geometry.size).matrix, rtol=0, atol=1e-9):
            return resized(pixels, geometry.size)
        across, down = scales(geometry.matrix)
        fewer = (max(1, round(h * down)) if down < SHRINKS else h, max(1, round(w * across)) if across < SHRINKS else w)
        if fewer != (h, w):
            geometry, pixels = Geometry.resize(fewer, (h, w)).then(geometry), resized(pixels, fewer)
        return self.moved(pixels, centred(geometry.matrix), border)

    def moved(self, pixels: np.ndarray, matrix: np.ndarray, border: int) -> np.ndarray:
        """One bilinear warp by a 2x3 matrix on pixel indices (see `centred`) into the input's size."""
        fill = (255 * self.fill if pixels.dtype == np.uint8 else self.fill,) * 4
        out = cv2.warpAffine(pixels, matrix, self.size[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill)
        return out.reshape(*self.size, pixels.shape[2])

    @property
    def border(self) -> int:
        """What an augmented picture ends in: its mirror image, which leaves no edge to learn; fill where the input has some anyway."""
        return cv2.BORDER_CONSTANT if self.mode == "letterbox" else cv2.BORDER_REFLECT_101

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "size": list(self.size), "value_range": None if self.value_range is None else list(self.value_range)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises ModelError MODEL-ARGS for a name that is not one of the fields, one that is missing, and a value out of range."""
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise ModelError("MODEL-ARGS", f"preprocess {unknown}")
        for name in ("size", "channels"):
            if name not in stored:
                raise ModelError("MODEL-ARGS", f"preprocess has no {name}")
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        return cls(**given)


def centred(matrix: np.ndarray) -> np.ndarray:
    """2x3 matrices on continuous coordinates (pixel i covers [i, i+1]) as ones on pixel indices, which OpenCV takes."""
    moved = matrix.copy()
    moved[..., 2] += 0.5 * matrix[..., :2].sum(-1) - 0.5
    return moved


def scales(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long a step of one source pixel along x, and along y, becomes under (..., 2, 3) matrices."""
    lengths = np.sqrt((matrices[..., :2] ** 2).sum(-2))
    return lengths[..., 0], lengths[..., 1]


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) -> (*size, C): area average along an axis that shrinks, bilinear along one that grows.

    >>> resized(np.array([[[0], [255]], [[255], [0]]], np.uint8), (4, 1)).ravel().tolist()
    [128, 128, 128, 128]
    """
    depth = pixels.shape[2]
    fewer = (min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1]))
    for target, how in ((fewer, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if pixels.shape[:2] != target:
            pixels = cv2.resize(pixels, target[::-1], interpolation=how).reshape(*target, depth)
    return pixels


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
