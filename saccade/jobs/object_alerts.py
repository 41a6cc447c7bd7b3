"""Warnings before a long training: the objects are too small at the input's size, or more than the model answers."""

from __future__ import annotations

import math

import numpy as np

from saccade.data.contents import all_contents
from saccade.data.object_sizes import sides, warning
from saccade.data.preprocess import Preprocess
from saccade.jobs.plan import SAMPLES, Plan
from saccade.jobs.prepare import Prepared
from saccade.models.table import settled
from saccade.training.run_folder import RunFolder

HEADS = ("boxes", "instances")
DRAWN = 20  # scenes of a simulated world that are looked at: they are drawn when they are asked for


def tell_objects(plan: Plan, prepared: Prepared, run: RunFolder) -> None:
    """Of a sample of the training images: BOX-TINY where a quarter of the objects are hardly seen at the size of the plan's inputs, BOX-MANY where an
    image shows more objects than the model has proposals or answers (with windows, each of them has as many)."""
    preprocess, head = Preprocess.from_dict(plan.preprocess), prepared.task.head
    if head not in HEADS or preprocess.crops is not None:
        return
    train = prepared.part("train")
    most = min(len(train), DRAWN if train.format == "world" else SAMPLES)
    places = np.unique(np.linspace(0, len(train) - 1, most).astype(int)).tolist()
    found, scales, busiest = [np.zeros(0)], [], 0
    for place, held in zip(places, all_contents(train, head, places), strict=True):
        if held.boxes is not None and len(held.boxes):
            scale = _scale(preprocess, train.size(place))
            found.append(sides(held.boxes) * scale)
            scales.append(scale)
            busiest = max(busiest, len(held.boxes))
    if said := warning(np.concatenate(found), float(np.median(scales)) if scales else 1.0, preprocess.size):
        run.alert("BOX-TINY", said)
    if preprocess.tiling is None and (low := _low(plan, busiest)):
        held_by = ", ".join(f"{name}={value}" for name, value in low.items())
        raised = " ".join(f"--set {name}={100 * math.ceil(busiest / 100)}" for name in low)
        run.alert("BOX-MANY", f"an image shows {busiest} objects, the model has {held_by}: {raised}")


def _low(plan: Plan, count: int) -> dict[str, int]:
    """The model's proposals and answers of an image, where they are fewer than so many objects."""
    arguments = settled(plan.task, plan.model, plan.arguments)
    return {name: arguments[name] for name in ("proposals", "detections") if count > arguments.get(name, count)}


def _scale(preprocess: Preprocess, image: tuple[int, int]) -> float:
    """Pixels of the input for each pixel of an image (h, w), or of its windows."""
    if preprocess.tiling is not None:
        image = preprocess.tiling.windows(image)[0].size
    return float(abs(np.linalg.det(preprocess.geometry(image).matrix[:, :2])) ** 0.5)
