"""The numbers of a data set's truths: how many of each class, how large, where, how long."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from saccade.data.contents import OBJECTS, Contents, all_contents, heads
from saccade.data.dataset import ImageDataset
from saccade.errors import DataError

CELLS = 32
"""Of each side of the map of positions."""
_BINS = 24
_COMMON = 20
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Histogram:
    """Counts between edges (one more than counts), and the quartiles: (smallest, lower, median, upper, largest)."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quartiles: tuple[float, ...]


@dataclass(frozen=True)
class BoxStatistics:
    """n boxes. width, height: pixels. relative: the root of the share of the image's area, 0 to 1. aspect: log2 of width over height.

    positions: (32, 32) how many boxes have their middle in each cell of the image, rows from the top.
    """

    n: int
    width: Histogram
    height: Histogram
    relative: Histogram
    aspect: Histogram
    positions: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TextStatistics:
    """Sentences: how many, words in all, different words in lower case, the most frequent ones, words a sentence, sentences an image."""

    sentences: int
    words: int
    vocabulary: int
    common: tuple[tuple[str, int], ...]
    length: Histogram
    per_image: Histogram


@dataclass(frozen=True)
class HeadStatistics:
    """One head. labelled: images whose truth says something. images, objects: by split (and `all`) and class; objects of a map are pixels.

    per_image: objects an image. visibility: of each key point (not labelled, hidden, visible). ignored: mean share of a map's pixels.
    """

    labelled: int
    total: int
    images: Mapping[str, Mapping[str, int]]
    objects: Mapping[str, Mapping[str, int]]
    per_image: Histogram | None = None
    boxes: BoxStatistics | None = None
    positions: tuple[tuple[int, ...], ...] | None = None
    visibility: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    texts: TextStatistics | None = None
    steps: Histogram | None = None
    values: Histogram | None = None
    ignored: float | None = None


@dataclass(frozen=True)
class DataStatistics:
    """images: how many, by split and in `all`. width, height: of the images. heads: by their names."""

    images: Mapping[str, int]
    width: Histogram | None
    height: Histogram | None
    heads: Mapping[str, HeadStatistics]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what a head does not have is left out."""
        found: dict[str, Any] = _plain(self)
        return found


def statistics(dataset: ImageDataset) -> DataStatistics:
    """Counts everything once. Truths in files are loaded, but for those that `check` has seen; no pixels of images are read."""
    parts: dict[str, Sequence[int]] = {split: dataset.places(split) for split in dataset.splits}
    parts["all"] = range(len(dataset))
    sizes = np.array([_size(dataset, i) for i in range(len(dataset))], np.float64).reshape(-1, 2)
    known = sizes[np.isfinite(sizes).min(axis=1, initial=True)]
    return DataStatistics(
        images={name: len(places) for name, places in parts.items()},
        width=histogram(known[:, 1]),
        height=histogram(known[:, 0]),
        heads={head: _head(dataset, head, parts, sizes) for head in heads(dataset)},
    )


def histogram(values: Sequence[float] | np.ndarray, *, whole: bool = False) -> Histogram | None:
    """At most 24 equal bins between the extremes, of whole numbers bins of whole width; None without values."""
    given = np.asarray(values, np.float64)
    if not len(given):
        return None
    low, high = float(given.min()), float(given.max())
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / _BINS)))
        edges = np.arange(low - 0.5, high + 0.5 + step, step)
    else:
        edges = np.linspace(low, high, _BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    counts, _ = np.histogram(given, edges)
    quartiles = np.percentile(given, (0, 25, 50, 75, 100))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()), tuple(quartiles.tolist()))


def _size(dataset: ImageDataset, i: int) -> tuple[float, float]:
    try:
        return dataset.size(i)
    except DataError:
        return (np.nan, np.nan)


def _head(dataset: ImageDataset, head: str, parts: Mapping[str, Sequence[int]], sizes: np.ndarray) -> HeadStatistics:
    held = list(all_contents(dataset, head))
    known = [one for one in held if one.known]
    space = dataset.spaces.get(head)
    names = space.names if space is not None else ()
    tables = {name: _table([held[i] for i in places], len(names)) for name, places in parts.items()}
    texts = [one.texts for one in known if one.texts]
    return HeadStatistics(
        labelled=len(known),
        total=sum(one.objects for one in known) if head in OBJECTS else len(known),
        images={name: dict(zip(names, images.tolist(), strict=True)) for name, (images, _) in tables.items()} if names else {},
        objects={name: dict(zip(names, objects.tolist(), strict=True)) for name, (_, objects) in tables.items()} if names else {},
        per_image=histogram([one.objects for one in known], whole=True) if head in OBJECTS or head == "labels" else None,
        boxes=_boxes(held, sizes),
        positions=_positions(held, sizes),
        visibility=_visibility(known, space.keypoints if space is not None else ()),
        texts=_texts(texts) if texts else None,
        steps=histogram([one.values["steps"] for one in known if "steps" in one.values], whole=True),
        values=histogram([one.values[key] for one in known for key in ("value", "mean") if key in one.values]),
        ignored=float(np.mean([one.values["ignored"] for one in known])) if any("ignored" in one.values for one in known) else None,
    )


def _table(held: Sequence[Contents], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (K,) that have each class, and objects (K,) of it."""
    images, objects = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for one in held:
        inside = (one.classes >= 0) & (one.classes < classes)
        ids = one.classes[inside]
        images[np.unique(ids)] += 1
        np.add.at(objects, ids, 1 if one.amounts is None else one.amounts[inside])
    return images, objects


