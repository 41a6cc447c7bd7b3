"""Pictures made worse on purpose: a folder of photographs becomes pairs of a degraded input and the clean answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import torch
from torch.nn import functional

from saccade.data.augment_pixels import compressed, gaussian
from saccade.errors import UsageError, unknown_name

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
LARGEST_SHRINK = 16
RECTANGLES = 5


@dataclass(frozen=True)
class Degrade:
    """What is done to a clean picture, in this order: blur, shrink, noise, JPEG, grey, mask. The defaults change nothing.

    blur: range of the standard deviation of a Gaussian, in pixels. shrink: a whole factor, by `method`: bicubic (antialiased) or area;
    enlarge: the picture is brought back to its size by bicubic interpolation, else the input is smaller than the answer.
    noise: range of the standard deviation of Gaussian noise, in [0, 1] units. photons: range of the mean number of photons of a
    white pixel for Poisson noise, (0, 0) = none. jpeg: range of the quality, (0, 0) = none. grey: the input has the luma alone;
    spread: in as many channels as the picture has, all of them alike.
    mask: share of the picture that is hidden, filled with mid-grey; shape: up to five rectangles, or single pixels.
    tell: one more channel of the input that is 1 where the picture is hidden.
    """

    noise: tuple[float, float] = (0.0, 0.0)
    photons: tuple[float, float] = (0.0, 0.0)
    blur: tuple[float, float] = (0.0, 0.0)
    jpeg: tuple[float, float] = (0.0, 0.0)
    shrink: int = 1
    method: Literal["bicubic", "area"] = "bicubic"
    enlarge: bool = True
    grey: bool = False
    spread: bool = False
    mask: float = 0.0
    shape: Literal["rectangles", "pixels"] = "rectangles"
    tell: bool = False

    def __post_init__(self) -> None:
        ranges = {"noise": (0, 1), "photons": (0, 1e6), "blur": (0, 20), "jpeg": (0, 100)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            right = isinstance(value, tuple) and len(value) == 2 and all(_real(v) for v in value) and low <= value[0] <= value[1] <= high
            if right and name in ("photons", "jpeg") and value[1] > 0:
                right = value[0] >= 1
            self._require(right, name, f"two numbers from {low} to {high:g}, the smaller first" + (", 1 or more" if name in ("photons", "jpeg") else ""))
        self._require(type(self.shrink) is int and 1 <= self.shrink <= LARGEST_SHRINK, "shrink", f"a whole number from 1 to {LARGEST_SHRINK}")
        self._require(_real(self.mask) and 0 <= self.mask <= 0.9, "mask", "0 to 0.9")
        self._require(self.method in ("bicubic", "area"), "method", "bicubic or area")
        self._require(self.shape in ("rectangles", "pixels"), "shape", "rectangles or pixels")
        for name in ("enlarge", "grey", "spread", "tell"):
            self._require(isinstance(getattr(self, name), bool), name, "true or false")
        self._require(not self.spread or self.grey, "spread", "false where nothing is made grey")
        self._require(not self.tell or self.mask > 0, "tell", "false where nothing is masked")
        self._require(self.enlarge or self.shrink > 1, "enlarge", "true where nothing is shrunk")

    def _require(self, right: bool, name: str, expected: str) -> None:
        if not right:
            raise UsageError("USE-VALUE", f"degrade {name} = {str(getattr(self, name))[:60]}, expected {expected}", where="--degrade")

    def __call__(self, clean: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """(h, w, C) float32 in [0, 1] -> the input: `size` of it, `channels` of C, float32 in [0, 1]; the same numbers give the same bytes.

        Raises UsageError USE-VALUE when the size is no multiple of the shrink.
        """
        if self == Degrade():  # the picture itself, whatever its values: what is learnt from alone
            return clean
        drawn, out = chance.random(4), clean  # always drawn, so that one change does not move the others
        if self.blur[1] and (sigma := _between(self.blur, drawn[0])) > 0:
            out = gaussian(out, sigma)
        if self.shrink > 1:
            out = self._smaller(out)
        if self.photons[1]:
            peak = _between(self.photons, drawn[1])
            out = (chance.poisson(np.clip(out, 0, 1) * peak) / peak).astype(np.float32)
        if self.noise[1]:
            out = out + np.float32(_between(self.noise, drawn[2])) * chance.standard_normal(out.shape, np.float32)
        if self.jpeg[1]:
            out = compressed(out, round(_between(self.jpeg, drawn[3])))
        out = np.clip(out, 0, 1)
        if self.grey and out.shape[2] > 1:
            out = (out @ LUMA if out.shape[2] == 3 else out.mean(2))[..., None]
            out = np.repeat(out, clean.shape[2], axis=2) if self.spread else out
        return self._masked(out, chance) if self.mask else out

    def size(self, clean: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the input for a clean picture's. Raises UsageError USE-VALUE when it is no multiple of the shrink."""
        if any(side % self.shrink for side in clean):
            got = f"{clean[0]}x{clean[1]} is no multiple of the shrink, {self.shrink}"
            raise UsageError("USE-VALUE", got, where="--size", fix="choose a size that is")
        return clean if self.enlarge else (clean[0] // self.shrink, clean[1] // self.shrink)

    def channels(self, clean: int) -> int:
        """Channels of the input for a clean picture's."""
        return (1 if self.grey and not self.spread else clean) + self.tell

    def _smaller(self, pixels: np.ndarray) -> np.ndarray:
        h, w = pixels.shape[:2]
        self.size((h, w))
        small = (h // self.shrink, w // self.shrink)
        planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
        if self.method == "area":
            planes = functional.avg_pool2d(planes, self.shrink)
        else:
            planes = functional.interpolate(planes, small, mode="bicubic", antialias=True, align_corners=False)
        if self.enlarge:
            planes = functional.interpolate(planes, (h, w), mode="bicubic", align_corners=False)
        return np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy())

    def _masked(self, pixels: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        hidden = self._hidden(pixels.shape[:2], chance)[..., None]
        shown = np.where(hidden, np.float32(0.5), pixels)
        return np.concatenate([shown, hidden.astype(np.float32)], 2) if self.tell else shown

    def _hidden(self, size: tuple[int, ...], chance: np.random.Generator) -> np.ndarray:
        """(h, w) bool. Rectangles are drawn until they cover the share, the last one cut to it in rows."""
        h, w = size
        wanted = round(self.mask * h * w)
        hidden = np.zeros((h, w), dtype=bool)
        if self.shape == "pixels":
            hidden.flat[chance.permutation(h * w)[:wanted]] = True
            return hidden
        each = np.sqrt(self.mask / RECTANGLES)
        while (covered := int(hidden.sum())) < wanted:
            high, wide = (max(1, min(side, round(side * each * f))) for side, f in zip((h, w), chance.uniform(0.7, 1.6, 2), strict=True))
            y, x = int(chance.integers(0, h - high + 1)), int(chance.integers(0, w - wide + 1))
            for row in range(y, y + high):
                new = np.flatnonzero(~hidden[row, x : x + wide])[: wanted - covered]
                hidden[row, x + new] = True
                covered += len(new)
        return hidden

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises UsageError USE-OPTION for a name that is not one of the fields, USE-VALUE for a value out of range."""
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise UsageError("USE-OPTION", f"degrade {unknown}", where="--degrade")
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        return cls(**given)


def _between(limits: tuple[float, float], share: float) -> float:
    return float(limits[0] + (limits[1] - limits[0]) * share)


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
