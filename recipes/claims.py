"""What every recipe needs: where the data are, and how a measured number is held against its range."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HOLDS, MISSED, NO_DATA = 0, 8, 77


def data(name: str) -> Path:
    """A shared data set, or the end of the recipe where it is absent."""
    path = DATA / name
    if not path.exists():
        print(f"the data set {name} is not beside this checkout")
        sys.exit(NO_DATA)
    return path


def photographs(out: Path) -> tuple[Path, Path]:
    """Folders `train` and `test` of photographs without labels: chess pieces (614x411) and seven kinds of things (about 300x220); every fifth of the
    sorted names of each set is in the second."""
    folders = out / "train", out / "test"
    for one in folders:
        one.mkdir(parents=True, exist_ok=True)
    for name in ("detection/chess_coco", "classification/caltech7"):
        source = data(name)
        for place, file in enumerate(sorted(source.rglob("*.jpg"))):
            shutil.copyfile(file, folders[place % 5 == 4] / "_".join([*name.split("/"), *file.relative_to(source).parts]))
    return folders


def folder() -> Path:
    """A new folder for the runs of a recipe, outside the checkout."""
    place = Path(tempfile.mkdtemp(prefix="saccade-recipe-"))
    print(f"runs go to {place}", flush=True)
    return place


def hold(what: str, measured: float, low: float, high: float) -> bool:
    """Prints the number beside its range; True when it lies inside."""
    inside = low <= measured <= high
    print(f"{what}: {measured:.4f}, expected {low:g} to {high:g}: {'holds' if inside else 'MISSED'}", flush=True)
    return inside


def finish(*held: bool) -> None:
    """Ends the recipe with its exit code."""
    sys.exit(HOLDS if all(held) else MISSED)
