"""Classifiers over fixed filters. Each builder is `(inputs, space, **arguments) -> Model` with the head "label"."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import ClassWeights, Count, Share
from saccade.nn.backbones.filter_bank import FilterBank, Over, Place
from saccade.nn.heads.grid import GridClassify

Octaves = Annotated[int, Field(ge=1, le=8)]
Grid = Annotated[int, Field(ge=1, le=16)]
Sigma = Annotated[float, Field(ge=1, le=16)]
Cycles = Annotated[float, Field(ge=0.2, le=1)]


def filter_bank(
    inputs: Inputs,
    space: LabelSpace,
    *,
    orientations: Count = 8,
    octaves: Octaves = 3,
    sigma: Sigma = 2.0,
    cycles: Cycles = 0.56,
    over: Over = "none",
    pool: Place = "max",
    grid: Grid = 4,
    dropout: Share = 0.0,
    label_smoothing: Share = 0.0,
    class_weights: ClassWeights = None,
) -> Model:
    """Fixed Gabor and dot filters and a linear layer: the honest baseline between pixels and a learnt network.

    Only the last layer is learnt, so the training problem is convex. octaves: scales, each twice as coarse as the one before, from
    Gabors of `sigma` px with `cycles` a sigma. pool: maxima or averages over place, in grid x grid windows (1: the whole image, so that
    place does not matter). over: the maximum over orientations or over scales as well. See `nn.backbones.filter_bank`.
    """
    backbone = FilterBank(inputs, orientations=orientations, octaves=octaves, sigma=sigma, cycles=cycles, over=over, pool=pool)
    options: dict[str, Any] = {"dropout": dropout, "label_smoothing": label_smoothing, "class_weights": class_weights}
    return Model(backbone, {"label": GridClassify(backbone.levels[-1], len(space), grid=grid, pool=pool, **options)})
