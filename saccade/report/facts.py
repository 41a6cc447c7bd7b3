"""Everything that a run's folder says, read once; what is absent is None or empty."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade import storage


@dataclass(frozen=True)
class Facts:
    """The files of a run as values."""

    folder: Path
    run: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    floors: dict[str, Any] = field(default_factory=dict)
    per_class: list[dict[str, str]] = field(default_factory=list)
    confusion: list[list[str]] = field(default_factory=list)
    calibration: list[dict[str, str]] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    config: list[tuple[str, str, str]] = field(default_factory=list)
    folds: dict[str, Any] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of eval/NAME.csv, which the task's metric wrote; none where there is no such file."""
        return _table(self.folder / "eval" / f"{name}.csv")

    @property
    def task(self) -> str:
        return str(self.run.get("task") or "classify")

    @property
    def evaluated(self) -> str:
        return "cross-validated" if self.folds else str(self.run.get("evaluated", "evaluated"))

    @property
    def best_floor(self) -> tuple[str, dict[str, Any]] | None:
        """The simple model with the highest accuracy."""
        done = {name: f for name, f in self.floors.items() if "accuracy" in f}
        return max(done.items(), key=lambda item: item[1]["accuracy"]["value"], default=None)

    @property
    def best_auroc_floor(self) -> tuple[str, dict[str, Any]] | None:
        """The simple model with the highest AUROC, where the two classes' AUROCs were compared."""
        done = {name: f for name, f in self.floors.items() if f.get("p_auroc") is not None and f["auroc"]["value"] is not None}
        return max(done.items(), key=lambda item: item[1]["auroc"]["value"], default=None)

    def image(self, row: dict[str, Any]) -> Path | None:
        """Where a prediction's image is; None where that is not inside the data set's folder."""
        root = Path(self.data.get("root", "."))
        folder = (root if root.is_dir() else root.parent).resolve()
        path = (folder / row["path"]).resolve()
        return path if path.is_relative_to(folder) else None

    def private(self, words: Any) -> str:
        """Text without the folders above the data, the run and the user's home, which are nobody's business."""
        shown = str(words)
        for folder in (Path(self.data.get("root") or self.folder).parent, self.folder.resolve().parent, Path.home()):
            if len(folder.parts) > 1:
                shown = shown.replace(f"{folder}/", "")
        return re.sub(r"(?<![\w./~:-])(?:/[^\s/\"'=,]+)+/([^\s/\"']+)", r"\1", shown)


def read_facts(folder: Path) -> Facts:
    """All there is in a run's folder. Raises ValueError when run.json is damaged."""
    parts = [folder / "eval"] if (folder / "eval").exists() else sorted(folder.glob("folds/*/eval"))
    cv, data = _json(folder / "cv.json"), _json(folder / "data.json")
    predictions = [row for part in parts for row in _lines(part / "predictions.jsonl")]
    labelled = predictions if predictions and "probabilities" in predictions[0] else []
    return Facts(
        folder,
        storage.read_json(folder / "run.json"),
        data,
        _table(folder / "data_problems.csv"),
        _lines(folder / "metrics.jsonl"),
        [event for event in _lines(folder / "events.jsonl") if event.get("event") == "alert"],
        cv.get("metrics") or _json(folder / "eval" / "metrics.json"),
        _json(folder / "eval" / "floors.json") or _floors_of(cv, len(data.get("classes", [])) == 2),
        _table(folder / "eval" / "per_class.csv"),
        _cells(folder / "eval" / "confusion.csv") or _counted(labelled),
        _table(folder / "eval" / "calibration.csv") or _reliability(labelled),
        predictions,
        _config(folder / "config.toml"),
        cv,
        _json(folder / "eval" / "pictures.json").get("pictures", []),
    )


def _json(file: Path) -> dict[str, Any]:
    return dict(storage.read_json(file)) if file.exists() else {}


def _lines(file: Path) -> list[dict[str, Any]]:
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(storage.parse_json(line))
        except ValueError:  # a torn last line, left by a kill
            break
    return rows


def _table(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _cells(file: Path) -> list[list[str]]:
    if not file.exists():
        return []
    with file.open(newline="") as stream:
        return list(csv.reader(stream))


def _floors_of(cv: dict[str, Any], two: bool) -> dict[str, Any]:
    """The simple models of a cross-validation in the form of floors.json: means over the folds, p over the folds."""
    paired = cv.get("paired", {})
    found: dict[str, Any] = {}
    for name, values in cv.get("floors", {}).items():
        found[name] = {key: {"value": value["mean"]} for key, value in values.items()}
        found[name] |= {"p": paired.get(f"{name}.accuracy", {}).get("p")}
        if two:
            found[name] |= {"p_auroc": paired.get(f"{name}.auroc", {}).get("p")}
    return found


def _counted(predictions: list[dict[str, Any]]) -> list[list[str]]:
    """The confusion matrix of all folds, in the form of confusion.csv."""
    known = [row for row in predictions if row["truth"] is not None]
    if not known:
        return []
    names = list(known[0]["probabilities"])
    counts = Counter((row["truth"], row["answer"]) for row in known)
    return [["truth", *names], *([truth, *(str(counts[truth, answer]) for answer in names)] for truth in names)]


def _reliability(predictions: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The reliability table of all folds, in the form of calibration.csv."""
    import numpy as np

    from saccade.metrics.calibration import reliability

    known = [row for row in predictions if row["truth"] is not None]
    if not known:
        return []
    names = list(known[0]["probabilities"])
    truth = np.array([names.index(row["truth"]) for row in known])
    bins = reliability(np.array([[row["probabilities"][name] for name in names] for row in known]), truth)
    return [{key: str(value) for key, value in b._asdict().items()} for b in bins]


def _config(file: Path) -> list[tuple[str, str, str]]:
    """Name, value and origin of every line of config.toml."""
    found = []
    for line in file.read_text().splitlines()[1:] if file.exists() else []:
        match = re.fullmatch(r"(?:# )?([\w.]+) (?:= (.*?)|is not set)  # (.*)", line)
        if match:
            found.append((match[1], match[2] or "–", match[3]))
    return found
