"""Super-resolution: a picture with two, three or four times as many pixels a side, learnt from photographs without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.data.degrade import Degrade
from saccade.inference.unchanged import evaluate_beside
from saccade.metrics.restoration import Restoration
from saccade.models.table import MODELS
from saccade.targets import ImageTarget
from saccade.tasks import photographs
from saccade.tasks.task import Task
from saccade.training.recipe import Recipe


def degrade(arguments: Mapping[str, Any]) -> Degrade:
    """The photograph shrunk by the factor: bicubic with antialiasing, as the field's test sets are made."""
    return Degrade(shrink=int(arguments["factor"]), enlarge=False)


WHY = "the recipe of super-resolution: no weight decay, small steps, mirrored windows"

UPSCALE: Task[ImageTarget] = Task(
    name="upscale",
    head="image",
    about="a larger picture, learnt from photographs without labels",
    target=ImageTarget,
    metric=Restoration,
    monitor="psnr",
    models=MODELS["upscale"],
    example=photographs.example,
    size=photographs.size,
    mode="keep",
    tile=photographs.TILE,
    recipes={
        "refine": Recipe(WHY, "mirrored", rate=4e-3, weight_decay=0.0, batch=16, clip=0.5),
        "": Recipe(WHY, "mirrored", rate=1e-3, weight_decay=0.0, batch=16, clip=0.1),
    },
    measure=evaluate_beside,
    degrade=degrade,
)
