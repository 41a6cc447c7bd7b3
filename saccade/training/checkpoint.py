"""Checkpoints that survive a kill at any moment: written beside, made durable, then put in place by renaming.

    checkpoints/last/{model.safetensors, optim.safetensors, state.json}    the newest
    checkpoints/prev/                                                      the one before it
    checkpoints/best/{model.safetensors, state.json}                       the weights with the best monitor (EMA where it is on)

state.json is written last and holds the SHA-256 of the other files, so a folder without a fitting state.json is not a checkpoint.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from saccade import storage
from saccade.errors import ModelError, ResourceError


class Checkpoint(NamedTuple):
    """What a run goes on from. `state` is JSON, `model` and `optim` are tensors by name."""

    state: dict[str, Any]
    model: dict[str, Tensor]
    optim: dict[str, Tensor]


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Makes the checkpoint the newest and keeps the one before it. Raises ResourceError RUN-DISK, and then leaves the old ones as they were."""
    new, last, prev, old = (folder / name for name in (".new", "last", "prev", ".old"))
    _remove(new)
    _fill(new, checkpoint)
    _remove(old)
    if last.exists():
        if prev.exists():
            os.rename(prev, old)
        os.rename(last, prev)
    os.rename(new, last)
    storage.fsync_dir(folder)
    _remove(old)


def write_best(folder: Path, state: Mapping[str, Any], model: Mapping[str, Tensor]) -> None:
    """Replaces checkpoints/best."""
    new, best, old = (folder / name for name in (".best", "best", ".old_best"))
    _remove(new)
    _fill(new, Checkpoint(dict(state), dict(model), {}))
    _remove(old)
    if best.exists():
        os.rename(best, old)
    os.rename(new, best)
    storage.fsync_dir(folder)
    _remove(old)


def read(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and what was wrong with newer ones; (None, []) when there has never been one.

    Raises ModelError RUN-CHECKPOINT when there are some and none is whole.
    """
    damage: list[str] = []
    present = [p for p in (folder / name for name in ("last", "prev", ".old")) if p.is_dir()]
    for place in present:
        try:
            return _load(place), damage
        except (OSError, ValueError, KeyError, ModelError) as problem:
            damage.append(f"{place.name}: {problem}")
    if damage:
        raise ModelError("RUN-CHECKPOINT", "; ".join(damage), where=str(folder))
    return None, []


def read_best(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """State and weights of the best epoch, or None when there is none that is whole."""
    for name in ("best", ".old_best"):
        try:
            checkpoint = _load(folder / name)
        except (OSError, ValueError, KeyError):
            continue
        return checkpoint.state, checkpoint.model
    return None


def _fill(folder: Path, checkpoint: Checkpoint) -> None:
    try:
        folder.mkdir(parents=True)
        hashes = {"model": storage.save_tensors(folder / "model.safetensors", checkpoint.model)}
        if checkpoint.optim:
            hashes["optim"] = storage.save_tensors(folder / "optim.safetensors", checkpoint.optim)
        storage.write_json(folder / "state.json", {**checkpoint.state, "sha256": hashes})
    except ResourceError:
        _remove(folder)
        raise
    except OSError as problem:
        _remove(folder)
        raise ResourceError("RUN-DISK", str(problem.strerror), where=str(folder)) from None


def _load(folder: Path) -> Checkpoint:
    state = storage.read_json(folder / "state.json")
    tensors = {}
    for name, expected in state["sha256"].items():
        file = folder / f"{name}.safetensors"
        if (found := hashlib.sha256(file.read_bytes()).hexdigest()) != expected:
            raise ValueError(f"{file.name} has the hash {found[:12]}, expected {expected[:12]}")
        tensors[name] = storage.load_tensors(file)
    return Checkpoint(state, tensors["model"], tensors.get("optim", {}))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
