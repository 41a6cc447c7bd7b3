"""`compare A B`: two evaluations of the same images, as a paired test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.errors import DataError, UsageError
from saccade.inference.evaluate import Evaluation
from saccade.metrics import bootstrap, paired
from saccade.metrics.paired import Paired


@dataclass(frozen=True)
class Comparison:
    """B minus A: each metric's difference, the recall of each class in both, and the settings in which two runs differ."""

    first: str
    second: str
    n: int
    metrics: dict[str, Paired]
    classes: list[dict[str, Any]]
    settings: dict[str, tuple[Any, Any]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        metrics = {key: value.to_dict() for key, value in self.metrics.items()}
        return {"a": self.first, "b": self.second, "n": self.n, "metrics": metrics, "classes": self.classes, "settings": self.settings}

    def text(self) -> str:
        """For people."""
        lines = [f"A  {self.first}", f"B  {self.second}", f"{self.n} images in both", "", f"{'metric':<10}{'B - A':>10}   95 % interval         p"]
        lines += [f"{key:<10}{d.difference:>+10.4f}   {d.low:+.4f} to {d.high:+.4f}   {d.p:.4f}  {d.test}" for key, d in self.metrics.items()]
        lines += ["", f"{'class':<28}{'images':>8}{'recall A':>10}{'recall B':>10}"]
        lines += [f"{r['class'][:27]:<28}{r['support']:>8}{r['a']:>10.4f}{r['b']:>10.4f}" for r in self.classes[:20]]
        if self.settings:
            lines += ["", *(f"{key}: {a} -> {b}" for key, (a, b) in list(self.settings.items())[:20])]
        return "\n".join(lines)


def run_compare(first: Path, second: Path) -> Comparison:
    """Two runs, or two folders that `evaluate --out` wrote; the most probable classes are compared, whatever the thresholds.

    Raises DataError COMPARE-SET unless they are of the same images, classes and truths, or where one is damaged.
    """
    a, b = read_evaluation(first), read_evaluation(second)
    shared = set(a.ids) & set(b.ids)
    if shared != set(a.ids) or shared != set(b.ids) or a.space != b.space:
        got = f"{len(a)} and {len(b)} images, {len(shared)} in both" if a.space == b.space else f"classes {a.space.names} and {b.space.names}"
        raise DataError("COMPARE-SET", got, where=f"{first} {second}")
    order = {name: i for i, name in enumerate(b.ids)}
    rows = np.array([order[name] for name in a.ids])
    if changed := int((a.truth != b.truth[rows]).sum()):
        raise DataError("COMPARE-SET", f"{changed} images have another true class in the second", where=f"{first} {second}")
    known = a.truth >= 0
    truth, p, q = a.truth[known], a.probabilities[known], b.probabilities[rows][known]
    groups = [g for g, k in zip(a.groups, known, strict=True) if k]
    codes = bootstrap.codes(groups) if any(groups) else None
    right_a, right_b = p.argmax(1) == truth, q.argmax(1) == truth
    metrics = {"accuracy": paired.mcnemar(right_b, right_a, groups=codes)}
    if len(a.space) == 2 and len(set(truth.tolist())) == 2:
        metrics["auroc"] = paired.delong(truth == 1, q[:, 1], p[:, 1], groups=codes)
    classes = [
        {"class": name, "support": int((truth == k).sum()), "a": float(right_a[truth == k].mean()), "b": float(right_b[truth == k].mean())}
        for k, name in enumerate(a.space.names)
        if (truth == k).any()
    ]
    return Comparison(str(first), str(second), int(known.sum()), metrics, classes, differences(first, second))


def read_evaluation(folder: Path) -> Evaluation:
    """Of a run (its eval/, or all folds of a cross-validation), or of the folder itself. Raises UsageError RUN-MISSING."""
    folds = sorted(folder.glob("folds/*/eval"))
    if folds and (folder / "cv.json").exists():
        parts = [_read(part) for part in folds]
        return Evaluation(
            parts[0].space,
            tuple(i for part in parts for i in part.ids),
            tuple(i for part in parts for i in part.paths),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            tuple(g for part in parts for g in part.groups),
        )
    for place in (folder / "eval", folder):
        if (place / "predictions.jsonl").is_file():
            return _read(place)
    raise UsageError("RUN-MISSING", "no eval/predictions.jsonl", where=str(folder))


def _read(folder: Path) -> Evaluation:
    try:
        return Evaluation.read(folder)
    except ValueError as problem:
        raise DataError("COMPARE-SET", str(problem), fix="run evaluate again") from None


def differences(first: Path, second: Path) -> dict[str, tuple[Any, Any]]:
    """The choices in which two runs differ; empty where one is no run."""
    import tomllib

    values = []
    for folder in (first, second):
        file = folder / "config.toml"
        if not file.is_file():
            return {}
        values.append(tomllib.loads(file.read_text()))
    keys = [*values[0], *(key for key in values[1] if key not in values[0])]
    return {key: (values[0].get(key), values[1].get(key)) for key in keys if values[0].get(key) != values[1].get(key)}
