"""What becomes of an exception that nobody foresaw: a coded error, and a report on this machine instead of a traceback."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from saccade.errors import ResourceError, SaccadeError
from saccade.storage import DISK_ERRORS


def coded(error: Exception) -> SaccadeError:
    """The coded error of an exception: a full disk and too little memory are the machine's, all else is ours (INTERNAL, with a crash report)."""
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate" in str(error) and "memory" in str(error)):
        return ResourceError("RUN-MEMORY", str(error)[:200])
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return ResourceError("RUN-DISK", os.strerror(error.errno or 0), where=str(error.filename or ""))
    return SaccadeError("INTERNAL", f"{type(error).__name__}: {str(error)[:300]}", where=str(write_report(error)))


def write_report(error: BaseException) -> Path:
    """The crash report: versions, the command and the traceback, in the user's state folder or, where that may not be written, the temporary one."""
    lines = [
        f"saccade {version('saccade')}, Python {platform.python_version()}, {platform.platform()}",
        "This file stays on this machine; it holds the command and the",
    ]
    lines[1] += " paths in it, so read it before you pass it on.\n"
    lines += [f"command: {sys.argv}\n", "".join(traceback.format_exception(error))]
    text = "\n".join(lines).encode("utf-8", "backslashreplace")
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            report = folder / f"crash_{time.strftime('%Y-%m-%d_%H%M%S')}_{os.getpid()}.txt"
            report.write_bytes(text)
            return report
        except OSError:
            continue
    return Path(os.devnull)


def _folders() -> list[Path]:
    from platformdirs import user_state_path

    return [user_state_path("saccade", appauthor=False), Path(tempfile.gettempdir()) / "saccade"]
