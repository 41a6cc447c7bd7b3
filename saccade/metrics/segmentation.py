"""The numbers of a segmentation, each with its 95 % interval over images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np

from saccade.core import LabelSpace, Value
from saccade.errors import ModelError
from saccade.metrics import bootstrap
from saccade.ops.components import matched
from saccade.targets.segmentation_map import IGNORED, SegmentationMap

Array = np.ndarray
BAND = 0.02
"""Width of the band of boundary IoU, as a share of the image's diagonal (Cheng et al. 2021, section 4)."""
OBJECT_IOU = 0.5
LEAST_OBJECT = 10
"""Pixels below which a connected spot of an answer is not counted as an object."""


@dataclass(frozen=True)
class Counted:
    """What one image adds. pixels: (K, K) rows truth, columns answer. band: (K, 2) intersection and union of the boundary bands.
    objects: (K, 3) hits, false alarms and misses of objects; zeros for the background."""

    pixels: Array
    band: Array
    objects: Array


def counted(prediction: SegmentationMap, truth: SegmentationMap, space: LabelSpace) -> Counted:
    """The counts of one image over the pixels that its truth knows. An answer of 255 on such a pixel is wrong for every class: its column is no class.

    Raises ValueError where the two differ in size, ModelError MODEL-CLASSES for an answer with other classes.
    """
    if prediction.size != truth.size:
        raise ValueError(f"an answer of {prediction.size} for a truth of {truth.size}")
    k, t, p = len(space), truth.ids.cpu().numpy(), prediction.ids.cpu().numpy()
    told = t != IGNORED
    if p[told].size and int(np.where(p == IGNORED, 0, p).max()) >= k:
        raise ModelError("MODEL-CLASSES", f"class {int(np.where(p == IGNORED, 0, p).max())} in a map of {k} classes")
    column = np.minimum(p, k).astype(np.int64)
    pixels = np.bincount(t[told].astype(np.int64) * (k + 1) + column[told], minlength=k * (k + 1)).reshape(k, k + 1)
    present = [c for c in range(k) if pixels[c].any() or pixels[:, c].any()]
    band, objects = np.zeros((k, 2), np.int64), np.zeros((k, 3), np.int64)
    for c in present:
        band[c] = boundary(t == c, p == c, told)
    numbers = object_pairs(prediction, truth, space)
    for c in (c for c in present if c != space.background):
        objects[c] = matched(_of_class(numbers[0], t, c), _of_class(numbers[1], np.where(told, p, IGNORED), c), OBJECT_IOU)
    return Counted(pixels, band, objects)


