"""How a picture becomes a network's input: the one object that trains, evaluates, predicts and is stored in the model file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.core import Dataset
from saccade.data.crops import CroppedDataset, Crops
from saccade.data.tiles import Tiling, windowed
from saccade.data.told import Told
from saccade.data.whiten import Whitening
from saccade.data.words import Vocabulary
from saccade.errors import ModelError, UsageError, nearest, unknown_name
from saccade.ops.geometry import Geometry
from saccade.ops.resample import placed, shrunk
from saccade.targets import Boxes

cv2.setNumThreads(1)  # the loader's threads work on different images; more of them on one image only get in their way

Mode = Literal["stretch", "letterbox", "cover", "pad", "keep"]
WHOLE = 1 << 30  # pixels, more than a side has
MULTIPLE = 32  # pixels: a batch of padded inputs is as large as its largest, rounded up to so many
EXPECTED = {"size": "two whole numbers (h, w) above 0", "channels": "a whole number above 0", "fill": "0 to 1", "value_range": "two numbers, the smaller first"}


def padded(source: tuple[int, int], target: tuple[int, int]) -> Geometry:
    """One factor for both axes, to the nearest whole pixel; the source is at the top left and the rest of the target is padding."""
    scale = min(target[0] / source[0], target[1] / source[1])
    extent = tuple(max(1, min(whole, round(scale * side))) for side, whole in zip(source, target, strict=True))
    return Geometry(Geometry.resize(source, (extent[0], extent[1])).matrix, target)


def unscaled(source: tuple[int, int], target: tuple[int, int]) -> Geometry:
    """Pixel for pixel, from the top left corner; what does not fit is cut and what is left over is padding."""
    return Geometry.identity(target)


MODES = {"stretch": Geometry.resize, "letterbox": Geometry.letterbox, "cover": Geometry.cover, "pad": padded, "keep": unscaled}
PADDED = ("pad", "keep")  # the picture is at the top left, and networks are told how far it reaches


@dataclass(frozen=True)
class Preprocess:
    """Size and fit of the input, and what stands where there is no picture.

    size: (h, w) of the input. mode: stretch (each axis by its own factor), letterbox (all of the picture in the middle, the rest
    is fill), cover (the input is full, what stands over is cut), pad (all of the picture at the top left, the rest is padding
    that networks are told of, and a batch is no larger than its largest picture needs) or keep (as pad, but nothing is scaled, and what
    does not fit is cut). fill: grey in [0, 1]. value_range:
    what deeper images were scaled by. whitening: what is done to the values last, None for nothing. tiling: the windows of an
    image that are inputs each, their answers being put together; None where the whole image is the input. crops: how objects are cut out
    where each is an input of its own. vocabulary: the words that documents are counted in (`data.words`), None for what are none.
    told: the columns of numbers that generated pictures are told (`data.told`), None for none.
    """

    size: tuple[int, int]
    channels: int
    mode: Mode = "stretch"
    fill: float = 114 / 255
    value_range: tuple[float, float] | None = None
    whitening: Whitening | None = None
    tiling: Tiling | None = None
    crops: Crops | None = None
    vocabulary: Vocabulary | None = None
    told: Told | None = None

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
        if self.whitening is not None and (problem := self.whitening.misfit(self.size, self.channels, self.mode)):
            raise ModelError("MODEL-ARGS", f"preprocess whitening {problem}")
        if self.tiling is not None and (problem := self.tiling.misfit):
            raise ModelError("MODEL-ARGS", f"preprocess tiling {problem}")
        if self.tiling is not None and self.crops is not None:
            raise ModelError("MODEL-ARGS", "preprocess has a tiling and crops; an input is a window or an object")
        if self.vocabulary is not None and len(self.vocabulary.words) != self.channels:
            raise ModelError("MODEL-ARGS", f"preprocess vocabulary has {len(self.vocabulary.words)} words for {self.channels} channels")

    @property
    def kind(self) -> str:
        """What the inputs are, in a word."""
        return "windows" if self.tiling else "objects" if self.crops else "documents" if self.vocabulary else "images"

    def parts(self, dataset: Dataset, boxes: Sequence[Boxes] | None = None) -> Dataset:
        """The data set whose records are inputs: windows of the images, crops of their objects (of these boxes, one entry an image, or else of the truths'), or
        the images themselves. Raises ValueError for boxes where nothing is cropped."""
        if boxes is not None and self.crops is None:
            raise ValueError("boxes are given, and the inputs are no crops of objects")
        return windowed(dataset, self.tiling) if self.crops is None else CroppedDataset(dataset, self.crops, self.size, boxes)

    def geometry(self, source: tuple[int, int]) -> Geometry:
        """Source pixels (a picture of the given (h, w)) -> input pixels."""
        return MODES[self.mode]((source[0], source[1]), self.size)

    def extent(self, source: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the input that a picture of the given (h, w) fills, from the top left; the rest is padding. All of it unless the mode is pad or keep."""
        if self.mode not in PADDED:
            return self.size
        if self.mode == "keep":
            return min(source[0], self.size[0]), min(source[1], self.size[1])
        h, w = np.round(self.geometry(source).matrix[[1, 0], [1, 0]] * source).astype(int)
        return int(h), int(w)

    def shown(self, size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
        """`extent` of an image whose whole (h, w) and whose geometry into the input are known."""
        if self.mode not in PADDED:
            return self.size
        if self.mode == "keep":
            return min(size[0], self.size[0]), min(size[1], self.size[1])
        w, h = np.round(geometry.points(np.array([[size[1], size[0]]]))[0]).astype(int)
        return int(h), int(w)

    def plane(self, extents: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """(h, w) of a batch of such extents: their own where they are all the same, for networks normalise and pool faster where nothing is
        padding; else the largest of each side, rounded up to 32 but never above `size`."""
        if self.mode not in PADDED:
            return self.size
        if len(set(extents)) == 1:
            return extents[0]
        sides = [min(most, -(-max(found) // MULTIPLE) * MULTIPLE) for most, found in zip(self.size, zip(*extents, strict=True), strict=True)]
        return sides[0], sides[1]

    def shrink(self, pixels: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        """The picture reduced (area average) until one more reduction would leave fewer pixels than the input has; never enlarged.

        zoom: how many times more pixels a side are to be left, for an input that may be a part of the picture.
        """
        return shrunk(pixels, self.reading(zoom))

    def reading(self, zoom: float = 1.0) -> tuple[int, int]:
        """(h, w) below which a picture need not be read; beyond every picture where nothing is scaled."""
        if self.mode == "keep":
            return (WHOLE, WHOLE)
        return (math.ceil(zoom * self.size[0]), math.ceil(zoom * self.size[1])) if zoom > 1 else self.size

    def apply(self, pixels: np.ndarray, geometry: Geometry, colour: np.ndarray | None = None) -> Tensor:
        """(H, W, C) uint8, or float32 in [0, 1] -> (C, h, w) float32 in [0, 1] (any number once whitened).

        colour: a C x (C+1) matrix on [0, 1] values.
        """
        warped = self.warp(pixels, geometry)
        out = torch.from_numpy(warped.astype(np.float32))
        if warped.dtype == np.uint8:
            out /= 255
        if colour is not None:
            matrix = torch.from_numpy(colour).float()
            out = (out @ matrix[:, :-1].T + matrix[:, -1]).clamp_(0, 1)
        return self.whitened(out[None].numpy())[0].permute(2, 0, 1).contiguous()

    def whitened(self, inputs: np.ndarray) -> Tensor:
        """(n, h, w, C) float32 finished inputs, whitened where that is wished; the same memory where it is not."""
        return torch.from_numpy(inputs if self.whitening is None else self.whitening.apply(inputs))

    def warp(self, pixels: np.ndarray, geometry: Geometry, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        """The pixels under a geometry, of their own type: one resize where that is all, else one warp, shrunk first where it reduces."""
        smaller = self.shrink(pixels)
        if smaller is not pixels:  # the loader keeps pictures shrunk: the answer must not depend on who did it
            geometry, pixels = Geometry.resize(smaller.shape[:2], pixels.shape[:2]).then(geometry), smaller
        return self.placed(pixels, geometry, border)

    def placed(self, pixels: np.ndarray, geometry: Geometry, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        """`warp` of a picture that was shrunk to its use already: (geometry.size, C) of the pixels' own type."""
        return placed(pixels, geometry, border, self.white(pixels) * self.fill)

    @staticmethod
    def white(pixels: np.ndarray) -> float:
        """The value of white in such pixels."""
        return 255.0 if pixels.dtype == np.uint8 else 1.0

    @property
    def border(self) -> int:
        """What an augmented picture ends in: its mirror image, which leaves no edge to learn; fill where the input has some anyway."""
        return cv2.BORDER_CONSTANT if self.mode in ("letterbox", *PADDED) else cv2.BORDER_REFLECT_101

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `whitening`, `tiling`, `crops`, `vocabulary` and `told` only where there are some."""
        more = {name: getattr(self, name) for name in ("whitening", "tiling", "crops", "vocabulary", "told")}
        held = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in more}
        held |= {"size": list(self.size), "value_range": None if self.value_range is None else list(self.value_range)}
        return held | {name: value.to_dict() for name, value in more.items() if value is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises ModelError MODEL-ARGS for a name that is not one of the fields, one that is missing, and a value out of range."""
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise ModelError("MODEL-ARGS", f"preprocess {unknown}")
        for name in ("size", "channels"):
            if name not in stored:
                raise ModelError("MODEL-ARGS", f"preprocess has no {name}")
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        if given.get("whitening") is not None:
            given["whitening"] = Whitening.from_dict(given["whitening"])
        if given.get("tiling") is not None:
            given["tiling"] = _stored(Tiling, given["tiling"], "tiling")
        if given.get("crops") is not None:
            given["crops"] = _stored(Crops, given["crops"], "crops")
        if given.get("vocabulary") is not None:
            given["vocabulary"] = Vocabulary.from_dict(given["vocabulary"])
        if given.get("told") is not None:
            given["told"] = Told.from_dict(given["told"])
        return cls(**given)


def _stored(kind: Any, stored: Any, name: str) -> Any:
    if not isinstance(stored, Mapping):
        raise ModelError("MODEL-ARGS", f"preprocess {name} is {str(stored)[:60]}, expected a table")
    try:
        return kind.from_dict(stored)
    except UsageError as problem:
        raise ModelError("MODEL-ARGS", f"preprocess {name}: {problem.got}") from problem


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
