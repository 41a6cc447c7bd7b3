"""Networks that find one object in an image. Each builder is `(inputs, space, **arguments) -> Model` with the head "boxes"."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from saccade.core import Inputs, LabelSpace, Model
from saccade.models.arguments import Counts, Share, Width, Widths
from saccade.nn.backbones.small import Small
from saccade.nn.blocks import Norm
from saccade.nn.heads.localize import Localize

PlaceWeight = Annotated[float, Field(ge=0, le=1000)]
Grid = Annotated[int, Field(ge=1, le=32)]


def localizer(
    inputs: Inputs,
    space: LabelSpace,
    *,
    widths: Widths = (24, 48, 96, 192),
    blocks: Counts = (1, 1, 1, 1),
    norm: Norm = "batch",
    grid: Grid = 4,
    units: Width = 256,
    dropout: Share = 0.2,
    place_weight: PlaceWeight = 10.0,
    score_threshold: Share = 0.01,
) -> Model:
    """Classification with localization: the vector [c0, c1..cK, br, bc, bh, bw] of one image, learnt by a gated multi-task loss.

    A compact residual network, means of its last map in grid x grid windows, a dense layer. place_weight: of the box against the class.
    """
    backbone = Small(inputs, widths=widths, blocks=blocks, norm=norm)
    level, reach = backbone.levels[-1], backbone.reach
    head = Localize(level, len(space), grid=grid, units=units, dropout=dropout, place_weight=place_weight, reach=reach, threshold=score_threshold)
    return Model(backbone, {"boxes": head})
