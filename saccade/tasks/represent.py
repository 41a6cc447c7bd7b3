"""Representation: a short code of every picture or vector, learnt without labels; by it they are compressed, mapped, searched and told from strange ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from saccade.core import Dataset
from saccade.data.degrade import Degrade
from saccade.errors import DataError
from saccade.inference.representation import evaluate_codes, floors
from saccade.metrics.representation import Reconstruction
from saccade.models.table import MODELS, input_size
from saccade.targets import ImageTarget
from saccade.tasks import classify
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

LARGEST = 64  # pixels of a side that pictures are taken as they are up to
DENSE = 32  # and up to which dense layers see them


def degrade(arguments: Mapping[str, Any]) -> Degrade:
    """The input is the truth; what a denoising network is shown instead, it makes itself."""
    return Degrade()


def size(model: str, typical: Size) -> Size:
    """As they are up to 64 px; larger ones with 64 px on the shorter side, a ratio of at most 2, in steps of 16.

    >>> size("pca", (28, 28)), size("autoencoder", (480, 640))
    ((28, 28), (64, 80))
    """
    return typical if max(typical) <= LARGEST else input_size("small", typical)


def suggests(dataset: Any, model: str) -> Mapping[str, Any]:
    """Convolutions for pictures above 32 px. Raises DataError DATA-TASK for sequences of more than one row."""
    listed = any(isinstance(held, list) for held in getattr(dataset, "arrays", {}).values())
    if listed and any(dataset.size(i)[0] > 1 for i in range(len(dataset))):
        raise DataError("DATA-TASK", "sequences have no code of one length; pictures and vectors do", where=str(dataset.root))
    if model not in ("autoencoder", "denoising_autoencoder"):
        return {}
    sides = [max(dataset.size(int(i))) for i in np.linspace(0, len(dataset) - 1, min(20, len(dataset)))]
    return {"kind": "convolutional"} if np.median(sides) > DENSE else {}


def example() -> Dataset:
    """The 8 x 8 digits without their labels."""
    digits: Any = classify.example()
    records = tuple(replace(record, targets={}) for record in digits.records)
    return replace(digits, records=records, spaces={})


WHY = "the recipe of codes: inputs as they are, no weight decay"

REPRESENT: Task[ImageTarget] = Task(
    name="represent",
    head="image",
    about="a short code of every picture or vector, learnt without labels",
    target=ImageTarget,
    metric=Reconstruction,
    monitor="reconstruction_error",
    models=MODELS["represent"],
    example=example,
    size=size,
    recipes={"": Recipe(WHY, "none", rate=1e-3, weight_decay=0.0, epochs=2.0)},
    measure=evaluate_codes,
    degrade=degrade,
    floors=floors,
    suggests=suggests,
)
