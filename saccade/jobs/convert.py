"""`saccade convert`: a data set read in one layout and written in another, with a list of what the other cannot hold."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from saccade import storage
from saccade.core import LabelSpace, Record, Stored
from saccade.data.dataset import ImageDataset
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.image import MAX_PIXELS
from saccade.data.open import open_dataset
from saccade.errors import DataError, Problem, UsageError, displayable, nearest
from saccade.targets import Boxes, Instances, Keypoints, Label, Points


class ConvertOptions(BaseModel):
    """What a user may say of a conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Annotated[str | None, Field(description="the layout to write; `saccade convert --list` names them")] = None
    heads: Annotated[str | tuple[str, ...], Field(description="kinds of labels to write, default all that the layout can hold; names or a,b")] = ""
    classes: Annotated[str | tuple[str, ...], Field(description="only these classes, in this order; names or a,b")] = ""
    images: Annotated[Literal["copy", "link", "none"], Field(description="copy the images, link to them, or leave them where they are")] = "copy"
    format: Annotated[str | None, Field(description="the layout that is read, instead of finding out")] = None
    label: Annotated[str | None, Field(description="the table's column of labels")] = None
    path_column: Annotated[str | None, Field(description="the table's column of image paths")] = None
    max_bad: Annotated[float, Field(ge=0, le=1, description="share of the samples that may be unusable")] = 0.05
    max_pixels: Annotated[int, Field(ge=1, description="pixels an image may declare")] = MAX_PIXELS
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False


