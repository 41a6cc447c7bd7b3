"""Large images as windows: one rule for training, evaluation and prediction.

>>> tiling = Tiling((100, 100), overlap=20)
>>> [(w.x, w.y, w.size) for w in tiling.windows((100, 230))]
[(0, 0, (100, 100)), (80, 0, (100, 100)), (130, 0, (100, 100))]
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

import numpy as np

from saccade.core import Dataset, LabelSpace, Record, Stored
from saccade.data.visible import boxes_of, seen
from saccade.errors import UsageError, unknown_name
from saccade.ops.geometry import Geometry
from saccade.targets.gathered_map import GatheredMap
from saccade.targets.image_target import ImageTarget
from saccade.targets.rows import KEPT
from saccade.targets.segmentation_map import SegmentationMap

KEPT_BYTES = 256_000_000  # decoded whole images and masks that are kept for their next windows
SIDES = 16, 8192  # pixels of a side of the windows that an option or a model file may ask for
WHOLE_ONLY = ("number", "caption", "tags")  # heads whose truth is of the whole image alone


class Window(NamedTuple):
    """A part of an image: its upper left corner and its (h, w)."""

    x: int
    y: int
    size: tuple[int, int]

    @property
    def geometry(self) -> Geometry:
        """Whole image -> window."""
        return Geometry.crop(self.x, self.y, self.size)

    def placement(self, whole: tuple[int, int]) -> Geometry:
        """Window -> whole image."""
        return Geometry.crop(-self.x, -self.y, whole)


@dataclass(frozen=True)
class Tiling:
    """size: (h, w) of the windows, smaller only where the image is. overlap: pixels that two neighbours share at least.

    min_visible: the share of an object's box that a window must show for the object to be in the window's truth; what is kept
    is cut at the window. An object is answered by the window whose core holds the centre of its box: cores are bounded by the
    middles of the overlaps, so that every point of the image is in exactly one. An object no larger than the overlap is whole in
    the window that answers for it, and the parts of it that other windows show are not answers of theirs.
    """

    size: tuple[int, int]
    overlap: int = 64
    min_visible: float = 0.3

    def __post_init__(self) -> None:
        whole = isinstance(self.size, tuple) and len(self.size) == 2 and all(type(side) is int and side >= 1 for side in self.size)
        if not whole:
            raise UsageError("USE-VALUE", f"tile size {str(self.size)[:40]}, expected two whole numbers above 0", where="--tile")
        if type(self.overlap) is not int or not 0 <= self.overlap < min(self.size):
            raise UsageError("USE-VALUE", f"overlap {str(self.overlap)[:40]}, expected 0 to {min(self.size) - 1}", where="--tile-overlap")
        if isinstance(self.min_visible, bool) or not isinstance(self.min_visible, int | float) or not KEPT <= self.min_visible <= 1:
            raise UsageError("USE-VALUE", f"min_visible {str(self.min_visible)[:40]}, expected {KEPT} to 1", where="--tile")

    def starts(self, length: int, side: int) -> list[int]:
        """Where the windows of a side begin along an axis of the length; the last is moved inside."""
        if length <= side:
            return [0]
        step = side - self.overlap
        return [min(i * step, length - side) for i in range(-(-(length - self.overlap) // step))]

    def windows(self, image: tuple[int, int]) -> list[Window]:
        """The windows of an image (h, w), row by row; together they cover every pixel and none reaches beyond it."""
        size = min(self.size[0], image[0]), min(self.size[1], image[1])
        return [Window(x, y, size) for y in self.starts(image[0], self.size[0]) for x in self.starts(image[1], self.size[1])]

    def cores(self, image: tuple[int, int]) -> np.ndarray:
        """(n, 4) x0 y0 x1 y1 of what each window answers for, half open; a partition of the plane, so the outer ones have no end."""
        across, down = (_bounds(self.starts(length, side), side) for length, side in ((image[1], self.size[1]), (image[0], self.size[0])))
        return np.array([(x0, y0, x1, y1) for y0, y1 in down for x0, x1 in across])

    def __str__(self) -> str:
        return f"windows of {self.size[0]}x{self.size[1]} that overlap by {self.overlap}"

    @property
    def misfit(self) -> str:
        """Why an option or a model file may not ask for such windows, which would be too many or too large; "" when it may."""
        if not all(SIDES[0] <= side <= SIDES[1] for side in self.size):
            return f"size {list(self.size)}, expected {SIDES[0]} to {SIDES[1]}"
        return f"overlap {self.overlap}, expected 0 to {min(self.size) // 2}" if self.overlap > min(self.size) // 2 else ""

    def to_dict(self) -> dict[str, Any]:
        return {"size": list(self.size), "overlap": self.overlap, "min_visible": self.min_visible}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Raises UsageError USE-OPTION for a name that is not one of the fields, USE-VALUE for a value out of range or no size."""
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise UsageError("USE-OPTION", f"tile {unknown}", where="--tile")
        if "size" not in stored:
            raise UsageError("USE-VALUE", "no tile size", where="--tile")
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        return cls(**given)


