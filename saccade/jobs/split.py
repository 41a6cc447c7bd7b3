"""`saccade split`: a data set checked and split, the split written as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from saccade import storage
from saccade.data.check_report import CheckReport
from saccade.data.contents import main_head, tally
from saccade.data.dataset import ImageDataset
from saccade.data.split import Split, make_folds, make_split, write_split
from saccade.errors import UsageError, displayable
from saccade.jobs.check import ReadOptions, read_checked


class SplitOptions(ReadOptions):
    """What a user may say of a split."""

    test: Annotated[float | None, Field(gt=0, description="share (or number) of images kept aside for the final numbers")] = None
    val: Annotated[float, Field(ge=0, description="share (or number) of images to choose by")] = 0.15
    folds: Annotated[int | None, Field(ge=2, description="as many splits, each with another part as test")] = None
    order: Annotated[Literal["random", "last"], Field(description="which images are kept aside")] = "random"
    seed: Annotated[int, Field(description="of the random choices")] = 0
    max_bad: Annotated[float, Field(ge=0, le=1, description="share of the samples that may be unusable")] = 0.05
    allow_leak: Annotated[bool, Field(description="accept pictures or groups that are in two given splits")] = False


@dataclass(frozen=True)
class SplitResult:
    """The splits of a data set, one or one a fold, and the files that hold them."""

    dataset: ImageDataset
    report: CheckReport
    splits: tuple[Split, ...]
    paths: tuple[Path, ...]

    def to_dict(self) -> dict[str, Any]:
        parts = [{"reason": s.reason, "train": len(s.train), "val": len(s.val), "test": len(s.test)} for s in self.splits]
        return {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint, "splits": parts, "paths": [str(path) for path in self.paths]}

    def text(self) -> str:
        """The parts with their classes, at most 100 columns wide."""
        lines = [displayable(f"{self.dataset.root}   {len(self.dataset):,} images")]
        for split in self.splits:
            lines += textwrap.wrap(split.reason, 100, initial_indent=" ", subsequent_indent="   ")
            for name in ("train", "val", "test"):
                places = getattr(split, name)
                counts = ", ".join(f"{displayable(label)} {n:,}" for label, n in tally(self.dataset, main_head(self.dataset), places).items())
                line = f"  {name:<6} {len(places):>8,}   {counts}"
                lines.append(line if len(line) <= 100 else line[:97] + "...")
        return "\n".join(lines + [str(path) for path in self.paths])


def run_split(
    path: str | Path,
    options: SplitOptions | None = None,
    *,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SplitResult:
    """Checks and splits a data set. With `out` (a .csv; with folds a folder) writes it, refusing to replace a file.

    Raises DataError when the data cannot be used, UsageError RUN-EXISTS and USE-VALUE, ResourceError RUN-DISK.
    """
    chosen = options or SplitOptions()
    if chosen.folds and chosen.test is not None:
        raise UsageError("USE-VALUE", "test and folds together", fix="with --folds each fold is the test once; leave out --test")
    if chosen.folds and chosen.order != "random":
        raise UsageError("USE-VALUE", f"order={chosen.order} and folds together", fix="folds are random; leave out --order")
    paths: tuple[Path, ...] = ()
    if out is not None:
        paths = tuple(out / f"fold{i + 1}.csv" for i in range(chosen.folds)) if chosen.folds else (out,)
        if there := next((p for p in paths if p.exists()), None):
            raise UsageError("RUN-EXISTS", "the file is there", where=str(there), fix="choose another --out")
    report = read_checked(path, chosen, progress=progress)
    report.gate(chosen.max_bad, allow_leak=chosen.allow_leak)
    dataset = report.dataset
    if chosen.folds:
        splits = tuple(make_folds(dataset, chosen.folds, seed=chosen.seed, val=chosen.val))
    else:
        splits = (make_split(dataset, test=chosen.test, val=chosen.val, seed=chosen.seed, order=chosen.order),)
    for file, split in zip(paths, splits, strict=False):
        with storage.disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_split(file, dataset, split)
    return SplitResult(dataset, report, splits, paths)
