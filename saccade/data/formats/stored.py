"""Truths that stay in picture files until they are needed: class masks, id maps, a mask an object, dots, depth, second pictures; and clips.

Every file is read by `read_samples` and `read_image`, with their limits and codes; a palette's indices are never turned into colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from saccade.data.image import MAX_PIXELS, Samples, content_hash, header, read_image, read_samples
from saccade.errors import DataError
from saccade.ops.masks import runs_from_mask, tight_box
from saccade.targets import Boxes, DepthMap, ImageTarget, Instances, Points, SegmentationMap
from saccade.targets.segmentation_map import IGNORED

Kind = Literal["index", "colour", "alpha"]
_SHOWN = 10  # unknown values in one message


@dataclass(frozen=True)
class Coding:
    """How the samples of a mask file are read as whole numbers, and what class each number is.

    kind: index (grey levels, palette indices, or colours that are all grey), colour (red << 16 | green << 8 | blue), alpha (the
    alpha channel alone). values: the numbers that are known. ids: the class of each, 0..254, or 255 for what is ignored.
    """

    kind: Kind
    values: tuple[int, ...]
    ids: tuple[int, ...]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.values, kind="stable")
        return np.asarray(self.values, np.int64)[order], np.asarray(self.ids, np.uint8)[order]

    def classes(self, numbers: np.ndarray, where: str = "") -> np.ndarray:
        """(h, w) numbers -> (h, w) uint8 class ids. Raises DataError MAP-VALUES that lists the ten most frequent unknown numbers."""
        values, ids = self._sorted
        if len(values) and values[0] >= 0 and values[-1] <= 0xFFFF and numbers.dtype in (np.uint8, np.uint16):
            table = np.full(int(np.iinfo(numbers.dtype).max) + 1, -1, np.int16)
            inside = values < len(table)
            table[values[inside]] = ids[inside]
            found = table[numbers]
        else:
            place = np.minimum(np.searchsorted(values, numbers), max(0, len(values) - 1))
            found = np.where(values[place] == numbers, ids[place].astype(np.int16), np.int16(-1)) if len(values) else np.full(numbers.shape, -1, np.int16)
        if found.min(initial=0) < 0:
            raise DataError("MAP-VALUES", unknown(numbers[found < 0], numbers.size, self.kind), where=where)
        return found.astype(np.uint8)


def unknown(numbers: np.ndarray, pixels: int, kind: Kind) -> str:
    """The ten most frequent of the numbers, with their share of the pixels: "7 (1.2 %), 9 (0.1 %) and 3 more"."""
    values, counts = np.unique(numbers, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{shown_value(int(values[i]), kind)} ({counts[i] / pixels:.2%})" for i in order[:_SHOWN])
    return shown + (f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else "")


def shown_value(value: int, kind: Kind) -> str:
    """A number of a mask as people write it: #ff0000 for a colour."""
    return f"#{value:06x}" if kind == "colour" else str(value)


def numbers_of(samples: Samples, kind: Kind, where: str = "") -> np.ndarray:
    """The (h, w) whole numbers of a mask's samples. Raises DataError MAP-VALUES when they are no such mask: fractions, colours for an index."""
    values = samples.values
    if values.dtype.kind == "f":
        whole = values.astype(np.int64) if np.isfinite(values).all() else None
        if whole is None or not np.array_equal(whole, values):
            raise DataError("MAP-VALUES", "fractions, where whole numbers are expected", where=where)
        values = whole
    channels = values.shape[2] if values.ndim == 3 else 1
    if kind == "alpha":
        if channels not in (2, 4):
            raise DataError("MAP-VALUES", f"{channels} channels, where the alpha channel is expected", where=where)
        return values[..., -1]
    if kind == "colour":
        if channels < 3:
            if samples.palette is not None:
                return packed(samples.palette[np.minimum(values, len(samples.palette) - 1)])
            grey = values if channels == 1 else values[..., 0]
            return packed(np.repeat(grey[..., None], 3, axis=2))
        return packed(values[..., :3])
    if channels >= 3 and not (np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 1], values[..., 2])):
        colours = packed(values[..., :3])
        raise DataError("MAP-VALUES", f"colours, where grey levels or indices are expected: {unknown(colours, colours.size, 'colour')}", where=where)
    return values if channels == 1 else values[..., 0]


def packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) red, green, blue -> (...) int64 red << 16 | green << 8 | blue."""
    wide = colours.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def mask_samples(path: Path, max_pixels: int = MAX_PIXELS) -> Samples:
    """The samples of a file that holds one plane. Raises DataError MAP-PAGES for a stack of pages, and as `read_samples` does."""
    samples = read_samples(path, max_pixels=max_pixels)
    if samples.frames > 1:
        raise DataError("MAP-PAGES", f"{samples.frames} pages", where=str(path))
    return samples


def values(path: Path, kind: Kind = "index", max_pixels: int = MAX_PIXELS) -> dict[int, int]:
    """The numbers of a mask file and how many pixels have each. Raises DataError as `mask_samples` and `numbers_of` do."""
    numbers = numbers_of(mask_samples(path, max_pixels), kind, str(path))
    found, counts = np.unique(numbers, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class MaskFile:
    """A class for every pixel, in a mask file: `load` gives a SegmentationMap."""

    path: Path
    coding: Coding
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> SegmentationMap:
        """Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        numbers = numbers_of(mask_samples(self.path, self.max_pixels), self.coding.kind, str(self.path))
        return SegmentationMap(torch.from_numpy(self.coding.classes(numbers, str(self.path))))


@dataclass(frozen=True)
class InstanceFile:
    """One id map in a file, 0 (black, in colours) where no object is: `load` gives Instances with that map, objects in order of their ids.

    divisor: 0 when all objects are of class 0; else the class is `classes[id // divisor]`, what is not in `classes` is no object, and
    ids below the divisor are regions without objects (Cityscapes, MOTS: 1000). ignored: ids that are no objects.
    """

    path: Path
    kind: Kind = "index"
    divisor: int = 0
    classes: tuple[tuple[int, int], ...] = ()
    ignored: tuple[int, ...] = ()
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> Instances:
        """Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        numbers = numbers_of(mask_samples(self.path, self.max_pixels), self.kind, str(self.path))
        if numbers.min(initial=0) < 0:
            raise DataError("MAP-VALUES", f"ids below 0, such as {numbers.min()}", where=str(self.path))
        present, compact = np.unique(numbers, return_inverse=True)
        known = dict(self.classes)
        number, table, classes = 0, np.zeros(len(present), np.int32), []
        for place, value in enumerate(present.tolist()):
            if value == 0 or value in self.ignored or (self.divisor and (value < self.divisor or value // self.divisor not in known)):
                continue
            number += 1
            table[place] = number
            classes.append(known[value // self.divisor] if self.divisor else 0)
        return from_ids(table[compact.reshape(numbers.shape)], classes)


@dataclass(frozen=True)
class InstanceFiles:
    """One mask file an object, all of class 0: `load` gives Instances whose masks may overlap (a later one then covers an earlier one)."""

    files: tuple[Path, ...]
    size: tuple[int, int] | None = None  # of an image without objects
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.files

    def load(self) -> Instances:
        """Raises DataError IMG-*, MAP-PAGES, and MAP-VALUES when a mask is empty or of another size than the first."""
        runs, boxes, size = [], [], self.size
        for path in self.files:
            samples = mask_samples(path, self.max_pixels)
            kind: Kind = "colour" if samples.values.ndim == 3 and samples.values.shape[2] >= 3 else "index"
            plane = numbers_of(samples, kind, str(path)) != 0
            size = size or (plane.shape[0], plane.shape[1])
            if plane.shape != size:
                raise DataError("MAP-VALUES", f"{plane.shape[1]} x {plane.shape[0]} pixels, the others have {size[1]} x {size[0]}", where=str(path))
            run = runs_from_mask(plane)
            box = tight_box(run)
            if box is None:
                raise DataError("MAP-VALUES", "no pixel is set in the mask of an object", where=str(path))
            runs.append(run)
            boxes.append(box)
        return Instances(plain_boxes(boxes, [0] * len(boxes)), size or (0, 0), tuple(runs))


@dataclass(frozen=True)
class DotFile:
    """Dots as pixels of a second picture: `load` gives Points, one at the middle of each patch of touching pixels of one value.

    coding: what class each value is; values that it ignores are no dots.
    """

    path: Path
    coding: Coding
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> Points:
        """Raises DataError IMG-*, MAP-PAGES, MAP-VALUES."""
        from scipy import ndimage

        numbers = numbers_of(mask_samples(self.path, self.max_pixels), self.coding.kind, str(self.path))
        ids = self.coding.classes(numbers, str(self.path))
        xy, classes = [], []
        for index in np.unique(ids[ids != IGNORED]).tolist():
            patches, n = ndimage.label(ids == index, np.ones((3, 3), int))
            centres = ndimage.center_of_mass(patches > 0, patches, range(1, n + 1))
            xy += [(x + 0.5, y + 0.5) for y, x in centres]
            classes += [index] * n
        order = sorted(range(len(xy)), key=lambda i: (xy[i][1], xy[i][0], classes[i]))
        points = torch.tensor([xy[i] for i in order], dtype=torch.float64).reshape(-1, 2)
        return Points(points, torch.tensor([classes[i] for i in order], dtype=torch.int64))


@dataclass(frozen=True)
class DepthFile:
    """Depth in a picture of whole numbers, 0 = not known, or of floats: `load` gives a DepthMap in metres. scale: metres of one unit."""

    path: Path
    scale: float = 0.001
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> DepthMap:
        """Raises DataError IMG-*, MAP-PAGES, and MAP-VALUES for a picture in colours."""
        samples = mask_samples(self.path, self.max_pixels)
        raw = samples.values if samples.values.ndim == 2 else numbers_of(samples, "index", str(self.path))
        metres = raw.astype(np.float64) * self.scale
        return DepthMap(torch.from_numpy(np.where((raw > 0) & np.isfinite(metres), metres, np.nan).astype(np.float32)))


@dataclass(frozen=True)
class ImageFile:
    """A picture as the answer, in its file: `load` gives an ImageTarget. channels: 1, 3, or None for as stored."""

    path: Path
    channels: int | None = None
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    def load(self) -> ImageTarget:
        """Raises DataError as `read_image` does."""
        pixels = read_image(self.path, channels=self.channels, max_pixels=self.max_pixels).pixels
        scaled = pixels.astype(np.float32) / np.float32(255) if pixels.dtype == np.uint8 else pixels
        return ImageTarget(torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1))))


def from_ids(ids: np.ndarray, classes: Sequence[int]) -> Instances:
    """Instances of an (h, w) int32 map whose ids are 1..n, each seen, with the class of each."""
    from scipy import ndimage

    boxes = [(found[1].start, found[0].start, found[1].stop, found[0].stop) for found in ndimage.find_objects(ids, len(classes))]
    return Instances(plain_boxes(boxes, classes), (ids.shape[0], ids.shape[1]), ids=torch.from_numpy(ids))


def plain_boxes(boxes: Sequence[Sequence[float]], classes: Sequence[int]) -> Boxes:
    """Boxes with nothing but corners and classes."""
    return Boxes(torch.tensor([list(box) for box in boxes], dtype=torch.float64).reshape(-1, 4), torch.tensor(list(classes), dtype=torch.int64))


@dataclass(frozen=True)
class Clip:
    """Pictures of one size that follow each other; stands where the array of a sequence does. `load` gives (T, H, W, C) uint8 or float32."""

    files: tuple[Path, ...]
    max_pixels: int = field(default=MAX_PIXELS, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.files

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, C) by the header of the first picture."""
        first = header(self.files[0], max_pixels=self.max_pixels)
        return len(self.files), *first.size, first.channels

    def load(self) -> np.ndarray:
        """Raises DataError as `read_image` does, and ANN-SEQ when the sizes differ."""
        shape = self.shape
        frames = [read_image(path, channels=shape[3], max_pixels=self.max_pixels).pixels for path in self.files]
        for path, frame in zip(self.files, frames, strict=True):
            if frame.shape != shape[1:]:
                got = f"{frame.shape[1]} x {frame.shape[0]} pixels, the first frame has {shape[2]} x {shape[1]}"
                raise DataError("ANN-SEQ", got, where=str(path))
        return np.stack(frames)

    def tobytes(self) -> bytes:
        """What the content of the clip is known by."""
        return "".join(content_hash(path) for path in self.files).encode()
