"""Multi-label classification: which of K labels hold for a whole image, each for itself."""

from __future__ import annotations

from saccade.core import Dataset
from saccade.metrics.multi_label import MultiLabelScores
from saccade.models.table import MODELS
from saccade.targets import Labels
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

SIDE = 96
"""Pixels of the shorter side: a label may tell of a small part of the image."""


def example(images: int = 60) -> Dataset:
    """Simulated boards with shapes on them: which kinds of shape are there."""
    from saccade.data.world.dataset import world

    return world("shapes", n=images, size=32, labels=["labels"], difficulty="easy")


def size(model: str, typical: Size) -> Size:
    """The input (h, w) for images that are typically so large: as it is up to 32 px, else 96 px on the shorter side and a ratio of at most 2, in
    steps of 16; networks made for photographs see up to 224 x 224.

    >>> size("small", (480, 640)), size("resnet18", (480, 640)), size("small", (28, 28))
    ((96, 128), (224, 224), (28, 28))
    """
    short = min(typical)
    if model not in ("small", "independent", "columns"):
        return (min(224, max(32, short)),) * 2
    if max(typical) <= 32:
        return (max(16, typical[0]), max(16, typical[1]))
    scale = min(1.0, SIDE / short)
    h, w = (max(16, round(min(side, 2 * short) * scale / 16) * 16) for side in typical)
    return h, w


RECIPES = {"": Recipe("the recipe of several labels an image", epochs=1.0, arguments={"dropout": 0.2})}

MULTILABEL: Task[Labels] = Task(
    name="multilabel",
    head="labels",
    about="which of several labels hold for a whole image",
    target=Labels,
    metric=MultiLabelScores,
    monitor="mean_average_precision",
    models=MODELS["multilabel"],
    example=example,
    size=size,
    recipes=RECIPES,
)
