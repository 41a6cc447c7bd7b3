"""One pass of a classifier over a data set: a row an image with the probability of every class, the metrics, and the files of eval/."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from saccade import storage
from saccade.core import IGNORE, LabelSpace, Model, Value
from saccade.data.loader import Loader
from saccade.data.tiles import images_of, whole_answers
from saccade.inference.evaluate import answers_of, relative
from saccade.inference.tables import write_cells, write_csv
from saccade.metrics.calibration import negative_log_likelihood, reliability, scale
from saccade.metrics.classification import Classification
from saccade.metrics.thresholds import Thresholds, as_array, decide

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Classified:
    """What a model answered: `ids`, `paths` (n), `truth` (n,) class ids or -1, `probabilities` (n, K) after the temperature, `groups` (n).

    Paths are relative to the data set's folder, so that what is written tells nothing of the machine.
    """

    space: LabelSpace
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    groups: tuple[str | None, ...]
    thresholds: Thresholds = None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def metric(self) -> Classification:
        """The statistics, which add up over several evaluations."""
        metric = Classification(self.space, self.thresholds)
        metric.add(self.truth, self.probabilities, self.groups)
        return metric

    @cached_property
    def values(self) -> dict[str, Value]:
        """The metrics, each with its 95 % interval."""
        return self.metric.compute()

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class; see `Classification.per_class`."""
        return self.metric.per_class()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of predictions.jsonl, in the order of the data set."""
        names, answers = self.space.names, decide(self.probabilities, as_array(self.thresholds, self.space))
        known = self.truth >= 0
        losses = np.full(len(self), np.nan)
        losses[known] = negative_log_likelihood(self.probabilities[known], self.truth[known])
        rows = []
        for i in range(len(self)):
            truth = names[self.truth[i]] if known[i] else None
            answer = names[answers[i]] if answers[i] >= 0 else UNKNOWN
            row: dict[str, Any] = {"id": self.ids[i], "path": self.paths[i], "truth": truth, "answer": answer}
            row |= {"score": round(float(self.probabilities[i].max()), 6), "loss": round(float(losses[i]), 6) if known[i] else None}
            row |= {"correct": bool(answers[i] == self.truth[i]) if known[i] else None, "group": self.groups[i]}
            rows.append(row | {"probabilities": {n: float(f"{p:.9g}") for n, p in zip(names, self.probabilities[i], strict=True)}})
        return rows

    def write(self, folder: Path) -> None:
        """metrics.json, per_class.csv, confusion.csv, calibration.csv, predictions.jsonl and errors.jsonl (the wrong ones, largest loss first)."""
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(folder / "metrics.json", {key: value._asdict() for key, value in self.values.items()})
        wrong = sorted((row for row in self.rows if row["correct"] is False), key=lambda row: -row["loss"])
        for name, rows in (("predictions", self.rows), ("errors", wrong)):
            storage.atomic_write(folder / f"{name}.jsonl", "".join(storage.dump_json(row) + "\n" for row in rows).encode())
        write_csv(folder / "per_class.csv", self.per_class())
        names = self.space.names
        columns = [*names, f"{UNKNOWN} (below its threshold)" if UNKNOWN in names else UNKNOWN]
        counts = self.metric.confusion().tolist()
        write_cells(folder / "confusion.csv", [["truth", *columns], *([name, *row] for name, row in zip(names, counts, strict=True))])
        known = self.truth >= 0
        write_csv(folder / "calibration.csv", [b._asdict() for b in reliability(self.probabilities[known], self.truth[known])])

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From predictions.jsonl and the thresholds of per_class.csv; classes and their order are those of the first line.

        Raises ValueError saying which file is damaged, and OSError when it cannot be read.
        """
        file = folder / "predictions.jsonl"
        try:
            rows = [storage.parse_json(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
            space = LabelSpace(tuple(rows[0]["probabilities"])) if rows else LabelSpace(())
            truth = np.array([space.index(r["truth"]) if r["truth"] is not None else IGNORE for r in rows], np.int64)
            probabilities = np.array([[r["probabilities"][name] for name in space.names] for r in rows], np.float64).reshape(len(rows), len(space))
            ids, paths, groups = (tuple(r[key] for r in rows) for key in ("id", "path", "group"))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"{file} is damaged: {problem}") from None
        return cls(space, ids, paths, truth, probabilities, groups, _stored_thresholds(folder / "per_class.csv", space))


def classify_all(
    model: Model,
    loader: Loader,
    *,
    space: LabelSpace,
    head: str = "label",
    temperature: float = 1.0,
    thresholds: Thresholds = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Classified:
    """Evaluates in eval mode: a row an image, also where the loader's records are windows of images.

    Images that cannot be read are in `loader.problems` and in no row.
    """
    images, step = images_of(loader.dataset), loader.batch_size
    places: list[int] = []
    found: list[torch.Tensor] = []
    with torch.inference_mode(), autocast or nullcontext():
        for place, label in whole_answers(answers_of(model, loader, head), loader.dataset):
            places.append(place)
            found.append(label.probabilities)
            if progress is not None and (len(places) % step == 0 or len(places) == len(images)):
                progress(len(places), len(images))
    probabilities = torch.stack(found).double().numpy() if found else np.zeros((0, len(space)))
    chosen = [images.records[place] for place in places]
    truth = np.array([IGNORE if (t := record.targets.get(head)) is None else t.index for record in chosen], np.int64)
    root = Path(getattr(images, "root", "."))
    paths, groups = tuple(relative(r.path, root) for r in chosen), tuple(r.group for r in chosen)
    return Classified(space, tuple(r.id for r in chosen), paths, truth, scale(probabilities, temperature), groups, thresholds)


def _stored_thresholds(file: Path, space: LabelSpace) -> dict[str, float] | None:
    """The thresholds that the classes were answered at, in their order; None where there were none."""
    if not file.exists():
        return None
    with file.open(newline="", encoding="utf-8") as stream:
        limits = [float(row["threshold"]) for row in csv.DictReader(stream)]
    return dict(zip(space.names, limits, strict=True)) if any(limits) else None
