"""Segmentation: a class for every pixel, learnt from maps, masks of objects, boxes, dots, or any of them mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from saccade.core import Dataset
from saccade.data.dataset import ImageDataset
from saccade.data.maps import tells_objects, with_maps
from saccade.inference.segment_floors import segment_floors
from saccade.metrics.segmentation import Segmentation
from saccade.models.table import MODELS
from saccade.targets import SegmentationMap
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

TILE = 256
"""Pixels of a side of the windows: pictures are learnt from as they are, and answered pixel for pixel."""


def example(images: int = 60) -> Dataset:
    """Simulated boards with shapes on them, the class of every pixel."""
    from saccade.data.world.dataset import world

    return world("shapes", n=images, size=64, labels=["map"], difficulty="easy")


def size(model: str, typical: Size) -> Size:
    """The size of the windows, smaller where images are: nothing is scaled.

    >>> size("unet", (600, 800)), size("unet", (64, 100))
    ((256, 256), (64, 112))
    """
    h, w = (min(TILE, max(32, -(-side // 16) * 16)) for side in typical)
    return h, w


def suggested(dataset: ImageDataset, model: str) -> Mapping[str, Any]:
    """Where masks tell single objects, a U-Net learns besides where objects meet."""
    return {"edges": True} if model == "unet" and tells_objects(dataset) else {}


RECIPE = Recipe("the recipe of segmentation", "light", rate=2e-3, weight_decay=0.01, batch=4, clip=1.0)
HALF = replace(RECIPE, why="few passes: half the resolution allows four times as many", arguments={"stride": 2})

SEGMENT: Task[SegmentationMap] = Task(
    name="segment",
    head="map",
    about="a class for every pixel",
    target=SegmentationMap,
    metric=Segmentation,
    monitor="mean_iou",
    models=MODELS["segment"],
    example=example,
    size=size,
    mode="keep",
    tile=TILE,
    adapt=with_maps,
    floors=segment_floors,
    suggests=suggested,
    recipes={"": RECIPE, "unet": replace(RECIPE, brief=HALF)},
)