def _boxes(held: Sequence[Contents], sizes: np.ndarray) -> BoxStatistics | None:
    places = [i for i, one in enumerate(held) if one.boxes is not None and len(one.boxes)]
    if not places:
        return None
    every = np.concatenate([box for i in places if (box := held[i].boxes) is not None])
    image = np.repeat(sizes[places], [len(box) for i in places if (box := held[i].boxes) is not None], axis=0)
    sides = every[:, 2:] - every[:, :2]
    sound = np.isfinite(every).min(axis=1) & (sides > 0).min(axis=1) & np.isfinite(image).min(axis=1)
    if not sound.any():
        return None
    every, sides, image = every[sound], sides[sound], image[sound]
    middle = (every[:, :2] + every[:, 2:]) / 2 / image[:, ::-1]
    relative = histogram(np.sqrt(sides.prod(1) / image.prod(1)))
    width, height, aspect = histogram(sides[:, 0]), histogram(sides[:, 1]), histogram(np.log2(sides[:, 0] / sides[:, 1]))
    assert width is not None and height is not None and relative is not None and aspect is not None
    return BoxStatistics(len(every), width, height, relative, aspect, _heat(middle))


def _positions(held: Sequence[Contents], sizes: np.ndarray) -> tuple[tuple[int, ...], ...] | None:
    """Where dots and labelled key points are."""
    places = [i for i, one in enumerate(held) if one.points is not None and len(one.points)]
    if not places:
        return None
    every = np.concatenate([points for i in places if (points := held[i].points) is not None])
    image = np.repeat(sizes[places], [len(points) for i in places if (points := held[i].points) is not None], axis=0)
    shares = every / image[:, ::-1]
    return _heat(shares[np.isfinite(shares).min(axis=1)])


def _heat(shares: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """How many of the points (n, 2), as shares of width and height, are in each of 32 x 32 cells; those outside count at the edge."""
    cells = np.clip((shares * CELLS).astype(np.int64), 0, CELLS - 1)
    counts = np.bincount(cells[:, 1] * CELLS + cells[:, 0], minlength=CELLS * CELLS).reshape(CELLS, CELLS)
    return tuple(tuple(row) for row in counts.tolist())


def _visibility(known: Sequence[Contents], names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    tables = [one.visible for one in known if one.visible is not None and one.visible.shape[1] == len(names)]
    if not tables or not names:
        return {}
    every = np.concatenate(tables)
    return {name: (int((every[:, k] == 0).sum()), int((every[:, k] == 1).sum()), int((every[:, k] >= 2).sum())) for k, name in enumerate(names)}


def _texts(texts: Sequence[tuple[str, ...]]) -> TextStatistics:
    words = [_WORD.findall(text.lower()) for own in texts for text in own]
    counted = Counter(word for sentence in words for word in sentence)
    length, per_image = histogram([len(sentence) for sentence in words], whole=True), histogram([len(own) for own in texts], whole=True)
    assert length is not None and per_image is not None
    common = tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_COMMON])
    return TextStatistics(len(words), sum(counted.values()), len(counted), common, length, per_image)


def _plain(value: Any) -> Any:
    """JSON values of nested dataclasses, without what is None or empty."""
    if hasattr(value, "__dataclass_fields__"):
        held = {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return {name: own for name, own in held.items() if own is not None and own != {}}
    if isinstance(value, Mapping):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(own) for own in value]
    return value
