"""Runs the command line as a user does: a fresh process, its exit code, its two streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Told:
    """What a command left behind: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout; a line that is not one fails the test."""
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, kind: str) -> dict[str, Any]:
        """The last event of a kind."""
        return next(event for event in reversed(self.events) if event["event"] == kind)


def environment(**changed: str) -> dict[str, str]:
    """The environment of a command: one thread, this checkout, the crash reports of a test kept out of the user's folders."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **changed}


@pytest.fixture(scope="session")
def saccade_environment() -> Callable[..., dict[str, str]]:
    return environment


@pytest.fixture(scope="session")
def saccade(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Told]:
    """saccade("check", folder, cwd=..., code=0): runs the verb and holds its exit code against the one expected; None expects any."""
    state = tmp_path_factory.mktemp("state")

    def run(*words: str | Path, cwd: Path | None = None, code: int | None = 0, timeout: float = 120, **changed: str) -> Told:
        command = [sys.executable, "-m", "saccade", *[os.fspath(word) for word in words]]
        surroundings = environment(XDG_STATE_HOME=str(state), **changed)
        done = subprocess.run(command, capture_output=True, cwd=cwd or state, env=surroundings, timeout=timeout, check=False)
        told = Told(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        assert "Traceback" not in told.err + told.out, told.err
        assert code is None or told.code == code, f"exit {told.code}, expected {code}\n{told.out[-2000:]}\n{told.err[-2000:]}"
        return told

    return run
