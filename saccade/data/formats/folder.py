"""One folder of images a class, perhaps inside `train`, `val` and `test`, perhaps all inside one more folder."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from saccade.core import LabelSpace, Record
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.errors import Problem
from saccade.targets.label import Label

WHOLE = "path"
"""The label that a user asks for when a class is named by all folders on the way to it: alphabet/character."""


class Plan(NamedTuple):
    """Where the class folders are: inside `prefix`, and inside split folders there when `splits`."""

    prefix: str
    splits: bool


def detect(source: Source) -> Plan | None:
    """Whether there are images in folders, and which level names the classes."""
    if source.only:
        return None
    prefix, paths = "", source.listing.files
    while True:
        inner = _inner(paths)
        if not inner:
            return None
        if len(inner) != 1 or any("/" not in path for path in paths):
            break
        (top,) = inner
        if top.lower() in SPLITS or "" in inner[top] or len(inner[top]) < 2:
            break
        prefix, paths = f"{prefix}{top}/", [path[len(top) + 1 :] for path in paths]
    named = {SPLITS[top.lower()] for top, folders in inner.items() if top.lower() in SPLITS and folders - {""}}
    return Plan(prefix, bool(named) and (all(top.lower() in SPLITS for top in inner) or (len(named) > 1 and "train" in named)))


def _inner(paths: list[str]) -> dict[str, set[str]]:
    """The folders that hold images, and the folders inside each; "" stands for images that lie in it directly."""
    inner: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        top, slash, rest = path.partition("/")
        if slash:
            inner[top].add(rest.partition("/")[0] if "/" in rest else "")
    return inner


def load(source: Source, plan: Plan) -> Found:
    """A record for each image in a class folder; loose images and empty folders are told. With the label `path`, all folders below name the class."""
    level = 1 if plan.splits else 0
    found: list[tuple[str, str, str | None]] = []
    loose: list[str] = []
    for path in source.listing.files:
        parts = path[len(plan.prefix) :].split("/")
        split = SPLITS.get(parts[0].lower()) if plan.splits else None
        if len(parts) < level + 2 or (plan.splits and split is None) or not path.startswith(plan.prefix):
            loose.append(path)
        else:
            name = "/".join(parts[level:-1]) if source.wishes.label == WHOLE else parts[level]
            found.append((path, name, split))
    names = tuple(sorted({name for _, name, _ in found}, key=natural))
    labels = {name: {"label": Label(i)} for i, name in enumerate(names)}
    records = [Record(path, source.root / path, targets=labels[name], split=split) for path, name, split in found]
    problems = source.leftovers + _empty(source, plan, level)
    if loose:
        problems.append(Problem("IMG-LOOSE", loose[0], f"{len(loose)} of {len(source.listing.files)} images"))
    place = f"in {plan.prefix}" if plan.prefix else "here"
    splits = "/".join(sorted({s for _, _, s in found if s}, key=["train", "val", "test"].index))
    kind = "class, named by its path," if source.wishes.label == WHOLE else "class"
    return Found(records, {"label": LabelSpace(names)}, f"one folder a {kind} {place}" + (f", inside {splits}" if plan.splits else ""), problems)


def _empty(source: Source, plan: Plan, level: int) -> list[Problem]:
    """Class folders without an image."""
    filled = {path[: path.rindex("/")] for path in source.listing.files if "/" in path}
    filled |= {"/".join(folder.split("/")[:i]) for folder in filled for i in range(1, folder.count("/") + 1)}
    problems = []
    for folder in sorted(source.listing.folders, key=natural):
        parts = folder[len(plan.prefix) :].split("/")
        wanted = folder.startswith(plan.prefix) and len(parts) == level + 1 and (not plan.splits or parts[0].lower() in SPLITS)
        if wanted and folder not in filled:
            problems.append(Problem("CLS-EMPTY", folder, "no image in the folder"))
    return problems