def boundary(truth: Array, answer: Array, told: Array | None = None) -> tuple[int, int]:
    """Pixels in both, and in either, of the inner boundary bands of two masks (h, w) bool. Cheng et al. 2021, eq. 2.

    The band of a mask is what an erosion by `BAND` of the diagonal takes away; beyond the image's border there is nothing, as in their code.
    """
    reach = max(1, round(BAND * float(np.hypot(*truth.shape))))
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    bands = []
    for mask in (truth, answer):
        grid = mask.astype(np.uint8)
        inner = cv2.erode(grid, around, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        bands.append(mask & (inner == 0))
    known = np.ones(truth.shape, bool) if told is None else told
    return int((bands[0] & bands[1] & known).sum()), int(((bands[0] | bands[1]) & known).sum())


def object_pairs(prediction: SegmentationMap, truth: SegmentationMap, space: LabelSpace) -> tuple[Array, Array]:
    """Object numbers (h, w) of the truth and of the answer."""
    return truth.numbered(space.background), prediction.numbered(space.background, least=LEAST_OBJECT)


def _of_class(numbers: Array, ids: Array, k: int) -> Array:
    """The objects of one class, numbered without gaps."""
    own = np.where(ids == k, numbers, 0)
    _, renumbered = np.unique(own, return_inverse=True)
    dense = renumbered.reshape(own.shape)
    return dense if (own == 0).any() else dense + 1


@dataclass
class Segmentation:
    """Metric of SegmentationMap: IoU, Dice, accuracy and boundary IoU over all pixels of the set, and objects found.

    mean_iou, dice, boundary_iou: means over the classes in truth or answer. foreground_iou, tpr, tnr, ppv: all that is not background as one class,
    where there is a background. image_iou: the mean over images of each one's mean IoU. object_f1: connected pixels of a class as objects (a
    truth that tells its objects: those), matched above IoU 0.5. Truths that are None, and ignored pixels, never enter. Intervals are bootstrapped
    over images, or over groups where `update` is given them; the seed is fixed.
    """

    space: LabelSpace
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    _images: list[Counted] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def update(self, prediction: SegmentationMap, truth: SegmentationMap | None, group: str | None = None) -> None:
        """Takes one image in; raises as `counted`."""
        if truth is None or not bool((truth.ids != IGNORED).any()):
            return
        self._images.append(counted(prediction, truth, self.space))
        self._groups.append(group)

    def __add__(self, other: Self) -> Self:
        if self.space != other.space:
            raise ValueError("only statistics of the same classes can be added")
        return type(self)(self.space, self.resamples, self.seed, self._images + other._images, self._groups + other._groups)

    def __len__(self) -> int:
        return len(self._images)

    def compute(self) -> dict[str, Value]:
        """{key: Value}; nan with n = 0 for no images."""
        return self._resampled(self.resamples)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals: what an epoch of training needs."""
        return {key: value.value for key, value in self._resampled(0).items()}

    def confusion(self) -> Array:
        """Pixels (K, K + 1): rows the truth, columns the answer, the last one without an answer."""
        k = len(self.space)
        return sum((image.pixels for image in self._images), np.zeros((k, k + 1), np.int64))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """{"confusion": a row a true class, pixels by answered class, "nothing" where the answer is ignored}."""
        names = [*self.space.names, "nothing"]
        rows = zip(self.space.names, self.confusion().tolist(), strict=True)
        return {"confusion": [{"truth": name, **dict(zip(names, counts, strict=True))} for name, counts in rows]}

    def _stacked(self) -> tuple[Array, Array, Array]:
        """(n, K, K + 1) pixels, (n, K, 2) bands, (n, K, 3) objects."""
        return tuple(np.stack([getattr(image, name) for image in self._images]) for name in ("pixels", "band", "objects"))  # type: ignore[return-value]

    def _resampled(self, resamples: int) -> dict[str, Value]:
        keys = keys_of(self.space)
        if not self._images:
            return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in keys}
        pixels, band, objects = self._stacked()
        groups = bootstrap.group_codes(self._groups)
        per_image = np.array([_means(sums_of(image.pixels[..., None], self.space), self.space)["mean_iou"][0] for image in self._images])

        def statistic(weights: Array) -> Array:
            found = _means(sums_of(np.tensordot(pixels, weights, (0, 0)), self.space), self.space)
            found |= objects_and_bands(np.tensordot(band, weights, (0, 0)), np.tensordot(objects, weights, (0, 0)), self.space)
            told = np.isfinite(per_image)
            found["image_iou"] = _ratio(np.where(told, per_image, 0) @ weights, told.astype(float) @ weights)
            return np.stack([found[key] for key in keys], 1)

        value, drawn = bootstrap.evaluate({"": statistic}, len(self), groups=groups, resamples=resamples, seed=self.seed)[""]
        units = len(self) if groups is None else int(groups.max()) + 1
        return {key: bootstrap.interval(float(value[i]), drawn[:, i], units)._replace(n=len(self)) for i, key in enumerate(keys)}

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class: images it is in, its pixels, IoU with its interval, Dice, TPR, TNR, PPV, boundary IoU, and objects found."""
        if not self._images:
            return []
        pixels, band, objects = self._stacked()
        groups = bootstrap.group_codes(self._groups)

        def statistic(weights: Array) -> Array:
            s = sums_of(np.tensordot(pixels, weights, (0, 0)), self.space)
            return _ratio(s["hits"], s["hits"] + s["alarms"] + s["misses"]).T

        value, drawn = bootstrap.evaluate({"": statistic}, len(self), groups=groups, resamples=self.resamples, seed=self.seed)[""]
        s = {name: part[:, 0] for name, part in sums_of(pixels.sum(0)[..., None].astype(float), self.space).items()}
        rows = []
        for k, name in enumerate(self.space.names):
            iou = bootstrap.interval(float(value[k]), drawn[:, k], len(self))
            hits, alarms, misses = (float(s[part][k]) for part in ("hits", "alarms", "misses"))
            found, false, missed = (int(v) for v in objects[:, k].sum(0))
            rest = float(pixels.sum()) - hits - alarms - misses
            row: dict[str, Any] = {"class": name, "images": int((pixels[:, k].sum(1) > 0).sum()), "pixels": int(pixels[:, k].sum())}
            row |= {"iou": iou.value, "iou_low": iou.low, "iou_high": iou.high, "dice": _one(2 * hits, 2 * hits + alarms + misses)}
            row |= {"tpr": _one(hits, hits + misses), "tnr": _one(rest, rest + alarms), "ppv": _one(hits, hits + alarms)}
            row |= {"boundary_iou": _one(*(float(v) for v in band[:, k].sum(0)))}
            row |= {"objects": found + missed, "objects_answered": found + false, "objects_f1": _one(2 * found, 2 * found + false + missed)}
            rows.append(row)
        return rows

    def of_image(self, prediction: SegmentationMap, truth: SegmentationMap) -> dict[str, float]:
        """Facts of one image: mean IoU first, then the rest of `compute`'s values, and how many objects there are and are answered."""
        one = type(self)(self.space, 0, self.seed)
        one.update(prediction, truth)
        if not len(one):
            return {}
        values = one.points()
        hits, alarms, misses = one._images[0].objects.sum(0).tolist()
        return {key: values[key] for key in values if key != "image_iou"} | {"objects": float(hits + misses), "objects_answered": float(hits + alarms)}


def keys_of(space: LabelSpace) -> list[str]:
    """The keys of the metric, the first of which worst images are sorted by."""
    keys = ["mean_iou", "dice", "pixel_accuracy", "boundary_iou", "image_iou", "object_f1"]
    return keys if space.background is None else [keys[0], "foreground_iou", *keys[1:], "tpr", "tnr", "ppv"]


def sums_of(pixels: Array, space: LabelSpace) -> dict[str, Array]:
    """Pixel counts (K, K + 1, R) -> hits, alarms, misses (K, R), and those of all foreground together with its true negatives (1, R)."""
    k = len(space)
    hits = pixels[np.arange(k), np.arange(k)]
    found = {"hits": hits, "alarms": pixels[:, :k].sum(0) - hits, "misses": pixels.sum(1) - hits}
    if space.background is not None:
        b, front = space.background, [c for c in range(k) if c != space.background]
        found["front"] = pixels[front][:, front].sum((0, 1))[None]
        found["front_alarms"] = pixels[b, front].sum(0)[None]
        found["front_misses"] = pixels[front].sum((0, 1))[None] - found["front"]
        found["rest"] = pixels[b, b][None]
    return found


def _means(s: dict[str, Array], space: LabelSpace) -> dict[str, Array]:
    hits, union = s["hits"], s["hits"] + s["alarms"] + s["misses"]
    total = (s["hits"] + s["misses"]).sum(0)
    found = {"mean_iou": _mean(_ratio(hits, union)), "dice": _mean(_ratio(2 * hits, union + hits)), "pixel_accuracy": _ratio(hits.sum(0), total)}
    if space.background is not None:
        front, alarms, misses, rest = (s[name][0] for name in ("front", "front_alarms", "front_misses", "rest"))
        found |= {"foreground_iou": _ratio(front, front + alarms + misses), "tpr": _ratio(front, front + misses)}
        found |= {"tnr": _ratio(rest, rest + alarms), "ppv": _ratio(front, front + alarms)}
    return found


def objects_and_bands(band: Array, objects: Array, space: LabelSpace) -> dict[str, Array]:
    """(K, 2, R) and (K, 3, R) -> boundary IoU, the mean over classes but the background, and F1 of all objects together."""
    front = [c for c in range(len(space)) if c != space.background]
    hits, alarms, misses = objects.sum(0)
    return {"boundary_iou": _mean(_ratio(band[front, 0], band[front, 1])), "object_f1": _ratio(2 * hits, 2 * hits + alarms + misses)}


def _ratio(a: Array, b: Array) -> Array:
    """a / b, nan where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) > 0)


def _one(a: float, b: float) -> float:
    return a / b if b else float("nan")


def _mean(values: Array) -> Array:
    """The mean over the first axis of what is not nan; nan where all is."""
    told = np.isfinite(values)
    return _ratio(np.where(told, values, 0).sum(0), told.sum(0).astype(float))
