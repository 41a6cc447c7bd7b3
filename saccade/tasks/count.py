"""Counting: how many objects of each class there are, and where, learnt from a dot on each."""

from __future__ import annotations

from saccade.core import Dataset
from saccade.metrics.counting import Counting
from saccade.models.table import MODELS
from saccade.targets import Points
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

TILE = 256
"""Pixels of a side of the windows: objects keep the size that they have in their images."""


def example(images: int = 60) -> Dataset:
    """Simulated boards with shapes on them, a dot on each."""
    from saccade.data.world.dataset import world

    return world("shapes", n=images, size=64, labels=["points"], difficulty="easy")


def size(model: str, typical: Size) -> Size:
    """The size of the windows: nothing is scaled.

    >>> size("density", (600, 800))
    (256, 256)
    """
    return TILE, TILE


COUNT: Task[Points] = Task(
    name="count",
    head="points",
    about="how many objects of each class there are, learnt from dots",
    target=Points,
    metric=Counting,
    monitor="mae",
    models=MODELS["count"],
    example=example,
    size=size,
    mode="keep",
    tile=TILE,
    recipes={
        "": Recipe("the recipe of counting", "light", rate=4e-3, weight_decay=0.01, batch=8, clip=5.0),
        "lcfcn": Recipe("the recipe of counting by blobs, whose losses are sums over pixels", "light", rate=2e-3, weight_decay=0.01, batch=8, clip=500.0),
    },
)
