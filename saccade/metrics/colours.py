"""The numbers of a coloured picture: PSNR over all channels, the difference of colours, and how vivid they are, each with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from saccade.metrics.restoration import PictureFacts, cut, decibels, known_part
from saccade.ops.colour import colour_difference, lab_of_rgb
from saccade.targets.image_target import ImageTarget


@dataclass
class Colours(PictureFacts):
    """Metric of ImageTarget with three channels: the means over images of psnr_rgb, delta_e (the mean distance in L*a*b*, CIE 1976) and chroma_share (the
    answer's mean chroma divided by the truth's; 0 is grey, 1 as vivid as the truth, at most 10).

    reference: as in `metrics.restoration.Restoration`. Raises ValueError for an answer of another shape, or one without three channels.
    """

    always = ("psnr_rgb", "delta_e", "chroma_share")

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
