"""Reading a foreign weight file (.pth) in a child process that can do nothing else: the only place that opens a pickle.

The child unpickles with torch's `weights_only` reader, which builds tensors and plain containers and calls nothing else, under
limits of memory and time, and hands the tensors over as a safetensors file. A zip that declares far more than it holds is
refused before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saccade import storage
from saccade.errors import ModelError

MEMORY, SECONDS = 4 << 30, 60
DECLARED, RATIO = 2 << 30, 10
"""Bytes that a zip may declare, and how many times its own size."""


def import_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file by their names in it; of a checkpoint, those of its `state_dict` or `model`.

    Raises ModelError MODEL-UNSAFE for a pickle of anything but tensors, MODEL-CORRUPT for a damaged file, MODEL-MISSING.
    """
    if not path.is_file():
        raise ModelError("MODEL-MISSING", "no such file", where=str(path))
    if path.suffix == ".safetensors":
        try:
            return storage.load_tensors(path)
        except ValueError as error:
            raise ModelError("MODEL-CORRUPT", str(error), where=str(path)) from error
    _refuse_bomb(path)
    with tempfile.TemporaryDirectory(prefix="saccade-weights-") as folder:
        out = Path(folder) / "weights.safetensors"
        command = [sys.executable, "-I", "-c", _START, str(Path(__file__).parents[2]), str(path), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=2 * SECONDS, env=_quiet(), check=False)
        except subprocess.TimeoutExpired as error:
            raise ModelError("MODEL-CORRUPT", f"it took longer than {2 * SECONDS} s to read", where=str(path)) from error
        answer = _answer(done.stdout)
        if done.returncode or answer.get("code"):
            code = str(answer.get("code") or "MODEL-CORRUPT")
            raise ModelError(code, str(answer.get("got") or f"the reader stopped with {done.returncode}"), where=str(path))
        return storage.load_tensors(out)


_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from saccade.models.import_weights import child; child(sys.argv[1], sys.argv[2])"


def _quiet() -> dict[str, str]:
    """The environment of the child: no threads of its own, nothing that could name another module."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"OMP_NUM_THREADS": "1"}


def _answer(printed: bytes) -> dict[str, Any]:
    lines = printed.splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_bomb(path: Path) -> None:
    """Raises ModelError MODEL-UNSAFE for a zip whose members unpack to far more than it holds."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ModelError("MODEL-CORRUPT", f"the zip is damaged ({error})", where=str(path)) from error
    if declared > max(RATIO * path.stat().st_size, 1 << 20) or declared > DECLARED:
        raise ModelError("MODEL-UNSAFE", f"it unpacks to {declared:,} bytes from {path.stat().st_size:,}", where=str(path))


def child(source: str, target: str) -> None:
    """What the child does: limits, read, write, one line of JSON."""
    import pickle

    _limit()
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
        tensors = state_of(loaded)
        storage.save_tensors(Path(target), {name: tensor.contiguous() for name, tensor in tensors.items()})
        answer = {"tensors": len(tensors)}
    except pickle.UnpicklingError as error:
        answer = {"code": "MODEL-UNSAFE", "got": str(error).splitlines()[0][:200]}  # type: ignore[dict-item]
    except (RuntimeError, ValueError, EOFError, OSError, KeyError, MemoryError, AttributeError, TypeError) as error:
        answer = {"code": "MODEL-CORRUPT", "got": (str(error) or type(error).__name__).splitlines()[0][:200]}  # type: ignore[dict-item]
    print(json.dumps(answer))


def state_of(loaded: Any) -> dict[str, Tensor]:
    """The table of tensors in what a file held: itself, or under `state_dict` or `model`; a prefix `module.` is taken off. Raises ValueError."""
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        raise ValueError(f"it holds {type(loaded).__name__}, expected a table of tensors by name")
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def _limit() -> None:
    """Memory and time of this process, where the system has such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + (4 << 30), MEMORY + (4 << 30)))  # torch itself maps about 4 GB of libraries
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
