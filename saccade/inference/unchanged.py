"""A pass of a network that makes pictures, measured beside the pictures as they would be without one: enlarged, noisy, grey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saccade.core import Meta, Model
from saccade.data.loader import Loader
from saccade.inference.evaluate import Evaluation, evaluate
from saccade.nn.backbones.restoration import bicubic
from saccade.ops.padding import valid_extent
from saccade.targets.image_target import ImageTarget


class Unchanged(nn.Module):
    """Answers every input as it is, enlarged by bicubic interpolation where the answer is `scale` times as fine. channels: of the answer."""

    def __init__(self, head: str, scale: int) -> None:
        super().__init__()
        self.head, self.scale = head, scale
        self.place = nn.Parameter(torch.zeros(1), requires_grad=False)  # where answers are looked for on a device

    def predict(self, inputs: Tensor, sizes: Tensor, meta: Sequence[Meta]) -> dict[str, list[ImageTarget]]:
        """Pictures in [0, 1], each as large as its valid extent, `scale` times."""
        found = bicubic(inputs.float(), self.scale, valid_extent(inputs, sizes)).clamp(0, 1).cpu()
        cut = [image[:, : h * self.scale, : w * self.scale] for image, (h, w) in zip(found, sizes.tolist(), strict=True)]
        return {self.head: [ImageTarget(image, self.scale) for image in cut]}


def evaluate_beside(model: Model, loader: Loader, *, metric: Any, head: str, **options: Any) -> Evaluation:
    """`evaluate`, and where pictures are made worse a second pass without a network, which becomes the metric's `reference`."""
    found = evaluate(model, loader, metric=metric, head=head, **options)
    degrade = loader.inputs.degrade
    if degrade is not None:
        scale = 1 if degrade.enlarge else degrade.shrink
        metric.reference = type(metric)(metric.space, metric.resamples, metric.seed)
        evaluate(Unchanged(head, scale), loader, metric=metric.reference, head=head, space=options["space"])  # type: ignore[arg-type]
    return found
