"""Localization: whether an image shows an object, its class and its box."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.core import Model
from saccade.data.loader import Loader
from saccade.data.tiles import images_of
from saccade.data.world.dataset import WorldDataset, world
from saccade.inference.evaluate import Evaluation, evaluate
from saccade.metrics.localization import Localization
from saccade.models.table import MODELS
from saccade.targets import Boxes
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

LONG_SIDE, STEP = 160, 32
RECIPES = {"": Recipe("one object from scratch: whole pictures, moved and coloured", "light", rate=2e-3, weight_decay=0.05, batch=16, clip=10.0)}


def input_size(model: str, typical: Size) -> Size:
    """At most 160 px on the longer side, the ratio as it is, each side in steps of 32 px.

    >>> input_size("localizer", (480, 640)), input_size("localizer", (64, 64))
    ((128, 160), (64, 64))
    """
    scale = min(1.0, LONG_SIDE / max(typical))
    height, width = (max(STEP, -(-round(side * scale) // STEP) * STEP) for side in typical)
    return height, width


def example(images: int = 48) -> WorldDataset:
    """One simulated plain solid on a patterned ground, or none, in each picture of 64x64 px."""
    return world("shapes", n=images, size=64, labels=["boxes"], difficulty="easy", objects=(0, 1))


def measured(model: Model, loader: Loader, *, metric: Localization, **options: Any) -> Evaluation:
    """One pass, see `inference.evaluate.evaluate`; pixels are counted in images of the mean size."""
    images = images_of(loader.dataset)
    metric.plane = float(np.mean([np.prod(images.size(i)) for i in range(len(images))])) if len(images) else None
    return evaluate(model, loader, metric=metric, **options)


LOCALIZE: Task[Boxes] = Task(
    name="localize",
    head="boxes",
    about="whether there is an object, its class and its box",
    target=Boxes,
    metric=Localization,
    monitor="iou",
    models=MODELS["localize"],
    example=example,
    size=input_size,
    mode="letterbox",
    recipes=RECIPES,
    measure=measured,
    wanted=lambda heads, sequences: False,
)