def square(tile: int | None, overlap: int | None = None) -> Tiling | None:
    """Windows of tile x tile pixels (16 to 8192) of which neighbours share `overlap` (0 to half; a quarter unless given); none for 0 or None.

    Raises UsageError USE-VALUE.

    >>> square(256).overlap, square(0)
    (64, None)
    """
    if not tile:
        if overlap is not None:
            raise UsageError("USE-VALUE", f"{overlap}, and there is no --tile to overlap", where="--tile-overlap", fix="give --tile too, or leave it out")
        return None
    if not SIDES[0] <= tile <= SIDES[1]:
        raise UsageError("USE-VALUE", f"{tile}, expected 0 (the whole image at once) or {SIDES[0]} to {SIDES[1]} pixels", where="--tile")
    chosen = tile // 4 if overlap is None else overlap
    if not 0 <= chosen <= tile // 2:
        raise UsageError("USE-VALUE", f"{chosen}, expected 0 to {tile // 2} pixels with --tile {tile}", where="--tile-overlap")
    return Tiling((tile, tile), chosen)


def _bounds(starts: Sequence[int], side: int) -> list[tuple[float, float]]:
    middles = [(after + before + side) / 2 for before, after in pairwise(starts)]
    return list(zip([-np.inf, *middles], [*middles, np.inf], strict=True))


def merged(parts: Sequence[Any], image: tuple[int, int], tiling: Tiling) -> Any:
    """The answer of a whole image (h, w) from those of its windows, in order; None when a window has none.

    Of objects, each window gives those whose centre is in its core, and of a picture the pixels of its core; the rest is as the target's own
    `merge` puts parts together.
    Raises ValueError when the number of parts is not that of the windows.
    """
    windows = tiling.windows(image)
    if len(parts) != len(windows):
        raise ValueError(f"{len(parts)} answers for {len(windows)} windows of an image of {image[0]}x{image[1]}")
    if any(part is None for part in parts):
        return None
    owned = [_owned(part, window, core) for part, window, core in zip(parts, windows, tiling.cores(image), strict=True)]
    return type(parts[0]).merge(owned, [window.placement(image) for window in windows])


class Joining:
    """The answers of an image's windows, in order, on their way to one answer; maps are joined as they come (see `targets.gathered_map`).

    image: (h, w), None where the image is answered at once.
    """

    def __init__(self, image: tuple[int, int] | None, tiling: Tiling | None) -> None:
        self.image, self.tiling, self.parts = image, tiling, list[Any]()
        self.windows = deque(tiling.windows(image)) if image is not None and tiling is not None else deque[Window]()
        self.map: GatheredMap | None = None

    def add(self, part: Any) -> None:
        """The answer of the next window; None when it has none."""
        if self.image is None or not isinstance(part, SegmentationMap) or part.probabilities is None or self.parts:
            self.parts.append(part)
            return
        window = self.windows.popleft()
        self.map = self.map or GatheredMap(self.image)
        self.map.add(part, window.y, window.x)

    def finish(self) -> Any:
        """The answer of the image."""
        if self.map is not None and not self.parts and not self.windows:
            return self.map.finish()
        if self.image is None or self.tiling is None or len(self.parts) == 1:
            return self.parts[0]
        return merged(self.parts, self.image, self.tiling)


