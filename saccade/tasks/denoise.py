"""Restoration: a clean picture from one that is noisy, blurred, compressed or partly hidden, learnt from photographs without labels."""

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

BEST_JPEG = 95


def degrade(arguments: Mapping[str, Any]) -> Degrade:
    """What the network's arguments say that pictures suffer: noise of a deviation drawn from `sigma`, blur up to `blur`, JPEG of a quality from `jpeg`
    to 95, and the share `mask` hidden behind grey rectangles."""
    low, high = (float(level) / 255 for level in arguments["sigma"])
    jpeg, blur = int(arguments["jpeg"]), float(arguments["blur"])
    return Degrade(
        noise=(low, high),
        blur=(0.0, blur),
        jpeg=(float(jpeg), float(max(jpeg, BEST_JPEG))) if jpeg else (0.0, 0.0),
        mask=float(arguments["mask"]),
    )


WHY = "the recipe of restoration: no weight decay, small steps, mirrored windows"

DENOISE: Task[ImageTarget] = Task(
    name="denoise",
    head="image",
    about="a clean picture from a noisy, blurred, compressed or partly hidden one, learnt from photographs without labels",
    target=ImageTarget,
    metric=Restoration,
    monitor="psnr",
    models=MODELS["denoise"],
    example=photographs.example,
    size=photographs.size,
    mode="keep",
    tile=photographs.TILE,
    recipes={
        "refine": Recipe(WHY, "mirrored", rate=4e-3, weight_decay=0.0, batch=8, clip=0.5),
        "": Recipe(WHY, "mirrored", rate=1e-3, weight_decay=0.0, batch=8, clip=0.1),
    },
    measure=evaluate_beside,
    degrade=degrade,
)
