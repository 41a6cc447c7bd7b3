"""A training run as its folder: what it writes while it goes, and what it can be resumed from.

Files: run.json (replaced atomically at every change), config.toml (each value with its origin), metrics.jsonl (a row an
epoch), events.jsonl (all that happened), log.txt (the same for people).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from saccade import storage
from saccade.errors import ResourceError, UsageError

Listener = Callable[[dict[str, Any]], None]
QUIET = ("step",)  # events that are shown but not stored: there are thousands


def new_folder(out: Path | None, model: str, data: str, name: str = "") -> Path:
    """A new run's folder: exactly `out` (which may exist when empty), or runs/<date>_<model>_<data>[_name], never an existing one.

    Raises UsageError RUN-EXISTS, ResourceError RUN-DISK.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError("RUN-EXISTS", where=str(out))
        return _made(out)
    stem = f"{datetime.now():%Y-%m-%d_%H%M}_{model}_{data}" + (f"_{name}" if name else "")
    for attempt in range(1, 1000):
        folder = Path("runs") / (stem if attempt == 1 else f"{stem}_{attempt}")
        try:
            return _made(folder, new=True)
        except FileExistsError:
            continue
    raise UsageError("RUN-EXISTS", where=stem)


def _made(folder: Path, new: bool = False) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=not new)
    except FileExistsError:
        raise
    except OSError as problem:
        raise ResourceError("RUN-DISK", str(problem.strerror), where=str(folder)) from None
    return folder.resolve()


class RunFolder:
    """The folder of one run, a `core.Run`. Every event goes to events.jsonl and to the listeners (a progress bar, JSON lines)."""

    def __init__(self, path: Path, *, listeners: tuple[Listener, ...] = ()) -> None:
        self.path, self.listeners = path, list(listeners)
        self.info: dict[str, Any] = {}
        if (path / "run.json").exists():
            self.info = storage.read_json(path / "run.json")

    def event(self, kind: str, **fields: Any) -> None:
        """Tells the listeners, and stores the event unless it is one of thousands."""
        told = {"event": kind, "time": round(time.time(), 3), **fields}
        if kind not in QUIET:
            storage.append_line(self.path / "events.jsonl", storage.dump_json(told))
            storage.append_line(self.path / "log.txt", f"{datetime.now():%H:%M:%S} {kind} {_short(fields)}")
        for listener in self.listeners:
            listener(told)

    def alert(self, code: str, text: str) -> None:
        self.event("alert", code=code, text=text)

    def row(self, **fields: Any) -> None:
        """One row of metrics.jsonl, on the disk when this returns."""
        storage.append_line(self.path / "metrics.jsonl", storage.dump_json(fields), sync=True)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a torn last line, left by a kill, is not one."""
        file, rows = self.path / "metrics.jsonl", []
        for line in file.read_text().splitlines() if file.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def cut_rows(self, keep: int) -> list[dict[str, Any]]:
        """Drops what was written after the checkpoint that is resumed from, so that no epoch stands there twice."""
        rows = self.rows()[:keep]
        text = "".join(storage.dump_json(row) + "\n" for row in rows)
        storage.atomic_write(self.path / "metrics.jsonl", text.encode())
        return rows

    def update(self, **fields: Any) -> None:
        """Changes entries of run.json, atomically."""
        self.info |= fields
        storage.write_json(self.path / "run.json", self.info)

    def begin(self, **fields: Any) -> None:
        self.update(status="running", pid=os.getpid(), **fields)

    def end(self, status: str, exit_code: int, reason: str = "") -> None:
        self.update(status=status, exit=exit_code, reason=reason, ended=time.time(), pid=None)
        self.event("end", status=status, exit=exit_code, reason=reason)

    def running_elsewhere(self) -> bool:
        """Whether another living process says that it writes this run."""
        pid = self.info.get("pid")
        if self.info.get("status") != "running" or not pid or pid == os.getpid():
            return False
        return alive(int(pid))

    def write_config(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        """config.toml: every value, and behind it where it came from."""
        lines = ["# The effective configuration of this run; behind each value stands where it came from."]
        lines += [f"{key} = {_toml(value)}  # {origins.get(key, 'default')}" for key, value in values.items() if value is not None]
        lines += [f"# {key} is not set  # {origins.get(key, 'default')}" for key, value in values.items() if value is None]
        storage.atomic_write(self.path / "config.toml", ("\n".join(lines) + "\n").encode())


def alive(pid: int) -> bool:
    """Whether a process of that number runs here (and is no zombie)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _short(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={str(v)[:200]}" for k, v in fields.items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(str(value))
