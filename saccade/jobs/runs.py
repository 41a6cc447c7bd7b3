"""The runs of a folder, read from the folders themselves: no index to go stale."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saccade import storage
from saccade.errors import UsageError
from saccade.training.run_folder import alive


@dataclass(frozen=True)
class RunInfo:
    """One run: what it is, where it stands, and its main number with the 95 % interval."""

    path: Path
    status: str  # running, done, stopped, failed, interrupted, damaged
    task: str = ""
    model: str = ""
    data: str = ""
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    started: float | None = None  # seconds since 1970
    seconds: float | None = None
    resume: str | None = None  # the command that goes on with it, when it can be gone on with

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the path as text."""
        return {**asdict(self), "path": str(self.path)}


def run_runs(folder: Path | str = "runs") -> list[RunInfo]:
    """The runs in a folder, the youngest last; the folder may be a run itself. Raises UsageError RUN-MISSING when it holds none."""
    folder = Path(folder)
    if (folder / "run.json").is_file():
        return [read_run(folder)]
    found = [read_run(file.parent) for file in folder.glob("*/run.json") if not file.parent.is_symlink()]
    if not found:
        raise UsageError("RUN-MISSING", "no folder with a run.json", where=str(folder), fix="train first, or name the folder that holds the runs")
    return sorted(found, key=lambda run: (run.started or 0.0, run.path.name))


def read_run(folder: Path) -> RunInfo:
    """One run from its files. One whose run.json cannot be read is listed as damaged; a running one without a living process as interrupted."""
    try:
        info = storage.read_json(folder / "run.json")
        status = _status(info)
    except (OSError, ValueError, AttributeError):
        return RunInfo(folder.resolve(), "damaged")
    name, value = _main_metric(folder, str(info.get("monitor") or ""))
    resumable = status in ("interrupted", "stopped", "failed") and (folder / "checkpoints").is_dir()
    return RunInfo(
        path=folder.resolve(),
        status=status,
        task=str(info.get("task") or ""),
        model=str(info.get("model") or ""),
        data=str(_read(folder / "data.json").get("name") or ""),
        metric=name,
        value=value.get("value"),
        low=value.get("low"),
        high=value.get("high"),
        started=_number(info.get("started")),
        seconds=_number(info.get("seconds")),
        resume=f"saccade train --resume {shlex.quote(str(folder))}" if resumable else None,
    )


def _status(info: Mapping[str, Any]) -> str:
    status, pid = str(info.get("status") or "damaged"), info.get("pid")
    return "interrupted" if status == "running" and not (pid and alive(int(pid))) else status


def _main_metric(folder: Path, monitor: str) -> tuple[str, Mapping[str, Any]]:
    """The monitored metric of the evaluation, else the first one; else the monitor at the best epoch, without an interval."""
    values = _read(folder / "eval" / "metrics.json")
    name = monitor if monitor in values else next(iter(values), "")
    if name:
        return name, values[name]
    best = _read(folder / "run.json").get("best") or {}
    return monitor, {"value": best.get("value")}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = storage.read_json(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
