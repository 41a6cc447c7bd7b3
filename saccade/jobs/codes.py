"""What the verbs of codes share: the data opened with the names of their classes, and every picture's code by a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from saccade import bundle
from saccade.bundle import Bundle
from saccade.data.columns import columns
from saccade.data.dataset import ImageDataset
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.data.words import in_words
from saccade.errors import DataError, PartialError, Problem
from saccade.inference.embed import Embedded, embed
from saccade.jobs.evaluate import chosen_part, placed
from saccade.jobs.prepare import class_names
from saccade.storage import disk_errors, refuse_occupied
from saccade.training.engine import set_threads

Progress = Callable[[int, int], None]


class CodeOptions(BaseModel):
    """What a user may say of how codes are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Annotated[str, Field(pattern="^(train|val|test|all)$", description="part of the data: train, val, test or all")] = "all"
    format: Annotated[str | None, Field(description="the layout, instead of finding out")] = None
    label: Annotated[str | None, Field(description="the table's column of labels")] = None
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False
    batch: Annotated[int, Field(ge=1, le=4096, description="images at a time")] = 64
    threads: Annotated[int | None, Field(ge=1, le=1024, description="of the network")] = None
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"


@dataclass(frozen=True)
class Coded:
    """A model, and the codes of some data by it."""

    bundle: Bundle
    embedded: Embedded
    total: int

    def partial(self, where: Path | str) -> PartialError | None:
        """PRED-FAILED when some inputs have no code."""
        missing = self.total - len(self.embedded)
        if not missing:
            return None
        return PartialError("PRED-FAILED", f"{missing} of {self.total}", where=str(where), fix="see failed.csv, or saccade check")


def open_plain(data: str | Path, options: CodeOptions) -> ImageDataset:
    """The data without truths, the names of classes kept beside; a folder of unknown layout is one of plain images. Raises DataError, UsageError."""
    try:
        found = open_dataset(data, format=options.format, label=options.label, follow=options.follow)
    except DataError as problem:
        if options.format is not None or problem.code != "DATA-LAYOUT":
            raise
        found = open_dataset(data, format="images", follow=options.follow)
    plain = found.with_records([replace(record, targets={}) for record in found.records], spaces={}, names=class_names(found))
    _, _, places = chosen_part(plain, options.split)
    return plain.subset(places)


def coded(model: Path | str, data: str | Path, options: CodeOptions, *, progress: Progress | None = None) -> Coded:
    """The codes of the data. Raises ModelError, DataError, UsageError USE-VALUE for a model without codes, PRED-NONE where nothing can be read."""
    set_threads(options.threads)
    found = bundle.read(bundle.model_file(model))
    return coded_by(found, data, options, progress=progress)


def coded_by(found: Bundle, data: str | Path, options: CodeOptions, *, progress: Progress | None = None) -> Coded:
    """The same by a model that was read before."""
    preprocess = Preprocess.from_dict(found.card.preprocess)
    opened = in_words(open_plain(data, options), preprocess.vocabulary, where=str(data))
    dataset = replace(columns(opened, limit=found.card.inputs.size[0]), channels=_channels(opened, found, str(data)), value_range=preprocess.value_range)
    network, autocast = placed(found, options.device)
    device = next(network.parameters()).device
    embedded = embed(network, dataset, preprocess, batch=options.batch, device=device, autocast=autocast, progress=progress)
    if not len(embedded):
        first = embedded.problems[0] if embedded.problems else Problem("PRED-NONE")
        raise DataError("PRED-NONE", f"none of {len(dataset)} inputs can be read, the first: {first.code} {first.got}", where=str(data))
    return Coded(found, embedded, len(dataset))


def _channels(dataset: ImageDataset, found: Bundle, where: str) -> int:
    """The model's channels; vectors must have as many numbers. Raises DataError DATA-TASK."""
    wanted = found.card.inputs.channels
    vectors = any(isinstance(held, list) for held in dataset.arrays.values())
    if vectors and dataset.channels != wanted:
        raise DataError("DATA-TASK", f"vectors of {dataset.channels} numbers, the model takes {wanted}", where=where, fix="give the data that the model is of")
    return wanted


def new_place(out: Path) -> Path:
    """The folder, made where it is not there. Raises UsageError RUN-EXISTS for one that is not empty."""
    refuse_occupied(out)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    return out


def write_failed(folder: Path, problems: tuple[Problem, ...], name: str = "failed.csv") -> None:
    """A row for every input that could not be read; no file where there is none."""
    from saccade.inference.tables import write_csv

    if problems:
        write_csv(folder / name, [{"where": p.where, "code": p.code, "what": f"{p.text}: {p.got}", "fix": p.fix} for p in problems])
