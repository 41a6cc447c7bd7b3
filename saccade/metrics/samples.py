"""The metric of generative models: what is said of every picture, and how samples lie beside the pictures by the features of a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from saccade.core import LabelSpace, Value
from saccade.metrics import bootstrap
from saccade.metrics.generation import copied, fid, kid, modes, overlap, variety
from saccade.metrics.restoration import image_means

Array = np.ndarray[Any, Any]
FOLDS = 10  # of the jackknife
NEIGHBOURS = 3
SHARES = ("precision", "recall", "modes_covered")  # which are from 0 to 1


class Looks(Protocol):
    """What finds features and classes in pictures: `inference.judge.Judge`."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def look(self, pictures: Tensor) -> tuple[Array, Array]: ...
    def counts(self, classes: Any) -> Array: ...


@dataclass
class Samples:
    """`update` takes what a model says of one picture (`generative.base.Seen`); `take` its samples, to be judged beside all pictures taken in.

    The intervals of means are bootstrap ones; those of distances and shares come from leaving out a tenth of pictures and samples at a time (the
    delete-a-group jackknife), with the samples' number as n. judge: none, no distance. own: whether the judge's classes are those of the pictures.
    """

    space: LabelSpace | None = None
    resamples: int = bootstrap.RESAMPLES
    seed: int = 0
    judge: Looks | None = None
    own: bool = False
    _rows: list[dict[str, float]] = field(default_factory=list, repr=False)
    _groups: list[str | None] = field(default_factory=list, repr=False)
    _pictures: list[Tensor] = field(default_factory=list, repr=False)
    _drawn: Tensor | None = field(default=None, repr=False)
    _training: Tensor | None = field(default=None, repr=False)
    _looks: dict[str, tuple[Array, Array]] = field(default_factory=dict, repr=False)
    _notes: dict[str, list[float]] = field(default_factory=dict, repr=False)

    def update(self, prediction: Any, truth: Any, group: str | None = None) -> None:
        """Takes one picture in."""
        self._rows.append(dict(prediction.facts))
        self._groups.append(group)
        self._pictures.append((prediction.picture.clamp(0, 1) * 255).round().byte())

    def __add__(self, other: Self) -> Self:
        joined = type(self)(self.space, self.resamples, self.seed, self.judge, self.own)
        joined._rows, joined._groups, joined._pictures = self._rows + other._rows, self._groups + other._groups, self._pictures + other._pictures
        return joined

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, drawn: Tensor, training: Tensor | None = None) -> None:
        """The samples (n, C, h, w) in [0, 1], and pictures that the model was trained on, if there are any."""
        self._drawn, self._training, self._looks = drawn, training, {}

    def note(self, key: str, values: Sequence[float]) -> None:
        """Numbers of some of the pictures, whose mean is one of the values."""
        if len(values):
            self._notes[key] = list(values)

    @property
    def drawn(self) -> Tensor:
        """The samples taken. Raises ValueError where there are none."""
        if self._drawn is None:
            raise ValueError("no samples were taken")
        return self._drawn

    @property
    def training(self) -> Tensor | None:
        """Pictures that the model was trained on."""
        return self._training

    @property
    def copied(self) -> float:
        """`generation.copied` of the samples, where there are training pictures."""
        return copied(self.looked("samples")[0], self.looked("training")[0], self.looked("pictures")[0])

    @property
    def pictures(self) -> Tensor:
        """(N, C, h, w) in [0, 1], all pictures taken in."""
        return torch.stack(self._pictures).float() / 255

    def looked(self, name: str) -> tuple[Array, Array]:
        """Features and classes of the "pictures", the "samples" or the "training" pictures, found once. Raises ValueError without a judge or samples."""
        held = {"pictures": self.pictures if self._pictures else None, "samples": self._drawn, "training": self._training}[name]
        if self.judge is None or held is None:
            raise ValueError(f"there are no {name} to judge, or nobody who could")
        if name not in self._looks:
            self._looks[name] = self.judge.look(held)
        return self._looks[name]

    @property
    def judged(self) -> bool:
        """Whether there is enough to compare: a judge, and more samples and pictures than the neighbours looked at."""
        return self.judge is not None and self._drawn is not None and min(len(self._drawn), len(self._pictures)) > NEIGHBOURS

    def of_image(self, prediction: Any, truth: Any) -> dict[str, float]:
        """What is said of one picture."""
        return dict(prediction.facts)

    def points(self, keys: Sequence[str] | None = None) -> dict[str, float]:
        """The values without their intervals; of those that need samples these, where they are named."""
        means = {key: value.value for key, value in image_means(self._rows, self._groups, (), 0, self.seed).items()}
        return means | {key: how(*self._of_both()) for key, how in self._measures().items() if keys is None or key in keys}

    def compute(self) -> dict[str, Value]:
        """{key: Value}: means of what is said of pictures, then fid, kid, precision, recall, variety, modes_covered and modes_divergence with a judge of these
        classes, and copied where training pictures are known."""
        found = image_means(self._rows, self._groups, (), self.resamples, self.seed)
        for key, values in self._notes.items():
            found |= image_means([{key: value} for value in values], [None] * len(values), (), self.resamples, self.seed)
        for key, how in self._measures().items():
            value = self._jackknifed(how)
            found[key] = value._replace(low=float(np.clip(value.low, 0, 1)), high=float(np.clip(value.high, 0, 1))) if key in SHARES else value
        if self.judged and self._training is not None:
            share, n = self.copied, len(self.drawn)
            spread = 1.96 * np.sqrt(share * (1 - share) / n)
            found["copied"] = Value(share, max(0.0, share - spread), min(1.0, share + spread), n)
        return found

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class of the judge: how many pictures and samples it takes for each."""
        if not self.judged or self.judge is None:
            return []
        counts = [self.judge.counts(self.looked(name)[1]) for name in ("pictures", "samples")]
        rows = zip(self.judge.names, *counts, strict=True)
        return [{"class": name, "pictures": int(real), "samples": int(drawn)} for name, real, drawn in rows if self.own or real or drawn]

    # -- how -----------------------------------------------------------------------------------------------------------

    def _of_both(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        return self.looked("pictures"), self.looked("samples")

    def _measures(self) -> Mapping[str, Callable[[tuple[Array, Array], tuple[Array, Array]], float]]:
        """Functions of (features, classes) of pictures and of samples; those that compare every row with every other take as many pictures as samples."""
        if not self.judged or self.judge is None:
            return {}
        found: dict[str, Any] = {
            "fid": lambda real, drawn: fid(real[0], drawn[0]),
            "kid": lambda real, drawn: kid(real[0][: len(drawn[0])], drawn[0]),
            "precision": lambda real, drawn: overlap(real[0][: len(drawn[0])], drawn[0], NEIGHBOURS).precision,
            "recall": lambda real, drawn: overlap(real[0][: len(drawn[0])], drawn[0], NEIGHBOURS).recall,
            "variety": lambda real, drawn: variety(real[0], drawn[0]),
        }
        if self.own:
            counts = self.judge.counts
            found["modes_covered"] = lambda real, drawn: modes(counts(real[1]), counts(drawn[1])).covered
            found["modes_divergence"] = lambda real, drawn: modes(counts(real[1]), counts(drawn[1])).divergence
        return found

    def _jackknifed(self, how: Callable[[tuple[Array, Array], tuple[Array, Array]], float]) -> Value:
        real, drawn = self._of_both()
        value = how(real, drawn)
        if min(len(real[0]), len(drawn[0])) < 2 * FOLDS:
            return Value(value, float("nan"), float("nan"), len(drawn[0]))
        parts = []
        for fold in range(FOLDS):
            keep = [np.arange(len(rows[0])) % FOLDS != fold for rows in (real, drawn)]
            parts.append(how((real[0][keep[0]], real[1][keep[0]]), (drawn[0][keep[1]], drawn[1][keep[1]])))
        parts = [part for part in parts if np.isfinite(part)]
        spread = 1.96 * np.sqrt((FOLDS - 1) / FOLDS * np.sum((np.array(parts) - np.mean(parts)) ** 2)) if parts and np.isfinite(value) else float("nan")
        return Value(value, value - spread, value + spread, len(drawn[0]))
