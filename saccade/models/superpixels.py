"""The floor of segmentation as a model: superpixels and a logistic regression. The builder is `(inputs, space, **arguments) -> Model` with the head "map"."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from saccade.classic.superpixel_classes import PENALTY, Array, counted, fitted
from saccade.core import Estimated, Feeds, Inputs, LabelSpace, Model, Run
from saccade.errors import UsageError
from saccade.models.arguments import ClassWeights
from saccade.nn.backbones.superpixels import Superpixels
from saccade.nn.heads.segment import Classifier, Segment
from saccade.nn.refine import Refine

MOST = 250_000  # superpixels that the regression is fitted to
Step = Annotated[int, Field(ge=2, le=256)]
Colours = Annotated[float, Field(gt=0, le=1000)]
Penalty = Annotated[float, Field(gt=0, le=1e6)]


class SuperpixelModel(Estimated):
    """Superpixels of each picture, and one convex fit over those of all of them."""

    def __init__(self, backbone: Superpixels, head: Segment, penalty: float) -> None:
        super().__init__(backbone, {"map": head})
        self.penalty = penalty

    def estimate(self, feeds: Feeds, run: Run) -> None:
        """One pass over the training pictures, until `MOST` superpixels with known pixels are there. Raises UsageError USE-VALUE where no pixel is known."""
        body, head = self.backbone, self.heads["map"]
        assert isinstance(body, Superpixels) and isinstance(head, Segment) and isinstance(head.classifier, Classifier)
        output = head.classifier[-1]
        assert isinstance(output, torch.nn.Conv2d)
        features, counts = self._told(body, head, feeds, run)
        if not features:
            raise UsageError("USE-VALUE", "no pixel of the training pictures is labelled", where="DATA")
        found = fitted(features, counts, penalty=self.penalty)
        with torch.no_grad():
            body.middle.copy_(_tensor(found.mean))
            body.spread.copy_(_tensor(found.spread))
            output.weight.copy_(_tensor(found.weights.T)[:, :, None, None])
            assert output.bias is not None
            output.bias.copy_(_tensor(found.offsets))

    def _told(self, body: Superpixels, head: Segment, feeds: Feeds, run: Run) -> tuple[list[Array], list[Array]]:
        """Features (n, d) and known pixels by class (n, K) of each picture's superpixels that have any."""
        features: list[Array] = []
        counts: list[Array] = []
        total, voices = len(feeds.train), 1.0 if head.weights is None else head.weights.cpu().numpy()
        for n, batch in enumerate(feeds.train.epoch(0), 1):
            for image, (h, w), target in zip(batch.inputs, batch.sizes.tolist(), batch.targets.get("map", ()), strict=False):
                if target is None:
                    continue
                ids, rows = body.regions(image[:, :h, :w])
                by_class = counted(ids, target.ids[:h, :w].cpu().numpy(), head.classes) * voices
                told = by_class.sum(1) > 0
                if told.any():
                    features.append(rows[told])
                    counts.append(by_class[told])
            run.event("step", phase="superpixels", n=n, total=total)
            if sum(map(len, features)) >= MOST:
                break
        return features, counts


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def superpixels(
    inputs: Inputs,
    space: LabelSpace,
    *,
    step: Step = 8,
    compactness: Colours = 10.0,
    place: bool = True,
    penalty: Penalty = PENALTY,
    class_weights: ClassWeights = None,
    refine: Refine = "none",
) -> Model:
    """Superpixels classified one by one: SLIC (Achanta et al., PAMI 2012), colour, texture, place and neighbours of each, a logistic regression on these.

    Nothing is published of exactly this; it is what a network has to beat. (d + 1) K numbers, d = 68 for colours, of which one pass and one convex fit find
    the best. step: pixels between superpixels: below the size of what is looked for, and no answer is finer. compactness: the colour
    difference in L*a*b* that counts as much as a step. place: whether the place in the window tells (in a
    picture that is smaller, its own). penalty: of the squared weights.
    """
    body = Superpixels(inputs, step=step, compactness=compactness, place=place)
    options: dict[str, Any] = {"background": space.background, "loss": "cross_entropy", "class_weights": class_weights, "refine": refine}
    return SuperpixelModel(body, Segment(body.levels, len(space), **options), penalty)
