"""`compare A B`: two evaluations of the same images, as a paired test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade import storage
from saccade.errors import DataError, UsageError
from saccade.inference.classified import Classified
from saccade.metrics import bootstrap, paired, statistics
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
        lines += ["", f"{'class':<28}{'images':>8}{'recall A':>10}{'recall B':>10}"] if self.classes else []
        lines += [f"{r['class'][:27]:<28}{r['support']:>8}{r['a']:>10.4f}{r['b']:>10.4f}" for r in self.classes[:20]]
        if self.settings:
            lines += ["", *(f"{key}: {a} -> {b}" for key, (a, b) in list(self.settings.items())[:20])]
        return "\n".join(lines)


def run_compare(first: Path, second: Path) -> Comparison:
    """Two runs, or two folders that `evaluate --out` wrote; of classifiers the most probable classes are compared, whatever the thresholds,
    of all else the facts of each image (IoU, error ...).

    Raises DataError COMPARE-SET unless they are of the same images, classes and truths, or where one is damaged.
    """
    if kind_of(first) != "classes" or kind_of(second) != "classes":
        return compare_facts(first, second)
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
    codes = bootstrap.group_codes(groups)
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


def kind_of(folder: Path) -> str:
    """classes where the predictions have probabilities of classes, else facts. Raises UsageError RUN-MISSING."""
    first = next(iter(_rows(folder)), {})
    return "classes" if "probabilities" in first else "facts"


def compare_facts(first: Path, second: Path) -> Comparison:
    """Each fact of the images (IoU, error ...) that both evaluations have, as a paired bootstrap of its mean. Raises DataError COMPARE-SET."""
    a, b = ({row["id"]: row.get("facts", {}) for row in _rows(folder)} for folder in (first, second))
    if set(a) != set(b):
        raise DataError("COMPARE-SET", f"{len(a)} and {len(b)} images, {len(set(a) & set(b))} in both", where=f"{first} {second}")
    keys = list(dict.fromkeys(key for facts in a.values() for key in facts))
    metrics, most = {}, 0
    for key in keys:
        pairs = [(a[name][key], b[name][key]) for name in a if a[name].get(key) is not None and b[name].get(key) is not None]
        if pairs:
            x, y = np.array(pairs, float).T
            metrics[key], most = paired.paired_bootstrap(statistics.mean(y), statistics.mean(x), len(x)), max(most, len(x))
    if not metrics:
        raise DataError("COMPARE-SET", "no number of an image is in both", where=f"{first} {second}")
    return Comparison(str(first), str(second), most, metrics, [], differences(first, second))


def _rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of predictions.jsonl of a run, its folds, or the folder itself."""
    folds = sorted(folder.glob("folds/*/eval/predictions.jsonl")) if (folder / "cv.json").exists() else []
    files = folds or [file for file in (folder / "eval" / "predictions.jsonl", folder / "predictions.jsonl") if file.is_file()][:1]
    if not files:
        raise UsageError("RUN-MISSING", "no eval/predictions.jsonl", where=str(folder))
    try:
        return [dict(storage.parse_json(line)) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    except (ValueError, TypeError) as problem:
        raise DataError("COMPARE-SET", f"predictions.jsonl is damaged: {problem}", where=str(folder), fix="run evaluate again") from None


def read_evaluation(folder: Path) -> Classified:
    """Of a run (its eval/, or all folds of a cross-validation), or of the folder itself. Raises UsageError RUN-MISSING."""
    folds = sorted(folder.glob("folds/*/eval"))
    if folds and (folder / "cv.json").exists():
        parts = [_read(part) for part in folds]
        return Classified(
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


def _read(folder: Path) -> Classified:
    try:
        return Classified.read(folder)
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
