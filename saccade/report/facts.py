"""Everything that a run's folder says, read once; what is absent is None or empty."""

from __future__ import annotations

import csv
import re
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

    @property
    def evaluated(self) -> str:
        return str(self.run.get("evaluated", "evaluated"))

    @property
    def best_floor(self) -> tuple[str, dict[str, Any]] | None:
        """The simple model with the highest accuracy."""
        done = {name: f for name, f in self.floors.items() if "accuracy" in f}
        return max(done.items(), key=lambda item: item[1]["accuracy"]["value"], default=None)


def read_facts(folder: Path) -> Facts:
    """All there is in a run's folder. Raises ValueError when run.json is damaged."""
    parts = [folder / "eval"] if (folder / "eval").exists() else sorted(folder.glob("folds/*/eval"))
    cv = _json(folder / "cv.json")
    return Facts(
        folder,
        storage.read_json(folder / "run.json"),
        _json(folder / "data.json"),
        _table(folder / "data_problems.csv"),
        _lines(folder / "metrics.jsonl"),
        [event for event in _lines(folder / "events.jsonl") if event.get("event") == "alert"],
        cv.get("metrics") or _json(folder / "eval" / "metrics.json"),
        _json(folder / "eval" / "floors.json"),
        _table(folder / "eval" / "per_class.csv"),
        _cells(folder / "eval" / "confusion.csv"),
        _table(folder / "eval" / "calibration.csv"),
        [row for part in parts for row in _lines(part / "predictions.jsonl")],
        _config(folder / "config.toml"),
        cv,
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


def _config(file: Path) -> list[tuple[str, str, str]]:
    """Name, value and origin of every line of config.toml."""
    found = []
    for line in file.read_text().splitlines()[1:] if file.exists() else []:
        match = re.fullmatch(r"(?:# )?([\w.]+) (?:= (.*?)|is not set)  # (.*)", line)
        if match:
            found.append((match[1], match[2] or "–", match[3]))
    return found
