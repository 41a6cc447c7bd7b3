"""The numbers of a coloured picture: PSNR over all channels, the difference of colours, and how vivid they are, each with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch

from saccade.core import LabelSpace, Value
from saccade.metrics import bootstrap
from saccade.metrics.restoration import cut, decibels, known_part, with_reference
from saccade.ops.colour import colour_difference, lab_of_rgb
from saccade.targets.image_target import ImageTarget


@dataclass
class Colours:
    """Metric of ImageTarget with three channels: the means over images of psnr_rgb, delta_e (the mean distance in L*a*b*, CIE 1976) and chroma_share (the
    answer's mean chroma divided by the truth's; 0 is grey, 1 as vivid as the truth, at most 10).

    reference: as in `metrics.restoration.Restoration`. Raises ValueError for an answer of another shape, or one without three channels.
    """

    space: LabelSpace | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    reference: Self | None = None
    _rows: list[dict[str, float]] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)

    def update(self, prediction: ImageTarget, truth: ImageTarget | None, group: str | None = None) -> None:
        if truth is None or not (facts := self.of_image(prediction, truth)):
            return
        self._rows.append(facts)
        self._groups.append(group)

    def of_image(self, prediction: ImageTarget, truth: ImageTarget) -> dict[str, float]:
        """{psnr_rgb, delta_e, chroma_share} of one image; none where nothing is known."""
        if prediction.pixels.shape != truth.pixels.shape or len(truth.pixels) != 3:
            raise ValueError(f"two pictures of three channels are compared, got {tuple(prediction.pixels.shape)} and {tuple(truth.pixels.shape)}")
        right, known = known_part(truth)
        if not known.any():
            return {}
        answer = torch.where(known, cut(prediction, truth).double().clamp(0, 1), right)
        labs = [lab_of_rgb(picture) for picture in (answer, right)]
        chroma = [float(torch.linalg.vector_norm(lab[1:], dim=0)[known[0]].mean()) for lab in labs]
        share = min(10.0, chroma[0] / max(chroma[1], 1e-3))
        return {"psnr_rgb": decibels(answer - right, known), "delta_e": float(colour_difference(*labs)[known[0]].mean()), "chroma_share": share}

    def __add__(self, other: Self) -> Self:
        reference = None if self.reference is None or other.reference is None else self.reference + other.reference
        return type(self)(self.space, self.resamples, self.seed, reference, self._rows + other._rows, self._groups + other._groups)

    def __len__(self) -> int:
        return len(self._rows)

    def points(self) -> dict[str, float]:
        """The values of `compute` without their intervals."""
        return {key: value.value for key, value in with_reference(self, ("psnr_rgb", "delta_e", "chroma_share"), 0).items()}

    def compute(self) -> dict[str, Value]:
        """{psnr_rgb, delta_e, chroma_share: Value}; nan with n = 0 for no images."""
        return with_reference(self, ("psnr_rgb", "delta_e", "chroma_share"), self.resamples)