def _owned(part: Any, window: Window, core: np.ndarray) -> Any:
    if isinstance(part, ImageTarget):  # as good as the whole image's answer where the network looks no further than half of the overlap
        return part.within(*(core - (window.x, window.y, window.x, window.y)).tolist())
    boxes = boxes_of(part)
    if boxes is None:
        return part
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 + (window.x, window.y)
    keep = (centres >= core[:2]).all(1) & (centres < core[2:]).all(1)
    return part if keep.all() else part.select(keep)


class Kept:
    """The last things made, by key, as many as fit into so many bytes, and always the very last one; each is made once at a time."""

    def __init__(self, budget: int) -> None:
        self.budget, self._lock = budget, Lock()
        self._held: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._making: dict[Any, Lock] = {}

    def get(self, key: Any, make: Any, size: Any) -> Any:
        """What is kept under the key, else `make()`, of `size(made)` bytes."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._held:
                    self._held.move_to_end(key)
                    return self._held[key][0]
            made = make()
            with self._lock:
                self._held[key] = made, size(made)
                while len(self._held) > 1 and sum(n for _, n in self._held.values()) > self.budget:
                    self._making.pop(self._held.popitem(last=False)[0], None)
            return made


@dataclass(frozen=True)
class StoredTile:
    """The part of a stored truth that a window shows."""

    whole: Stored
    window: Window
    least: float

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.whole.paths

    def load(self) -> Any:
        return tile_of(self.whole.load(), self.window, self.least)


def tile_of(target: Any, window: Window, least: float) -> Any:
    """What a window shows of a truth of the whole image: objects of which less than `least` is inside are left out, others are cut."""
    return None if target is None else seen(target, window.geometry, least).warp(window.geometry)


class Parts(ABC):
    """A data set whose records are parts of another data set's images: windows of each, or the crops of its objects.

    dataset: the one of whole images; records: one for each part; kept: what was read of whole images, which is used for their next parts.
    `joined` turns answers of parts into answers of images.
    """

    dataset: Dataset
    records: Sequence[Record]
    kept: Kept

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def spaces(self) -> Mapping[str, LabelSpace]:
        return self.dataset.spaces

    @property
    def channels(self) -> int:
        return self.dataset.channels

    def __len__(self) -> int:
        return len(self.records)

    @abstractmethod
    def part(self, i: int) -> tuple[int, Window]:
        """The place in `dataset` of the image that a part is of, and the part."""

    def size(self, i: int) -> tuple[int, int]:
        return self.part(i)[1].size

    def pixels(self, i: int) -> np.ndarray:
        """(h, w, C) of a part, cut out of the decoded image."""
        place, window = self.part(i)
        whole = self.kept.get(("pixels", place), lambda: self.dataset.read(place), lambda made: made.nbytes)
        h, w = window.size
        return np.ascontiguousarray(whole[window.y : window.y + h, window.x : window.x + w])

    @abstractmethod
    def joined(self, answers: Iterable[tuple[str, Any]]) -> Iterator[tuple[int, Any]]:
        """Answers by record id -> (place in `dataset`, answer), each image's as soon as its last part has one. Raises ValueError for an unknown id."""