def _words(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return given if isinstance(given, tuple) else tuple(word.strip() for word in given.split(",") if word.strip())


@dataclass(frozen=True)
class Converted:
    """What was written, and what was lost on the way.

    written, read_back: for each head the images that have a truth and the objects in them, as they were and as they open again;
    read_back is None where the images were left elsewhere, so that the labels alone cannot be opened.
    """

    source: ImageDataset
    path: Path
    format: str
    losses: tuple[Problem, ...]
    written: Mapping[str, tuple[int, int]]
    read_back: Mapping[str, tuple[int, int]] | None

    def to_dict(self) -> dict[str, Any]:
        losses = Counter(problem.code for problem in self.losses)
        counts = {head: {"images": images, "objects": objects} for head, (images, objects) in self.written.items()}
        return {"from": self.source.format, "to": self.format, "path": str(self.path), "images": len(self.source), "heads": counts, "losses": dict(losses)}

    def text(self) -> str:
        """At most 100 columns wide."""
        lines = [f"{displayable(str(self.source.root))}   {len(self.source):,} images, read as {self.source.format}"[:100]]
        for head, (images, objects) in self.written.items():
            seen = "not read back: its images are elsewhere" if self.read_back is None else "read back the same"
            lines.append(f"  {head:<12}{images:>9,} images  {objects:>10,} objects   written as {self.format}, {seen}")
        for code, n in Counter(problem.code for problem in self.losses).items():
            first = next(problem for problem in self.losses if problem.code == code)
            lines.append(f"  {code:<12}{n:>9,}  {first.text}: {first.got}"[:100])
        return "\n".join(lines)


def run_convert(source: str | Path, out: Path, options: ConvertOptions | None = None) -> Converted:
    """Reads `source`, writes it to the folder `out` (which must be new or empty) and, unless the images stay elsewhere, opens it again to see
    that everything is there.

    Nothing is left behind when it fails. Raises UsageError USE-VALUE, USE-OPTION, RUN-EXISTS; DataError when the data cannot be used, or
    CONVERT-BACK when what was written does not read as what was meant; ResourceError RUN-DISK.
    """
    chosen = options or ConvertOptions()
    name, folder = _target(out, chosen.to)
    opened = open_dataset(source, format=chosen.format, label=chosen.label, path_column=chosen.path_column, max_pixels=chosen.max_pixels, follow=chosen.follow)
    dataset, losses = _selected(_gated(opened, chosen.max_bad), name, chosen)
    if _inside(folder, dataset.root):
        raise UsageError("USE-VALUE", f"{folder} lies inside the data it is made from", where="--out", fix="choose a folder outside of it")
    writer = FORMATS[name].save
    assert writer is not None  # _target has seen to it
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    with storage.disk_errors(folder):
        try:
            partial.mkdir(parents=True)
            losses += writer(dataset, partial, Pictures(dataset, partial, chosen.images))
            dropped = {problem.where for problem in losses if problem.code == "LOSS-HEAD"}
            written = {head: held for head, held in counts(dataset).items() if head not in dropped}
            back = None if chosen.images == "none" else counts(open_dataset(partial, format=name, follow=True))
            if back is not None and (difference := {head: (n, back.get(head)) for head, n in written.items() if back.get(head) != n}):
                got = "; ".join(f"{head}: {n[0]} images, {n[1]} objects, read back {b or 'none'}" for head, (n, b) in difference.items())
                raise DataError("CONVERT-BACK", got, where=str(folder))
            if folder.is_dir():
                folder.rmdir()
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Converted(dataset, folder, name, tuple(losses), written, back)


def counts(dataset: ImageDataset) -> dict[str, tuple[int, int]]:
    """For each head the images that have a truth, and the objects in them (1 an image where the truth is of the whole image).

    Of key points the objects with a labelled one: some layouts list all points of every object, or none of an object without.
    """
    found: dict[str, tuple[int, int]] = {}
    for record in dataset.records:
        for head, target in record.targets.items():
            if target is not None:
                images, objects = found.get(head, (0, 0))
                held = target.load() if isinstance(target, Stored) else target
                found[head] = (images + 1, objects + _objects(held))
    return found


def _objects(truth: Any) -> int:
    if isinstance(truth, Keypoints):
        return int((truth.visible > 0).any(1).sum())
    return len(truth) if hasattr(truth, "__len__") else 1


def _target(out: Path, to: str | None) -> tuple[str, Path]:
    """The layout to write and the folder to write it to. Raises UsageError."""
    writable = [name for name, layout in FORMATS.items() if layout.save is not None]
    if to is None:
        raise UsageError("USE-MISSING", "no layout to write was named", where="--to", fix=f"give --to with one of {', '.join(writable)}")
    if to not in writable:
        what = f"{to} is read but not written" if to in FORMATS else f"to={to}"
        raise UsageError("USE-VALUE", what, where="--to", fix=nearest(to, writable))
    storage.refuse_occupied(out)
    return to, out


def _inside(folder: Path, root: Path) -> bool:
    """Whether a folder lies in the data's own: nothing is ever written there."""
    real, base = os.path.realpath(folder), os.path.realpath(root)
    return real == base or real.startswith(base + os.sep)


def _gated(dataset: ImageDataset, max_bad: float) -> ImageDataset:
    """The data set, when its label files can be trusted. Raises DataError: the first fatal problem, or DATA-BAD."""
    fatal = next((problem for problem in dataset.problems if problem.severity == "fatal"), None)
    if fatal is not None:
        raise DataError(fatal.code, fatal.got, where=fatal.where)
    bad = {problem.image or problem.where for problem in dataset.problems if problem.severity == "error"}
    if len(bad) > max_bad * (len(bad) + len(dataset)):
        raise DataError("DATA-BAD", f"{len(bad)} of {len(bad) + len(dataset)}", where=str(dataset.root))
    return dataset


def _selected(dataset: ImageDataset, name: str, options: ConvertOptions) -> tuple[ImageDataset, list[Problem]]:
    """The heads that the layout can hold and the classes asked for. Raises UsageError when nothing would be left."""
    held, there, wanted, classes = FORMATS[name].holds, set(dataset.spaces), _words(options.heads), _words(options.classes)
    for head in wanted:
        if head not in there or head not in held:
            shown = sorted(there & held)
            why = "the data have no such labels" if head not in there else f"{name} cannot hold it"
            raise UsageError("USE-VALUE", f"heads={head}: {why}", where="--heads", fix=f"choose among {', '.join(shown)}" if shown else "write another layout")
    kept = [head for head in dataset.spaces if head in (wanted or held)]
    if not kept:
        could = [other for other, layout in FORMATS.items() if layout.save and there & layout.holds]
        got = f"{name} holds {', '.join(sorted(held))}; the data have {', '.join(sorted(there))}"
        raise UsageError("USE-VALUE", got, where="--to", fix=f"choose among {', '.join(could)}")
    left = [head for head in dataset.spaces if head not in kept]
    losses = [Problem("LOSS-HEAD", head, f"{name} cannot hold {head}" if head not in held else "not asked for") for head in left]
    chosen = dataset.with_heads(kept)
    if classes:
        chosen, more = with_classes(chosen, classes)
        losses += more
    return chosen, losses


def with_classes(dataset: ImageDataset, names: Sequence[str]) -> tuple[ImageDataset, list[Problem]]:
    """The data set with only these classes, numbered in this order; objects of other classes go, and so do images labelled as a whole with one.

    Raises UsageError USE-VALUE for a name that no head has, and for heads whose classes cannot be chosen among (maps, graphs, sequences).
    """
    known = {name for space in dataset.spaces.values() for name in space.names}
    for name in names:
        if name not in known:
            raise UsageError("USE-VALUE", f"there is no class {name}", where="--classes", fix=nearest(name, sorted(known)))
    fixed = [head for head, space in dataset.spaces.items() if space.names and head not in ("label", "boxes", "instances", "keypoints", "points")]
    if fixed:
        raise UsageError("USE-VALUE", f"the classes of {', '.join(fixed)} cannot be chosen among", where="--classes", fix="leave that head out with --heads")
    places = {head: {i: list(names).index(n) for i, n in enumerate(space.names) if n in names} for head, space in dataset.spaces.items()}
    spaces: dict[str, LabelSpace] = {head: replace(space, names=tuple(names), colours=()) if space.names else space for head, space in dataset.spaces.items()}
    records: list[Record] = []
    lost: Counter[str] = Counter()
    for record in dataset.records:
        targets = {head: _renamed(target, places.get(head, {}), lost) for head, target in record.targets.items()}
        if "label" in targets and targets["label"] is None and record.targets["label"] is not None:
            continue
        records.append(replace(record, targets=targets))
    problems = [Problem("LOSS-FIELD", head, f"{n:,} objects of other classes") for head, n in lost.items()]
    return replace(dataset, records=tuple(records), spaces=spaces), problems


def _renamed(target: Any, places: Mapping[int, int], lost: Counter[str]) -> Any:
    """A truth with other class ids; objects of classes that have none are left out and counted."""
    held = target.load() if isinstance(target, Stored) else target
    if held is None or not places:
        return target
    if isinstance(held, Label):
        lost["label"] += held.known and held.index not in places
        return Label(places[held.index]) if held.index in places else None
    classes = held.classes if isinstance(held, Boxes | Points) else held.boxes.classes
    rows = [i for i, k in enumerate(classes.tolist()) if k in places]
    lost[type(held).__name__.lower()] += len(classes) - len(rows)
    numbers = torch.tensor([places[int(classes[i])] for i in rows], dtype=torch.int64)
    picked = held.select(rows)
    if isinstance(picked, Instances | Keypoints):
        return replace(picked, boxes=replace(picked.boxes, classes=numbers))
    return replace(picked, classes=numbers)
