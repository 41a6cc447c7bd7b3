"""Generation: new pictures like those of a folder, without labels or told their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.inference.generated import Watch, evaluate_samples
from saccade.metrics.samples import Samples
from saccade.models.table import MODELS, input_size
from saccade.targets import Label
from saccade.tasks import classify
from saccade.tasks.task import Size, Task
from saccade.training.recipe import Recipe

LARGEST = 64  # pixels of a side that pictures are taken as they are up to


def size(model: str, typical: Size) -> Size:
    """As they are up to 64 px; larger ones with 64 px on the shorter side, a ratio of at most 2, in steps of 16.

    >>> size("ddpm", (28, 28)), size("vae", (480, 640))
    ((28, 28), (64, 80))
    """
    return typical if max(typical) <= LARGEST else input_size("small", typical)


def suggests(dataset: Any, model: str) -> Mapping[str, Any]:
    """Diffusion is told the classes where there are some: leaving them out, now and then, costs it nothing, and samples can be asked for by class."""
    named = len(dataset.spaces.get("label", ())) >= 2
    return {"conditional": True} if named and model in ("ddpm", "latent_ddpm") else {}


WHY = "the recipe of generation: pictures as they are, no weight decay, averaged weights"

GENERATE: Task[Label] = Task(
    name="generate",
    head="label",
    about="new pictures like those of a folder, without labels or told their classes",
    target=Label,
    metric=Samples,
    monitor="val_loss",
    models=MODELS["generate"],
    example=classify.example,
    size=size,
    recipes={
        "": Recipe(WHY, "none", rate=1e-3, weight_decay=0.0, epochs=4.0, batch=64, ema=0.999, clip=1.0, monitor="val_loss"),
        "vae": Recipe(WHY, "none", rate=1e-3, weight_decay=0.0, epochs=2.0, ema=0.998, monitor="elbo"),
        "dcgan": Recipe(WHY, "none", rate=2e-4, weight_decay=0.0, epochs=3.0, batch=64, ema=0.998, monitor="fid"),
    },
    measure=evaluate_samples,
    wanted=lambda heads, sequences: False,
    suggests=suggests,
    unlabelled=True,
    watch=Watch,
)
