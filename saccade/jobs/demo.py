"""The demonstration: scikit-learn's real handwritten digits as a folder of images, then the ordinary `train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from saccade.errors import ResourceError, UsageError, nearest
from saccade.storage import disk_errors

if TYPE_CHECKING:
    from saccade.jobs.train import RunResult
    from saccade.training.run_folder import Listener

DEMOS: dict[str, str] = {"classify": "1,797 handwritten digits of 8 x 8 pixels (scikit-learn's), ten classes"}


def run_demo(task: str = "classify", *, out: Path | str = "saccade-demo", budget: str = "60s", seed: int = 0, listeners: Sequence[Listener] = ()) -> RunResult:
    """Writes the data of a task below `out`, trains on it with a fifth held out, and returns the RunResult.

    Raises UsageError USE-VALUE for a task without a demonstration.
    """
    if task not in DEMOS:
        raise UsageError("USE-VALUE", f"{task}; {nearest(task, DEMOS)}", where="saccade demo")
    from saccade.jobs.options import make_options
    from saccade.jobs.train import run_train

    data = write_digits(Path(out) / "digits")
    return run_train(make_options(data=str(data), out=free_folder(Path(out) / "run"), test=0.2, budget=budget, seed=seed), listeners=listeners)


def write_digits(folder: Path) -> Path:
    """The digits as PNG, one folder a class; what is there already is left alone. Raises ResourceError RUN-DISK."""
    import cv2
    from sklearn.datasets import load_digits

    digits = load_digits()
    for place, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = folder / str(label) / f"{place:04d}.png"
        if file.exists():
            continue
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            written, data = cv2.imencode(".png", (image * 255 / 16).round().astype("uint8"))
            if not written:
                raise ResourceError("RUN-DISK", "the image could not be encoded", where=str(file))
            file.write_bytes(data.tobytes())
    return folder


def free_folder(wanted: Path) -> Path:
    """The folder itself when it is absent or empty, else the first of wanted_2, wanted_3 ... that is."""
    number, folder = 1, wanted
    while folder.exists() and any(folder.iterdir()):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    return folder
