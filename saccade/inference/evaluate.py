"""One pass of a model over a data set: a row an image, the metrics with intervals, and the files of eval/."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
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
from saccade.metrics.calibration import negative_log_likelihood, reliability, scale
from saccade.metrics.classification import Classification
from saccade.metrics.thresholds import Thresholds, as_array, decide

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evaluation:
    """What a model answered: `ids`, `paths` (n), `truth` (n,) class ids or -1, `probabilities` (n, K) after the temperature, `groups` (n)."""

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
            row |= {"correct": answer == truth if known[i] else None, "group": self.groups[i]}
            rows.append(row | {"probabilities": {n: round(float(p), 7) for n, p in zip(names, self.probabilities[i], strict=True)}})
        return rows

    def write(self, folder: Path) -> None:
        """metrics.json, per_class.csv, confusion.csv, calibration.csv, predictions.jsonl and errors.jsonl (the wrong ones, largest loss first)."""
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(folder / "metrics.json", {key: value._asdict() for key, value in self.values.items()})
        wrong = sorted((row for row in self.rows if row["correct"] is False), key=lambda row: -row["loss"])
        for name, rows in (("predictions", self.rows), ("errors", wrong)):
            storage.atomic_write(folder / f"{name}.jsonl", "".join(storage.dump_json(row) + "\n" for row in rows).encode())
        write_csv(folder / "per_class.csv", self.metric.per_class())
        names = (*self.space.names, UNKNOWN)
        counts = self.metric.confusion().tolist()
        write_csv(folder / "confusion.csv", [{"truth": n, **dict(zip(names, row, strict=True))} for n, row in zip(self.space.names, counts, strict=True)])
        known = self.truth >= 0
        write_csv(folder / "calibration.csv", [b._asdict() for b in reliability(self.probabilities[known], self.truth[known])])

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From predictions.jsonl; class names and their order are those of its first line. Raises ValueError for a damaged file."""
        rows = [storage.parse_json(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
        space = LabelSpace(tuple(rows[0]["probabilities"])) if rows else LabelSpace(())
        truth = np.array([space.index(r["truth"]) if r["truth"] is not None else IGNORE for r in rows])
        probabilities = np.array([list(r["probabilities"].values()) for r in rows], np.float64)
        groups = tuple(r.get("group") for r in rows)
        return cls(space, tuple(r["id"] for r in rows), tuple(r["path"] for r in rows), truth, probabilities, groups)


def evaluate(
    model: Model,
    loader: Loader,
    *,
    space: LabelSpace,
    head: str = "label",
    temperature: float = 1.0,
    thresholds: Thresholds = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluates in eval mode. Images that cannot be read are in `loader.problems` and in no row."""
    model.eval()
    device = next(model.parameters()).device
    records = {record.id: record for record in loader.dataset.records}
    ids: list[str] = []
    truth: list[int] = []
    parts: list[torch.Tensor] = []
    with torch.inference_mode(), autocast or nullcontext():
        for batch in loader.epoch(0):
            found = model.predict(batch.inputs.to(device), batch.sizes.to(device), batch.meta)[head]
            parts.append(torch.stack([label.probabilities for label in found]))
            ids += [meta.id for meta in batch.meta]
            truth += [IGNORE if t is None else t.index for t in batch.targets[head]]
            if progress is not None:
                progress(len(ids), len(loader.dataset))
    probabilities = torch.cat(parts).double().numpy() if parts else np.zeros((0, len(space)))
    chosen = [records[i] for i in ids]
    paths, groups = tuple(str(r.path) for r in chosen), tuple(r.group for r in chosen)
    return Evaluation(space, tuple(ids), paths, np.array(truth), scale(probabilities, temperature), groups, thresholds)


def write_csv(path: Path, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    """A table, atomically; a cell that a spreadsheet would run as a formula gets a ' before it."""
    text = io.StringIO()
    if rows:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([guarded(key) for key in rows[0]])
        writer.writerows([[guarded(value) for value in row.values()] for row in rows])
    storage.atomic_write(path, text.getvalue().encode("utf-8", "backslashreplace"))


def guarded(value: Any) -> Any:
    """The cell, made harmless for spreadsheets.

    >>> guarded("=1+1"), guarded(-1.5)
    ("'=1+1", -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