class TiledDataset(Parts):
    """The windows of a data set's images as a data set: record `path@x,y` is the window there.

    An image is decoded once for its windows as long as they are read one after another; kept_bytes bounds what is kept, but for
    the last image. Labels of whole images are those of each window. Raises UsageError USE-OPTION for heads that say something
    of the whole image alone (a number, a sentence), DataError when the size of an image cannot be read.
    """

    def __init__(self, dataset: Dataset, tiling: Tiling, *, kept_bytes: int = KEPT_BYTES) -> None:
        if whole := [head for head in WHOLE_ONLY if head in dataset.spaces or any(head in r.targets for r in dataset.records)]:
            raise UsageError("USE-OPTION", f"{', '.join(whole)} is about the whole image, and cannot be told of a part", where="--tile")
        self.dataset, self.tiling, self.kept = dataset, tiling, Kept(kept_bytes)
        self.parts = [(i, window) for i in range(len(dataset)) for window in tiling.windows(dataset.size(i))]
        self.records: Sequence[Record] = [self._record(i, window) for i, window in self.parts]

    def _record(self, i: int, window: Window) -> Record:
        record, least = self.dataset.records[i], self.tiling.min_visible
        targets = {
            head: StoredTile(target, window, least) if isinstance(target, Stored) else tile_of(target, window, least) for head, target in record.targets.items()
        }
        return replace(record, id=f"{record.id}@{window.x},{window.y}", targets=targets, size=window.size)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the data set's, of the tiling, and of the windows that are left."""
        digest = hashlib.blake2b(repr((self.dataset.fingerprint, self.tiling)).encode(), digest_size=16)
        for record in self.records:
            digest.update(repr(record.id).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def part(self, i: int) -> tuple[int, Window]:
        return self.parts[i]

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """The pixels (h, w, C) of a window; a part of an image is never reduced, for it `size` says only what would be enough."""
        place, window = self.parts[i]
        if window.size == self.dataset.size(place):
            return self.dataset.read(place, size)
        return self.pixels(i)

    def truth(self, i: int) -> dict[str, Any]:
        """The window's truths; a mask in a file is loaded once for its windows."""
        place, window = self.parts[i]
        if not any(isinstance(target, Stored) for target in self.dataset.records[place].targets.values()):
            return dict(self.records[i].targets)
        h, w = self.dataset.size(place)
        whole = self.kept.get(("truth", place), lambda: self.dataset.truth(place), lambda _: 4 * h * w)
        return {head: tile_of(target, window, self.tiling.min_visible) for head, target in whole.items()}

    def subset(self, indices: Sequence[int]) -> Self:
        """Some of the windows. What is kept of whole images is shared."""
        part = object.__new__(type(self))
        part.dataset, part.tiling, part.kept = self.dataset, self.tiling, self.kept
        part.parts, part.records = [self.parts[i] for i in indices], [self.records[i] for i in indices]
        return part

    def joined(self, answers: Iterable[tuple[str, Any]]) -> Iterator[tuple[int, Any]]:
        """See `Parts.joined`; how windows are joined: `merged`."""
        places = {record.id: i for i, record in enumerate(self.records)}
        waiting: dict[int, dict[Window, Any]] = {}
        needed: dict[int, list[Window]] = {}
        for name, answer in answers:
            if name not in places:
                raise ValueError(f"{name} is no window of this data set; windows are named path@x,y")
            place, window = self.parts[places[name]]
            if place not in waiting:
                waiting[place], needed[place] = {}, self.tiling.windows(self.dataset.size(place))
            waiting[place][window] = answer
            if len(waiting[place]) == len(needed[place]):
                parts, windows = waiting.pop(place), needed.pop(place)
                yield place, merged([parts[window] for window in windows], self.dataset.size(place), self.tiling)


def windowed(dataset: Dataset, tiling: Tiling | None) -> Dataset:
    """The windows of a data set's images; the data set itself where there is no tiling."""
    return dataset if tiling is None else TiledDataset(dataset, tiling)


def images_of(dataset: Dataset) -> Dataset:
    """The data set of whole images that a data set of parts was made of; any other one itself."""
    return dataset.dataset if isinstance(dataset, Parts) else dataset


def whole_answers(answers: Iterable[tuple[str, Any]], dataset: Dataset) -> Iterator[tuple[int, Any]]:
    """Answers by record id -> (place in `images_of(dataset)`, answer), each image's as soon as its last part has one.

    So no more is held than the answers of unfinished images; an image of which a part has none is left out. Answers of a data
    set that is not one of parts pass as they are. Raises ValueError for an id that is none of the data set's.
    """
    if isinstance(dataset, Parts):
        yield from dataset.joined(answers)
        return
    places = {record.id: i for i, record in enumerate(dataset.records)}
    for name, answer in answers:
        if name not in places:
            raise ValueError(f"{name} is no record of this data set")
        yield places[name], answer


def merge_answers(answers: Mapping[str, Any], dataset: TiledDataset) -> dict[str, Any]:
    """Answers of windows by record id -> answers of whole images by record id, where all windows of an image have one.

    Raises ValueError for an id that is none of the data set's.
    """
    return {dataset.dataset.records[place].id: answer for place, answer in whole_answers(answers.items(), dataset)}
