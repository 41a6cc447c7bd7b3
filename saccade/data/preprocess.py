"""How a picture becomes a network's input: the one object that trains, evaluates, predicts and is stored in the model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.errors import ModelError, nearest
from saccade.ops.geometry import Geometry

cv2.setNumThreads(1)  # the loader's threads work on different images; more of them on one image only get in their way

Mode = Literal["stretch", "letterbox", "cover"]
SHRINKS = 0.6  # below this scale a bilinear warp would alias: the picture is reduced by its area average first
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
        if self.mode not in MODES:
            raise ModelError("MODEL-ARGS", f"preprocess mode {self.mode}; {nearest(self.mode, MODES)}")

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
        out = torch.from_numpy(np.ascontiguousarray(self.warp(pixels, geometry)))
        out = out.float().div_(255) if out.dtype == torch.uint8 else out.float()
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
        scale = np.sqrt(abs(np.linalg.det(geometry.matrix[:, :2])))
        if scale < SHRINKS:
            fewer = (max(1, round(h * scale)), max(1, round(w * scale)))
            return self.warp(resized(pixels, fewer), Geometry.resize(fewer, (h, w)).then(geometry), border)
        fill = 255 * self.fill if pixels.dtype == np.uint8 else self.fill
        out = cv2.warpAffine(pixels, centred(geometry.matrix), geometry.size[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(fill,) * 4)
        return out.reshape(*geometry.size, pixels.shape[2])

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "size": list(self.size), "value_range": None if self.value_range is None else list(self.value_range)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises ModelError MODEL-ARGS for a name that is not one of the fields."""
        known = [f.name for f in fields(cls)]
        for name in stored:
            if name not in known:
                raise ModelError("MODEL-ARGS", f"preprocess {name}; {nearest(name, known)}")
        given = dict(stored)
        given["size"] = tuple(given["size"])
        if given.get("value_range") is not None:
            given["value_range"] = tuple(given["value_range"])
        return cls(**given)


def centred(matrix: np.ndarray) -> np.ndarray:
    """2x3 matrices on continuous coordinates (pixel i covers [i, i+1]) as ones on pixel indices, which OpenCV takes."""
    moved = matrix.copy()
    moved[..., 2] += 0.5 * matrix[..., :2].sum(-1) - 0.5
    return moved


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) -> (*size, C): area average where it shrinks, bilinear where it grows."""
    if pixels.shape[:2] == size:
        return pixels
    shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    out = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return out.reshape(*size, pixels.shape[2])
