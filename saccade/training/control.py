"""Changing the rate of a run that is under way: control.json in its folder, read at the end of every epoch.

    {"lr": 0.0005}     from the next epoch on the schedule has this as its highest rate
    {"stop": true}     the run ends with this epoch, as after its last

What was obeyed is an event (`control`) with its epoch and is in every later checkpoint, so that a run which is resumed goes on with it;
the file is then taken away. What cannot be obeyed is an alert, RUN-CONTROL, and changes nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from saccade import storage
from saccade.errors import UsageError, unknown_name
from saccade.training.progress import Progress
from saccade.training.run_folder import RunFolder
from saccade.training.schedules import PLATEAU, REDUCTIONS
from saccade.training.settings import Settings

NAME, SEEN = "control.json", "control.seen.json"  # the second while the checkpoint that has it is being written
KNOWN = ("lr", "stop")


class Wish(NamedTuple):
    """What a control file asks for. lr: the highest rate; stop: end with this epoch."""

    lr: float | None = None
    stop: bool = False


def write_wish(folder: Path, *, lr: float | None = None, stop: bool = False) -> Path:
    """Leaves a wish for the run in this folder, in place of one that it has not seen yet. Raises UsageError USE-VALUE."""
    given: dict[str, Any] = ({} if lr is None else {"lr": lr}) | ({"stop": True} if stop else {})
    _checked(given)
    path = folder / NAME
    storage.write_json(path, given)
    return path


def read_wish(folder: Path) -> Wish | None:
    """The wish in a run's folder; None where there is none. Raises UsageError USE-VALUE or USE-OPTION for what cannot be obeyed."""
    seen = folder / SEEN
    if (folder / NAME).is_file():
        (folder / NAME).replace(seen)
    if not seen.is_file():
        return None
    try:
        stored = storage.read_json(seen)
    except ValueError as problem:
        raise UsageError("USE-VALUE", f"{problem}", where=NAME) from None
    return _checked(stored)


def take_away(folder: Path) -> None:
    """Removes the wish that was obeyed or refused."""
    (folder / SEEN).unlink(missing_ok=True)


def adjust(run: RunFolder, progress: Progress, settings: Settings) -> bool:
    """At the end of an epoch: lowers the rate on a plateau, and obeys the wish. True when there was one; it must be stored before it is taken away."""
    p = progress
    if settings.schedule == "plateau" and p.plateaus(settings.plateau_epochs, REDUCTIONS):
        p.factor *= PLATEAU
        run.event("plateau", epoch=p.epoch, factor=p.factor, reductions=p.reductions)
    try:
        wish = read_wish(run.path)
    except UsageError as problem:
        run.alert("RUN-CONTROL", problem.got)
        return True
    if wish is None:
        return False
    p.stopped = wish.stop
    if wish.lr is not None:
        p.factor = wish.lr / settings.rate
    run.event("control", epoch=p.epoch, lr=wish.lr, stop=wish.stop)
    return True


def _checked(stored: Any) -> Wish:
    if not isinstance(stored, dict) or not stored:
        raise UsageError("USE-VALUE", f'{str(stored)[:60]}, expected an object such as {{"lr": 0.0005}}', where=NAME)
    if unknown := unknown_name(stored, KNOWN):
        raise UsageError("USE-OPTION", unknown, where=NAME)
    rate, stop = stored.get("lr"), stored.get("stop", False)
    if rate is not None and (type(rate) not in (int, float) or not 0 < rate < 1e9 or not math.isfinite(rate)):
        raise UsageError("USE-VALUE", f"lr is {str(rate)[:40]}, expected a number above 0", where=NAME)
    if not isinstance(stop, bool):
        raise UsageError("USE-VALUE", f"stop is {str(stop)[:40]}, expected true or false", where=NAME)
    return Wish(None if rate is None else float(rate), stop)
