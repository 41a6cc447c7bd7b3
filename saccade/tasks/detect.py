"""Detection: a box and a class for every object of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from saccade.core import Model
from saccade.data.loader import Loader
from saccade.data.object_sizes import DETECTOR_SIDE, STEP
from saccade.data.world.dataset import WorldDataset, world
from saccade.inference.evaluate import Evaluation, evaluate
from saccade.metrics.detection import Detection
from saccade.models.table import MODELS
from saccade.targets import Boxes
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

SAMPLE = 200
WHY = "detectors from scratch: small steps, averaged weights, four pictures in one"
SEARCHED = Recipe(
    "proposals are searched once a picture: mirror images alone, as published", "upright", rate=1.5e-3, weight_decay=0.05, batch=8, ema=0.999, clip=10.0
)
BRIEF = Recipe("few passes: mirror images alone, twice the rate", "upright", rate=3e-3, weight_decay=0.05, batch=8, ema=0.99, clip=10.0)
RECIPES = {
    "": Recipe(WHY, "mosaic", rate=1.5e-3, weight_decay=0.05, batch=8, ema=0.999, clip=10.0, brief=BRIEF),
    "fast_rcnn": SEARCHED,
    "rcnn": SEARCHED,
    "spp": SEARCHED,
    "sliding_window": Recipe("every window is looked at: mirror images alone", "upright", rate=1e-3, batch=8),
    "yolo": Recipe(WHY, "objects", rate=1e-3, weight_decay=0.05, batch=8, ema=0.999, clip=10.0),
}


def input_size(model: str, typical: Size) -> Size:
    """At most 320 px (`DETECTOR_SIDE`) on the longer side, the ratio as it is, each side in steps of 32 px.

    >>> input_size("nano", (480, 640)), input_size("nano", (411, 614)), input_size("nano", (100, 100))
    ((256, 320), (224, 320), (128, 128))
    """
    scale = min(1.0, DETECTOR_SIDE / max(typical))
    height, width = (max(2 * STEP, -(-round(side * scale) // STEP) * STEP) for side in typical)
    return height, width


def example(images: int = 48) -> WorldDataset:
    """Simulated plain solids on a patterned ground, two to four in each picture of 96x96 px."""
    return world("shapes", n=images, size=96, labels=["boxes"], difficulty="easy", objects=(2, 4))


def magnification(loader: Loader) -> float:
    """Pixels of the input for each pixel of an image: the median over a sample."""
    n = len(loader.dataset)
    places = np.linspace(0, n - 1, min(SAMPLE, n)).astype(int).tolist() if n else []
    found = [abs(float(np.linalg.det(loader.preprocess.geometry(loader.dataset.size(i)).matrix[:, :2]))) ** 0.5 for i in places]
    return float(np.median(found)) if found else 1.0


def measured(model: Model, loader: Loader, *, metric: Detection, **options: Any) -> Evaluation:
    """One pass, see `inference.evaluate.evaluate`; sizes of objects are told in pixels of the input too."""
    metric.scale = magnification(loader)
    return evaluate(model, loader, metric=metric, **options)


DETECT: Task[Boxes] = Task(
    name="detect",
    head="boxes",
    about="a box and a class for every object",
    target=Boxes,
    metric=Detection,
    monitor="map",
    models=MODELS["detect"],
    example=example,
    size=input_size,
    mode="letterbox",
    recipes=RECIPES,
    measure=measured,
)
