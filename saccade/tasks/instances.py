"""Instance segmentation: a box, a class and a mask for every object of an image."""

from __future__ import annotations

from functools import partial

from saccade.data.world.dataset import WorldDataset, world
from saccade.metrics.detection import Detection
from saccade.models.table import MODELS
from saccade.targets import Instances
from saccade.tasks.detect import RECIPES, input_size, measured
from saccade.tasks.task import Task


def example(images: int = 48) -> WorldDataset:
    """Simulated plain solids on a patterned ground, two to four in each picture of 96x96 px, with the pixels of each."""
    return world("shapes", n=images, size=96, labels=["instances"], difficulty="easy", objects=(2, 4))


INSTANCES: Task[Instances] = Task(
    name="instances",
    head="instances",
    about="a box, a class and a mask for every object",
    target=Instances,
    metric=partial(Detection, kind="masks"),
    monitor="mask_map",
    models=MODELS["instances"],
    example=example,
    size=input_size,
    mode="letterbox",
    recipes={"": RECIPES[""]},
    measure=measured,
)
