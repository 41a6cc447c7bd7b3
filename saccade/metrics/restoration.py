"""The numbers of a restored picture: PSNR and SSIM on the luma, PSNR over all channels, each with its 95 % interval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from saccade.core import LabelSpace, Value
from saccade.metrics import bootstrap, statistics
from saccade.ops import colour, image_quality
from saccade.targets.image_target import ImageTarget

BEST_DB = 100.0  # what equal pictures count as, so that a mean stays finite


@dataclass
class PictureFacts(ABC):
    """What metrics of pictures share: the facts of every image (`of_image`, whose keys in `always` stand in every answer), their means and
    intervals, and beside them those of a `reference`: the same images as they would be without a network. `compute` then has what that reaches, as
    KEY_unchanged, and of the first fact the mean of the differences image by image, as KEY_gain."""

    space: LabelSpace | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    reference: Self | None = None
    _rows: list[dict[str, float]] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    always: ClassVar[tuple[str, ...]]

    @abstractmethod
    def of_image(self, prediction: ImageTarget, truth: ImageTarget) -> dict[str, float]:
        """The facts of one image; none where nothing is known."""

    def update(self, prediction: ImageTarget, truth: ImageTarget | None, group: str | None = None) -> None:
        """Takes one image in; without a truth it never enters."""
        if truth is None or not (facts := self.of_image(prediction, truth)):
            return
        self._rows.append(facts)
        self._groups.append(group)

    def __add__(self, other: Self) -> Self:
        reference = None if self.reference is None or other.reference is None else self.reference + other.reference
        return type(self)(self.space, self.resamples, self.seed, reference, self._rows + other._rows, self._groups + other._groups)

    def __len__(self) -> int:
        return len(self._rows)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals."""
        return {key: value.value for key, value in with_reference(self, self.always, 0).items()}

    def compute(self) -> dict[str, Value]:
        """{fact: Value}; nan with n = 0 for no images."""
        return with_reference(self, self.always, self.resamples)


@dataclass
class Restoration(PictureFacts):
    """Metric of ImageTarget: the mean over images of psnr, ssim (both of the Y' of `ops.colour.luma` with the peak 1, as in the literature) and, of
    pictures in colours, psnr_rgb.

    An answer that is finer than its image is compared without a border of as many pixels as it is finer, as in the literature (Dong et al. 2016).
    Values of the answer are cut at 0 and 1 first. Pixels of the truth that are not known (nan) never enter; for the similarity, whose windows may
    hold some, they count as answered rightly. Raises ValueError for an answer of another shape.
    reference: the same images as they would be without a network. `compute` then has what it reaches, as psnr_unchanged and so on, and psnr_gain, the mean
    of the differences image by image.

    >>> metric = Restoration()
    >>> metric.update(ImageTarget(torch.full((1, 8, 8), 0.5)), ImageTarget(torch.full((1, 8, 8), 0.5 + 0.1 * 255 / 219)))
    >>> round(metric.compute()["psnr"].value, 3)
    20.0
    """

    always = ("psnr", "ssim")

    def of_image(self, prediction: ImageTarget, truth: ImageTarget) -> dict[str, float]:
        """{psnr, ssim, psnr_rgb (in colours)} of one image; none where nothing is known."""
        if prediction.pixels.shape != truth.pixels.shape:
            raise ValueError(f"an answer of shape {tuple(prediction.pixels.shape)} is compared with a truth of {tuple(truth.pixels.shape)}")
        right, known = known_part(truth)
        if not known.any():
            return {}
        answer = torch.where(known, cut(prediction, truth).double().clamp(0, 1), right)
        lumas = [colour.luma(picture) for picture in (answer, right)]
        facts = {"psnr": decibels(lumas[0] - lumas[1], known), "ssim": image_quality.ssim(*lumas)}
        return facts | ({"psnr_rgb": decibels(answer - right, known)} if len(right) == 3 else {})


def with_reference(metric: Any, always: tuple[str, ...], resamples: int) -> dict[str, Value]:
    """The means over images of a metric's facts and, where it has a reference of as many images, those of the reference (`_unchanged`) and of the
    differences of the first fact (`_gain`)."""
    found = image_means(metric._rows, metric._groups, always, resamples, metric.seed)
    if metric.reference is None or not len(metric) or len(metric.reference) != len(metric):
        return found
    before, first = metric.reference._rows, always[0]
    gains = [{f"{first}_gain": row[first] - old[first]} for row, old in zip(metric._rows, before, strict=True)]
    unchanged = image_means(before, metric._groups, always, resamples, metric.seed)
    return found | {f"{key}_unchanged": value for key, value in unchanged.items()} | image_means(gains, metric._groups, (), resamples, metric.seed)


def known_part(truth: ImageTarget) -> tuple[Tensor, Tensor]:
    """The truth's pixels without the border that is not compared, float64, nought where not known; and (1, h, w) whether all channels are known."""
    pixels = cut(truth, truth).double()
    known = ~pixels.isnan().any(0, keepdim=True)
    return torch.where(known, pixels, 0.0), known


def cut(picture: ImageTarget, truth: ImageTarget) -> Tensor:
    """The pixels (C, h, w) without a border of `scale` of them, where the answer is finer than its image and large enough."""
    border = truth.scale if truth.scale > 1 and min(truth.size) > 2 * truth.scale else 0
    return picture.pixels[:, border : truth.size[0] - border, border : truth.size[1] - border]


def decibels(difference: Tensor, known: Tensor) -> float:
    """The PSNR of a difference (C, h, w) over the known pixels, at most `BEST_DB`."""
    error = float(torch.where(known, difference, 0.0).square().sum() / (known.sum() * len(difference)))
    return min(BEST_DB, image_quality.decibels(error))


def image_means(rows: list[dict[str, float]], groups: list[str | None], always: tuple[str, ...], resamples: int, seed: int) -> dict[str, Value]:
    """The means over images of the facts that all of them have, with intervals; of no images nan under the names `always`."""
    if not rows:
        return {key: Value(float("nan"), float("nan"), float("nan"), 0) for key in always}
    named: dict[str, Any] = {key: statistics.mean(np.array([row[key] for row in rows])) for key in rows[0] if all(key in row for row in rows)}
    codes = bootstrap.group_codes(groups)
    found = bootstrap.evaluate(named, len(rows), groups=codes, resamples=resamples, seed=seed)
    units = len(rows) if codes is None else int(codes.max()) + 1
    return {key: bootstrap.interval(float(value), drawn, units)._replace(n=len(rows)) for key, (value, drawn) in found.items()}
