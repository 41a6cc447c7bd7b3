"""One folder of images a class, written: `train/cat/1.jpg`, or `cat/1.jpg` without splits."""

from __future__ import annotations

from pathlib import Path

from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.source import natural
from saccade.errors import Problem, UsageError

HOLDS = frozenset({"label"})


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Copies or links the pictures. What it cannot hold: images without a class, groups, classes without an image, names that are no folder names.

    Raises UsageError USE-VALUE when the pictures are to stay where they are.
    """
    if pictures.how == "none":
        raise UsageError("USE-VALUE", "images=none: the folders of the pictures are the labels", fix="use --images copy or link")
    losses, names = Losses(), dataset.spaces["label"].names
    folders = folder_names(names)
    losses.add("label", "names that cannot be folders", sum(a != b for a, b in zip(names, folders, strict=True)))
    used = set()
    whole = all(record.split for record in dataset.records)
    for i, record in enumerate(dataset.records):
        truth = dataset.truth(i).get("label")
        losses.add("label", "images without a class", truth is None or not truth.known)
        losses.add("label", "groups", record.group is not None)
        losses.add("label", "the split of images, which not all have", bool(record.split) and not whole)
        if truth is not None and truth.known:
            used.add(truth.index)
            pictures.put(i, f"{record.split}/{folders[truth.index]}" if whole else folders[truth.index])
    losses.add("label", "classes without an image", len(names) - len(used))
    losses.add("label", "the order of the classes", list(folders) != sorted(folders, key=natural))
    return losses.problems()


def folder_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as folders: no slash, nothing hidden, no two that differ in case alone.

    >>> folder_names(("T-shirt/top", "..", "a", "A"))
    ('T-shirt_top', '_..', 'a', 'A_2')
    """
    taken: set[str] = set()
    found = []
    for name in names:
        plain = "".join("_" if c in '/\\\0:*?"<>|' or not c.isprintable() else c for c in name).strip() or "_"
        plain = f"_{plain}" if plain.startswith(".") or plain == "__MACOSX" else plain
        best, number = plain, 1
        while best.lower() in taken:
            number += 1
            best = f"{plain}_{number}"
        taken.add(best.lower())
        found.append(best)
    return tuple(found)
