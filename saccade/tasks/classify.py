"""Classification: one class of K for a whole image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core import LabelSpace, Model, Record
from saccade.data.loader import Loader
from saccade.inference.classified import Classified, classify_all
from saccade.inference.floors import run_floors
from saccade.inference.postprocess import Calibrated
from saccade.metrics.classification import Classification
from saccade.models.table import MODELS, input_size
from saccade.targets import Label
from saccade.tasks.task import Task
from saccade.training.recipe import Recipe


@dataclass(frozen=True)
class Pictures:
    """A `core.Dataset` of arrays in memory."""

    name: str
    records: tuple[Record, ...]
    pixels: np.ndarray = field(repr=False)  # (N, H, W, C) uint8
    spaces: dict[str, LabelSpace]
    fingerprint: str = ""

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[3])

    def __len__(self) -> int:
        return len(self.records)

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        return self.pixels[self.records[i].index or 0]

    def size(self, i: int) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def truth(self, i: int) -> dict[str, Any]:
        return dict(self.records[i].targets)

    def subset(self, indices: Any) -> Pictures:
        return replace(self, records=tuple(self.records[i] for i in indices))


def example(images: int = 60) -> Pictures:
    """scikit-learn's real handwritten digits, the first `images` of them: 8x8 grey, ten classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images[:images, :, :, None] * 255 / 16).astype(np.uint8)
    space = LabelSpace(tuple("0123456789"))
    records = tuple(Record(f"digits#{i}", Path("digits"), i, {"label": Label(int(digits.target[i]))}) for i in range(images))
    return Pictures("digits", records, pixels, {"label": space}, f"scikit-learn digits {images}")


def measured(
    model: Model,
    loader: Loader,
    *,
    metric: Classification,
    space: LabelSpace,
    head: str,
    post: Calibrated | None = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Classified:
    """A pass of a classifier, see `inference.classified.classify_all`; the metric's thresholds are the answers'."""
    temperature = post.temperature if post is not None else 1.0
    return classify_all(model, loader, space=space, head=head, temperature=temperature, thresholds=metric.threshold, autocast=autocast, progress=progress)


BRIEF = Recipe("a training of a few passes", policy="none", rate=4e-3, batch=16)
RECIPES = {
    "small": Recipe("the default network's recipe", arguments={"label_smoothing": 0.1, "dropout": 0.2}, brief=BRIEF),
    "lenet5": Recipe("LeNet-5's recipe: a network of 60,000 weights needs little regularisation", "symbols", weight_decay=1e-4, epochs=3.0),
    **dict.fromkeys(("naive_bayes", "table", "frequencies"), Recipe("counting sees every picture once, as it is", policy="none")),
    "": Recipe("the recipe of residual networks", arguments={"label_smoothing": 0.1}),
}

CLASSIFY: Task[Label] = Task(
    name="classify",
    head="label",
    about="one class for a whole image",
    target=Label,
    metric=Classification,
    monitor="accuracy",
    models=MODELS["classify"],
    example=example,
    size=input_size,
    recipes=RECIPES,
    measure=measured,
    floors=run_floors,
)
