"""A warning before a long training: the objects are too small at the input's size."""

from __future__ import annotations

import numpy as np

from saccade.data.contents import all_contents
from saccade.data.object_sizes import sides, warning
from saccade.data.preprocess import Preprocess
from saccade.jobs.plan import SAMPLES, Plan
from saccade.jobs.prepare import Prepared
from saccade.training.run_folder import RunFolder

HEADS = ("boxes", "instances")
DRAWN = 20  # scenes of a simulated world that are looked at: they are drawn when they are asked for


def tell_small_objects(plan: Plan, prepared: Prepared, run: RunFolder) -> None:
    """The alert BOX-TINY where a quarter of the objects of a sample of the training images are hardly seen at the size of the plan's inputs."""
    preprocess, head = Preprocess.from_dict(plan.preprocess), prepared.task.head
    if head not in HEADS or preprocess.crops is not None:
        return
    train = prepared.part("train")
    most = min(len(train), DRAWN if train.format == "world" else SAMPLES)
    places = np.unique(np.linspace(0, len(train) - 1, most).astype(int)).tolist()
    found, scales = [np.zeros(0)], []
    for place, held in zip(places, all_contents(train, head, places), strict=True):
        if held.boxes is not None and len(held.boxes):
            scale = _scale(preprocess, train.size(place))
            found.append(sides(held.boxes) * scale)
            scales.append(scale)
    if said := warning(np.concatenate(found), float(np.median(scales)) if scales else 1.0, preprocess.size):
        run.alert("BOX-TINY", said)


def _scale(preprocess: Preprocess, image: tuple[int, int]) -> float:
    """Pixels of the input for each pixel of an image (h, w), or of its windows."""
    if preprocess.tiling is not None:
        image = preprocess.tiling.windows(image)[0].size
    return float(abs(np.linalg.det(preprocess.geometry(image).matrix[:, :2])) ** 0.5)
