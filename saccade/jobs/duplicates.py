"""`saccade duplicates`: the groups of the same and of nearly the same pictures of a folder, within and between its parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from saccade import storage
from saccade.data.check_files import Depth, Finding, inspect_all
from saccade.data.dataset import ImageDataset
from saccade.data.duplicates import merge_groups, near_groups
from saccade.inference.evaluate import coloured, relative
from saccade.inference.tables import write_csv
from saccade.jobs.codes import CodeOptions, Progress, new_place, open_plain, write_failed
from saccade.ops.sheets import sheet

COLUMNS, SIDE, MOST = 8, 96, 40  # pictures of a row of the sheet, their side in pixels, and the groups that are drawn


class DuplicateOptions(BaseModel):
    """What a user may say of the search for copies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exact: Annotated[bool, Field(description="only files of the same content, or pictures of the same pixels in files of many")] = False
    format: Annotated[str | None, Field(description="the layout, instead of finding out")] = None
    label: Annotated[str | None, Field(description="the table's column of labels")] = None
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False
    threads: Annotated[int, Field(ge=1, le=64, description="files read at a time")] = 2


@dataclass(frozen=True)
class DuplicateResult:
    """rows: an entry for every picture that has a copy: group, id, path, label, split, kind (exact or near), across (parts that the group is in, where they are
    several), labels (those of the group, where they differ). n: pictures looked at; unreadable: those that could not be."""

    path: Path | None
    rows: list[dict[str, Any]]
    n: int
    unreadable: int

    @property
    def groups(self) -> int:
        return len({row["group"] for row in self.rows})

    @property
    def across(self) -> int:
        """Groups that are in several parts of the data."""
        return len({row["group"] for row in self.rows if row["across"]})

    @property
    def doubtful(self) -> int:
        """Groups whose pictures have different labels."""
        return len({row["group"] for row in self.rows if row["labels"]})

    def to_dict(self) -> dict[str, Any]:
        told = {"n": self.n, "unreadable": self.unreadable, "groups": self.groups, "pictures": len(self.rows)}
        return {"path": None if self.path is None else str(self.path), **told, "across": self.across, "doubtful": self.doubtful}

    def text(self) -> str:
        """What was found, and the first groups."""
        if not self.rows:
            return f"{self.n:,} pictures, none of them twice"
        lines = [f"{self.n:,} pictures: {len(self.rows):,} in {self.groups:,} groups of copies, {self.across:,} of the groups in several parts"]
        lines += [f"{self.doubtful:,} groups have different labels"] if self.doubtful else []
        for row in self.rows[:12]:
            about = ", ".join(word for word in (row["kind"], row["label"], row["split"]) if word)
            lines.append(f"  group {row['group']:<5} {row['id']}  ({about})")
        return "\n".join(lines + ([f"  ... and {len(self.rows) - 12:,} more"] if len(self.rows) > 12 else []))


def run_duplicates(data: str | Path, options: DuplicateOptions | None = None, *, out: Path | None = None, progress: Progress | None = None) -> DuplicateResult:
    """Finds copies by the rules of `saccade check`: the same content, or tiny copies within `data.likeness.NEAR`; a chain of near ones is one group.

    With `out` writes there duplicates.csv and duplicates.png, a row of pictures a group. Raises UsageError RUN-EXISTS, DataError.
    """
    chosen = options or DuplicateOptions()
    dataset = open_plain(data, CodeOptions(format=chosen.format, label=chosen.label, follow=chosen.follow))
    if out is not None:
        new_place(out)
    told = (lambda done: progress(done, len(dataset))) if progress else (lambda done: None)
    findings = inspect_all(dataset, Depth(copies=not chosen.exact), chosen.threads, told)
    kept = [i for i, finding in enumerate(findings) if not finding.bad]
    rows = _rows(dataset, kept, [findings[i] for i in kept])
    if out is not None:
        write_csv(out / "duplicates.csv", rows)
        write_failed(out, tuple(problem for finding in findings if finding.bad for problem in finding.problems))
        if (drawn := _drawn(dataset, rows)) is not None:
            storage.atomic_write(out / "duplicates.png", cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes())
    return DuplicateResult(out, rows, len(dataset), len(dataset) - len(kept))


def _rows(dataset: ImageDataset, kept: list[int], findings: list[Finding]) -> list[dict[str, Any]]:
    """An entry for every picture that has a copy, groups in the order of their first pictures."""
    if not kept:
        return []
    exact = np.unique([finding.hash for finding in findings], return_inverse=True)[1].ravel()
    copies = [finding.copy for finding in findings]
    near = near_groups(np.stack(copies)) if all(copy is not None for copy in copies) else np.arange(len(kept))  # type: ignore[arg-type]
    merged = merge_groups(exact, near)
    sizes, same = Counter(merged.tolist()), Counter(exact.tolist())
    number: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    for row, group in enumerate(merged.tolist()):
        if sizes[group] > 1:
            members.setdefault(number.setdefault(group, len(number) + 1), []).append(row)
    rows = []
    for group, places in members.items():
        records = [dataset.records[kept[row]] for row in places]
        labels = sorted({dataset.names.get(record.id, "") for record in records} - {""})
        parts = sorted({record.split for record in records if record.split})
        for row, record in zip(places, records, strict=True):
            about = {"id": record.id, "path": relative(record.path, dataset.root), "label": dataset.names.get(record.id, ""), "split": record.split or ""}
            kind = "exact" if same[int(exact[row])] > 1 else "near"
            apart = {"across": " ".join(parts) if len(parts) > 1 else "", "labels": ", ".join(labels) if len(labels) > 1 else ""}
            rows.append({"group": group, **about, "kind": kind, **apart})
    return rows


def _drawn(dataset: ImageDataset, rows: list[dict[str, Any]]) -> np.ndarray[Any, Any] | None:
    """The first forty groups, a row of at most eight pictures each."""
    place = {record.id: i for i, record in enumerate(dataset.records)}
    pictures: list[np.ndarray[Any, Any]] = []
    for group in sorted({row["group"] for row in rows})[:MOST]:
        own = [coloured(dataset.read(place[row["id"]], (SIDE, SIDE))) for row in rows if row["group"] == group][:COLUMNS]
        pictures += [*own, *[np.full((1, 1, 3), 255, np.uint8)] * (COLUMNS - len(own))]
    return sheet(pictures, columns=COLUMNS, side=SIDE) if pictures else None
