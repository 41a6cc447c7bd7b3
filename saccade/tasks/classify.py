"""Classification: one class of K for a whole image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.metrics.classification import Classification
from saccade.models.table import MODELS
from saccade.targets import Label
from saccade.tasks.task import Task


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


CLASSIFY: Task[Label] = Task(
    name="classify",
    head="label",
    target=Label,
    metric=partial(Classification),
    monitor="accuracy",
    models=MODELS["classify"],
    example=example,
)
