"""Key points: where the joints of people, the parts of animals and the corners of things are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from saccade.core import Stored
from saccade.data.crops import Crops, answerable
from saccade.data.world.dataset import WorldDataset, world
from saccade.metrics.pose import Pose
from saccade.models.table import MODELS
from saccade.targets import Keypoints
from saccade.targets.rows import array
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

LONG_SIDE, ENLARGED, LEAST, STEP, SAMPLE = 320, 128, 64, 32, 200
LOADED = 100_000  # images whose truths are read once and kept
WHY = "poses from scratch: turned, scaled and moved"
RECIPES = {
    "": Recipe(WHY, "poses", rate=2e-3, weight_decay=0.05, batch=16, clip=10.0),
    "keypoint_rcnn": Recipe("two stages from scratch: small steps, averaged weights", "objects", rate=1e-3, weight_decay=0.05, batch=8, ema=0.999, clip=10.0),
}
RECIPES["keypointrcnn_resnet50_fpn"] = RECIPES["keypoint_rcnn"]


def input_size(model: str, typical: Size) -> Size:
    """At most 320 px on the longer side and at least 128, the ratio as it is, each side in steps of 32 px and not below 64.

    >>> input_size("heat_maps", (240, 320)), input_size("heat_maps", (88, 40)), input_size("heat_maps", (1080, 1920))
    ((256, 320), (128, 64), (192, 320))
    """
    scale = min(LONG_SIDE / max(typical), max(1.0, ENLARGED / max(typical)))
    height, width = (max(LEAST, -(-round(side * scale) // STEP) * STEP) for side in typical)
    return height, width


def example(images: int = 48) -> WorldDataset:
    """A simulated person who gestures, with 14 joints, in each picture of 64x64 px."""
    return world("gestures", n=images, size=64, labels=["keypoints"], difficulty="easy", clutter=0)


def crops(arguments: Mapping[str, Any]) -> Crops | None:
    """How objects are cut out for a network with these arguments; None where it sees whole images."""
    return Crops(float(arguments["context"])) if arguments.get("view") == "objects" else None


def loaded(dataset: Any) -> Any:
    """The data set with the truths in memory that would be made or read anew each time, where the images are not too many."""
    records = dataset.records
    if len(dataset) > LOADED or not any(isinstance(record.targets.get("keypoints"), Stored) for record in records):
        return dataset
    dataset = dataset.with_heads(["keypoints"])
    made = [replace(record, targets={"keypoints": dataset.truth(i).get("keypoints")}) for i, record in enumerate(dataset.records)]
    return dataset.with_records(made)


def suggests(dataset: Any, model: str) -> dict[str, Any]:
    """What of the builder's arguments the data decide: whether every image is one object's, and what points without a label mean.

    view: "whole" where no image has several objects with labelled points, and their boxes are only drawn around the points (or fill half of the image
    at least); else "objects". absent: where the labels are DeepLabCut's, whose blank points are not in the picture.
    """
    if model not in ("heat_maps", "regression"):
        return {}
    places = np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int).tolist() if len(dataset) else []
    truths = [(dataset.truth(i).get("keypoints"), dataset.size(i)) for i in places]
    alone = all(_whole(truth, size) for truth, size in truths if truth is not None)
    found: dict[str, Any] = {"view": "whole" if alone else "objects"}
    return found | ({"absent": True} if dataset.format == "deeplabcut" else {})


def _whole(truth: Keypoints, size: Size) -> bool:
    """Whether an image has one object at most, of whose place nothing is said but by its points."""
    usable = answerable(truth)
    if sum(usable) != 1:
        return sum(usable) == 0
    row = usable.index(True)
    box, points = array(truth.boxes.xyxy)[row], array(truth.xy)[row][truth.visible[row].numpy() > 0]
    tight = np.abs(np.concatenate([points.min(0), points.max(0)]) - box).max() <= 1.0
    return bool(tight) or float(np.prod(box[2:] - box[:2])) >= 0.5 * size[0] * size[1]


KEYPOINTS: Task[Keypoints] = Task(
    name="keypoints",
    head="keypoints",
    about="where the joints of people, the parts of animals and the corners of things are",
    target=Keypoints,
    metric=Pose,
    monitor="pck",
    models=MODELS["keypoints"],
    example=example,
    size=input_size,
    mode="letterbox",
    recipes=RECIPES,
    crops=crops,
    adapt=loaded,
    suggests=suggests,
)
