"""The demonstrations: real handwritten digits, or a simulated world for any other task, and then the ordinary `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from saccade.errors import ResourceError, UsageError, nearest
from saccade.storage import disk_errors

if TYPE_CHECKING:
    from saccade.jobs.train import RunResult
    from saccade.training.run_folder import Listener

SEQUENCES = 200


class Demo(NamedTuple):
    """What a task is shown with. text: the data in a few words. data: a world's recipe, or what writes them below a folder and gives their path.

    budget: time for everything. options: of `train`.
    """

    text: str
    data: str | Callable[[Path], Path]
    budget: str = "2m"
    options: Mapping[str, Any] = MappingProxyType({})


def run_demo(
    task: str = "classify", *, out: Path | str = "saccade-demo", budget: str | None = None, seed: int = 0, listeners: Sequence[Listener] = ()
) -> RunResult:
    """Makes the data of a task, below `out` where they are files, trains on them with a fifth held out, and returns the RunResult.

    budget: time for everything, None for the demonstration's own. Raises UsageError USE-VALUE for a task without a demonstration.
    """
    shown = find_demo(task)
    from saccade.jobs.options import make_options
    from saccade.jobs.train import run_train

    data = shown.data if isinstance(shown.data, str) else str(shown.data(Path(out)))
    where = free_folder(Path(out) / ("run" if task == "classify" else f"run_{task}"))
    named = {} if task == "classify" else {"task": task}
    options = make_options(data=data, out=where, test=0.2, budget=budget or shown.budget, seed=seed, **named, **shown.options)
    return run_train(options, listeners=listeners)


def demos() -> dict[str, Demo]:
    """Every task that can be shown, in the tasks' order."""
    from saccade.models.table import UNNAMED
    from saccade.tasks import TASKS

    found: dict[str, Demo] = {"classify": OWN["classify"]}
    for name, task in TASKS.items():
        shown = OWN.get(name) or (PHOTOGRAPHS if task.degrade is not None or name in UNNAMED else BY_HEAD.get(task.head))
        if shown is not None:
            found[name] = shown
    return found


def find_demo(task: str) -> Demo:
    """Raises UsageError USE-VALUE for a task without a demonstration."""
    known = demos()
    if task not in known:
        raise UsageError("USE-VALUE", f"{task}; {nearest(task, known)}", where="saccade demo")
    return known[task]


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


def write_gestures(folder: Path, n: int = SEQUENCES) -> Path:
    """Sequences of the world `gestures` as `sequences.jsonl`: the 14 joints of a figure in shares of the picture, a tag for every frame and a label
    for the whole; what is there already is left alone. Raises ResourceError RUN-DISK."""
    import numpy as np

    from saccade.core import LabelSpace, Record
    from saccade.data.dataset import ImageDataset
    from saccade.data.formats.pictures import Pictures
    from saccade.data.formats.sequences_write import save
    from saccade.data.world.dataset import world
    from saccade.targets import Label

    if (folder / "sequences.jsonl").exists():
        return folder
    data = world("gestures", n=n * 24, size=64)
    kinds = data.studio.kinds(np.arange(n) * 24)
    made = [data.sequence(i) for i in range(n)]
    arrays = {"gestures": [(joints / 32 - 1).reshape(len(joints), -1) for joints, _ in made]}
    records = tuple(
        Record(f"gesture_{i:04d}", Path("gestures"), i, {"tags": tags, "label": Label(int(kind))})
        for i, ((_, tags), kind) in enumerate(zip(made, kinds, strict=True))
    )
    spaces = {"tags": LabelSpace(data.recipe.world.classes), "label": LabelSpace(data.recipe.world.kinds)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = ImageDataset("gestures", folder, "sequences", "simulated", records, spaces, channels=28, arrays=arrays)
        save(held, folder, Pictures(held, folder))
    return folder


OWN: Mapping[str, Demo] = MappingProxyType(
    {
        "classify": Demo("1,797 handwritten digits of 8 x 8 pixels (scikit-learn's), ten classes", lambda out: write_digits(out / "digits"), "60s"),
        "represent": Demo("1,797 handwritten digits of 8 x 8 pixels (scikit-learn's), a code of each", lambda out: write_digits(out / "digits"), "60s"),
        "generate": Demo(
            "1,797 handwritten digits of 8 x 8 pixels (scikit-learn's), new ones like them",
            lambda out: write_digits(out / "digits"),
            "60s",
            MappingProxyType({"model": "vae"}),
        ),
        "localize": Demo("1,000 simulated boards with one shape or none", "world:shapes?n=1000&size=64&objects=0-1&difficulty=easy"),
        "sequence": Demo(f"{SEQUENCES} simulated gestures, the moment of every frame", lambda out: write_gestures(out / "gestures")),
        "sequence_label": Demo(f"{SEQUENCES} simulated gestures, which of three each is", lambda out: write_gestures(out / "gestures")),
    }
)
"""Tasks with data of their own."""

PHOTOGRAPHS = Demo("300 simulated tables", "world:tabletop?n=300&size=96&supersample=2")
"""What tasks learn from that need pictures and no labels."""

BY_HEAD: Mapping[str, Demo] = MappingProxyType(
    {
        "labels": Demo("1,000 simulated boards, which kinds of shape are there", "world:shapes?n=1000&size=48&difficulty=easy"),
        "number": Demo("1,000 simulated boards, how many shapes there are", "world:shapes?n=1000&size=48&difficulty=easy"),
        "boxes": Demo("600 simulated photographs of wild animals, five kinds", "world:wildlife?n=600&size=96&difficulty=easy"),
        "instances": Demo("400 simulated boards with two to four shapes", "world:shapes?n=400&size=96&objects=2-4&difficulty=easy"),
        "keypoints": Demo("480 frames of simulated figures, 14 joints each", "world:gestures?n=480&size=64&clutter=0&difficulty=easy"),
        "map": Demo("400 simulated X-rays of chests, the organ of every pixel", "world:xray?n=400&size=96&difficulty=easy"),
        "points": Demo("300 simulated microscope pictures, a dot on every cell", "world:cells?n=300&size=96&difficulty=easy"),
        "depth": Demo("500 simulated tables, how far every pixel is", "world:tabletop?n=500&size=64"),
        "normals": Demo("500 simulated tables, which way every pixel faces", "world:tabletop?n=500&size=64"),
        "flow": Demo("400 frames of simulated clips, where every pixel goes", "world:clips?n=400&size=64"),
        "caption": Demo("800 simulated boards with sentences", "world:shapes?n=800&size=64&difficulty=easy"),
        "regions": Demo("600 simulated boards with a phrase for every shape", "world:shapes?n=600&size=64&difficulty=easy"),
        "graph": Demo("600 simulated tables, who is beside, behind or on whom", "world:tabletop?n=600&size=64&difficulty=easy"),
        "boxes3d": Demo("400 simulated streets with boxes in space", "world:street?n=400&size=96"),
    }
)
"""Head -> what the other tasks of this kind of truth are shown with."""


def free_folder(wanted: Path) -> Path:
    """The folder itself when it is absent or empty, else the first of wanted_2, wanted_3 ... that is."""
    number, folder = 1, wanted
    while folder.exists() and any(folder.iterdir()):
        number += 1
        folder = wanted.with_name(f"{wanted.name}_{number}")
    return folder
