"""`saccade check`: every file read, every problem told; nothing written without an output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from saccade import storage
from saccade.data.check import check
from saccade.data.check_report import CheckReport
from saccade.data.image import MAX_PIXELS
from saccade.data.open import open_dataset
from saccade.data.statistics import statistics
from saccade.errors import UsageError
from saccade.jobs.preview import write_preview
from saccade.report import data_report


class ReadOptions(BaseModel):
    """What a user may say of how data are read and checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[str | None, Field(description="the layout, instead of finding out; `saccade convert --list` names them")] = None
    group: Annotated[str | None, Field(description="a column, or a regular expression on the path, that names what must stay together")] = None
    label: Annotated[str | None, Field(description="the table's column of labels")] = None
    path_column: Annotated[str | None, Field(description="the table's column of image paths")] = None
    max_pixels: Annotated[int, Field(ge=1, description="pixels an image may declare")] = MAX_PIXELS
    deep: Annotated[bool, Field(description="decode the pixels, not only the headers")] = True
    isolate: Annotated[bool, Field(description="decode in child processes, so that a crash of a decoder is survived")] = False
    near: Annotated[bool, Field(description="look for nearly the same pictures")] = True
    threads: Annotated[int, Field(ge=1, description="files read at a time")] = 2
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False


class CheckOptions(ReadOptions):
    """What a user may say of a check."""

    preview: Annotated[Path | None, Field(description="draw what a network would see, with the labels, into this PNG file")] = None
    augment: Annotated[str | None, Field(description="the policy that the preview shows, as in training; default when not given")] = None
    size: Annotated[int | None, Field(description="pixels of a side of the preview's inputs")] = None
    whiten: Annotated[int | None, Field(ge=0, description="show ZCA whitening in the preview: the odd side of the patches, 0 for whole images")] = None


def read_checked(path: str | Path, chosen: ReadOptions, *, progress: Callable[[int, int], None] | None = None) -> CheckReport:
    """A data set opened and every file of it read. Raises DataError when it cannot be opened."""
    dataset = open_dataset(
        path,
        format=chosen.format,
        group=chosen.group,
        label=chosen.label,
        path_column=chosen.path_column,
        max_pixels=chosen.max_pixels,
        follow=chosen.follow,
    )
    return check(dataset, deep=chosen.deep, isolate=chosen.isolate, near=chosen.near, threads=chosen.threads, progress=progress)


def run_check(
    path: str | Path,
    options: CheckOptions | None = None,
    *,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Opens and checks a data set. The caller prints the report and applies its gate.

    With `out`, writes there check.json, data_problems.csv, statistics.json, data_report.html and plots/.

    Raises DataError when the data cannot be opened, UsageError for the preview's options, ResourceError RUN-DISK when something cannot be written.
    """
    chosen = options or CheckOptions()
    if chosen.preview is None and (alone := [name for name in ("augment", "size", "whiten") if getattr(chosen, name) is not None]):
        raise UsageError("USE-OPTION", f"{alone[0]} says what a preview shows, and none is asked for", where=f"--{alone[0]}", fix="add --preview FILE.png")
    report = read_checked(path, chosen, progress=progress)
    if out is not None:
        with storage.disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        storage.write_json(out / "check.json", report.to_dict())
        report.write_csv(out / "data_problems.csv")
        numbers = statistics(report.dataset)
        storage.write_json(out / "statistics.json", numbers.to_dict())
        data_report.write(report, out, numbers)
    if chosen.preview is not None:
        write_preview(report.dataset, chosen.preview, augment=chosen.augment or "default", size=chosen.size, whiten=chosen.whiten)
    return report
