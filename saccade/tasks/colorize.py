"""Colourisation: the colours of a grey picture, learnt from photographs without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.data.degrade import Degrade
from saccade.inference.unchanged import evaluate_beside
from saccade.metrics.colours import Colours
from saccade.models.table import MODELS
from saccade.targets import ImageTarget
from saccade.tasks import photographs
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

TILE = 256
"""Pixels of a side of the windows: what a picture is about can be told from most of it. Answer large pictures by larger windows, `--tile`."""


def degrade(arguments: Mapping[str, Any]) -> Degrade:
    """The photograph's luma, in three channels that are alike."""
    return Degrade(grey=True, spread=True)


def size(model: str, typical: Size) -> Size:
    """The size of the windows: nothing is scaled.

    >>> size("global_local", (480, 640))
    (256, 256)
    """
    return TILE, TILE


COLORIZE: Task[ImageTarget] = Task(
    name="colorize",
    head="image",
    about="the colours of a grey picture, learnt from photographs without labels",
    target=ImageTarget,
    metric=Colours,
    monitor="psnr_rgb",
    models=MODELS["colorize"],
    example=photographs.example,
    size=size,
    mode="keep",
    tile=TILE,
    recipes={"": Recipe("the recipe of colourisation: mirrored, upright windows", "upright", rate=2e-3, weight_decay=0.01, batch=8, clip=1.0)},
    measure=evaluate_beside,
    degrade=degrade,
)
